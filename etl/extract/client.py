"""Zenovay's External API: one request, repeated as long as that makes sense, at the pace it allows."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from etl.errors import SettingsError, UnavailableError
from etl.extract.payload import UnreadableBodyError
from etl.extract.refusals import refusal
from etl.extract.wire import Wire
from etl.jsontext import UnreadableError, parse
from etl.network.strangers import stranger
from etl.retry import Patience, TransientError, persevere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from etl.clock import Clock
    from etl.errors import SyncError
    from etl.extract.budget import Budget
    from etl.extract.wire import Reply
    from etl.pace import Pace

T = TypeVar("T")

_PATIENCE = Patience()
_LONGEST_PAUSE_S = 60.0
_LARGEST_LIMIT = 100_000
_CHECK_URL = "Check ZENOVAY_BASE_URL, and whether the API has changed; nothing is lost."


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A readable body. ``date`` is the server's clock by its HTTP header; ``asked_at`` is ours, before."""

    value: T
    date: datetime | None
    asked_at: datetime


class ZenovayClient:
    """Asks, waits and asks again; what it cannot get it explains in an error of ``etl.errors``."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        clock: Clock,
        pace: Pace,
        budget: Budget,
        patience: Patience = _PATIENCE,
        read_timeout_s: float = 30.0,
        deadline_s: float = 25.0,
    ) -> None:
        """``read_timeout_s`` bounds the silence of the server, ``deadline_s`` a whole answer."""
        self.requests = 0
        self.pace = pace
        self.budget = budget
        self._api_key = _checked(api_key)
        self._clock = clock
        self._patience = patience
        self._wire = Wire(
            base_url=base_url,
            headers={
                "X-API-Key": self._api_key,
                "Accept": "application/json",
                "User-Agent": f"visitor-sync/{version('visitor-sync')}",
            },
            read_timeout_s=read_timeout_s,
            deadline_s=deadline_s,
        )

    def get(self, path: str, params: Mapping[str, str], *, readable: Callable[[Any], T]) -> Answer[T]:
        """What ``readable`` makes of the JSON at ``path``.

        ``readable`` raises UnreadableBodyError for a body that the documentation does not allow; that is
        retried like an outage. Raises UnavailableError, AccessRefusedError, SettingsError (404) and
        ContractBrokenError.
        """
        return persevere(
            lambda: self._attempt(path, params, readable),
            patience=self._patience,
            clock=self._clock,
            where=f"Zenovay {path}",
        )

    def close(self) -> None:
        """Give up the connection; a request in flight in another thread fails."""
        self._wire.close()

    def _attempt(self, path: str, params: Mapping[str, str], readable: Callable[[Any], T]) -> Answer[T]:
        self.budget.spend()
        with self.pace.slot():
            self.requests += 1
            asked_at = self._clock.now()
            reply = self._wire.get(path, params)
        self._keep_limits(reply)
        if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            now = self.budget.now_by(reply.date)
            failure = self._stranger(reply) or refusal(reply, path=path, api_key=self._api_key, now=now)
            if isinstance(failure, UnavailableError) and failure.until:
                failure.until = self._clock.now() + (failure.until - now)
            self._pause_if_asked(reply, failure)
            raise failure
        return Answer(_read(reply, readable), reply.date, asked_at)

    def _stranger(self, reply: Reply) -> SyncError | None:
        location = reply.headers.get("Location", "")
        return stranger(reply.status, location=location, body=reply.body, route=self._wire.route)

    def _pause_if_asked(self, reply: Reply, failure: Exception) -> None:
        """Hold back every request, but not for a wait so long that this one is given up instead."""
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS and isinstance(failure, TransientError):
            asked_s = failure.asked_s or 0.0
            if 0 < asked_s <= self._patience.longest_asked_s:
                self.pace.pause(asked_s)

    def _keep_limits(self, reply: Reply) -> None:
        """Obey the limits in the headers, if they state any; older pages know a reset in unix seconds."""
        self.budget.heed(reply)
        limit = reply.number("X-RateLimit-Limit")
        if limit and limit <= _LARGEST_LIMIT:
            self.pace.set_limit(limit)
        reset = reply.number("X-RateLimit-Reset")
        if reply.number("X-RateLimit-Remaining") == 0 and reset:
            ahead_s = reset - (reply.date or self._clock.now()).timestamp()
            if 0 < ahead_s <= _LONGEST_PAUSE_S:
                self.pace.pause(ahead_s)


def _read(reply: Reply, readable: Callable[[Any], T]) -> T:
    try:
        body = parse(reply.body)
    except UnreadableError as exc:
        what = f"{reply.kind(exc.offset)} with status {reply.status}"
        raise TransientError(what, malformed=True, unread=reply.body, fix=_CHECK_URL) from exc
    try:
        return readable(body)
    except UnreadableBodyError as exc:
        raise TransientError(str(exc), malformed=True, fix=_CHECK_URL) from exc


def _checked(api_key: str) -> str:
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise SettingsError(
            "ZENOVAY_API_KEY is empty or holds a character that no key has.",
            fix="Copy the secret key again; it starts with zv_.",
        )
    return api_key
