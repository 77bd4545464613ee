"""Opening the state database: its permissions, its schema."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    Column,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    event,
    inspect,
)
from sqlalchemy.pool import NullPool

from etl.clock import SystemClock
from etl.errors import StateError, SyncError
from etl.state.failures import LostError, NewerError, damaged, translated
from etl.state.lock import refuse_beside_an_older_version
from etl.state.urls import COPY, file_behind, parse_url, place, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Connection, Engine

    from etl.clock import Clock

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""All revisions in ``migrations/``; a test keeps it so."""

SCHEMA = REVISIONS[-1]
_ROW_IS_LOCK = ("0001", "0002")

_BUSY_S = 10
_MOST_ENGINES = 256
_PAUSES_S = (0.25, 0.5, 1.0, 2.0, 2.0)
_RETRY_S = 6.0
"""A server that is away is asked again for so long: it may be restarting, or have too many clients."""

_TABLES = ("alembic_version", "websites")  # in every revision
_IS_THERE = {
    "sqlite": "EXISTS(SELECT 1 FROM sqlite_master WHERE name = '{0}')",
    "postgresql": "to_regclass('{0}') IS NOT NULL",
}
"""By dialect, whether there is a table: it need not be looked for among all."""

_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_DAMAGED = "damaged"


@contextmanager
def connect(
    url: str | URL, *, create: bool = False, writing: bool = True, clock: Clock | None = None
) -> Iterator[Connection]:
    """One connection to the state database, without looking at its schema.

    ``create`` makes a missing SQLite file, readable by its owner only, or a missing schema of PostgreSQL.
    Where ``writing``, a transaction holds SQLite's write lock from its beginning; elsewhere the file is left
    as it is. Raises StateError where the database cannot be used, LostError where its server is away,
    SettingsError where the URL cannot be understood.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path and create:
        _create_file(path, parsed)
    if path:
        refuse_a_stump(path, parsed)
        opening: Callable[[], Connection] = _engine_of_file(parsed, path, writing=writing).connect
    else:
        from etl.state import postgres  # noqa: PLC0415 -- the driver is an extra

        opening = partial(
            postgres.opened, parsed, writing=writing, clock=clock or SystemClock(), create=create
        )
    with _using(opening, parsed, clock or SystemClock()) as connection:
        yield connection


@contextmanager
def scratch(url: URL) -> Iterator[Connection]:
    """An empty private database for a copy of ``url``, gone in the end. If it is small, it needs no disk."""
    named = URL.create("sqlite", database=place(url))
    engine = create_engine(
        named, poolclass=NullPool, creator=lambda: sqlite3.connect(""), execution_options={COPY: True}
    )
    _prepare(engine, begin="BEGIN")
    with _using(engine.connect, named, SystemClock()) as connection:
        yield connection


@contextmanager
def _using(opening: Callable[[], Connection], url: URL, clock: Clock) -> Iterator[Connection]:
    """The engines keep no connection, so that nothing is left of one that is closed."""
    connection = _connected(opening, url, clock)
    try:
        yield connection
    finally:
        with suppress(SyncError), translated(url):
            _close(connection)


def _connected(opening: Callable[[], Connection], url: URL, clock: Clock) -> Connection:
    started = clock.monotonic()
    for pause in _PAUSES_S:
        try:
            with translated(url):
                return opening()
        except LostError:
            if clock.monotonic() - started > _RETRY_S:
                raise
        clock.wait(pause, "the state database is away")
    with translated(url):
        return opening()


def _close(connection: Connection) -> None:
    """Close it; where ``spare`` was called, without folding SQLite's log into the file.

    The last connection that may write folds it in when it closes: so it must not be the last.
    """
    witness, path = None, file_behind(connection)
    if path and connection.info.get(_DAMAGED):
        with suppress(sqlite3.Error):
            witness = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
            witness.execute("PRAGMA schema_version")
    connection.close()
    if witness:
        witness.close()


def spare(connection: Connection) -> None:
    """The file is damaged: leave it as it is to the byte."""
    if not connection.invalidated:
        connection.info[_DAMAGED] = True


def revision(connection: Connection) -> str | None:
    """The schema's revision; None for an empty database.

    Raises StateError where the database belongs to another program or to a newer visitor-sync.
    """
    is_there = _IS_THERE[connection.dialect.name]
    stamped, is_ours = connection.exec_driver_sql(
        "SELECT " + ", ".join(is_there.format(name) for name in _TABLES)
    ).one()
    if not stamped:
        if inspect(connection).get_table_names():
            raise _foreign(connection)
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if found is not None and not is_ours:
        raise _foreign(connection)
    if found is not None and found not in REVISIONS:
        raise NewerError(
            f"State database {place(connection.engine.url)} was made by a newer visitor-sync"
            f" (revision {found}).",
            fix="It was left untouched. Upgrade this program, or name another one in SYNC_STATE_URL.",
        )
    return found


def _foreign(connection: Connection) -> StateError:
    return StateError(
        f"State database {place(connection.engine.url)} holds tables of another program.",
        fix="It was left untouched. Name another one in SYNC_STATE_URL.",
    )


def upgrade(connection: Connection, *, now: datetime | None = None) -> None:
    """Bring the schema to this program's revision, in one transaction. A no-op costs one query.

    Raises LockedError while a run of an older version goes on.
    """
    with translated(connection.engine.url):
        try:
            current = revision(connection)
        finally:
            connection.rollback()
        if current == SCHEMA:
            return
        if current is None:
            _prepare_empty(connection)
            with connection.begin(), unhurried(connection):
                _create(connection)
            return
        from etl.state import migrate  # noqa: PLC0415 -- alembic costs 150 ms, needed once per release

        with rebuilding(connection), connection.begin(), unhurried(connection):
            if current in _ROW_IS_LOCK:
                refuse_beside_an_older_version(connection, now or datetime.now(UTC))
            migrate.upgrade(connection, SCHEMA)


def _create(connection: Connection) -> None:
    """Make the tables in an empty database, as the migrations would, and say that they have."""
    from etl.state.indexes import metadata  # noqa: PLC0415 -- needed once per state

    version = Table(
        "alembic_version",
        MetaData(),
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
    )
    metadata.create_all(connection, checkfirst=False)
    version.create(connection)
    connection.execute(version.insert().values(version_num=SCHEMA))


@contextmanager
def built(connection: Connection) -> Iterator[None]:
    """One transaction in an empty database, in which the migrations have made the tables."""
    from etl.state import migrate  # noqa: PLC0415 -- alembic costs 150 ms

    _prepare_empty(connection)
    with rebuilding(connection), connection.begin(), unhurried(connection):
        migrate.upgrade(connection, SCHEMA)
        yield


@contextmanager
def rebuilding(connection: Connection) -> Iterator[None]:
    """Let a migration replace a table of SQLite's that others refer to; outside of a transaction."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")


def unhurried(connection: Connection) -> AbstractContextManager[None]:
    """For a transaction that has begun and may take minutes."""
    if connection.dialect.name == "sqlite":
        return nullcontext()
    from etl.state import postgres  # noqa: PLC0415 -- the driver is an extra

    return postgres.unhurried(connection)


def prove_sound(connection: Connection) -> None:
    """Have SQLite look through its whole file. Raises DamagedError."""
    url = connection.engine.url
    if url.get_backend_name() != "sqlite":
        return
    with translated(url):
        found = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
    if list(found) != ["ok"]:
        raise damaged(url, f"the file is damaged, SQLite's quick_check finds {len(found)} faults")


@lru_cache(maxsize=_MOST_ENGINES)
def _engine_of_file(url: URL, path: Path, *, writing: bool) -> Engine:
    if writing:
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_S})
        _prepare(engine, begin="BEGIN IMMEDIATE")
    else:
        engine = create_engine(url, poolclass=NullPool, creator=lambda: open_to_read(path))
        _prepare(engine, begin="BEGIN")
    return engine


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that leaves the file and its log as they are. Raises sqlite3.Error.

    One that may only read leaves the log behind, one that may write would fold a log with content into the
    file when it closes: so each is used where it changes nothing. Without a log nobody is writing, and where
    no connection can make its files, say on a medium that is read-only, the file can be taken as it stands.
    """
    quiet = _size(path.with_name(f"{path.name}-wal")) == 0
    *attempts, last = ("mode=rw", "mode=ro", "immutable=1") if quiet else ("mode=ro",)
    for how in attempts:
        with suppress(sqlite3.OperationalError):
            return _opened(path, how)
    return _opened(path, last)


def _opened(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=_BUSY_S)
    try:
        connection.execute("PRAGMA schema_version").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _prepare(engine: Engine, *, begin: str) -> None:
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))


def _prepare_sqlite(raw: Any, _record: object) -> None:
    """Transactions are ours to begin. In WAL mode, NORMAL still survives the death of the process.

    What is deleted is overwritten: nobody reads out of the file who was erased from the tables.
    """
    raw.isolation_level = None
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        raw.execute(f"PRAGMA {pragma}")


def _prepare_empty(connection: Connection) -> None:
    """Put an empty file into WAL mode, so that ``status`` can read while a run writes.

    Nothing is changed in a file that has content: it may be somebody else's.
    """
    path = file_behind(connection)
    if path and _size(path) == 0:
        raw: Any = connection.connection.driver_connection
        raw.execute("PRAGMA journal_mode=WAL")


def refuse_a_stump(path: Path, url: URL) -> None:
    """Raises DamagedError for a file that ends amid a page: SQLite would take the rest of it for zeros."""
    with suppress(OSError), path.open("rb") as file:
        size, header = path.stat().st_size, file.read(_HEADER)
        page_size = int.from_bytes(header[16:18], "big")
        page_size = 65536 if page_size == 1 else page_size
        if header.startswith(_MAGIC) and (len(header) < _HEADER or not page_size or size % page_size):
            raise damaged(url, "the file is malformed, it was cut off")


def keep_private(connection: Connection) -> list[str]:
    """Take the state's file and its log away from everybody but their owner. Returns what to warn of."""
    path = file_behind(connection)
    if path is None:
        return []
    files = (path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm"))
    return [warning for file in files if (warning := _close_to_others(file))]


def _close_to_others(file: Path) -> str | None:
    mode = open_to_others(file)
    if not mode:
        return None
    with suppress(OSError):
        file.chmod(0o600)
    if open_to_others(file):
        return f"{file} can be used by others (mode {mode:o}), and that could not be changed: chmod 600 it."
    return f"{file} could be used by others (mode {mode:o}); from now on by its owner only (mode 600)."


def open_to_others(file: Path) -> int:
    """The file's mode, if it lets anybody but its owner in; else 0."""
    with suppress(OSError):
        mode = file.stat().st_mode & 0o777
        return mode if mode & 0o077 else 0
    return 0


def _create_file(path: Path, url: URL) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except (OSError, ValueError) as exc:
        cause = exc.strerror if isinstance(exc, OSError) else "that is no path"
        raise StateError(
            f"State database {place(url)}: {cause}.", fix="Name a writable place in SYNC_STATE_URL."
        ) from exc
