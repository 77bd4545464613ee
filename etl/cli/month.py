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
"""What is told of a month's cost."""

LONG_MONTH = timedelta(days=31)
"""What the requests of a month have to last for."""

_LONGEST_MONTH = timedelta(days=32)
"""A month, and what clocks may differ."""

_OBSERVED = timedelta(days=3)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_SHORTEST = timedelta(minutes=5)
"""Zenovay's documentation advises against asking more often."""

_ENOUGH_RUNS = 3
SETTLED = 6
"""After fewer runs, which may have had days to catch up on, no alarm is raised."""

_LONG_ENOUGH = _HOUR

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
    runs: int = SETTLED

    @property
    def polls(self) -> float:
        """Requests a day, without what single runs cost beyond the usual."""
        return self.usual * (_DAY / self.interval)

    @property
    def per_day(self) -> float:
        """Requests a day, all of them."""
        return self.polls + self.beyond

    @property
    def per_month(self) -> int:
        return self.within(MONTH)

    def within(self, span: timedelta) -> int:
        """Requests in so long a time."""
        return ceil(self.per_day * (span / _DAY))

    def fits(self, allowed: int) -> bool:
        """Whether ``allowed`` requests last a long month."""
        return self.within(LONG_MONTH) <= allowed

    def shortest(self, allowed: int) -> timedelta | None:
        """The interval for which ``allowed`` requests last a long month; None where they do for none."""
        left = allowed - self.beyond * (LONG_MONTH / _DAY)
        if left < 1:
            return None
        return max(_SHORTEST, ceil(self.usual * (LONG_MONTH / _MINUTE) / left) * _MINUTE)


@dataclass(frozen=True, slots=True)
class Month:
    """What the month's requests are, and what they have to last for.

    ``allowed`` are the plan's requests, less the ``reserve``, which is kept for people. ``schedule`` is what
    was observed of all ``websites`` together, None where nothing was. ``now`` is the API's clock. Where the
    intervals are ``declared``, and others may use the key, nothing is said of what it costs and would fit.
    """

    schedule: Schedule | None
    quota: Quota | None
    allowed: int
    now: datetime
    reserve: int = 0
    websites: int = 1
    declared: bool = False

    @property
    def sentence(self) -> str:
        """What a month costs, whether the plan suffices, and for which interval it would."""
        said = self._cost(self.schedule) if self.schedule else self._assumption
        if self.declared:
            said = "Each website is read once in its every, by the configuration file."
        return " ".join(filter(None, (self._stop, said, self._used)))

    @property
    def is_settled(self) -> bool:
        """Whether enough runs were observed for an alarm, so that one more changes little."""
        return self.schedule is not None and self.schedule.runs >= SETTLED

    @property
    def stopped(self) -> bool:
        """Whether scheduled runs wait for the end of the month, as the rest of it is kept for people."""
        return self._is_on and self.left == 0

    @property
    def left(self) -> int:
        """Requests that scheduled runs may still send this month."""
        return max(0, self.allowed - self.quota.used) if self.quota and self._is_on else self.allowed

    @property
    def lasts_until(self) -> datetime | None:
        """When nothing is left, by the API's clock and at the observed cost.

        None where that is not before the month ends, and where no cost was observed.
        """
        if self.stopped:
            return self.now
        schedule, quota = self.schedule, self.quota
        if schedule is None or quota is None or not self._is_on:
            return None
        if self.left >= schedule.per_day * self._days_left:
            return None
        return min(self.now + _DAY * self.left / schedule.per_day, quota.resets_at)

    @property
    def shortfall(self) -> str | None:
        """That the plan does not hold the schedule in any month; None if it does, or too little is known.

        Where none was observed it is the shortest one that makes sense.
        """
        cost = self._expected
        if self.declared or cost.runs < SETTLED or cost.fits(self.allowed):
            return None
        return (
            f"{self.websites} website{'' if self.websites == 1 else 's'} every {_span(cost.interval)} would"
            f" spend the month's {self.allowed} requests in {_span(_DAY * self.allowed / cost.per_day)};"
            " `visitor-sync schedule` prints a schedule that lasts"
        )

    @property
    def warning(self) -> str | None:
        """That the requests of this month will be spent before it ends; None if they last."""
        schedule, quota, spent_at = self.schedule, self.quota, self.lasts_until
        if schedule is None or quota is None or spent_at is None or schedule.runs < SETTLED:
            return None
        used = f"{quota.used} of {self.allowed} are used, the rest about {utc_second(spent_at)}"
        if self.stopped:
            used = f"all {self.allowed} that scheduled runs may send are used"
        return (
            f"The month's requests to Zenovay will not last: {used}, and the month ends at"
            f" {utc_text(quota.resets_at)}.{'' if self.declared else f' {self._cost(schedule)}'}"
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
        own = None if self.declared else schedule
        shortest = own and own.shortest(self.allowed)
        return {
            "month": quota
            and {
                "used": quota.used,
                "limit": quota.limit,
                "resets_at": utc_text(quota.resets_at),
                "left": self.left,
                "lasts_until": utc_text(self.lasts_until),
            },
            "schedule": {
                "interval_s": schedule and round(schedule.interval.total_seconds()),
                "requests_per_month": schedule and schedule.per_month,
                "allowed_per_month": schedule and self.allowed,
                "fits": own and own.fits(self.allowed),
                "shortest_interval_s": shortest and round(shortest.total_seconds()),
                "says": self.sentence,
            },
        }

    @property
    def _is_on(self) -> bool:
        """Whether the quota is of the month that is now, and not of one that has ended."""
        return self.quota is not None and timedelta(0) < self.quota.resets_at - self.now <= _LONGEST_MONTH

    @property
    def _days_left(self) -> float:
        return max(self.quota.resets_at - self.now, timedelta(0)) / _DAY if self.quota else 0.0

    @property
    def _expected(self) -> Schedule:
        return self.schedule or together([None] * self.websites)

    @property
    def _stop(self) -> str | None:
        quota = self.quota
        if quota is None or not self.stopped:
            return None
        limit, until = self.allowed + self.reserve, utc_text(quota.resets_at)
        if quota.used >= limit:
            return (
                f"Scheduled runs are stopped until {until}, but for one request an hour: all {limit} requests"
                " of the month are used; `visitor-sync run --now` asks all the same."
            )
        return (
            f"Scheduled runs are stopped until {until}: {quota.used} of the month's {limit} requests are"
            f" used, and the last {self.reserve} are kept for people (ZENOVAY_RESERVE);"
            " `visitor-sync run --now` works."
        )

    @property
    def _used(self) -> str | None:
        quota = self.quota
        if quota is None or self.stopped:
            return None
        if not self._is_on:
            return f"{quota.used} were used, until {utc_text(quota.resets_at)}."
        return f"{quota.used} are used, {self.left} are left until {utc_text(quota.resets_at)}."

    @property
    def _assumption(self) -> str:
        cost = self._expected
        of = "" if self.websites == 1 else f" for each of {self.websites} websites"
        return (
            f"No schedule was observed yet. One request{of} every {_span(cost.interval)} is"
            f" {cost.per_month} a month. {self._verdict(cost)}"
        )

    def _cost(self, schedule: Schedule) -> str:
        of = "" if self.websites == 1 else f" of {self.websites} websites"
        return (
            f"Runs{of} every {_span(schedule.interval)} cost about {schedule.per_month} requests to Zenovay a"
            f" month. {self._verdict(schedule)}"
        )

    def _verdict(self, cost: Schedule) -> str:
        limit = f" of {self.allowed + self.reserve}" if self.reserve else ""
        kept = f", as {self.reserve} are kept for people (ZENOVAY_RESERVE)" if self.reserve else ""
        leaves = f"the {self.allowed}{limit} that the plan leaves{kept}"
        if cost.fits(self.allowed):
            verdict = f"That fits {leaves}."
        elif cost.per_month <= self.allowed:
            verdict = f"That fits {leaves}, but not in a month of {LONG_MONTH.days} days."
        else:
            verdict = f"That is more than {leaves}."
        shortest = cost.shortest(self.allowed)
        every = f"every {_span(shortest)}" if shortest else "none"
        return f"{verdict} The shortest interval that fits: {every}."


def look(
    state: Transaction | None,
    names: Iterable[str],
    plan: PlanSettings | ZenovaySettings,
    now: datetime,
    quota: Quota | None,
    *,
    declared: bool = False,
) -> Month:
    """The month by its ``quota``, and by the last runs of the websites ``names``. ``now`` is our clock.

    ``state`` is None where there is none yet. Raises StateError for a run that cannot be read.
    """
    ahead = quota.ahead if quota else timedelta(0)
    costs = [state.runs.requests(name, ahead=ahead) if state else () for name in names]
    recent = [[run for run in runs if run[0] >= now + ahead - _OBSERVED] for runs in costs]
    limit = month_limit(quota, plan)
    allowed = unreserved(limit, plan.reserve)
    return Month(observed(recent), quota, allowed, now + ahead, limit - allowed, len(costs), declared)


def month_limit(quota: Quota | None, plan: PlanSettings | ZenovaySettings) -> int:
    """Requests that a month has: by the API's own word, else by the settings."""
    return (quota and quota.limit) or plan.requests_per_month


def unreserved(limit: int, reserve: float) -> int:
    """What of ``limit`` the share ``reserve`` leaves."""
    return limit - int(limit * reserve)


def observed(websites: Sequence[Sequence[Run]]) -> Schedule | None:
    """What the runs of each website, in their order, say of all; None where they are too few of each."""
    seen = [_seen(runs) for runs in websites]
    return together(seen) if any(seen) else None


def together(websites: Sequence[Schedule | None]) -> Schedule:
    """What all websites cost, which share the requests of a month.

    One that is None, as its runs are too few so far, costs a request each time; without any other it is
    asked as often as makes sense.
    """
    known = [each for each in websites if each]
    return Schedule(
        interval=max((each.interval for each in known), default=_SHORTEST),
        usual=sum(each.usual if each else 1.0 for each in websites),
        beyond=sum(each.beyond for each in known),
        runs=min((each.runs for each in known), default=SETTLED),
    )


def _seen(runs: Sequence[Run]) -> Schedule | None:
    """A run costs what the median run did; what single runs cost beyond it is counted by the day."""
    if len(runs) < _ENOUGH_RUNS:
        return None
    return Schedule(_interval(runs), _usual(runs), _beyond(runs), runs=len(runs))


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
    """In words, of the two largest units that it has; seconds only within the first hour."""
    seconds = round(interval.total_seconds())
    minutes = round(seconds / 60)
    days, hours = divmod(minutes // 60, 24)
    parts = [(days, "d"), (hours, "h"), (minutes % 60, "min")]
    if seconds < _HOUR.total_seconds():
        parts = [(seconds // 60, "min"), (seconds % 60, "s")]
    said = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(said[:2]) or "0 s"
