"""The commands of ``visitor-sync``: the only place that prints or exits."""

from __future__ import annotations

import errno
import logging
import os
from typing import NoReturn

import click

from etl.cli import streams
from etl.cli.commands import Kept, program
from etl.cli.early import Early
from etl.cli.memory import start_without_collecting
from etl.errors import SyncError, UnavailableError

USAGE_EXIT_CODE = 2
SIGINT_EXIT_CODE = 130
SIGPIPE_EXIT_CODE = 141


def main() -> NoReturn:
    """Run the command line and leave with the exit code of the design's table."""
    start_without_collecting()
    stdout, stderr = streams.take_over()
    logging.raiseExceptions = False
    early = Early()
    code = _run()
    if early.kept:
        from etl.cli import logs  # noqa: PLC0415 -- only what was logged too early needs it

        logs.configure(None, ())
    logging.shutdown()
    streams.flush()
    if errno.EPIPE in {stdout.lost, stderr.lost}:
        code = code or SIGPIPE_EXIT_CODE
    elif stdout.lost and not isinstance(code, Kept):
        click.echo(f"error: The output could not be written: {os.strerror(stdout.lost)}.", err=True)
        code = code or UnavailableError.exit_code
    os._exit(code)  # not sys.exit: a thread that waits for a silent server must not hold the process


def _run() -> int:
    try:
        code: int | None = program.main(prog_name="visitor-sync", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return USAGE_EXIT_CODE
    except click.Abort:
        return SIGINT_EXIT_CODE
    except SyncError as exc:
        click.echo(f"error: {exc}", err=True)
        return exc.exit_code
    except Exception as exc:  # noqa: BLE001 -- the last resort: a place, and none of the values
        from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

        click.echo(f"error: {as_bug(exc)}", err=True)
        return SyncError.exit_code
    return code or Kept(0) if isinstance(code, Kept) else code or 0
