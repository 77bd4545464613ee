"""What clients know of limits, by the shared rows: turns to send, the month of a key, the day of a portal."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from etl.errors import UnavailableError
from etl.extract.budget import Budget, most_spent, usage_in
from etl.fleet import grants
from etl.fleet.grants import SECOND, Learnt, Wish
from etl.fleet.limits import stopped
from etl.fleet.permits import NotGrantedError
from etl.instants import microseconds, microseconds_or_none
from etl.models.summary import utc_second

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from etl.clock import Clock
    from etl.extract.budget import Terms
    from etl.fleet.claims import Claims
    from etl.fleet.grants import Standing
    from etl.fleet.permits import Permits
    from etl.models.reading import Quota
    from etl.models.stop import Stop
    from etl.network.reply import Reply

_SAME = timedelta(seconds=1)
"""Clocks that differ by less than that from what is known of them say nothing new."""

_LEARNT_S = 5.0
"""A count that comes with every answer is written down so often."""

_LAST = 0.05
"""Unless so small a share of the day is left."""


class Counting(Protocol):
    """What a period allows, such as a SharedMonth."""

    def wish(self, limit: int) -> Wish:
        """What to ask for, where the settings allow ``limit`` requests in a window."""
        ...

    def sends(self, at: int) -> None:
        """A request is about to be sent, with the permit that was granted ``at`` an instant."""
        ...

    def refusal(self, standing: Standing) -> UnavailableError:
        """That the period has no more requests."""
        ...


class Uncounted:
    """No period."""

    def wish(self, limit: int) -> Wish:
        return Wish(1, limit)

    def sends(self, at: int) -> None:
        """Nothing to note."""

    def refusal(self, standing: Standing) -> UnavailableError:  # noqa: ARG002 -- there is none
        return UnavailableError("Nothing is left.")


class Turns:
    """A limit that others keep, too, in the place of a Pace. For any thread."""

    def __init__(
        self, permits: Permits, clock: Clock, *, title: str, limit: int, counting: Counting | None = None
    ) -> None:
        """``limit`` requests in a window, by the settings; waits are told under the ``title``."""
        self._permits = permits
        self._clock = clock
        self._title = title
        self._configured = limit
        self._counting = counting or Uncounted()

    @property
    def limit(self) -> int:
        """Requests in a window."""
        return self._permits.limit or self._configured

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a permit, then hold it around one request. Raises UnavailableError where there is none."""
        try:
            at = self._permits.take(self._counting.wish(self._configured), self._clock, title=self._title)
        except NotGrantedError as refused:
            raise self._told(refused) from None
        self._counting.sends(at)
        yield
        self._permits.answered(at)  # a request that failed may be counted later

    def pause(self, seconds: float) -> None:
        """Let nobody send for ``seconds``: the other side asked for it."""
        if seconds > 0:
            self._permits.learn(Learnt(pause=round(seconds * SECOND)), self._clock)

    def set_limit(self, limit: int) -> None:
        """Tell all of a limit that the other side stated."""
        if self._permits.standing(self._clock).stated != limit:
            self._permits.learn(Learnt(stated=limit), self._clock)

    lower_limit = set_limit

    def _told(self, refused: NotGrantedError) -> UnavailableError:
        stop = refused.standing.stop(self._clock.now())
        if refused.why != "stop" or stop is None:
            return self._counting.refusal(refused.standing)
        return UnavailableError(
            str(stop),
            fix="Nothing is lost; run again after that.",
            until=stop.until,
            kind=stop.kind,
            said_by=stop.said_by,
        )


class SharedMonth:
    """The month of a key that several portals share, in the place of a Budget, whose rules hold.

    What the API says of its count wins over ours. Once an hour whoever comes first asks although the month
    is spent; who finds out that this is not so goes on.
    """

    def __init__(self, permits: Permits, clock: Clock, terms: Terms) -> None:
        self._permits = permits
        self._clock = clock
        self._terms = terms
        self._sent = 0
        self._on_trial = self._disproved = False
        self._last: tuple[int, tuple[int, ...]] | None = None

    @property
    def quota(self) -> Quota:
        """The month as it stood when this process asked last."""
        return self._mirror().quota

    @property
    def limit(self) -> int:
        """Requests a month, by the API's own word where it has given it."""
        return self._mirror().limit

    def now(self) -> datetime:
        """The API's clock, by the last answer that stated it."""
        return self._mirror().now()

    def now_by(self, date: datetime | None) -> datetime:
        """The API's clock; by ``date``, that of an answer's header, where no answer has stated it so far."""
        return self._mirror(guessed=not self._permits.standing(self._clock).ahead).now_by(date)

    def keep_time(self, stated: datetime) -> None:
        """The API's clock shows ``stated`` now."""
        standing = self._permits.standing(self._clock)
        ahead = microseconds(stated) - standing.now
        if not standing.ahead or abs(timedelta(microseconds=ahead - standing.ahead)) >= _SAME:
            self._permits.learn(Learnt(clock=microseconds(stated)), self._clock)

    def spend(self) -> None:
        """Raises UnavailableError where this command has sent all that it may send."""
        if self._terms.most is not None and self._sent >= self._terms.most:
            raise most_spent(self._terms.most)
        self._sent += 1

    def wish(self, limit: int) -> Wish:
        """What to ask for: a first request may be tried, and all once it was disproved that none is left."""
        tries = self._disproved or (self._terms.tries and self._sent <= 1)
        return Wish(
            1,
            limit,
            most=self._terms.limit,
            reserve=self._terms.reserve,
            tries=tries,
            insists=self._terms.tries,
        )

    def sends(self, at: int) -> None:
        self._last = at, self._permits.known()
        standing = self._permits.standing(self._clock)
        allowed = self._mirror().allowed
        self._on_trial = standing.used > allowed

    def refusal(self, standing: Standing) -> UnavailableError:
        """That nothing is left, or only what is kept for people."""
        return self._of(standing).spent()

    def heed(self, reply: Reply) -> None:
        """Tell all of what an answer says of the month."""
        usage = usage_in(reply)
        self._disproved |= self._on_trial and reply.ok
        if not any(usage):
            return
        at, answered = self._last or (None, ())
        late = self._permits.rule.late
        known = 1 + sum(1 for each in answered if at is not None and each > at - late)
        self._permits.learn(
            Learnt(
                used=usage.used,
                since=at,
                known=known,
                refund=int(usage.refunds),
                period_limit=usage.limit,
                resets_at=microseconds_or_none(usage.resets_at),
            ),
            self._clock,
        )

    def count_others(self, requests: int) -> None:
        """Others count in the same row."""

    def _mirror(self, *, guessed: bool = False) -> Budget:
        return self._of(self._permits.standing(self._clock), guessed=guessed)

    def _of(self, standing: Standing, *, guessed: bool = False) -> Budget:
        """A budget that stands where the row does, for its rules and its words."""
        budget = Budget(clock=self._clock, limit=self._terms.limit, reserve=self._terms.reserve)
        if not guessed:
            budget.restore(standing.quota(self._clock.now()), unlogged=0)
        return budget


class SharedDay:
    """The day of a portal: ``most`` requests where that is declared, and what HubSpot's headers say.

    https://developers.hubspot.com/docs/api/usage-details: the day ends at midnight in the account's time
    zone, which is not known here; so it is taken to end in UTC, and the headers put that right.
    """

    def __init__(self, permits: Permits, clock: Clock, *, most: int | None, insists: bool = False) -> None:
        """Who ``insists`` asks although the day is spent, or HubSpot wants to be left alone."""
        self._permits = permits
        self._clock = clock
        self._most = most
        self._insists = insists
        self._learnt_at = float("-inf")

    def wish(self, limit: int) -> Wish:
        return Wish(1, limit, most=self._most, tries=self._insists, insists=self._insists)

    def sends(self, at: int) -> None:
        """The headers tell."""

    def refusal(self, standing: Standing) -> UnavailableError:
        """That nothing of the day is left: what only headers or our count say is tried again in an hour."""
        limit, ends = grants.in_period(standing, self._permits.rule, self._most), standing.period_ends
        now = self._clock.now()
        left = timedelta(microseconds=(ends or standing.now) - standing.now)
        until = now + min(left, timedelta(microseconds=grants.TRIAL))
        by = "HubSpot's headers" if standing.period_limit else "our own count"
        return UnavailableError(
            f"{standing.used} of the {limit} requests of this day to HubSpot are used, by {by}."
            f" Once an hour a run asks all the same, next after {utc_second(until)}.",
            fix="Nothing is lost; what is due is delivered then.",
            until=until,
            said_by=by,
        )

    def heed(self, reply: Reply) -> None:
        """Tell all of ``X-HubSpot-RateLimit-Daily`` and what remains of it, now and then."""
        daily = reply.number("x-hubspot-ratelimit-daily")
        remaining = reply.number("x-hubspot-ratelimit-daily-remaining")
        if not daily or remaining is None:
            return
        now = self._clock.monotonic()
        if now - self._learnt_at < _LEARNT_S and remaining > _LAST * daily:
            return
        self._learnt_at = now
        used = max(0, daily - remaining)
        self._permits.learn(Learnt(used=used, period_limit=daily), self._clock)


class SharedStops:
    """What the state would remember of the APIs' limits, where the shared rows do."""

    def __init__(self, permits: Mapping[str, Permits], clock: Clock, claims: Claims | None = None) -> None:
        """``permits`` by API."""
        self._claims = claims
        self._permits = permits
        self._clock = clock
        self._began = {api: each.standing(clock, fresh=True).now for api, each in permits.items()}

    def quota(self, api: str) -> Quota | None:
        """The requests of the period, as far as they are known."""
        return self._permits[api].standing(self._clock, fresh=True).quota(self._clock.now())

    def stops(self) -> list[tuple[str, Stop]]:
        """The stops that are in force, by API."""
        found = ((api, self._stop(api)) for api in self._permits)
        return [(api, stop) for api, stop in found if stop]

    def remember_stop(self, api: str, stop: Stop | None) -> None:
        """Tell all of a stop; that there is none ends those that were made before this began."""
        permits, ours, since = self._permits[api], self._clock.now(), self._began[api]
        if stop is None and not permits.standing(self._clock).stopped:
            return
        permits.change(lambda row: stopped(row, stop, ours=ours, since=since), self._clock)

    def claim(self, account: int) -> None:
        """Have a HubSpot account be this portal's. Raises SettingsError where it is another one's."""
        if self._claims:
            self._claims.claim(account, self._clock)

    def _stop(self, api: str) -> Stop | None:
        standing = self._permits[api].standing(self._clock, fresh=True)
        return standing.stop(self._clock.now())
