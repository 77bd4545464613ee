"""What the program remembers of the two APIs' limits over restarts."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from sqlalchemy import and_, func, select, text, update

from etl.instants import instant, instant_or_none, microseconds
from etl.models.clocks import FAR
from etl.models.reading import Quota
from etl.models.stop import WAIT, Stop
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Prepared, among, new, overwritten, value
from etl.state.tally import Beside, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
_COUNT_BESIDE = Prepared(
    lambda _: (
        update(_T).values(beside=value("new_beside"), beside_used=_C.beside_used + value("more")).where(_MINE)
    )
)
_TAKE_OVER = _change({"beside_used": _C.beside_used - value("taken")})
_REMEMBER_SENT = Prepared(
    lambda _: (
        update(_T)
        .values(
            {name: func.coalesce(given, _C[name]) for name, given in overwritten("sent", "stated").items()}
        )
        .where(_MINE)
        .returning(_C.beside, _C.beside_used)
    )
)
_REMEMBER_STOP = _change(overwritten(*_STOP))
_END_STOP = Prepared(
    lambda _: update(_T).values(dict.fromkeys(_STOP)).where(_MINE, _C.stopped_until.is_not(None))
)
_REMEMBER_QUOTA = _change(overwritten(*_QUOTA))
_COUNTS = ("sent", "stated", "beside", "beside_used")
_ROWS = select(*(_C[name] for name in ("api", "account", *_COUNTS, *_QUOTA, *_STOP))).order_by(
    _C.api, _C.account
)
_ALL = Prepared(lambda _: _ROWS)
_OURS = Prepared(lambda dialect: _ROWS.where(among(_C.account, dialect)).with_for_update())
_KNOWN_QUOTAS = select(_C.used + _C.beside_used, *(_C[name] for name in _QUOTA[1:])).where(
    _C.used.is_not(None)
)
_LATEST_QUOTA = Prepared(
    lambda _: _KNOWN_QUOTAS.where(_C.api == value("api")).order_by(_C.resets_at.desc()).limit(1)
)


def account(credential: str) -> str:
    """A name for the account behind a credential, from which the credential cannot be had."""
    return blake2b(credential.encode(), digest_size=8).hexdigest()


class _Known(NamedTuple):
    """A row of the table, but for its stop."""

    sent: Any = None
    stated: Any = None
    beside: Any = None
    beside_used: Any = 0
    used: Any = None
    month_limit: Any = None
    resets_at: Any = None
    ahead: Any = None


_Table = dict[tuple[str, str], tuple[_Known, tuple[Any, ...]]]
"""What is known of each account at each API, and its stop."""


class Limits:
    """The limits of both APIs, inside one transaction. ``accounts`` names our account at each API.

    ``now`` is the instant of what happens. The table, which has few rows, is read once, and once more after
    something was written. Until a transaction that is ``writing`` ends, nobody else changes our rows.
    """

    def __init__(
        self, statements: Statements, accounts: dict[str, str], *, now: datetime, writing: bool = False
    ) -> None:
        self._statements = statements
        self._accounts = accounts
        self._now = now
        self._writing = writing
        self._table: _Table | None = None
        self._ours: _Table | None = None

    def sent(self, api: str) -> list[int]:
        """When the last requests were sent, as far as the limit's window reaches: microseconds."""
        sent = self._known(api).sent
        return _stamps(sent) if sent else []

    def last_sent(self, api: str) -> datetime | None:
        """When the last request was sent, by whomever and be it long ago; None if there was none."""
        known = self._known(api)
        stamps = (stamp for sent in (known.sent, known.beside) if sent for stamp in _stamps(sent))
        return instant_or_none(max(stamps, default=None))

    def remember_sent(self, api: str, sent: Sequence[int], *, stated: int | None) -> Beside:
        """``stated`` is the limit that the API stated; None if it has said nothing new.

        Returns what ``beside`` does.
        """
        self._forget()
        new_sent = orjson.dumps(sent).decode() if sent else None
        values = {"new_sent": new_sent, "new_stated": stated, **self._place(api)}
        row = self._statements.row(_REMEMBER_SENT, **values)
        if row is None:
            self._statements.change(_PLACE, **self._place(api))
            row = self._statements.row(_REMEMBER_SENT, **values)
        return _beside(*row) if row else ([], 0)

    def stated(self, api: str) -> int | None:
        """The limit that the API stated last, in requests per window."""
        stated: int | None = self._known(api).stated
        return stated

    def beside(self, api: str) -> Beside:
        """When requests beside a run were sent, in microseconds, as far as the limit's window reaches.

        And how many of them no run has counted yet. Until the transaction ends, nobody else changes that.
        """
        known = self._known(api, ours=True)
        return _beside(known.beside, known.beside_used)

    def tally(self, api: str) -> Tally:
        """What runs have written down, requests beside them aside."""
        known = self._known(api)
        quota = _quota((known.used, known.month_limit, known.resets_at, known.ahead))
        return Tally(_stamps(known.sent) if known.sent else (), known.stated, quota)

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
        known = self._known(api)
        return _quota((known.used, known.month_limit, known.resets_at, known.ahead), known.beside_used)

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

    def was_stopped(self, api: str) -> bool:
        """Whether our account was stopped, and has not been found well since."""
        row = self._rows().get((api, self._accounts[api]))
        return row is not None and row[1][0] is not None

    def stops(self) -> list[tuple[str, Stop]]:
        """The stops that are in force, of whichever account, with their API."""
        return [(api, stop) for api, _, stop in self._in_force(self._now)]

    def remember_stop(self, api: str, stop: Stop | None) -> None:
        if stop is None:
            self._forget()
            self._statements.change(_END_STOP, **self._place(api))
            return
        until, made = microseconds(stop.until), microseconds(self._now)
        values = (until, stop.reason, stop.kind, stop.said_by, made)
        self._put(_REMEMBER_STOP, api, **_new(_STOP, values))

    def _in_force(self, now: datetime) -> Iterator[tuple[str, str, Stop]]:
        for (api, account), (_, row) in self._rows().items():
            if row[0] is not None:
                stop, made = _stop(row)
                if bounded := stop.bounded(made=made, now=now):
                    yield api, account, bounded

    def _known(self, api: str, *, ours: bool = False) -> _Known:
        """The row of our account; where it is to be ``ours``, nobody else changes it before we have."""
        if (ours or self._writing) and self._ours is None:
            self._ours = _table(self._statements.among(_OURS, [*self._accounts.values()]))
        rows = self._rows() if self._ours is None else self._ours
        known, _ = rows.get((api, self._accounts[api]), (_Known(), ()))
        return known

    def _rows(self) -> _Table:
        if self._table is None:
            self._table = _table(self._statements.rows(_ALL))
        return self._table

    def _forget(self) -> None:
        self._table = self._ours = None

    def _put(self, statement: Prepared, api: str, **values: Any) -> None:
        """Update the row of our account at ``api``; made if it is missing."""
        self._forget()
        place = self._place(api)
        if self._statements.change(statement, **values, **place) == 0:
            self._statements.change(_PLACE, **place)
            self._statements.change(statement, **values, **place)

    def _place(self, api: str) -> dict[str, str]:
        return {"api": api, "account": self._accounts[api]}


def _new(names: Sequence[str], values: Row) -> dict[str, Any]:
    return {new(name): value for name, value in zip(names, values, strict=True)}


def _table(rows: Iterable[Row]) -> _Table:
    return {(row[0], row[1]): (_Known(*row[2 : -len(_STOP)]), row[-len(_STOP) :]) for row in rows}


@of_a_row
def _beside(stamps: str | None, uncounted: int) -> Beside:
    return (_stamps(stamps) if stamps else [], int(uncounted))


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
def _quota(row: Row | None, beside: int = 0) -> Quota | None:
    if row is None or row[0] is None:
        return None
    used, limit, resets_at, microseconds_ahead = row
    ahead = timedelta(microseconds=microseconds_ahead)
    return Quota(int(used) + int(beside), limit, instant(resets_at), ahead if ahead <= FAR else timedelta(0))
