"""The rows of the limits that several processes keep together: permits are taken and given back here.

On PostgreSQL one statement takes them, in autocommit: it locks the row, then reads the server's clock,
decides and writes. READ COMMITTED has the lock wait for whoever has the row, and shows what that one
committed; the UPDATE then takes its values from the locked row alone, never from the older one of its own
snapshot. In a SQLite file, a transaction that alone may write does the same by ``grants.decide``; tests hold
the two equal.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import orjson

from etl.errors import SyncError
from etl.fleet import grants
from etl.fleet.database import open_fleet
from etl.fleet.grants import LONGEST_PAUSE, TRIAL, Grant, Standing
from etl.instants import microseconds
from etl.state.failures import LostError, of_a_row, translated
from etl.state.urls import parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from etl.clock import Clock
    from etl.fleet.grants import Rule, Wish
    from etl.models.stop import Stop

T = TypeVar("T")

_COLUMNS = (
    "stamps",
    "stated",
    "used",
    "period_limit",
    "period_ends",
    "ahead",
    "paused_until",
    "stopped_until",
    "stop_reason",
    "stop_kind",
    "stop_said_by",
    "stop_made",
)
_NAMED = ", ".join(_COLUMNS)
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

_LOCKED = f"""
WITH mine AS MATERIALIZED (SELECT {_NAMED} FROM limits WHERE name = %(name)s FOR UPDATE)
SELECT {_NOW}, {_NAMED} FROM mine
"""  # noqa: S608 -- names of columns

_LOOK = f"SELECT {_NOW}, {_NAMED} FROM (SELECT 1) AS one LEFT JOIN limits ON name = %(name)s"  # noqa: S608 -- likewise

_TAKE = f"""
WITH mine AS MATERIALIZED (
    SELECT name, {_NAMED} FROM limits WHERE name = %(name)s FOR UPDATE
), timed AS MATERIALIZED (
    SELECT mine.*, {_NOW} AS now FROM mine
), seen AS MATERIALIZED (
    SELECT timed.*,
        CASE WHEN %(stated_wins)s::boolean THEN coalesce(period_limit, %(most)s::bigint)
            ELSE least(period_limit, %(most)s::bigint) END AS plan,
        CASE WHEN paused_until IS NOT NULL
            THEN least(paused_until, now + %(longest_pause)s::bigint) END AS pause,
        period_ends IS NULL OR now + ahead >= period_ends
            OR period_ends - now - ahead > %(longest)s::bigint AS turns,
        ARRAY(SELECT least(s, now) FROM unnest(stamps) AS s
            WHERE least(s, now) > now - %(span)s::bigint ORDER BY 1) AS counted,
        (SELECT max(least(s, now)) FROM unnest(stamps) AS s) AS newest,
        greatest(1, CASE WHEN %(stated_wins)s::boolean THEN coalesce(stated, %(limit)s::bigint)
            ELSE least(stated, %(limit)s::bigint) END) AS most
    FROM timed
), turned AS MATERIALIZED (
    SELECT seen.*,
        CASE WHEN turns THEN 0 ELSE used END AS counts,
        CASE WHEN turns THEN (extract(epoch FROM date_trunc(%(period)s::text,
                to_timestamp((now + ahead) / 1000000.0) AT TIME ZONE 'UTC')
                + ('1 ' || %(period)s::text)::interval) * 1000000)::bigint ELSE period_ends END AS ends
    FROM seen
), allowing AS MATERIALIZED (
    SELECT turned.*,
        CASE WHEN plan IS NULL THEN %(count)s::bigint
            WHEN plan - trunc(plan * %(reserve)s::float8)::bigint - counts > 0
                THEN plan - trunc(plan * %(reserve)s::float8)::bigint - counts
            WHEN %(tries)s::boolean
                OR (counts >= plan AND coalesce(newest <= now - %(trial)s::bigint, true)) THEN 1
            ELSE 0 END AS allowed,
        greatest(0, most - cardinality(counted)) AS free
    FROM turned
), judged AS MATERIALIZED (
    SELECT allowing.*,
        CASE WHEN coalesce(pause > now, false) THEN 'pause'
            WHEN coalesce(stop_made <= now AND now < stopped_until, false) AND NOT %(insists)s::boolean
                THEN 'stop'
            WHEN allowed < 1 THEN 'period'
            WHEN free < 1 THEN 'window' END AS why
    FROM allowing
), granting AS MATERIALIZED (
    SELECT judged.*,
        CASE WHEN why IS NULL THEN least(%(count)s::bigint, free, allowed) ELSE 0 END::integer AS granted,
        CASE why WHEN 'pause' THEN pause - now
            WHEN 'window' THEN greatest(1000,
                counted[cardinality(counted) - most + 1] + %(span)s::bigint - now)
            ELSE 0 END AS retry
    FROM judged
)
UPDATE limits SET
    stamps = (CASE WHEN cardinality(counted) = 0 AND newest IS NOT NULL THEN ARRAY[newest] ELSE counted END)
        || array_fill(now, ARRAY[granted]),
    used = counts + granted,
    period_ends = ends,
    paused_until = pause
FROM granting WHERE limits.name = granting.name
RETURNING granted, why, retry, most, now, granting.stated, counts + granted, granting.period_limit, ends,
    granting.ahead, pause, granting.stopped_until, granting.stop_reason, granting.stop_kind,
    granting.stop_said_by, granting.stop_made
"""  # noqa: S608 -- names of columns

_MAKE = "INSERT INTO limits (name, stamps) VALUES ({}, {}) ON CONFLICT DO NOTHING"


class Rows(Protocol):
    """The rows, by name. Any method raises SyncError where the database fails."""

    def take(self, name: str, rule: Rule, wish: Wish, clock: Clock) -> Grant:
        """As many permits as there are, up to those that are wished for."""
        ...

    def change(self, name: str, made: Callable[[Standing], Standing], clock: Clock) -> Standing:
        """Replace the row by what is ``made`` of it, while nobody else has it. Returned is that."""
        ...

    def look(self, name: str, clock: Clock) -> Standing:
        """The row as it stands; an empty one where there is none."""
        ...


class SharedRows:
    """The rows behind a URL, by one connection for all threads; it is made anew once its server is back.

    Whatever waits, waits by the clock of the thread that asks: so its signal ends it.
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._is_file = self._url.get_backend_name() == "sqlite"
        self._lock = threading.Lock()
        self._clock = _Borrowed()
        self._stack: ExitStack | None = None
        self._connection: Connection | None = None

    def take(self, name: str, rule: Rule, wish: Wish, clock: Clock) -> Grant:
        if self._is_file:
            return self.ask(lambda mine: _taken_in_file(mine, name, rule, wish, clock), clock)
        return self.ask(lambda mine: _taken(mine, name, rule, wish), clock)

    def change(self, name: str, made: Callable[[Standing], Standing], clock: Clock) -> Standing:
        """Not repeated where the server was lost: it may have happened."""

        def changed(mine: Connection) -> Standing:
            with alone(mine):
                row = made(_read(mine, name, clock))
                _write(mine, name, row)
                return row

        return self.ask(changed, clock, again=False)

    def look(self, name: str, clock: Clock) -> Standing:
        return self.ask(lambda mine: _seen(mine, name, clock), clock)

    def close(self) -> None:
        """Give up the connection; the next request would make one anew."""
        with self._lock:
            self._drop()

    def ask(self, question: Callable[[Connection], T], clock: Clock, *, again: bool = True) -> T:
        """The answer; by a new connection where an old one turns out to be lost."""
        with self._lock, self._clock.lent(clock):
            is_old = self._connection is not None
            try:
                return self._ask(question)
            except LostError:
                if not (is_old and again):
                    raise
                return self._ask(question)

    def _ask(self, ask: Callable[[Connection], T]) -> T:
        try:
            with translated(self._url):
                return ask(self._connected())
        except BaseException:
            self._drop()
            raise

    def _connected(self) -> Connection:
        if self._connection is None:
            stack = ExitStack()
            made = stack.enter_context(open_fleet(str_of(self._url), self._clock))
            self._connection, self._stack = made, stack
            if not self._is_file:
                made.execution_options(isolation_level="AUTOCOMMIT")
        return self._connection

    def _drop(self) -> None:
        stack, self._stack, self._connection = self._stack, None, None
        if stack:
            with suppress(SyncError):
                stack.close()


def str_of(url: Any) -> str:
    """The URL as it was given."""
    return str(url.render_as_string(hide_password=False))


class _Borrowed:
    """The clock of the thread that uses the connection now."""

    def __init__(self) -> None:
        self._lender: Clock | None = None

    @contextmanager
    def lent(self, clock: Clock) -> Iterator[None]:
        self._lender = clock
        try:
            yield
        finally:
            self._lender = None

    def now(self) -> datetime:
        return self._theirs.now()

    def monotonic(self) -> float:
        return self._theirs.monotonic()

    def wait(self, seconds: float, why: str) -> None:
        if self._lender:  # else it is being closed, which nobody waits for
            self._lender.wait(seconds, why)

    @property
    def _theirs(self) -> Clock:
        assert self._lender is not None  # noqa: S101 -- it is lent before anything is asked
        return self._lender


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """A transaction in which nobody else has the rows that are read."""
    with connection.begin():
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql("BEGIN")  # it is in autocommit
        yield


def _taken(connection: Connection, name: str, rule: Rule, wish: Wish) -> Grant:
    values = {
        **_of(wish),
        "name": name,
        "span": rule.span,
        "longest": rule.longest,
        "period": rule.period,
        "stated_wins": rule.stated_wins,
        "longest_pause": LONGEST_PAUSE,
        "trial": TRIAL,
    }
    with connection.begin():
        row = connection.exec_driver_sql(_TAKE, values).first()
        if row is None:
            _make(connection, name)
            row = connection.exec_driver_sql(_TAKE, values).one()
    granted, why, retry, most, now, *rest = row
    return Grant(granted, most, _standing((now, [], *rest)), why, retry)


def _taken_in_file(connection: Connection, name: str, rule: Rule, wish: Wish, clock: Clock) -> Grant:
    with connection.begin():
        grant = grants.decide(_read(connection, name, clock), rule, wish)
        _write(connection, name, grant.standing)
        return grant


def _read(connection: Connection, name: str, clock: Clock) -> Standing:
    """The row, which nobody else has as long as the transaction lasts; it is made where there is none."""
    for _ in range(2):
        if connection.dialect.name == "sqlite":
            found = connection.exec_driver_sql(f"SELECT {_NAMED} FROM limits WHERE name = ?", (name,)).first()  # noqa: S608 -- names of columns
            row = found and (microseconds(clock.now()), orjson.loads(found[0]), *found[1:])
        else:
            row = connection.exec_driver_sql(_LOCKED, {"name": name}).first()
        if row is not None:
            return _standing(tuple(row))
        _make(connection, name)
    return Standing(microseconds(clock.now()))


def _seen(connection: Connection, name: str, clock: Clock) -> Standing:
    """The row, for whoever has it; an empty one where there is none."""
    with connection.begin():
        if connection.dialect.name == "sqlite":
            return _read(connection, name, clock)
        row = connection.exec_driver_sql(_LOOK, {"name": name}).one()
        return _standing((row[0], row[1] or [], *row[2:3], row[3] or 0, *row[4:6], row[6] or 0, *row[7:]))


def _make(connection: Connection, name: str) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_MAKE.format("?", "'[]'"), (name,))
    else:
        connection.exec_driver_sql(_MAKE.format("%s", "'{}'"), (name,))


def _write(connection: Connection, name: str, row: Standing) -> None:
    values = _of(row)
    if connection.dialect.name == "sqlite":
        values["stamps"] = orjson.dumps(row.stamps).decode()
        mark = "?"
    else:
        values["stamps"] = list(row.stamps)
        mark = "%s"
    columns = ", ".join(f"{column} = {mark}" for column in _COLUMNS)
    given = (*(values[column] for column in _COLUMNS), name)
    connection.exec_driver_sql(f"UPDATE limits SET {columns} WHERE name = {mark}", given)  # noqa: S608 -- as above


def _of(facts: Wish | Standing) -> dict[str, Any]:
    return {field.name: getattr(facts, field.name) for field in fields(facts)}


@of_a_row
def _standing(row: tuple[Any, ...]) -> Standing:
    now, stamps, *rest = row
    return Standing(int(now), tuple(map(int, stamps)), *rest)


def stopped(row: Standing, stop: Stop | None, *, ours: datetime, since: int) -> Standing:
    """The row with a stop, which is meant by our own clock; without one, if it was made before ``since``."""
    if stop is None:
        if row.stop_made is not None and since < row.stop_made <= row.now:
            return row
        return replace(
            row, stopped_until=None, stop_reason=None, stop_kind=None, stop_said_by=None, stop_made=None
        )
    bounded = stop.bounded(made=ours, now=ours) or stop
    return replace(
        row,
        stopped_until=row.now + microseconds(bounded.until) - microseconds(ours),
        stop_reason=stop.reason,
        stop_kind=stop.kind,
        stop_said_by=stop.said_by,
        stop_made=row.now,
    )
