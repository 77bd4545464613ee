"""URLs that are secrets themselves: whoever has one may post to it, so none is ever shown."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from etl.network.route import route_to
from etl.network.strangers import kind_of, stranger

if TYPE_CHECKING:
    from etl.errors import SyncError
    from etl.network.reply import Reply
    from etl.network.route import Route
    from etl.network.wire import Wire

HTML = "HTML"
"""What ``kind_of`` calls a page."""

_LOUD = ("httpx", "httpcore")
_SHORTEST_SECRET = 6


def hook_to(url: str, *, api: str, setting: str) -> Route:
    """The way to a hook. Raises SettingsError, without the URL, for one that may not be called."""
    return route_to(url, api=api, setting=setting, fix=f"Copy the URL from {api} again.")


def wire_to(route: Route, *, content_type: str, timeout_s: tuple[float, float], deadline_s: float) -> Wire:
    """A connection that logs no URL: httpx would tell its own, and httpcore that of a redirect."""
    from etl.network.wire import Wire  # noqa: PLC0415 -- httpx takes 50 ms that reading a setting need not

    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    return Wire(route, headers={"Content-Type": content_type}, timeout_s=timeout_s, deadline_s=deadline_s)


def secret_parts(url: str) -> tuple[str, ...]:
    """What of ``url`` no text may hold, the longest first: the whole, its path, and the parts of that."""
    path = urlsplit(url).path
    parts = {part for part in path.split("/") if len(part) >= _SHORTEST_SECRET}
    found = {url, path, path.strip("/"), *parts}
    return tuple(sorted(found | set(map(unquote, found)), key=len, reverse=True))


def foreign(reply: Reply, route: Route) -> SyncError | None:
    """As ``stranger``, for an API that refuses in plain text: only a page comes from somebody else."""
    if reply.status == HTTPStatus.FORBIDDEN and kind_of(reply.body) != HTML:
        return None
    return stranger(reply, route)
