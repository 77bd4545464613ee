"""``run --cron``: the log goes to a file, and somebody is told only of what needs a person, once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from etl.cli import keepsake, logs, streams
from etl.cli.logfile import LogFile
from etl.cli.people import visible_lines
from etl.cli.printout import Collector
from etl.cli.watched import Watched
from etl.clock import SystemClock
from etl.errors import SyncError
from etl.watch.letters import sentences
from etl.watch.outcome import PASSING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from etl.cli.keepsake import Keepsake
    from etl.watch.outcome import Outcome
    from etl.watch.troubles import Letter, Memory

log = logging.getLogger(__name__)


def unattended(*, now: bool, websites: Sequence[str] = ()) -> int:
    """Sync all or these ``websites``, and print what needs a person and was not told today.

    Returns the exit code of the run.
    """
    path, kept = keepsake.find()
    file = LogFile(path) if path else None
    logs.configure_unattended(None, (), file)
    outcome = _outcome(SystemClock(), file, now=now, websites=websites)
    memory = kept.load()
    mail(outcome.judged(memory, fault=_fault(file)), memory, kept, log_file=path)
    return outcome.exit_code


def mail(letter: Letter, memory: Memory, kept: Keepsake, *, log_file: Path | None, err: bool = False) -> None:
    """Print a letter, which cron mails, and keep what was told; an empty one prints nothing."""
    logging.getLogger("etl").handlers[:] = [logging.NullHandler()]
    if letter:
        click.echo(visible_lines(sentences(letter)), err=err)
        if log_file and letter.troubles:
            click.echo(f"Log: {log_file}", err=err)
    if streams.is_lost():
        return
    if not kept.save(memory) and letter:
        click.echo("That this was told cannot be kept anywhere: the next run may say it again.", err=err)


def _outcome(clock: SystemClock, file: LogFile | None, *, now: bool, websites: Sequence[str]) -> Outcome:
    """Sync, and tell those who watch."""
    collector = Collector()
    watched = Watched(clock, collector.summaries)
    watched.begin()
    failure: SyncError | None = None
    try:
        code = _sync(watched, collector, clock, file, now=now, websites=websites)
    except SyncError as exc:
        failure = exc
    except Exception as exc:  # noqa: BLE001 -- the last resort, as for the other commands
        from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

        failure = as_bug(exc)
    if failure:
        code = failure.exit_code
        facts = {"action": "run_failed", "exit_code": code, "why": str(failure)}
        log.log(logging.INFO if code in PASSING else logging.ERROR, "run failed", extra=facts)
    return watched.end(code, failure)


def _sync(
    watched: Watched,
    collector: Collector,
    clock: SystemClock,
    file: LogFile | None,
    *,
    now: bool,
    websites: Sequence[str],
) -> int:
    from etl.cli.stopping import stoppable  # noqa: PLC0415 -- not before the settings are read
    from etl.cli.syncing import sync_new  # noqa: PLC0415 -- it reads the settings' module
    from etl.settings import load  # noqa: PLC0415 -- likewise

    settings = watched.settings = load()
    logs.configure_unattended(settings.sync.log_format, settings.secrets(), file)
    with stoppable(clock):
        return sync_new(settings, clock, collector, now=now, websites=websites)


def _fault(file: LogFile | None) -> str | None:
    if file is None:
        return "There is no place for a log: name one in SYNC_LOG_FILE."
    if file.fault is None:
        return None
    return (
        f"The log {file.path} cannot be written: {file.fault}. The run went on without."
        " Name a writable place in SYNC_LOG_FILE."
    )
