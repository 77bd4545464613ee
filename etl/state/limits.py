"""What the program remembers of the two APIs' limits over restarts."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import and_, func, select, text, update

from etl.instants import instant, instant_or_none, microseconds
from etl.models.clocks import FAR
from etl.models.reading import Quota
from etl.models.stop import WAIT, Stop
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Prepared, new, overwritten, value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from etl.state.statements import Row, Statements

_T, _C = tables.limits, tables.limits.c
_MINE = and_(_C.api == value("api"), _C.account == value("account"))
_STOP = ("stopped_until", "stop_reason", "stop_kind", "stop_said_by", "stop_made")
_QUOTA = ("used", "month_limit", "resets_at", "ahead")


def _change(columns: Mapping[str, Any]) -> Prepared:
    """An UPDATE of our account's row."""
    return Prepared(lambda _: update(_T).values(columns).where(_MINE))


_PLACE = Prepared(
    lambda _: text("INSERT INTO limits (api, account) VALUES (:api, :account) ON CONFLICT DO NOTHING")
)
_BESIDE = Prepared(lambda _: select(_C.beside, _C.beside_used).where(_MINE).with_for_update())
_COUNT_BESIDE = Prepared(
    lambda _: (
        update(_T).values(beside=value("new_beside"), beside_used=_C.beside_used + value("more")).where(_MINE)
    )
)
_TAKE_OVER = _change({"beside_used": _C.beside_used - value("taken")})
_SENT = Prepared(lambda _: select(_C.sent).where(_MINE))
_ALL_SENT = Prepared(lambda _: select(_C.sent, _C.beside).where(_MINE))
_STATED = Prepared(lambda _: select(_C.stated).where(_MINE))
_REMEMBER_SENT = _change(
    {name: func.coalesce(given, _C[name]) for name, given in overwritten("sent", "stated").items()}
)
_REMEMBER_STOP = _change(overwritten(*_STOP))
_REMEMBER_QUOTA = _change(overwritten(*_QUOTA))
_STOPPED = Prepared(
    lambda _: (
        select(_C.api, _C.account, *(_C[name] for name in _STOP))
        .where(_C.stopped_until.is_not(None))
        .order_by(_C.api, _C.account)
    )
)
_KNOWN_QUOTAS = select(_C.used + _C.beside_used, *(_C[name] for name in _QUOTA[1:])).where(
    _C.used.is_not(None)
)
_QUOTA_OF_ACCOUNT = Prepared(lambda _: _KNOWN_QUOTAS.where(_MINE))
_LATEST_QUOTA = Prepared(
    lambda _: _KNOWN_QUOTAS.where(_C.api == value("api")).order_by(_C.resets_at.desc()).limit(1)
)


def account(credential: str) -> str:
    """A name for the account behind a credential, from which the credential cannot be had."""
    return blake2b(credential.encode(), digest_size=8).hexdigest()


class Limits:
    """The limits of both APIs, inside one transaction. ``accounts`` names our account at each API.

    ``now`` is the instant of what happens.
    """

    def __init__(self, statements: Statements, accounts: dict[str, str], *, now: datetime) -> None:
        self._statements = statements
        self._accounts = accounts
        self._now = now

    def sent(self, api: str) -> list[int]:
        """When the last requests were sent, as far as the limit's window reaches: microseconds."""
        sent = self._statements.value(_SENT, **self._place(api))
        return _stamps(sent) if sent else []

    def last_sent(self, api: str) -> datetime | None:
        """When the last request was sent, by whomever and be it long ago; None if there was none."""
        row = self._statements.row(_ALL_SENT, **self._place(api)) or ()
        return instant_or_none(max((stamp for sent in row if sent for stamp in _stamps(sent)), default=None))

    def remember_sent(self, api: str, sent: Sequence[int], *, stated: int | None) -> None:
        """``stated`` is the limit that the API stated; None if it has said nothing new."""
        new_sent = orjson.dumps(sent).decode() if sent else None
        self._put(_REMEMBER_SENT, api, new_sent=new_sent, new_stated=stated)

    def stated(self, api: str) -> int | None:
        """The limit that the API stated last, in requests per window."""
        stated: int | None = self._statements.value(_STATED, **self._place(api))
        return stated

    def beside(self, api: str) -> tuple[list[int], int]:
        """When requests beside a run were sent, in microseconds, as far as the limit's window reaches.

        And how many of them no run has counted yet.
        """
        row = self._statements.row(_BESIDE, **self._place(api))
        return (_stamps(row[0]) if row[0] else [], int(row[1])) if row else ([], 0)

    def count_beside(self, api: str, sent: int, *, since: int, announced: int | None = None) -> None:
        """A request of somebody who is no run, beside those of others from ``since`` on.

        It has been counted before if it was ``announced`` then. A run that goes on finds it with its next
        commit.
        """
        known, _ = self.beside(api)
        others = (stamp for stamp in known if stamp >= since and stamp != announced)
        kept = orjson.dumps(sorted({*others, sent})).decode()
        self._put(_COUNT_BESIDE, api, new_beside=kept, more=0 if announced else 1)

    def take_over(self, api: str, requests: int) -> None:
        """A run counts so many of the requests beside it as the month's from now on."""
        self._put(_TAKE_OVER, api, taken=requests)

    def quota(self, api: str) -> Quota | None:
        """The requests of the month, as far as they are known, with those beside runs."""
        return _quota(self._statements.row(_QUOTA_OF_ACCOUNT, **self._place(api)))

    def latest_quota(self, api: str) -> Quota | None:
        """The requests of the month of the account that was asked last, whichever it is."""
        return _quota(self._statements.row(_LATEST_QUOTA, api=api))

    def remember_quota(self, api: str, quota: Quota) -> None:
        ahead = quota.ahead // timedelta(microseconds=1)
        values = (quota.used, quota.limit, microseconds(quota.resets_at), ahead)
        self._put(_REMEMBER_QUOTA, api, **_new(_QUOTA, values))

    def stop(self, api: str, now: datetime) -> Stop | None:
        """The stop of our account that is in force, if any."""
        mine = self._accounts[api]
        return next((stop for of, at, stop in self._in_force(now) if (of, at) == (api, mine)), None)

    def stops(self) -> list[tuple[str, Stop]]:
        """The stops that are in force, of whichever account, with their API."""
        return [(api, stop) for api, _, stop in self._in_force(self._now)]

    def remember_stop(self, api: str, stop: Stop | None) -> None:
        values: Row = (None,) * len(_STOP)
        if stop is not None:
            until, made = microseconds(stop.until), microseconds(self._now)
            values = (until, stop.reason, stop.kind, stop.said_by, made)
        self._put(_REMEMBER_STOP, api, **_new(_STOP, values))

    def _in_force(self, now: datetime) -> Iterator[tuple[str, str, Stop]]:
        for api, account, *row in self._statements.rows(_STOPPED):
            stop, made = _stop(tuple(row))
            if bounded := stop.bounded(made=made, now=now):
                yield api, account, bounded

    def _put(self, statement: Prepared, api: str, **values: Any) -> None:
        """Update the row of our account at ``api``; made if it is missing."""
        place = self._place(api)
        if self._statements.change(statement, **values, **place) == 0:
            self._statements.change(_PLACE, **place)
            self._statements.change(statement, **values, **place)

    def _place(self, api: str) -> dict[str, str]:
        return {"api": api, "account": self._accounts[api]}


def _new(names: Sequence[str], values: Row) -> dict[str, Any]:
    return {new(name): value for name, value in zip(names, values, strict=True)}


@of_a_row
def _stamps(sent: str) -> list[int]:
    return [int(value) for value in orjson.loads(sent)]


@of_a_row
def _stop(row: Row) -> tuple[Stop, datetime | None]:
    """A stop, and when it was made."""
    until, reason, kind, said_by, made = row
    stop = Stop(instant(until), str(reason), str(kind or WAIT), None if said_by is None else str(said_by))
    return stop, instant_or_none(made)


@of_a_row
def _quota(row: Row | None) -> Quota | None:
    if row is None:
        return None
    used, limit, resets_at, microseconds_ahead = row
    ahead = timedelta(microseconds=microseconds_ahead)
    return Quota(int(used), limit, instant(resets_at), ahead if ahead <= FAR else timedelta(0))
