"""What the schedule costs in requests a month, and which one the plan can afford. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from etl.models.reading import Quota

MONTH = timedelta(days=30)
OBSERVED = timedelta(days=3)
"""So far back runs are looked at."""

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_SHORTEST = timedelta(minutes=5)
"""Zenovay advises against asking more often."""

_SECOND = timedelta(seconds=1)

_ENOUGH_RUNS = 3
_SETTLED = 6
"""After so many runs the median is that of the schedule."""

_LONG_ENOUGH = timedelta(hours=1)

Run = tuple["datetime", int]
"""When a run was started, and how many requests it cost."""


@dataclass(frozen=True, slots=True)
class Advice:
    """``interval`` is the one observed, ``per_month`` its cost in requests.

    ``allowed`` are the plan's requests, less the reserve. ``shortest`` is the interval that they suffice
    for; None where they suffice for none. ``runs`` are the fewest that were seen of a website.
    ``polls_per_month`` leaves out what single runs cost beyond the median one, ``dearest`` is what the most
    expensive of these cost.
    """

    interval: timedelta
    per_month: int
    allowed: int
    shortest: timedelta | None
    runs: int = _SETTLED
    polls_per_month: int = 0
    dearest: int = 0

    @property
    def fits(self) -> bool:
        return self.per_month <= self.allowed

    def lasts(self, quota: Quota, now: datetime) -> bool:
        """Whether what is left of the month suffices for the rest of it. ``now`` is the API's clock.

        After a few runs, which may have had days to catch up on, nothing is said against it.
        """
        return self.runs < _SETTLED or self.leaves(quota, now) >= 0

    def affords_sweep(self, quota: Quota, now: datetime, *, allowed: int) -> bool:
        """Whether a sweep leaves enough of the month for the runs to come, or they have not enough anyway."""
        polls = self.polls_per_month * max(quota.resets_at - now, timedelta(0)) / MONTH
        left = allowed - quota.used - polls
        return left < 0 or left >= self.dearest

    def leaves(self, quota: Quota, now: datetime) -> float:
        """How many requests will be left at the end of the month. ``now`` is the API's clock."""
        to_come = self.per_month * max(quota.resets_at - now, timedelta(0)) / MONTH
        return self.allowed - quota.used - to_come


def advise(websites: Iterable[Sequence[Run]], *, limit: int, reserve: float) -> Advice | None:
    """What the runs of each website, in their order, say; None where they are too few.

    A run costs what the median run did; what single runs cost beyond it, such as sweeps, is counted by the
    day. ``limit`` are requests a month, for all websites together, ``reserve`` is a share of them.
    """
    known = [runs for runs in websites if len(runs) >= _ENOUGH_RUNS]
    if not known:
        return None
    interval = max(_interval(runs) for runs in known)
    pages = sum(max(1, median(requests for _, requests in runs)) for runs in known)
    beyond = sum(_beyond(runs) for runs in known) * (MONTH / _DAY)
    allowed = limit - int(limit * reserve)
    left = allowed - beyond
    return Advice(
        interval=interval,
        per_month=ceil(pages * (MONTH / interval) + beyond),
        allowed=allowed,
        shortest=max(_SHORTEST, ceil(pages * (MONTH / _MINUTE) / left) * _MINUTE) if left >= 1 else None,
        runs=min(map(len, known)),
        polls_per_month=ceil(pages * (MONTH / interval)),
        dearest=max(requests for runs in known for _, requests in runs[1:]),
    )


def _interval(runs: Sequence[Run]) -> timedelta:
    """The median pause from start to start.

    Some runs by hand in a row are no schedule: within an hour, the shortest sensible one is assumed.
    """
    pauses = [(later - earlier).total_seconds() for (earlier, _), (later, _) in pairwise(runs)]
    brief = runs[-1][0] - runs[0][0] < _LONG_ENOUGH
    return max(_SHORTEST if brief else _SECOND, timedelta(seconds=median(pauses)))


def _beyond(runs: Sequence[Run]) -> float:
    """Requests a day beyond those of the median run. The first run read the past: it does not count."""
    later = runs[1:]
    usual = max(1, median(requests for _, requests in runs))
    days = max((runs[-1][0] - runs[0][0]) / _DAY, 1.0)
    return sum(max(0, requests - usual) for _, requests in later) / days
