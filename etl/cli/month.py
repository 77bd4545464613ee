"""Whether the month's requests to Zenovay will last, for people and for programs. Pure but for ``look``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any

from etl.models.summary import utc_second, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from etl.models.reading import Quota
    from etl.settings import PlanSettings, ZenovaySettings
    from etl.state.store import Transaction

MONTH = timedelta(days=30)
_OBSERVED = timedelta(days=3)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_SHORTEST = timedelta(minutes=5)
"""Zenovay's documentation advises against asking more often."""

_ENOUGH_RUNS = 3
_SETTLED = 6
"""After fewer runs, which may have had days to catch up on, no alarm is raised."""

_LONG_ENOUGH = timedelta(hours=1)
UNOBSERVED = "No schedule was observed yet. One request every 5 minutes is 8640 a month for each website."

Run = tuple["datetime", int]
"""When a run was started, and how many requests it cost."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What runs every ``interval`` cost: ``usual`` requests each time, and ``beyond`` a day, such as sweeps.

    ``runs`` are the fewest that were seen of a website.
    """

    interval: timedelta
    usual: float
    beyond: float = 0.0
    runs: int = _SETTLED

    @property
    def polls(self) -> float:
        """Requests a day, without what single runs cost beyond the usual."""
        return self.usual * (_DAY / self.interval)

    @property
    def per_month(self) -> int:
        return ceil((self.polls + self.beyond) * (MONTH / _DAY))

    def shortest(self, allowed: int) -> timedelta | None:
        """The interval for which ``allowed`` requests a month suffice; None where they suffice for none."""
        left = allowed - self.beyond * (MONTH / _DAY)
        return max(_SHORTEST, ceil(self.usual * (MONTH / _MINUTE) / left) * _MINUTE) if left >= 1 else None


@dataclass(frozen=True, slots=True)
class Month:
    """``allowed`` are the plan's requests, less the reserve. ``now`` is the API's clock."""

    schedule: Schedule | None
    quota: Quota | None
    allowed: int
    now: datetime

    @property
    def sentence(self) -> str:
        """What a month costs, whether the plan suffices, and for which interval it would."""
        used = f" {self.quota.used} are used, until {utc_text(self.quota.resets_at)}." if self.quota else ""
        return self._cost(self.schedule, used) if self.schedule else UNOBSERVED

    @property
    def warning(self) -> str | None:
        """That the requests of this month will be spent before it ends; None if they last."""
        schedule, quota = self.schedule, self.quota
        if schedule is None or quota is None or schedule.runs < _SETTLED:
            return None
        left, per_day = self.allowed - quota.used, schedule.polls + schedule.beyond
        if left >= per_day * self._days_left:
            return None
        spent_at = min(self.now + _DAY * max(0, left) / per_day, quota.resets_at)
        return (
            f"The month's requests to Zenovay will not last: {quota.used} of {self.allowed} are used, the"
            f" rest about {utc_second(spent_at)}, and the month ends at"
            f" {utc_text(quota.resets_at)}. {self._cost(schedule)}"
        )

    @property
    def affords_sweep(self) -> bool:
        """Whether a sweep leaves enough for the polls to come, or they have not enough of it anyway."""
        if self.schedule is None or self.quota is None:
            return True
        left = self.allowed - self.quota.used - self.schedule.polls * self._days_left
        return left < 0 or left >= self.schedule.beyond

    def as_object(self) -> dict[str, Any]:
        """The keys ``month`` and ``schedule`` of ``status --json``: seconds, and requests a month."""
        quota, schedule = self.quota, self.schedule
        shortest = schedule and schedule.shortest(self.allowed)
        return {
            "month": quota
            and {"used": quota.used, "limit": quota.limit, "resets_at": utc_text(quota.resets_at)},
            "schedule": {
                "interval_s": schedule and round(schedule.interval.total_seconds()),
                "requests_per_month": schedule and schedule.per_month,
                "allowed_per_month": schedule and self.allowed,
                "fits": schedule and schedule.per_month <= self.allowed,
                "shortest_interval_s": shortest and round(shortest.total_seconds()),
                "says": self.sentence,
            },
        }

    @property
    def _days_left(self) -> float:
        return max(self.quota.resets_at - self.now, timedelta(0)) / _DAY if self.quota else 0.0

    def _cost(self, schedule: Schedule, used: str = "") -> str:
        fits = schedule.per_month <= self.allowed
        verdict = "fits the plan" if fits else f"is more than the {self.allowed} that the plan has for it"
        shortest = schedule.shortest(self.allowed)
        return (
            f"Runs every {_span(schedule.interval)} cost about {schedule.per_month} requests to Zenovay a"
            f" month. That {verdict}.{used}"
            f" The shortest interval that fits: {f'every {_span(shortest)}' if shortest else 'none'}."
        )


def look(
    state: Transaction,
    names: Iterable[str],
    plan: PlanSettings | ZenovaySettings,
    now: datetime,
    quota: Quota | None,
) -> Month:
    """The month by its ``quota``, and by the last runs of the websites ``names``. ``now`` is our clock.

    Raises StateError for a run that cannot be read.
    """
    ahead = quota.ahead if quota else timedelta(0)
    costs = (state.runs.requests(name, ahead=ahead) for name in names)
    recent = [[run for run in runs if run[0] >= now + ahead - _OBSERVED] for runs in costs]
    return Month(observed(recent), quota, unreserved(month_limit(quota, plan), plan.reserve), now + ahead)


def month_limit(quota: Quota | None, plan: PlanSettings | ZenovaySettings) -> int:
    """Requests that a month has: by the API's own word, else by the settings."""
    return (quota and quota.limit) or plan.requests_per_month


def unreserved(limit: int, reserve: float) -> int:
    """What of ``limit`` the share ``reserve`` leaves."""
    return limit - int(limit * reserve)


def observed(websites: Iterable[Sequence[Run]]) -> Schedule | None:
    """What the runs of each website, in their order, say; None where they are too few.

    A run costs what the median run did; what single runs cost beyond it is counted by the day. All websites
    share the requests of a month.
    """
    known = [runs for runs in websites if len(runs) >= _ENOUGH_RUNS]
    if not known:
        return None
    return Schedule(
        interval=max(map(_interval, known)),
        usual=sum(map(_usual, known)),
        beyond=sum(map(_beyond, known)),
        runs=min(map(len, known)),
    )


def _interval(runs: Sequence[Run]) -> timedelta:
    """The median pause from start to start.

    Some runs by hand in a row are no schedule: within an hour, the shortest sensible one is assumed.
    """
    pauses = [(later - earlier).total_seconds() for (earlier, _), (later, _) in pairwise(runs)]
    brief = runs[-1][0] - runs[0][0] < _LONG_ENOUGH
    return max(_SHORTEST if brief else timedelta(seconds=1), timedelta(seconds=median(pauses)))


def _usual(runs: Sequence[Run]) -> float:
    return max(1, median(requests for _, requests in runs))


def _beyond(runs: Sequence[Run]) -> float:
    """Requests a day beyond those of the median run. The first run read the past: it does not count."""
    days = max((runs[-1][0] - runs[0][0]) / _DAY, 1.0)
    return sum(max(0, requests - _usual(runs)) for _, requests in runs[1:]) / days


def _span(interval: timedelta) -> str:
    minutes, seconds = divmod(round(interval.total_seconds()), 60)
    parts = (f"{minutes} min" if minutes else "", f"{seconds} s" if seconds or not minutes else "")
    return " ".join(filter(None, parts))
