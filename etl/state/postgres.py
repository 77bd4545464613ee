"""PostgreSQL over a network that may fall silent: no wait for it is without an end, and signals end it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import psycopg
from sqlalchemy import create_engine, event
from sqlalchemy.pool import NullPool

from etl.clock import SystemClock
from etl.errors import InterruptedRunError, StateError, SyncError
from etl.state.urls import SCHEMA, place, schema_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from sqlalchemy import URL, Connection, Engine

    from etl.clock import Clock

T = TypeVar("T")

PATIENCE_S = 20.0
"""The longest wait for the answer to one statement; a server that is there gives up before."""

CONNECT_S = 10
MIGRATION_S = 600.0
LOCK_S = 10
_MOST_ENGINES = 256
_LOOK_S = 0.1
_GRACE_S = 3.0
"""After a signal, the statement under way has so long to end."""

_KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 10, "keepalives_count": 3}
CLIENT: dict[str, Any] = {"connect_timeout": CONNECT_S, "tcp_user_timeout": 30_000, **_KEEPALIVE}
"""What a connection is opened with: a server that is gone is given up within a minute."""

SERVER = {"tcp_user_timeout": "60s", **{f"tcp_{name}": str(value) for name, value in _KEEPALIVE.items()}}
"""What the server is told of its side: likewise a client whose machine is gone, with all that it locks."""


class SilenceError(psycopg.OperationalError):
    """Waiting was given up, and the connection with it. ``meant``: the error that asked for it, if any."""

    def __init__(self, meant: object = None, **_: object) -> None:
        """Psycopg makes a second one of it, with a text of its own, where it tried several addresses."""
        super().__init__("gave up waiting")
        self.meant = meant


class _Opening(NamedTuple):
    """How a connection is opened: whose signals end its waits, and whether a missing schema is made."""

    clock: Clock
    create: bool = False


_OPENING: ContextVar[_Opening] = ContextVar("opening")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that waits ``patience_s`` at most, less once its clock says that the run is to stop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clock, self.patience_s = _opening().clock, PATIENCE_S

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        try:
            return super().wait(_bounded(gen, _Patience(self.clock, self.patience_s)), *args, **kwargs)
        except SilenceError:
            self.pgconn.finish()
            raise

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        """Not public: where psycopg has none of that name, ``connect_timeout`` alone ends the wait."""
        return _bounded(super()._connect_gen(*args, **kwargs), _Patience(_opening().clock, float("inf")))


def _opening() -> _Opening:
    return _OPENING.get(None) or _Opening(SystemClock())


def _bounded(gen: Generator[Any, Any, T], patience: _Patience) -> Generator[Any, Any, T]:
    """Psycopg resumes it ten times a second, whether anything has come or not."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if patience.is_over():
                raise SilenceError(patience.meant)
            wanted = gen.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result


class _Patience:
    """How long to wait; ``meant`` is the error of the signal that cut it short, if one did."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._looks_at = time.monotonic() + _LOOK_S
        self._ends = self._looks_at - _LOOK_S + seconds
        self.meant: SyncError | None = None

    def is_over(self) -> bool:
        """Costs nothing where the answer is there in an instant, as most are."""
        now = time.monotonic()
        if now < self._looks_at:
            return False
        self._looks_at = now + _LOOK_S
        if self.meant is None:
            self._look_for_a_signal()
        return now > self._ends

    def _look_for_a_signal(self) -> None:
        try:
            self._clock.wait(0.0, "the state database")
        except InterruptedRunError as interruption:
            self.meant = interruption
            self._ends = min(self._ends, time.monotonic() + _GRACE_S)


def opened(url: URL, *, writing: bool, clock: Clock, create: bool) -> Connection:
    """A connection to what a parsed URL names; its options win over ours.

    With ``create``, a schema that it names is made where it is missing.
    """
    token = _OPENING.set(_Opening(clock, create))
    try:
        connection = _engine(url).connect()
    finally:
        _OPENING.reset(token)
    return connection if writing else connection.execution_options(isolation_level="REPEATABLE READ")


@lru_cache(maxsize=_MOST_ENGINES)
def _engine(url: URL) -> Engine:
    """One for all connections to ``url``, as the first one asks a server much; none of them is kept open."""
    made = create_engine(url, poolclass=NullPool, isolation_level="READ COMMITTED", use_native_hstore=False)
    event.listen(made, "do_connect", lambda _dialect, _record, args, options: _connect(url, args, options))
    return made


def _connect(url: URL, args: tuple[Any, ...], options: dict[str, Any]) -> PatientConnection:
    ours = {name: value for name, value in options.items() if name != SCHEMA}  # the driver does not know it
    raw: Any = PatientConnection.connect(*args, **(CLIENT | ours), autocommit=True)
    try:
        _set_up(raw, url)
        raw.autocommit = False
    except BaseException:
        raw.close()
        raise
    return raw  # type: ignore[no-any-return]


def _set_up(raw: Any, url: URL) -> None:
    """In one statement, look whether there is the schema, and let it be the only one that is looked into.

    And have the server give up, too: on a statement, on a lock, and within a minute on a client that is gone.
    """
    schema = schema_of(url)
    settings = {
        "statement_timeout": f"{raw.patience_s * 750:.0f}ms",
        "lock_timeout": f"{LOCK_S}s",
        **SERVER,
        **({"search_path": f'"{schema}"'} if schema else {}),
    }
    set_all = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    exists = f"to_regnamespace('{schema}') IS NOT NULL" if schema else "true"
    (is_there, *_) = raw.execute(f"SELECT {exists}, {set_all}").fetchone()
    if schema and not is_there and _opening().create:
        _make(raw, schema, url)


def _make(raw: Any, schema: str, url: URL) -> None:
    """Make ``schema``, a checked name."""
    try:
        raw.execute(f'CREATE SCHEMA "{schema}"')
    except (psycopg.errors.DuplicateSchema, psycopg.errors.UniqueViolation):
        pass  # somebody else was faster
    except psycopg.errors.InsufficientPrivilege as exc:
        raise StateError(
            f"State database {place(url)}: there is no schema {schema}, and the user may not make it.",
            fix=f"Have its owner run: CREATE SCHEMA {schema} AUTHORIZATION {raw.info.user};",
        ) from exc


@contextmanager
def unhurried(connection: Connection) -> Iterator[None]:
    """For a transaction that may take minutes, such as a migration; to be entered once it has begun."""
    raw: Any = connection.connection.driver_connection
    before, raw.patience_s = raw.patience_s, MIGRATION_S
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{MIGRATION_S * 750:.0f}ms'")
    try:
        yield
    finally:
        raw.patience_s = before


def rewrite(connection: Connection, tables: Iterable[str]) -> None:
    """Write these tables anew, with what the planner knows of them, and without what was deleted."""
    connection.execution_options(isolation_level="AUTOCOMMIT")
    raw: Any = connection.connection.driver_connection
    before, raw.patience_s = raw.patience_s, MIGRATION_S
    try:
        connection.exec_driver_sql(f"SET statement_timeout = '{MIGRATION_S * 750:.0f}ms'")
        for table in tables:
            connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table}")
        connection.exec_driver_sql(f"SET statement_timeout = '{before * 750:.0f}ms'")
    finally:
        raw.patience_s = before
        connection.commit()
        connection.execution_options(isolation_level="READ COMMITTED")
