"""A line in the log for every request to one of the two APIs, where somebody asks for that much."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.clock import Clock
    from etl.network.reply import Reply

log = logging.getLogger(__name__)

_NO_ID = re.compile(r"[a-z][a-z_-]*|v\d+|\d{4}-\d{2}")
"""The words of a path, and the versions of an API."""


def without_ids(path: str) -> str:
    """``path`` without whatever may lead to a person, nor what its query asks for."""
    path, _, query = path.partition("?")
    shown = "/".join(each if not each or _NO_ID.fullmatch(each) else "<id>" for each in path.split("/"))
    asked = "&".join(each.partition("=")[0] for each in query.split("&"))
    return f"{shown}?{asked}" if asked else shown


class Trace:
    """The attempts of one request. At any level above debug nothing is made of what it is given.

    ``shown`` says what the log may hold of the path.
    """

    def __init__(
        self, api: str, method: str, path: str, *, clock: Clock, shown: Callable[[str], str] = without_ids
    ) -> None:
        self._api, self._method, self._path = api, method, path
        self._clock, self._shown = clock, shown
        self._attempt = 0

    def of(self, ask: Callable[[], Reply]) -> Reply:
        """The reply to the next attempt. Raises what ``ask`` raises."""
        self._attempt += 1
        if not log.isEnabledFor(logging.DEBUG):
            return ask()
        began = self._clock.monotonic()
        try:
            reply = ask()
        except Exception as exc:
            self._tell(began, status=None, why=str(exc))
            raise
        self._tell(began, status=reply.status)
        return reply

    def _tell(self, began: float, **outcome: object) -> None:
        facts = {
            "action": "http_request",
            "api": self._api,
            "method": self._method,
            "path": self._shown(self._path),
            **outcome,
            "elapsed_s": round(self._clock.monotonic() - began, 3),
            "attempt": self._attempt,
        }
        log.debug("request", extra=facts)
