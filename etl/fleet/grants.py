"""How many permits a limit can give now. Pure: microseconds throughout, by the clock of the shared tables.

A permit is used at most ``use_by_s`` after it was asked for, and a request arrives at most ``ARRIVAL_S``
after it was sent. So a permit that was granted at an instant stands for an arrival between it and that much
later: it counts for as long as the window and both of these, and no sliding window ever sees more arrivals
than its limit, whoever asks, and whoever was killed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from etl.extract.budget import month_after
from etl.instants import instant, microseconds
from etl.models.reading import Quota
from etl.models.stop import WAIT, Stop
from etl.pace import ARRIVAL_S

if TYPE_CHECKING:
    from collections.abc import Iterable

Why = Literal["window", "pause", "stop", "period"]

SECOND = 1_000_000
LONGEST_PAUSE = 120 * SECOND
"""Longer ones are stops; one that lies farther ahead was written down by a clock that was put back since."""

TRIAL = 3600 * SECOND
"""That a period is spent is believed for so long; then one request is sent all the same."""

_LONGEST = {"month": 32 * 86_400 * SECOND, "day": 25 * 3600 * SECOND}


@dataclass(frozen=True, slots=True)
class Rule:
    """What kind of a limit it is.

    At most ``block`` permits are taken at once. ``stated_wins``: a limit that the other side states holds,
    be it stricter than that of the settings or not. ``period`` is what ``used`` is counted by.
    """

    window_s: float
    use_by_s: float
    block: int
    period: Literal["month", "day"] = "month"
    stated_wins: bool = False

    @property
    def late(self) -> int:
        """How long after its grant a permit's request may arrive."""
        return round((self.use_by_s + ARRIVAL_S) * SECOND)

    @property
    def span(self) -> int:
        """For how long a permit counts."""
        return round(self.window_s * SECOND) + self.late

    @property
    def longest(self) -> int:
        """A period, and what clocks may differ."""
        return _LONGEST[self.period]

    def end_of_period(self, at: int) -> int:
        """The end of the period that ``at`` lies in, in UTC."""
        day = instant(at)
        if self.period == "month":
            return microseconds(month_after(day))
        return microseconds(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1))


ZENOVAY = Rule(window_s=60.0, use_by_s=2.0, block=5, period="month", stated_wins=True)
HUBSPOT = Rule(window_s=10.0, use_by_s=1.0, block=10, period="day")
SEARCH = Rule(window_s=1.0, use_by_s=0.5, block=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for: ``count`` permits, of a ``limit`` by the settings, in a window.

    ``most`` is the limit of the period by the settings, None where they name none; the share ``reserve`` of
    it is left untouched. ``tries``: that does not hold one request back. ``insists``: no stop does.
    """

    count: int
    limit: int
    most: int | None = None
    reserve: float = 0.0
    tries: bool = False
    insists: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A row as it stands ``now``. ``ahead`` is how far the API's clock is ahead of the tables' one."""

    now: int
    stamps: tuple[int, ...] = ()
    stated: int | None = None
    used: int = 0
    period_limit: int | None = None
    period_ends: int | None = None
    ahead: int = 0
    paused_until: int | None = None
    stopped_until: int | None = None
    stop_reason: str | None = None
    stop_kind: str | None = None
    stop_said_by: str | None = None
    stop_made: int | None = None

    @property
    def stopped(self) -> bool:
        """Whether a stop is in force; a clock that was put back since has made none."""
        made, until = self.stop_made, self.stopped_until
        return made is not None and until is not None and made <= self.now < until

    def stop(self, ours: datetime) -> Stop | None:
        """The stop that is in force, by our own clock, which shows ``ours`` now."""
        if not self.stopped or self.stopped_until is None:
            return None
        until = ours + timedelta(microseconds=self.stopped_until - self.now)
        return Stop(until, self.stop_reason or "", self.stop_kind or WAIT, self.stop_said_by)

    def quota(self, ours: datetime) -> Quota | None:
        """The requests of the period, by our own clock; None where nothing was counted yet."""
        if self.period_ends is None:
            return None
        ahead = timedelta(microseconds=self.ahead + self.now - microseconds(ours))
        return Quota(self.used, self.period_limit, instant(self.period_ends), ahead)


@dataclass(frozen=True, slots=True)
class Grant:
    """``granted`` permits at the instant ``standing.now``. If none: ``why``, and when to ask again.

    ``limit`` is what holds in a window. ``retry`` is 0 where asking again is of no use.
    """

    granted: int
    limit: int
    standing: Standing
    why: Why | None = None
    retry: int = 0


@dataclass(frozen=True, slots=True)
class Learnt:
    """What an answer says of its limits; None: nothing.

    ``used`` is the other side's count when it answered: of the permits granted after ``since``, ``known``
    ones were certainly counted by then. ``refund``: so many requests were not counted. ``clock`` is what the
    API's clock shows now, ``pause`` how long nobody is to send.
    """

    stated: int | None = None
    used: int | None = None
    since: int | None = None
    known: int = 0
    refund: int = 0
    period_limit: int | None = None
    resets_at: int | None = None
    clock: int | None = None
    pause: int = 0


def current(row: Standing, rule: Rule) -> Standing:
    """The row without what has passed: old stamps, a pause, a period.

    Stamps in the future are taken as now. The newest stays: it says when somebody asked last.
    """
    stamps, passed = sorted(min(stamp, row.now) for stamp in row.stamps), row.now - rule.span
    kept = [stamp for stamp in stamps if stamp > passed] or stamps[-1:]
    pause = row.paused_until and min(row.paused_until, row.now + LONGEST_PAUSE)
    row = replace(row, stamps=tuple(kept), paused_until=pause)
    api, ends = row.now + row.ahead, row.period_ends
    if ends is None or api >= ends or ends - api > rule.longest:
        return replace(row, used=0, period_ends=rule.end_of_period(api))
    return row


def decide(row: Standing, rule: Rule, wish: Wish) -> Grant:
    """What can be granted, and the row behind that."""
    row = current(row, rule)
    passed = row.now - rule.span
    counted = [stamp for stamp in row.stamps if stamp > passed]
    limit = in_window(row, rule, wish.limit)
    free = max(0, limit - len(counted))
    granted, why = min(_allowed(row, rule, wish), free, wish.count), _refusal(row, rule, wish)
    if why or granted < 1:
        why = why or "window"
        return Grant(0, limit, row, why, _retry(row, rule, why, counted, limit))
    stamps = (*row.stamps, *([row.now] * granted))
    return Grant(granted, limit, replace(row, stamps=stamps, used=row.used + granted))


def in_window(row: Standing, rule: Rule, limit: int) -> int:
    """Requests in a window, where the settings say ``limit``."""
    if row.stated is None:
        return max(1, limit)
    return max(1, row.stated if rule.stated_wins else min(row.stated, limit))


def in_period(row: Standing, rule: Rule, most: int | None) -> int | None:
    """Requests in a period, where the settings say ``most``; None where nobody says it."""
    if rule.stated_wins or not (row.period_limit and most):
        return row.period_limit or most
    return min(row.period_limit, most)


def give_back(row: Standing, rule: Rule, *, at: int, count: int, ends: int | None) -> Standing:
    """The row without ``count`` permits that were granted ``at`` an instant, and never used.

    They were counted in the period that ``ends`` then; the other side's own count, if there is any, holds
    them only as long as they might still have been used.
    """
    stamps = list(row.stamps)
    found = min(count, stamps.count(at))
    for _ in range(found):
        stamps.remove(at)
    counts = ends == row.period_ends and (row.period_limit is None or at + rule.late > row.now)
    used = max(0, row.used - found) if counts else row.used
    return replace(row, stamps=tuple(stamps), used=used)


def learn(row: Standing, rule: Rule, learnt: Learnt) -> Standing:
    """The row with what an answer says."""
    row = current(row, rule)
    used = max(0, row.used - learnt.refund)
    if learnt.used is not None:
        since = row.now - rule.late if learnt.since is None else learnt.since - rule.late
        open_ones = sum(1 for stamp in row.stamps if stamp > since) - learnt.known
        used = learnt.used + max(0, open_ones)
    pause = max(row.paused_until or 0, row.now + learnt.pause) if learnt.pause else row.paused_until
    ahead = row.ahead if learnt.clock is None else learnt.clock - row.now
    row = replace(row, used=used, paused_until=pause, ahead=ahead)
    return replace(
        row,
        stated=learnt.stated or row.stated,
        period_limit=learnt.period_limit or row.period_limit,
        period_ends=_end(row, rule, learnt),
    )


def _end(row: Standing, rule: Rule, learnt: Learnt) -> int | None:
    """The end of the period: as it was stated, where that can be; the calendar's, where nobody stated any."""
    api, stated = row.now + row.ahead, learnt.resets_at
    if stated is not None and abs(stated - api) < rule.longest:
        return stated
    if learnt.clock is not None and row.period_limit is None and row.period_ends is not None:
        return min(row.period_ends, rule.end_of_period(api))
    return row.period_ends


def _allowed(row: Standing, rule: Rule, wish: Wish) -> int:
    """What the period leaves; one for who tries, and for whoever comes first after an hour without any."""
    plan = in_period(row, rule, wish.most)
    if plan is None:
        return wish.count
    left = plan - int(plan * wish.reserve) - row.used
    if left > 0:
        return left
    rests = any(stamp > row.now - TRIAL for stamp in row.stamps)
    return 1 if wish.tries or (row.used >= plan and not rests) else 0


def _refusal(row: Standing, rule: Rule, wish: Wish) -> Why | None:
    if row.paused_until is not None and row.paused_until > row.now:
        return "pause"
    if row.stopped and not wish.insists:
        return "stop"
    return "period" if _allowed(row, rule, wish) < 1 else None


def _retry(row: Standing, rule: Rule, why: Why, counted: Iterable[int], limit: int) -> int:
    if why == "pause" and row.paused_until is not None:
        return row.paused_until - row.now
    if why != "window":
        return 0
    stamps = sorted(counted)
    return max(1000, stamps[len(stamps) - limit] + rule.span - row.now)
