"""How a command that syncs ended, and what of it needs a person: the one judgement, whoever is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.errors import LockedError, TooManyRejectedError, UnavailableError
from etl.models.summary import Status, utc_second
from etl.watch.troubles import EVERYWHERE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from etl.errors import SyncError
    from etl.models.summary import RunSummary
    from etl.watch.troubles import Letter, Memory

PASSING = frozenset({UnavailableError.exit_code, LockedError.exit_code})
"""Exit codes that need nobody, unless it lasts."""

SIGNALLED = 128
STALE = "stale"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind ``at`` an instant of our clock: the summaries of its runs, or a failure.

    ``successes`` say when each website was last synced, as far as the state tells; ``stale_after`` is how
    long an outage needs nobody, None where the settings cannot be read, and ``patience`` the same of places
    that differ. ``interrupted``: by a signal.
    """

    at: datetime
    exit_code: int
    summaries: Sequence[RunSummary] = ()
    failure: SyncError | None = None
    interrupted: bool = False
    stale_after: timedelta | None = None
    successes: Mapping[str, datetime] = field(default_factory=dict)
    patience: Mapping[str, timedelta] = field(default_factory=dict)

    @property
    def needs_successes(self) -> bool:
        """Whether the judgement depends on when the last success was."""
        return any(code in PASSING for _, code, _ in self._ended())

    def judged(self, memory: Memory, *, fault: str | None = None) -> Letter:
        """What is to be told, and is remembered as told. ``fault`` is what else is wrong with the machine."""
        if self.summaries and self.failure is None and not self.interrupted:
            memory.forget_all_but(summary.place for summary in self.summaries)
        for summary in self.summaries:
            if summary.status in {Status.DONE, Status.PARTIAL}:
                memory.good[summary.place] = self.at
        troubles = list(self.troubles(memory))
        if fault:
            troubles.append(Trouble(EVERYWHERE, 0, fault, lasts=False))
        return memory.judge(troubles, well=self._well(), now=self.at)

    def troubles(self, memory: Memory) -> Iterator[Trouble]:
        """Everything that needs a person, told before or not."""
        for place, code, reason in self._ended():
            if code in PASSING:
                yield from self._stale(place, code, reason, memory)
            elif 0 < code < SIGNALLED:
                happened = code == TooManyRejectedError.exit_code
                yield Trouble(place, code, reason, lasts=not happened, cause="rejected" if happened else None)
        for summary in self.summaries:
            for concern in summary.concerns:
                yield Trouble(summary.place, 0, concern, lasts=False)

    def _ended(self) -> Iterator[tuple[str, int, str]]:
        for each in self.summaries:
            yield each.place, each.exit_code, str(each.reason)
        if self.failure:
            yield EVERYWHERE, self.failure.exit_code, str(self.failure)

    def _stale(self, place: str, code: int, reason: str, memory: Memory) -> Iterator[Trouble]:
        good, stale_after = self._good(memory, place), self.patience.get(place, self.stale_after)
        if stale_after is not None and self.at - good > stale_after:
            text = f"Nothing was synced since {utc_second(good)}. {reason}"
            yield Trouble(place, code, text, cause=STALE)

    def _good(self, memory: Memory, place: str) -> datetime:
        if place == EVERYWHERE:
            return max(self.successes.values(), default=memory.good_until(place, self.at))
        return self.successes.get(place) or memory.good_until(place, self.at)

    def _well(self) -> set[str]:
        """The places that are proved to be well. Also a skipped run has read its settings and its state."""
        synced = {summary.place for summary in self.summaries if summary.status is Status.DONE}
        begun = synced or any(summary.status is Status.SKIPPED for summary in self.summaries)
        return {*synced, EVERYWHERE} if begun else set()
