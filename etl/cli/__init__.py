"""The commands of ``visitor-sync``: the only place that prints or exits."""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

import click

from etl.cli.commands import program
from etl.cli.memory import start_without_collecting
from etl.errors import SyncError

USAGE_EXIT_CODE = 2
SIGINT_EXIT_CODE = 130


def main() -> NoReturn:
    """Run the command line and leave with the exit code of the design's table."""
    start_without_collecting()
    code = _run()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 1
    os._exit(code)  # not sys.exit: a thread that waits for a silent server must not hold the process


def _run() -> int:
    try:
        return program.main(prog_name="visitor-sync", standalone_mode=False) or 0
    except click.ClickException as exc:
        exc.show()
        return USAGE_EXIT_CODE
    except click.Abort:
        return SIGINT_EXIT_CODE
    except SyncError as exc:
        click.echo(f"error: {exc}", err=True)
        return exc.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as exc:  # noqa: BLE001 -- the last resort: a place, and none of the values
        from etl.pipeline.run import as_bug  # noqa: PLC0415

        click.echo(f"error: {as_bug(exc)}", err=True)
        return SyncError.exit_code
