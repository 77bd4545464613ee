"""SYNC_STATE_URL: what may stand there, and what people may see of it."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from etl.errors import SettingsError, StateError, installing

if TYPE_CHECKING:
    from sqlalchemy import Connection

_EXAMPLES = "Write sqlite:////path/state.db, or postgresql+psycopg://user@host/database."
_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_POSTGRESQL = "postgresql+psycopg"
_SECRET_OPTIONS = ("password", "sslpassword")
_MOST_URLS = 256
SCHEMA = "schema"
"""The option of a PostgreSQL URL that is ours: the schema whose tables are the state."""

_A_SCHEMA = re.compile(r"(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}")
COPY = "copy"
"""The execution option of an engine whose database is a throw-away copy: it has its original's URL."""


def default_url() -> str:
    """SQLite in the user's state directory. Raises SettingsError where the user has none."""
    from platformdirs import user_state_path  # noqa: PLC0415 -- 14 ms that a set URL does not pay

    try:
        folder = user_state_path("visitor-sync")
    except RuntimeError:  # neither HOME nor an entry in passwd
        folder = Path()
    if os.environ.get("HOME") == "" or not folder.is_absolute():
        raise SettingsError(
            "SYNC_STATE_URL is not set, and this user has no home directory for the state.",
            fix="Write SYNC_STATE_URL=sqlite:////path/state.db, or set HOME.",
        )
    return f"sqlite:///{folder / 'state.db'}"


def url_from_environment() -> str:
    """The URL that the command would use: SYNC_STATE_URL, else the default."""
    return os.environ.get("SYNC_STATE_URL", "").strip() or default_url()


def fault(url: str) -> str | None:
    """Why this cannot be the URL of a state, as the end of a sentence about SYNC_STATE_URL; None if it can.

    What the URL holds is not quoted: there may be a password in it.
    """
    if not re.fullmatch(r"(sqlite|postgresql)(\+\w+)?://.*", url):
        return "must be sqlite:////path/state.db or postgresql+psycopg://user@host/database"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "is not a database URL"
    if parsed.get_backend_name() == "sqlite":
        return _fault_of_file(parsed)
    return _fault_of_server(parsed) or _fault_of_schema(parsed, url)


def _fault_of_file(url: URL) -> str | None:
    name = url.database or ""
    if url.host:
        return "has two slashes, not three: write sqlite:////path/state.db, or sqlite:///state.db"
    if name in {"", ":memory:"} or name.startswith("file:"):
        return "names no file, and a state that forgets is none: write sqlite:////path/state.db"
    parts = PurePosixPath(name).parts
    if parts[0].startswith("~") or "~" in parts or any(part.startswith("$") for part in parts):
        return "has ~ or $ in its path, which nobody expands here: write all of it, as in sqlite:////path/state.db"
    if url.query:
        return "has options behind a ?, of which SQLite takes none here: write sqlite:////path/state.db"
    return None if url.drivername in _SQLITE else "must begin with sqlite:///, without another driver"


def _fault_of_server(url: URL) -> str | None:
    return None if url.drivername == _POSTGRESQL else f"must begin with {_POSTGRESQL}://"


def _fault_of_schema(url: URL, text: str) -> str | None:
    """Of an empty one, only the ``text`` of the URL tells."""
    named = "" if re.search(rf"[?&]{SCHEMA}=?(&|$)", text) else url.query.get(SCHEMA)
    if named is None or (isinstance(named, str) and _A_SCHEMA.fullmatch(named)):
        return None
    return (
        "has a schema that can be none: write one name of small letters, digits and underscores,"
        " as in ?schema=visitor_sync"
    )


def schema_of(url: URL) -> str | None:
    """The PostgreSQL schema that the URL asks for; None for the one that the server has for the user."""
    named = url.query.get(SCHEMA)
    return named if isinstance(named, str) else None


def parse_url(url: str | URL, *, named: str = "SYNC_STATE_URL") -> URL:
    """The URL, understood. Raises SettingsError, about what it is ``named``."""
    return url if isinstance(url, URL) else _understood(url, named)


@lru_cache(maxsize=_MOST_URLS)
def _understood(url: str, named: str) -> URL:
    if wrong := fault(url):
        raise SettingsError(f"{named} {wrong}.", fix=_EXAMPLES)
    parsed = make_url(url)
    try:
        parsed.get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError):
        raise SettingsError(
            f"{named} names PostgreSQL, whose driver is not installed.",
            fix=f"In the checkout: {installing('postgres')}",
        ) from None
    return parsed


def place(url: URL) -> str:
    """The URL as people may see it: without its password."""
    if url.get_backend_name() == "sqlite":
        return url.database or "(memory)"
    return url.difference_update_query(_SECRET_OPTIONS).render_as_string()


def sqlite_path(url: URL) -> Path | None:
    """The file behind a SQLite URL, free of symbolic links; None for servers."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(os.path.realpath(url.database))


def file_behind(connection: Connection) -> Path | None:
    """The file that is written through this connection; None for a throw-away copy and for a server."""
    if connection.engine.get_execution_options().get(COPY):
        return None
    return sqlite_path(connection.engine.url)


def exists(url: str | URL) -> bool:
    """Whether there is anything to connect to without making it. Raises StateError where that is hidden."""
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path is None:
        return True
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as exc:
        raise StateError(
            f"State database {place(parsed)}: {exc.strerror}.",
            fix="Run as the user who owns it, or name another one in SYNC_STATE_URL.",
        ) from exc
    return True
