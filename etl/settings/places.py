"""Where the states of several portals are, and the tables that they share: beside each other."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from etl.state.urls import SCHEMA, fault, parse_url, schema_of

if TYPE_CHECKING:
    from sqlalchemy import URL

BASE = "visitor_sync"
"""The schema of what is shared, where SYNC_STATE_URL names none; those of portals begin with it."""

_SHARED_FILE = "fleet.db"
_FOLDER = "portals"
_LONGEST = 63


def shared_url(base: str) -> str:
    """Where the shared tables are, for the URL that SYNC_STATE_URL names, or the default one."""
    url = parse_url(base)
    if url.get_backend_name() == "sqlite":
        return _beside(url, _SHARED_FILE)
    return _with_schema(url, _base(url))


def portal_url(base: str, portal: str) -> str:
    """Where the state of a portal is."""
    url = parse_url(base)
    if url.get_backend_name() == "sqlite":
        return _beside(url, f"{_FOLDER}/{portal}.db")
    return _with_schema(url, f"{_base(url)}_{portal.replace('-', '_')}")


def base_of(url: str, portal: str) -> str | None:
    """What SYNC_STATE_URL names where the state of a portal is at ``url``; None where nothing does."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = PurePosixPath(parsed.database or "")
        folder = parsed.set(database=str(path.parent))
        return _beside(folder, "state.db") if path.parts[-2:] == (_FOLDER, f"{portal}.db") else None
    schema = schema_of(parsed) or ""
    base = schema.removesuffix(f"_{portal.replace('-', '_')}")
    return _with_schema(parsed, base) if base not in {"", schema} else None


def wrong_place(base: str, portals: tuple[str, ...]) -> list[str]:
    """Why the states cannot be where they would be, each the end of a sentence about SYNC_STATE_URL."""
    if fault(base):
        return []  # told as of any setting
    url = parse_url(base)
    if url.get_backend_name() == "sqlite":
        own = PurePosixPath(url.database or "").name == _SHARED_FILE
        return [f"names {_SHARED_FILE}, which is for what portals share: choose another name"] * own
    room = _LONGEST - len(_base(url)) - 1
    return [
        f"leaves {room} characters for the schema of a portal, and {name} has {len(name)}"
        for name in portals
        if len(name) > room
    ]


def _base(url: URL) -> str:
    return schema_of(url) or BASE


def _beside(url: URL, name: str) -> str:
    database = PurePosixPath(url.database or "").parent / name
    return url.set(database=str(database)).render_as_string(hide_password=False)


def _with_schema(url: URL, schema: str) -> str:
    return url.update_query_dict({SCHEMA: schema}).render_as_string(hide_password=False)
