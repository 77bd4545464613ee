"""Opening the state database: its place, its permissions, its schema."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from etl.errors import SettingsError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Engine

SCHEMA = "0003"
"""The newest revision in ``migrations/``; a test keeps it so."""

_BUSY_S = 10
_OUR_TABLE = "websites"  # in every revision
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's lock_timeout
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_FIX = (
    "Mend it, restore it from a backup, or name another one in SYNC_STATE_URL: a run without its state sends"
    " every contact once more and doubles none."
)
_EXAMPLES = "Write sqlite:////path/state.db, or postgresql+psycopg://user@host/database."


class BusyError(StateError):
    """Another process held the database for longer than it is worth waiting."""


def default_url() -> str:
    """SQLite in the user's state directory."""
    from platformdirs import user_state_path  # noqa: PLC0415 -- 14 ms that a set URL does not pay

    return f"sqlite:///{user_state_path('visitor-sync') / 'state.db'}"


def url_from_environment() -> str:
    """The URL that the command would use: SYNC_STATE_URL, else the default."""
    return os.environ.get("SYNC_STATE_URL") or default_url()


@contextmanager
def connect(url: str | URL, *, create: bool = False, writing: bool = True) -> Iterator[Connection]:
    """One connection to the state database, without looking at its schema.

    ``create`` makes a missing SQLite file, readable by its owner only. Where ``writing``, a transaction holds
    SQLite's write lock from its beginning. Raises StateError where the database cannot be used,
    SettingsError where the URL cannot be understood.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if create and path:
        _create_file(path)
    if path:
        refuse_a_stump(path)
    engine = _engine(parsed, writing=writing)
    try:
        with translated(parsed), engine.connect() as connection:
            if path:
                _prepare_empty(connection, path)
            yield connection
    finally:
        engine.dispose()


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Database errors as StateError, without the statement and its values; BusyError where one may wait."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as exc:
        kind = BusyError if _is_busy(exc) else StateError
        raise kind(
            f"State database {place(url)}: {_cause(exc)}.",
            fix=_FIX,
        ) from exc


def parse_url(url: str | URL) -> URL:
    """The URL, understood. Raises SettingsError."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError("SYNC_STATE_URL is not a database URL.", fix=_EXAMPLES) from None
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise SettingsError("SYNC_STATE_URL names neither SQLite nor PostgreSQL.", fix=_EXAMPLES)
    try:
        parsed.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise SettingsError("SYNC_STATE_URL names an unknown driver.", fix=_EXAMPLES) from None
    except ImportError:
        raise SettingsError(
            f"SYNC_STATE_URL names a driver that is not installed: {parsed.drivername}.",
            fix="For postgresql+psycopg, in the checkout: ~/.uv/bin/uv sync --locked --no-dev --inexact"
            " --extra postgres",
        ) from None
    return parsed


def place(url: URL) -> str:
    """The URL as people may see it: without its password."""
    return url.database or "(memory)" if url.get_backend_name() == "sqlite" else url.render_as_string()


def sqlite_path(url: URL) -> Path | None:
    """The file behind a SQLite URL; None for memory and for servers."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def exists(url: str) -> bool:
    """Whether there is anything to connect to without making it."""
    path = sqlite_path(parse_url(url))
    return path is None or path.exists()


def revision(connection: Connection) -> str | None:
    """The schema's revision; None for an empty database.

    Raises StateError where the database belongs to another program or to a newer visitor-sync.
    """
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" not in tables:
        if tables:
            raise _foreign(connection)
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and _OUR_TABLE not in tables:
        raise _foreign(connection)
    return None if found is None else str(found)


def _foreign(connection: Connection) -> StateError:
    return StateError(
        f"State database {place(connection.engine.url)} holds tables of another program.",
        fix="It was left untouched. Name another one in SYNC_STATE_URL.",
    )


def upgrade(connection: Connection) -> None:
    """Bring the schema to this program's revision, in one transaction. A no-op costs one query."""
    with translated(connection.engine.url):
        current = revision(connection)
        connection.rollback()
        if current == SCHEMA:
            return
        from etl.state import migrate  # noqa: PLC0415 -- alembic costs 150 ms, needed once per release

        with connection.begin():
            migrate.upgrade(connection, current)


def _engine(url: URL, *, writing: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        level = "READ COMMITTED" if writing else "REPEATABLE READ"
        engine = create_engine(url, poolclass=NullPool, isolation_level=level)
        event.listen(engine, "connect", _bound_waiting)
        return engine
    begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _bound_waiting(raw: Any, _record: object) -> None:
    raw.execute(f"SET lock_timeout = '{_BUSY_S}s'")
    raw.commit()


def _prepare_sqlite(raw: Any, _record: object) -> None:
    """Transactions are ours to begin. In WAL mode, NORMAL still survives the death of the process."""
    raw.isolation_level = None
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        raw.execute(f"PRAGMA {pragma}")


def _prepare_empty(connection: Connection, path: Path) -> None:
    """Put an empty file into WAL mode, so that ``status`` can read while a run writes.

    Nothing is changed in a file that has content: it may be somebody else's.
    """
    raw: Any = connection.connection.driver_connection
    if path.stat().st_size == 0:
        raw.execute("PRAGMA journal_mode=WAL")


def refuse_a_stump(path: Path) -> None:
    """Raises StateError for a file that ends amid a page: SQLite would take the rest of it for zeros."""
    with suppress(OSError), path.open("rb") as file:
        size, header = path.stat().st_size, file.read(_HEADER)
        page_size = int.from_bytes(header[16:18], "big")
        page_size = 65536 if page_size == 1 else page_size
        if header.startswith(_MAGIC) and (len(header) < _HEADER or size % page_size):
            raise StateError(f"State database {path}: the file is malformed, it was cut off.", fix=_FIX)


def _create_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as exc:
        raise StateError(
            f"State database {path}: {exc.strerror}.", fix="Name a writable place in SYNC_STATE_URL."
        ) from exc


def _is_busy(exc: Exception) -> bool:
    original = getattr(exc, "orig", exc)
    busy = getattr(original, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
    return busy or getattr(original, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def _cause(exc: Exception) -> str:
    """The driver's own sentence. It names no values: those are in the statement, which is left out."""
    original = getattr(exc, "orig", exc)
    return str(original or type(exc).__name__).strip().splitlines()[0].rstrip(".")
