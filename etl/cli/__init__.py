"""The commands of ``visitor-sync``: the only place that prints or exits."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from typing import NoReturn

import click

from etl.cli import logs, notices, streams
from etl.cli.answers import answer
from etl.cli.commands import Kept, program
from etl.cli.early import Early
from etl.cli.memory import start_without_collecting
from etl.errors import InterruptedRunError, SettingsError, SyncError, UnavailableError

SIGINT_EXIT_CODE = 130
SIGPIPE_EXIT_CODE = 141
_SIGNALLED = 128


def main() -> NoReturn:
    """Run the command line and leave with the exit code of the design's table."""
    start_without_collecting()
    stdout, stderr = streams.take_over()
    logging.raiseExceptions = False
    early = Early()
    logs.catch_strays()
    code = _run(stdout)
    if early.kept:
        logs.reach_stderr()
    streams.flush()
    if errno.EPIPE in {stdout.lost, stderr.lost}:
        code = code or SIGPIPE_EXIT_CODE
    elif stdout.lost and not isinstance(code, Kept):
        lost = UnavailableError(f"The output could not be written: {os.strerror(stdout.lost)}.")
        notices.error(lost)
        code = code or lost.exit_code
    logging.shutdown()
    streams.flush()
    os._exit(code)  # not sys.exit: a thread that waits for a silent server must not hold the process


def _run(stdout: streams.Outlet) -> int:
    """Run the command. Returns its exit code; Kept where its result is safe whatever becomes of stdout."""
    code: int | None
    try:
        code = program.main(prog_name="visitor-sync", standalone_mode=False)
    except click.Abort:
        _answer(InterruptedRunError(signal.SIGINT))
        return SIGINT_EXIT_CODE
    except Exception as exc:  # noqa: BLE001 -- the last resort: of a bug its place, and none of the values
        failure = _failure(exc)
        if isinstance(exc, click.ClickException) and logs.for_people():
            exc.show()
        else:
            notices.error(failure)
        _answer(failure)
        return failure.exit_code
    if code and not stdout.used:
        _answer(_ended(code))
    return code or Kept(0) if isinstance(code, Kept) else code or 0


def _failure(exc: Exception) -> SyncError:
    """What ended the command, as one of our own errors."""
    if isinstance(exc, SyncError):
        return exc
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):
        return SettingsError("No command was given.", fix="visitor-sync --help lists them.")
    if isinstance(exc, click.ClickException):
        context = exc.ctx if isinstance(exc, click.UsageError) else None
        command = context.command_path if context else "visitor-sync"
        return SettingsError(exc.format_message(), fix=f"{command} --help shows how it is called.")
    from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

    return as_bug(exc)


def _ended(code: int) -> SyncError:
    """What there is to say of a command that has told on stderr alone how it ended."""
    if code > _SIGNALLED:
        return InterruptedRunError(code - _SIGNALLED)
    failure = SyncError(f"The command ended with exit code {code}; stderr says why.")
    failure.exit_code = code
    return failure


def _answer(failure: SyncError) -> None:
    """With ``--json`` a program gets an object whatever happens."""
    found = answer(sys.argv[1:], failure)
    if found is not None:
        import orjson  # noqa: PLC0415 -- only a failure needs it here

        click.echo(orjson.dumps(found))
