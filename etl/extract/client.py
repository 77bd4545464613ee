"""Zenovay's External API: one request, repeated as long as that makes sense, at the pace it allows."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from etl.errors import UnavailableError
from etl.extract.payload import UnreadableBodyError
from etl.extract.statuses import refusal
from etl.jsontext import UnreadableError, parse
from etl.network.route import credential, route_to
from etl.network.strangers import kind_of, stranger
from etl.network.trace import Trace
from etl.network.wire import Wire
from etl.retry import Patience, TransientError, persevere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from etl.clock import Clock
    from etl.extract.budget import Allowance
    from etl.network.reply import Reply

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


class Slots(Protocol):
    """What keeps a limit, such as a Pace."""

    @property
    def limit(self) -> int:
        """Requests in a window."""
        ...

    def slot(self) -> AbstractContextManager[None]:
        """Wait for a free slot, then hold it around one request."""
        ...

    def pause(self, seconds: float, /) -> None:
        """Let nobody send for ``seconds``."""
        ...

    def set_limit(self, limit: int, /) -> None:
        """Obey a limit that the other side stated."""
        ...


class ZenovayClient:
    """Asks, waits and asks again; what it cannot get it explains in an error of ``etl.errors``."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        clock: Clock,
        pace: Slots,
        budget: Allowance,
        patience: Patience = _PATIENCE,
        timeout_s: tuple[float, float] = (5.0, 30.0),
        deadline_s: float = 25.0,
    ) -> None:
        """``timeout_s`` and ``deadline_s`` as in ``Wire``."""
        self.requests = 0
        self.pace = pace
        self.budget = budget
        self._api_key = credential(api_key, setting="ZENOVAY_API_KEY")
        self._clock = clock
        self._patience = patience
        headers = {
            "X-API-Key": self._api_key,
            "Accept": "application/json",
        }
        route = route_to(base_url, api="Zenovay", setting="ZENOVAY_BASE_URL")
        self._wire = Wire(route, headers=headers, timeout_s=timeout_s, deadline_s=deadline_s)

    def get(self, path: str, params: Mapping[str, str], *, readable: Callable[[Any], T]) -> Answer[T]:
        """What ``readable`` makes of the JSON at ``path``.

        ``readable`` raises UnreadableBodyError for a body that the documentation does not allow; that is
        retried like an outage. Raises UnavailableError, AccessRefusedError, SettingsError (404) and
        ContractBrokenError.
        """
        asked = f"{path}?{'&'.join(params)}"
        trace = Trace("Zenovay", "GET", asked, clock=self._clock, shown=str)  # a website's id at most
        return persevere(
            lambda: self._attempt(path, params, readable, trace),
            patience=self._patience,
            clock=self._clock,
            where=f"Zenovay {path}",
        )

    def close(self) -> None:
        """Give up the connection; a request in flight in another thread fails."""
        self._wire.close()

    def _attempt(
        self, path: str, params: Mapping[str, str], readable: Callable[[Any], T], trace: Trace
    ) -> Answer[T]:
        self.budget.spend()
        with self.pace.slot():
            self.requests += 1
            asked_at = self._clock.now()
            reply = trace.of(lambda: self._wire.get(path, params))
        self._keep_limits(reply)
        if error := stranger(reply, self._wire.route):
            raise error
        if not reply.ok:
            raise self._refusal(reply, path=path)
        return Answer(read_body(reply, readable), reply.date, asked_at)

    def _refusal(self, reply: Reply, *, path: str) -> Exception:
        """The error that ``reply`` means, by our own clock, after holding back what would meet it too."""
        now = self.budget.now_by(reply.date)
        failure = refusal(reply, path=path, api_key=self._api_key, now=now)
        if isinstance(failure, UnavailableError) and failure.until:
            failure.until = self._clock.now() + (failure.until - now)
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            self.pace.pause(self._patience.obeyed_s(failure))
        return failure

    def _keep_limits(self, reply: Reply) -> None:
        """Obey the limits in the headers, if they state any.

        ``X-RateLimit-Remaining`` may be absent (https://help.zenovay.com/en/article/rate-limits/), a reset in
        unix seconds is known to older pages only (https://docs.zenovay.com/en/api/rate-limits/).
        """
        self.budget.heed(reply)
        limit = reply.number("x-ratelimit-limit")
        if limit and limit <= _LARGEST_LIMIT:
            self.pace.set_limit(limit)
        reset = reply.number("x-ratelimit-reset")
        if reply.number("x-ratelimit-remaining") == 0 and reset:
            ahead_s = reset - (reply.date or self._clock.now()).timestamp()
            if 0 < ahead_s <= _LONGEST_PAUSE_S:
                self.pace.pause(ahead_s)


def read_body(reply: Reply, readable: Callable[[Any], T]) -> T:
    """What ``readable`` makes of a body. Raises TransientError where it cannot, or where that is no JSON."""
    try:
        body = parse(reply.body)
    except UnreadableError as exc:
        what = f"{kind_of(reply.body, exc.offset)} with status {reply.status}"
        raise TransientError(what, malformed=True, unread=reply.body, fix=_CHECK_URL) from exc
    try:
        return readable(body)
    except UnreadableBodyError as exc:
        raise TransientError(str(exc), malformed=True, fix=_CHECK_URL) from exc
