"""What ``run`` and ``backfill`` print, and their exit code."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager, nullcontext
from itertools import groupby
from typing import TYPE_CHECKING

import click
import orjson

from etl.cli import notices
from etl.cli.people import say
from etl.cli.speech import retell
from etl.errors import UnavailableError
from etl.models.summary import RunSummary, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from etl.cli.options import DryRun
    from etl.clock import Clock, SystemClock
    from etl.pipeline import Order
    from etl.pipeline.ports import Observer

log = logging.getLogger(__name__)

PROGRESS_S = 10.0
"""So often at most the log says how far a run is."""

CHANGES = 10
"""The exit code of a dry run that was asked for a detailed one, where there is something to do."""

_QUIET = frozenset({Status.DONE, Status.SKIPPED, Status.INCOMPLETE})


class Printout:
    """Collects the summaries of a command.

    With ``as_json`` each is printed as a line as soon as it is there. Otherwise a terminal gets a table at
    the end, and anything else a line only for what needs a person, unless ``always``. Why a run failed goes
    to stderr. A dry run always tells what it would do. ``portal`` is that of summaries which name none.
    """

    def __init__(
        self, *, as_json: bool, always: bool, dry_run: DryRun | None = None, portal: str | None = None
    ) -> None:
        self._portal = portal
        self._as_json = as_json
        self._always = always
        self._dry_run = dry_run
        self.summaries: list[RunSummary] = []

    def add(self, summary: RunSummary) -> None:
        retell(summary)
        summary.portal_name = summary.portal_name or self._portal
        self.summaries.append(summary)
        if self._as_json:
            click.echo(orjson.dumps(summary.as_object()))
        if summary.status is Status.FAILED or _could_not_begin(summary):
            notices.failed(summary)

    def watching(self, order: Order, clock: SystemClock) -> AbstractContextManager[Observer | None]:
        """Somebody to tell of the progress of a run: a display on a terminal, else the log."""
        if not sys.stderr.isatty():
            return nullcontext(_Diary(order, clock))
        return _display(order, clock)

    def close(self) -> int:
        """Print what is to be printed. Returns the exit code of the command."""
        if not self._as_json:
            self._print()
        code = exit_code(self.summaries)
        if self._dry_run and self._dry_run.detailed and any(each.has_changes for each in self.summaries):
            failed = any(each.exit_code and not _is_done(each) for each in self.summaries)
            return code if failed else CHANGES
        return code

    def _print(self) -> None:
        if self._dry_run:
            from etl.cli.differences import show_differences  # noqa: PLC0415 -- dry runs only

            for summary in self.summaries:
                say(sentence(summary))
            for portal, theirs in groupby(self.summaries, key=lambda each: each.portal_name):
                if portal:
                    say(f"Portal {portal}:")
                show_differences(list(theirs), limit=self._dry_run.limit)
            return
        if sys.stdout.isatty():
            from etl.cli.display import run_table  # noqa: PLC0415 -- rich costs 40 ms
            from etl.clock import SystemClock  # noqa: PLC0415 -- for people alone

            run_table(self.summaries, SystemClock().now())
            return
        for summary in self.summaries:
            if self._always or summary.is_news or summary.status not in _QUIET:
                say(sentence(summary))


def _could_not_begin(summary: RunSummary) -> bool:
    """Whether something was away, so that there was no run that could have said so in its log."""
    return not summary.run and summary.exit_code == UnavailableError.exit_code


def _is_done(summary: RunSummary) -> bool:
    """Whether a run did all that it could, though it may have refused rows."""
    return summary.status is Status.PARTIAL and not summary.is_cut_short


def exit_code(summaries: list[RunSummary]) -> int:
    """The failing run's code, the highest if several failed, else the highest of all."""
    failed = [summary.exit_code for summary in summaries if summary.status is Status.FAILED]
    interrupted = [summary.exit_code for summary in summaries if summary.exit_code > 128]  # noqa: PLR2004 -- signals
    return max(interrupted or failed or [summary.exit_code for summary in summaries], default=0)


def sentence(summary: RunSummary) -> str:
    """A run in one line, without the reason of one that failed: stderr has it.

    What a dry run would do to contacts is told by their differences.
    """
    rows, contacts = summary.rows, summary.contacts
    facts = f"{rows.read} rows read, {rows.rejected} rejected"
    if not summary.dry_run:
        facts += (
            f"; {contacts.created} contacts created, {contacts.updated} updated,"
            f" {contacts.unchanged} unchanged, {contacts.rejected} rejected, {contacts.deferred} deferred"
        )
    told = summary.status is Status.FAILED
    reason = f" {summary.reason}" if summary.reason and not told else ""
    return f"{summary.place}: {summary.kind} {summary.status.value}: {facts}.{reason}"


class Collector:
    """Collects the summaries of a command, and prints nothing. Each is told at once to ``tell``."""

    def __init__(self, tell: Callable[[RunSummary], None] | None = None) -> None:
        self.summaries: list[RunSummary] = []
        self._tell = tell

    def add(self, summary: RunSummary) -> None:
        self.summaries.append(summary)
        if self._tell:
            self._tell(summary)

    def watching(self, order: Order, clock: SystemClock) -> AbstractContextManager[Observer | None]:
        return nullcontext(_Diary(order, clock))

    def close(self) -> int:
        return exit_code(self.summaries)


class _Diary:
    """Writes into the log, once in a while, how far a run is."""

    def __init__(self, order: Order, clock: Clock) -> None:
        self._order = order
        self._clock = clock
        self._rows = self._contacts = 0
        self._written_at = clock.monotonic()

    def rows_read(self, rows: int) -> None:
        self._rows += rows
        self._write()

    def contacts_settled(self, contacts: int) -> None:
        self._contacts += contacts
        self._write()

    def _write(self) -> None:
        now = self._clock.monotonic()
        if now - self._written_at < PROGRESS_S:
            return
        self._written_at = now
        facts = {
            "action": "run_progress",
            "run": self._order.run,
            "website": self._order.website,
            "rows": self._rows,
            "contacts": self._contacts,
        }
        log.info("run goes on", extra=facts)


@contextmanager
def _display(order: Order, clock: SystemClock) -> Iterator[Observer]:
    from etl.cli.progress import Progress  # noqa: PLC0415 -- rich costs 40 ms

    with Progress(order.website) as progress:
        clock.on_wait = progress.waits
        try:
            yield progress
        finally:
            clock.on_wait = None
