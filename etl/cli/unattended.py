"""``run --cron``: the log goes to a file, and somebody is told only of what needs a person, once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from etl.cli import keepsake, logs, streams
from etl.cli.logfile import LogFile
from etl.cli.people import visible_lines
from etl.cli.printout import Collector
from etl.cli.speech import spoken
from etl.cli.stopping import stoppable
from etl.cli.watched import Watched
from etl.clock import SystemClock
from etl.errors import SyncError
from etl.watch.letters import sentences
from etl.watch.outcome import PASSING

if TYPE_CHECKING:
    from pathlib import Path

    from etl.cli.keepsake import Keepsake
    from etl.cli.wish import Wish
    from etl.models.summary import RunSummary
    from etl.watch.outcome import Outcome
    from etl.watch.troubles import Letter, Memory

log = logging.getLogger(__name__)


def unattended(wish: Wish) -> int:
    """Sync what is wished for, and print what needs a person and was not told today.

    Returns the exit code of the run.
    """
    path, kept = keepsake.find()
    file = LogFile(path) if path else None
    logs.configure_unattended(None, (), file)
    outcome = _outcome(SystemClock(), file, wish)
    memory = kept.load()
    mail(outcome.judged(memory, fault=_fault(file)), memory, kept, log_file=path)
    return outcome.exit_code


def mail(letter: Letter, memory: Memory, kept: Keepsake, *, log_file: Path | None, err: bool = False) -> None:
    """Print a letter, which cron mails, and keep what was told; an empty one prints nothing."""
    logging.getLogger("etl").handlers[:] = [logging.NullHandler()]
    if letter:
        click.echo(visible_lines(spoken(sentences(letter))), err=err)
        if log_file and letter.troubles:
            click.echo(f"Log: {log_file}", err=err)
    if streams.is_lost():
        return
    if not kept.save(memory) and letter:
        click.echo("That this was told cannot be kept anywhere: the next run may say it again.", err=err)


def _outcome(clock: SystemClock, file: LogFile | None, wish: Wish) -> Outcome:
    """Sync, and tell those who watch."""
    collector = Collector(_note)
    watched = Watched(clock, collector.summaries)
    watched.begin()
    failure: SyncError | None = None
    try:
        code = _sync(watched, collector, clock, file, wish)
    except SyncError as exc:
        failure = exc
    except Exception as exc:  # noqa: BLE001 -- the last resort, as for the other commands
        from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

        failure = as_bug(exc)
    if failure:
        code = failure.exit_code
        _log_failure(code, why=spoken(str(failure)))
    return watched.end(code, failure)


def _note(summary: RunSummary) -> None:
    """Of a portal whose run could not begin, nobody else has written anything down."""
    if not summary.run:
        _log_failure(summary.exit_code, why=str(summary.reason), website=summary.website)


def _log_failure(code: int, **facts: str) -> None:
    level = logging.INFO if code in PASSING else logging.ERROR
    log.log(level, "run failed", extra={"action": "run_failed", "exit_code": code, **facts})


def _sync(
    watched: Watched, collector: Collector, clock: SystemClock, file: LogFile | None, wish: Wish
) -> int:
    from etl.cli.work import load_work  # noqa: PLC0415 -- it reads the settings' module

    work = load_work(wish)
    watched.subjects = work.subjects
    logs.configure_unattended(work.log.log_format, work.secrets(), file)
    with stoppable(clock):
        return work.sync(clock, collector, wish)


def _fault(file: LogFile | None) -> str | None:
    if file is None:
        return "There is no place for a log: name one in SYNC_LOG_FILE."
    if file.fault is None:
        return None
    return (
        f"The log {file.path} cannot be written: {file.fault}. The run went on without."
        " Name a writable place in SYNC_LOG_FILE."
    )
