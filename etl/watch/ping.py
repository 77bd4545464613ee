"""Pings for a dead man's switch, in the style of healthchecks.io: a start, its end, and what was said.

https://healthchecks.io/docs/http_api: the bare URL is a success, ``/start``, ``/fail`` and ``/log`` stand
below it; ``rid`` is a UUID; a body of 10,000 bytes is kept. A ping that did not count is a 200, too, with
``OK (not found)`` or ``OK (rate limited)``.
"""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from etl.errors import SettingsError, SyncError
from etl.network.strangers import kind_of
from etl.network.urls import authority, checked
from etl.redact import addresses
from etl.retry import TransientError
from etl.watch.hooks import HTML, foreign, hook_to, wire_to

if TYPE_CHECKING:
    from etl.clock import Clock
    from etl.network.reply import Reply
    from etl.network.route import Route
    from etl.network.wire import Wire

log = logging.getLogger(__name__)

SETTING = "SYNC_PING_URL"
LONGEST_BODY = 10_000
"""Bytes."""

_QUERY = re.compile(r"[!-~]*", re.ASCII)
_PAUSE_S = 0.5
_TRIES = 2


class Ping:
    """Tells one check how a run fares, for one thread at a time.

    A ping says whether it arrived, and never raises: where it did not, one warning tells the host and the
    reason. The URL is a secret, and so is its query.
    """

    def __init__(self, url: str, *, clock: Clock, timeout_s: float = 5.0) -> None:
        """``timeout_s`` are the seconds of one exchange, of which there are two at most.

        Raises SettingsError for a URL that is none; it is called at the first ping.
        """
        try:
            self._base, _, self._query = checked_ping_url(url).partition("?")
        except ValueError as exc:
            raise SettingsError(f"{SETTING} {exc}.", fix="Copy the ping URL of the check again.") from exc
        self._clock = clock
        self._timeout_s = timeout_s
        self._opened: Wire | None = None

    def start(self, rid: str) -> bool:
        """The run ``rid``, a UUID, begins."""
        return self._ping("/start", rid, "")

    def success(self, rid: str, body: str) -> bool:
        """The run ``rid`` ended well. Of ``body`` the check keeps the beginning, without addresses."""
        return self._ping("", rid, body)

    def fail(self, rid: str, body: str) -> bool:
        """The run ``rid`` ended badly."""
        return self._ping("/fail", rid, body)

    def log(self, rid: str, body: str) -> bool:
        """Something to keep that changes nothing about the check."""
        return self._ping("/log", rid, body)

    def close(self) -> None:
        """Give up the connection; a ping in flight in another thread fails."""
        if self._opened:
            self._opened.close()

    def _ping(self, suffix: str, rid: str, body: str) -> bool:
        try:
            self._send(f"{suffix}?{self._query_with(rid)}", kept(body))
        except Exception as exc:  # noqa: BLE001 -- whatever it is, a ping never ends a run
            why = exc.what if isinstance(exc, SyncError | TransientError) else type(exc).__name__
            facts = {"action": "ping_failed", "host": authority(self._base), "why": why}
            log.warning("a ping did not arrive", extra=facts)
            return False
        return True

    def _query_with(self, rid: str) -> str:
        own = f"rid={UUID(rid)}"
        return f"{self._query}&{own}" if self._query else own

    def _send(self, path: str, body: bytes) -> None:
        for tries_left in reversed(range(_TRIES)):
            try:
                return self._attempt(path, body)
            except TransientError:
                if not tries_left:
                    raise
            self._clock.wait(_PAUSE_S, "a ping did not arrive")
        return None

    def _attempt(self, path: str, body: bytes) -> None:
        wire = self._wire()
        reply = wire.post(body, path)
        if failed := trouble(reply, wire.route):
            raise failed

    def _wire(self) -> Wire:
        if self._opened is None:
            route = hook_to(self._base, api="the check", setting=SETTING)
            limits = (self._timeout_s, self._timeout_s)
            self._opened = wire_to(
                route,
                content_type="text/plain; charset=utf-8",
                timeout_s=limits,
                deadline_s=self._timeout_s,
            )
        return self._opened


def checked_ping_url(text: str) -> str:
    """``text`` as it is called; other than a base URL it may have a query.

    Raises ValueError, with the end of a sentence that begins with the setting's name.
    """
    base, _, query = text.partition("?")
    if "#" in text:
        raise ValueError("must be a URL without a # in it")
    plain = checked(base)
    if not _QUERY.fullmatch(query):
        raise ValueError("must be a URL without blanks and special characters; write them as %XX")
    return f"{plain}?{query}" if query else plain


def kept(body: str) -> bytes:
    """What of ``body`` may be sent and is kept: without addresses, and cut between two characters."""
    whole = addresses(body).encode("utf-8", "replace")
    return whole if len(whole) <= LONGEST_BODY else whole[:LONGEST_BODY].decode("utf-8", "ignore").encode()


def trouble(reply: Reply, route: Route) -> SyncError | TransientError | None:
    """Why ``reply`` is not that of a ping that counted; None where it is."""
    if error := foreign(reply, route):
        return error
    what = f"{route.host} answered with status {reply.status}"
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.is_outage:
        return TransientError(what)
    if not reply.ok:
        return SyncError(f"{what}: {SETTING} is not the ping URL of a check.")
    why = _uncounted(reply, route)
    return SyncError(why) if why else None


def _uncounted(reply: Reply, route: Route) -> str | None:
    if kind_of(reply.body) == HTML:
        return f"{route.host} answered with a page (HTML): {SETTING} is not the ping URL of a check."
    if reply.body.startswith(b"OK (not found)"):
        return f"{route.host} knows no such check as {SETTING} names."
    if reply.body.startswith(b"OK (rate limited)"):
        return f"{route.host} did not count the ping: there were too many in a minute."
    return None
