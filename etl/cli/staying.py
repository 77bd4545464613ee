"""``run --every``: a process that stays, for containers. It starts once and runs again on the clock."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import click
import orjson

from etl.cli import logs, notices
from etl.cli.attended import begin
from etl.cli.printout import Printout
from etl.cli.rhythm import Rhythm
from etl.cli.stopping import stoppable
from etl.cli.unbegun import unbegun_object
from etl.cli.watched import watched
from etl.clock import SystemClock
from etl.errors import SettingsError, SyncError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from etl.cli.wish import Wish
    from etl.cli.work import Work
    from etl.models.summary import RunSummary


def stay(wish: Wish, *, every: timedelta, as_json: bool) -> int:
    """Sync what is wished for now and ``every`` so often, until a signal comes. Returns the exit code.

    A run that fails is told, and the next one goes on. Only settings that keep the first one from anything
    end it: raises SettingsError, or returns its code.
    """
    clock = SystemClock()
    logs.configure(None, ())
    with stoppable(clock):
        residence = _Residence(clock, as_json=as_json)
        rhythm = Rhythm(clock, every)
        code = residence.run(wish)
        if code == SettingsError.exit_code and residence.is_hopeless:
            return code
        wish = wish.again()
        while rhythm.wait():
            code = residence.run(wish)
            gc.collect()  # now that nobody waits: what a run leaves behind is not to add up
        interruption = clock.interruption()
        return interruption.exit_code if interruption else code


class _Residence:
    """One run after another, by settings that are read once."""

    def __init__(self, clock: SystemClock, *, as_json: bool) -> None:
        self._clock = clock
        self._as_json = as_json
        self._work: Work | None = None
        self._last: Sequence[RunSummary] = ()

    @property
    def is_hopeless(self) -> bool:
        """Whether no website could be synced for its settings; of a portal alone, whether one could not."""
        several = self._work is not None and len({each.portal for each in self._work.subjects}) > 1
        wrong = [each.exit_code == SettingsError.exit_code for each in self._last]
        return all(wrong) if several else any(wrong)

    def run(self, wish: Wish) -> int:
        """One run, as cron would have it. Returns its exit code; raises SettingsError before any was read."""
        try:
            return self._run(wish)
        except SyncError as exc:
            failure = exc
        except Exception as exc:  # noqa: BLE001 -- a bug ends this run, as it would end cron's, and not the next
            from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

            failure = as_bug(exc)
        if self._work is None:
            raise failure
        self._tell(failure)
        return failure.exit_code

    def _run(self, wish: Wish) -> int:
        printout = Printout(as_json=self._as_json, always=False)
        self._last = printout.summaries
        watch = self._work.watch if self._work else None
        with watched(self._clock, printout.summaries, watch) as watching:
            work = self._work = self._work or begin(wish)
            watching.subjects = work.subjects
            code = work.sync(self._clock, printout, wish)
            watching.end(code)
            return code

    def _tell(self, failure: SyncError) -> None:
        notices.error(failure)
        if self._as_json:
            click.echo(orjson.dumps(unbegun_object(failure)))
