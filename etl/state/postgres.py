"""PostgreSQL over a network that may fall silent: no wait for it is without an end, and signals end it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from sqlalchemy import create_engine, event
from sqlalchemy.pool import NullPool

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
_GRACE_S = 3.0
"""After a signal, the statement under way has so long to end."""

_KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 10, "keepalives_count": 3}
_CLIENT: dict[str, Any] = {"connect_timeout": CONNECT_S, "tcp_user_timeout": 30_000, **_KEEPALIVE}


class SilenceError(psycopg.OperationalError):
    """Waiting was given up, and the connection with it. ``meant``: the error that asked for it, if any."""

    def __init__(self, meant: object = None, **_: object) -> None:
        """Psycopg makes a second one of it, with a text of its own, where it tried several addresses."""
        super().__init__("gave up waiting")
        self.meant = meant


class PatientConnection(psycopg.Connection[Any]):
    """A connection that waits ``patience_s`` at most, less once ``clock`` says that the run is to stop."""

    clock: Clock
    patience_s = PATIENCE_S

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        try:
            return super().wait(_bounded(gen, _Patience(self.clock, self.patience_s)), *args, **kwargs)
        except SilenceError:
            self.pgconn.finish()
            raise

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        """Not public: where psycopg has none of that name, ``connect_timeout`` alone ends the wait."""
        return _bounded(super()._connect_gen(*args, **kwargs), _Patience(cls.clock, float("inf")))


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
        self._ends = time.monotonic() + seconds
        self.meant: SyncError | None = None

    def is_over(self) -> bool:
        if self.meant is None:
            self._look_for_a_signal()
        return time.monotonic() > self._ends

    def _look_for_a_signal(self) -> None:
        try:
            self._clock.wait(0.0, "the state database")
        except InterruptedRunError as interruption:
            self.meant = interruption
            self._ends = min(self._ends, time.monotonic() + _GRACE_S)


def engine(url: URL, *, writing: bool, clock: Clock, create: bool = False) -> Engine:
    """What a parsed URL asks for; its options win over ours.

    With ``create``, a schema that it names is made when it is connected to, where it is missing.
    """
    schema = schema_of(url)

    class _Connection(PatientConnection):
        pass

    _Connection.clock, _Connection.patience_s = clock, PATIENCE_S

    def connect(_dialect: object, _record: object, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        options.pop(SCHEMA, None)  # it is ours, the driver does not know it
        raw = _Connection.connect(*args, **(_CLIENT | options))
        if schema:
            try:
                _enter(raw, schema, url, create=create)
            except BaseException:
                raw.close()
                raise
        return raw

    level = "READ COMMITTED" if writing else "REPEATABLE READ"
    made = create_engine(url, poolclass=NullPool, isolation_level=level)
    event.listen(made, "do_connect", connect)
    event.listen(made, "connect", _bound_the_server)
    return made


def _enter(raw: Any, schema: str, url: URL, *, create: bool) -> None:
    """Let ``schema``, a checked name, be the only one that is looked into."""
    if create and raw.execute("SELECT to_regnamespace(%s)", [schema]).fetchone() == (None,):
        _make(raw, schema, url)
    raw.execute(f'SET search_path = "{schema}"')
    raw.commit()


def _make(raw: Any, schema: str, url: URL) -> None:
    try:
        raw.execute(f'CREATE SCHEMA "{schema}"')
    except (psycopg.errors.DuplicateSchema, psycopg.errors.UniqueViolation):
        raw.rollback()  # somebody else was faster
    except psycopg.errors.InsufficientPrivilege as exc:
        raise StateError(
            f"State database {place(url)}: there is no schema {schema}, and the user may not make it.",
            fix=f"Have its owner run: CREATE SCHEMA {schema} AUTHORIZATION {raw.info.user};",
        ) from exc


def _bound_the_server(raw: Any, _record: object) -> None:
    """The server, too, gives up: on a statement, on a lock, and within a minute on a client that is gone."""
    settings: dict[str, Any] = {
        "statement_timeout": f"{raw.patience_s * 750:.0f}ms",
        "lock_timeout": f"{LOCK_S}s",
        "tcp_user_timeout": "60s",
        **{f"tcp_{name}": value for name, value in _KEEPALIVE.items()},
    }
    raw.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()))
    raw.commit()


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
