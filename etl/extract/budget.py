"""The requests of a month: how many the plan allows, how many are used, and when the count starts anew."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

from etl.errors import UnavailableError
from etl.instants import parsed
from etl.models.clocks import Clocks
from etl.models.reading import Quota
from etl.models.summary import utc_second

if TYPE_CHECKING:
    from etl.clock import Clock
    from etl.network.reply import Reply

_LONGEST_MONTH = timedelta(days=32)
"""A month, and what clocks may differ."""

_TRIAL = timedelta(hours=1)


class Terms(NamedTuple):
    """What a command may use: see ``Budget``."""

    limit: int
    reserve: float
    most: int | None
    tries: bool


class Usage(NamedTuple):
    """What an answer says of the month; None: nothing. ``refunds``: its request was not counted."""

    used: int | None
    limit: int | None
    resets_at: datetime | None
    refunds: bool


def usage_in(reply: Reply) -> Usage:
    """``X-Usage-Monthly``, ``X-Usage-Limit`` and ``X-Usage-Reset``, as far as they are there.

    Where they are not, a request counts unless its key was refused (401):
    https://help.zenovay.com/en/article/rate-limits/
    """
    used = reply.number("x-usage-monthly")
    return Usage(
        used,
        reply.number("x-usage-limit") or None,
        parsed(reply.header("x-usage-reset")),
        used is None and reply.status == HTTPStatus.UNAUTHORIZED,
    )


def most_spent(most: int) -> UnavailableError:
    """That a command has sent all the requests that it was given."""
    return UnavailableError(
        f"The {most} requests of --max-requests are spent.",
        fix="Nothing is lost; the same command goes on from here.",
    )


class Allowance(Protocol):
    """What counts the requests of a month, such as a Budget."""

    @property
    def quota(self) -> Quota: ...
    @property
    def limit(self) -> int: ...
    def now(self) -> datetime: ...
    def now_by(self, date: datetime | None) -> datetime: ...
    def keep_time(self, stated: datetime) -> None: ...
    def spend(self) -> None: ...
    def heed(self, reply: Reply) -> None: ...


class Budget:
    """Counts every request against the month of the key, before it is sent. For any thread.

    What the API says of its count wins over ours. ``now`` is the API's clock, as far as we know it.
    That the month is spent is believed for an hour at a time, be it our count or a header of a good answer
    that says so: then one request is sent all the same, and a good answer to it disproves that. Only a
    refusal stops for longer.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        limit: int,
        reserve: float = 0.0,
        most: int | None = None,
        tries: bool = False,
    ) -> None:
        """``limit`` is the plan's as the settings state it, ``reserve`` the share of it to leave untouched.

        ``most`` requests are allowed at all; with ``tries`` the first is sent even where the month is spent.
        """
        self._clock = clock
        self._limit = limit
        self._reserve = reserve
        self._most = most
        self._tries = tries
        self._sent = 0
        self._last: datetime | None = None
        self._on_trial = self._disproved = False
        self._lock = threading.Lock()
        self._quota = Quota(0, None, month_after(clock.now()))
        self._is_guess = True
        self._stated_end: datetime | None = None

    def restore(self, quota: Quota | None, *, unlogged: int, last: datetime | None = None) -> None:
        """Go on from what an earlier process has counted, and ``unlogged`` requests that it has not.

        Its ``last`` request was sent then, by our clock.
        """
        self._last = last
        if quota is not None:
            self._is_guess = False
            self._quota = replace(quota, used=quota.used + unlogged)

    @property
    def terms(self) -> Terms:
        """What it was made of."""
        return Terms(self._limit, self._reserve, self._most, self._tries)

    @property
    def quota(self) -> Quota:
        """The month as it stands."""
        with self._lock:
            self._turn_the_month()
            return self._quota

    @property
    def limit(self) -> int:
        """Requests a month, by the API's own word where it has given it."""
        return self._quota.limit or self._limit

    @property
    def allowed(self) -> int:
        """Requests a month that this command may use."""
        return self.limit - int(self.limit * self._reserve)

    def now(self) -> datetime:
        """The API's clock, by the last answer that stated it."""
        return self._clock.now() + self._quota.ahead

    def keep_time(self, stated: datetime) -> None:
        """The API's clock shows ``stated`` now."""
        with self._lock:
            self._quota = replace(self._quota, ahead=stated - self._clock.now())
            if self._is_guess:
                self._is_guess = False
                end = min(self._quota.resets_at, month_after(self.now()))
                self._quota = replace(self._quota, resets_at=end)
            self._believe_end()

    def now_by(self, date: datetime | None) -> datetime:
        """The API's clock; by ``date``, that of an answer's header, where no answer has stated it so far."""
        return Clocks(None, date, self._clock.now()).believed if self._is_guess else self.now()

    def spend(self) -> None:
        """Count one request that is about to be sent. Raises UnavailableError where it must not be."""
        with self._lock:
            self._turn_the_month()
            if self._most is not None and self._sent >= self._most:
                raise most_spent(self._most)
            if self._quota.used >= self.allowed and not self._disproved:
                if self._sent or not self._may_try():
                    raise self.spent()
                self._on_trial = True
            self._sent += 1
            self._quota = replace(self._quota, used=self._quota.used + 1)

    def count_others(self, requests: int) -> None:
        """Count what others have asked with the same key."""
        with self._lock:
            self._quota = replace(self._quota, used=self._quota.used + requests)

    def heed(self, reply: Reply) -> None:
        """Believe what an answer says of the month."""
        used, limit, resets_at, refunds = usage_in(reply)
        if refunds:
            used = max(0, self._quota.used - 1)
        with self._lock:
            self._disproved |= self._on_trial and reply.ok
            if used is not None:
                self._quota = replace(self._quota, used=used)
            if limit:
                self._quota = replace(self._quota, limit=limit)
            self._stated_end = resets_at or self._stated_end
            self._believe_end()

    def _believe_end(self) -> None:
        """Take over the end of the month as it was stated, once the API's clock says that it can be so."""
        end = self._stated_end
        if end is not None and abs(end - self.now()) < _LONGEST_MONTH:
            self._quota, self._is_guess = replace(self._quota, resets_at=end), False

    def _turn_the_month(self) -> None:
        """Begin to count anew, once the API's clock has passed the end of the month."""
        now = self.now()
        if now >= self._quota.resets_at or self._quota.resets_at - now > _LONGEST_MONTH:
            self._quota = replace(self._quota, used=0, resets_at=month_after(now))

    def _may_try(self) -> bool:
        """What is left for people is theirs; but that nothing is left shows only where it is asked for."""
        if self._tries:
            return True
        now = self._clock.now()
        rests = self._last is not None and now - _TRIAL < self._last <= now
        return self._quota.used >= self.limit and not rests

    def spent(self) -> UnavailableError:
        """That nothing is left."""
        used, limit = self._quota.used, self.limit
        by = "Zenovay's headers" if self._quota.limit else "our own count"
        kept = f"; the last {limit - self.allowed} are kept for people (ZENOVAY_RESERVE)"
        tried = "; once an hour a run asks all the same"
        return UnavailableError(
            f"{used} of the {limit} requests of this month to Zenovay are used, by {by}"
            f"{(kept if self._reserve else '') if used < limit else tried}."
            f" The month ends at {utc_second(self._quota.resets_at)}.",
            fix="Nothing is lost; `visitor-sync run --now` may use the rest, `visitor-sync status` says how"
            " often this plan can be asked.",
        )


def month_after(now: datetime) -> datetime:
    """The beginning of the next calendar month, in UTC."""
    first = datetime(now.year, now.month, 1, tzinfo=UTC)
    return (first + timedelta(days=32)).replace(day=1)
