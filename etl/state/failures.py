"""What a database says went wrong, in our own words: a driver's text may quote the values of a row."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from etl.errors import SettingsError, StateError, SyncError, UnavailableError
from etl.state.urls import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL

P = ParamSpec("P")
T = TypeVar("T")

FIX = (
    "Mend it, restore it from a backup, or name another one in SYNC_STATE_URL: a run without its state sends"
    " every contact once more and doubles none."
)
_FIX_ACCESS = "Mend SYNC_STATE_URL, ~/.pgpass or the server's settings."
FIX_AWAY = "Nothing is lost; run again later. Is the server up, and the network?"


class BusyError(StateError):
    """Another process held the database for longer than it is worth waiting."""


class DamagedError(StateError):
    """The database holds what this program cannot have written: nothing more is written to it."""


class NewerError(StateError):
    """A newer version of this program has been here: this one leaves everything as it is."""


class LostError(UnavailableError):
    """The database server is away, or was while we needed it."""


class SpoiltRowError(ValueError):
    """A row that this program cannot have written. Its text holds none of it."""


def of_a_row(convert: Callable[P, T]) -> Callable[P, T]:
    """For functions that make sense of a row: where they cannot, the row is at fault."""

    @wraps(convert)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return convert(*args, **kwargs)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
            raise SpoiltRowError(f"{convert.__name__}: {type(exc).__name__}") from exc

    return guarded


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Whatever the database, its driver or a row may raise, as a SyncError in our own words."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, SpoiltRowError, UnicodeDecodeError, MemoryError) as exc:
        raise _told(exc, url) from exc


def damaged(url: URL, what: str) -> DamagedError:
    return DamagedError(f"State database {place(url)}: {what}.", fix=FIX)


def _told(exc: Exception, url: URL) -> SyncError:
    original: Any = getattr(exc, "orig", None) or exc
    if isinstance(exc, SpoiltRowError | UnicodeDecodeError):
        return damaged(
            url,
            "the file is damaged, a row holds what was never written"
            if url.get_backend_name() == "sqlite"
            else "a row holds what was never written",
        )
    if isinstance(original, sqlite3.Error):
        return _told_by_sqlite(original, url)
    if any(base.__module__.startswith("psycopg") for base in type(original).__mro__):
        return _told_by_postgresql(original, url)
    return StateError(f"State database {place(url)}: {type(original).__name__}.", fix=FIX)


_SQLITE = {
    sqlite3.SQLITE_PERM: "access is denied",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_READONLY: "the file, or its directory, cannot be written",
    sqlite3.SQLITE_IOERR: "the file could not be read or written (disk I/O error)",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_CONSTRAINT: "a row breaks a rule of its table",
    sqlite3.SQLITE_AUTH: "access is denied",
}
_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_SQLITE_DAMAGE = {
    sqlite3.SQLITE_ERROR: "its tables are not those of this program",
    sqlite3.SQLITE_CORRUPT: "the file is malformed",
    sqlite3.SQLITE_FORMAT: "the file is malformed",
    sqlite3.SQLITE_NOTADB: "the file is not a database",
    None: "the file is damaged, a text in it cannot be decoded",  # told by Python's module, not by SQLite
}


def _told_by_sqlite(exc: sqlite3.Error, url: URL) -> StateError:
    extended = getattr(exc, "sqlite_errorcode", None)
    code = None if extended is None else extended & 0xFF
    if code in _SQLITE_BUSY:
        return BusyError(
            f"State database {place(url)}: another program holds a write lock on it.",
            fix="Close what has it open, say a database browser; or name another one in SYNC_STATE_URL.",
        )
    if code in _SQLITE_DAMAGE and isinstance(exc, sqlite3.DatabaseError):
        return damaged(url, _SQLITE_DAMAGE[code])
    cause = _SQLITE.get(code or 0, type(exc).__name__)
    return StateError(f"State database {place(url)}: {cause}.", fix=FIX)


_LOST = ("08", "40", "53", "57", "25P")
"""PostgreSQL's classes of what passes: connections, conflicts, resources, an operator, idle sessions."""

_REFUSED = {
    "28": "the server refuses this user or password",
    "3D": "the server has no such database",
    "42501": "the user lacks a privilege",
    "25006": "the server takes no writes, it may be a standby",
    "53100": "the server's disk is full",
}
_DAMAGED = {
    "42": "its tables are not those of this program",
    "22": "a value in it cannot be read",
    "XX": "the server says that it is damaged",
}
_LOCK_NOT_AVAILABLE = "55P03"  # lock_timeout

_REFUSED_AT_THE_DOOR = {
    "password authentication failed": "the server refuses this user or password",
    "no password supplied": "the server asks for a password, which belongs in ~/.pgpass",
    "authentication failed": "the server refuses this user or password",
    "pg_hba.conf": "the server's pg_hba.conf does not admit this user from here",
    "is not permitted to log in": "the user may not log in",
    "permission denied for database": "the user may not use this database",
    'role "': "the server has no such user",
    'database "': "the server has no such database",
    "certificate": "the server's certificate, or ours, is not accepted",
    "does not support SSL": "the server speaks no TLS, which sslmode demands",
}
_PASSES_BY = (
    "starting up",
    "shutting down",
    "recovery",
    "too many",
    "slots",
    "terminating",
    "not yet",
)


def _told_by_postgresql(exc: Any, url: URL) -> SyncError:
    meant = getattr(exc, "meant", None)
    if isinstance(meant, SyncError):
        return meant
    state: str | None = exc.sqlstate
    where = f"State database {place(url)}"
    if state == _LOCK_NOT_AVAILABLE:
        return BusyError(f"{where}: another session holds a lock on its tables.", fix="Wait for it to end.")
    if state is None:
        return _told_at_the_door(exc, url)
    for causes, kind, fix in ((_REFUSED, StateError, _FIX_ACCESS), (_DAMAGED, DamagedError, FIX)):
        if cause := causes.get(state) or causes.get(state[:2]):
            return kind(f"{where}: {cause} ({state}).", fix=fix)
    if state.startswith(_LOST):
        return LostError(f"{where} is away or too slow ({state}).", fix=FIX_AWAY)
    return StateError(f"{where}: {type(exc).__name__} ({state}).", fix=FIX)


def _told_at_the_door(exc: Any, url: URL) -> SyncError:
    """Without a code: libpq gives none for what happens while connecting, only the server's sentence."""
    kind, said = type(exc).__name__, str(exc)
    if kind == "ProgrammingError":
        return SettingsError(
            "SYNC_STATE_URL has an option that PostgreSQL's client does not know.", fix="Take it out."
        )
    where = f"State database {place(url)}"
    if kind == "SilenceError":
        return LostError(f"{where} does not answer.", fix=FIX_AWAY)
    passes_by = any(words in said for words in _PASSES_BY)
    for words, cause in _REFUSED_AT_THE_DOOR.items():
        if words in said and not passes_by:
            return StateError(f"{where}: {cause}.", fix=_FIX_ACCESS)
    if "FATAL" in said and not passes_by:
        return StateError(f"{where}: the server refuses the connection.", fix=_FIX_ACCESS)
    return LostError(f"{where} cannot be reached.", fix=FIX_AWAY)
