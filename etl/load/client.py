"""The HTTP side of HubSpot, through its official client: pace, retries, timeouts and errors of ours.

The only module that imports ``hubspot``, and only when the first request is made (it costs 100 ms).
"""

from __future__ import annotations

import threading
from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from etl import jsontext, redact
from etl.errors import ContractBrokenError, UnavailableError
from etl.load.circuit import Circuit
from etl.load.statuses import WRITE_SCOPE, refusal, ten_second_limit
from etl.load.wire import Wire
from etl.network.route import credential, route_to
from etl.network.strangers import stranger
from etl.network.trace import Trace
from etl.retry import Patience, persevere

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from etl.clock import Clock
    from etl.network.reply import Reply

T = TypeVar("T")

_PATIENCE = Patience()


class Slots(Protocol):
    """What keeps a limit, such as a Pace."""

    def slot(self) -> AbstractContextManager[None]:
        """Wait for a free slot, then hold it around one request."""
        ...

    def pause(self, seconds: float, /) -> None:
        """Let nobody send for ``seconds``."""
        ...

    def lower_limit(self, limit: int, /) -> None:
        """Obey a limit that the other side stated, where it is stricter than ours."""
        ...


class Heeding(Protocol):
    """What counts the requests of a day, by what answers say of it."""

    def heed(self, reply: Reply, /) -> None: ...


class HubSpotClient:
    """Sends requests and returns complete replies. Safe to use from several threads.

    ``base_url`` as ``https://api.hubapi.com``; ``api_version`` is ``v3`` or a dated one. ``timeout_s`` and
    ``deadline_s`` as in ``Wire``. ``day``, where there is one, is told of every answer; where others keep the
    limits, too, ``search`` is that of searches.
    """

    def __init__(
        self,
        *,
        access_token: str,
        base_url: str,
        api_version: str,
        clock: Clock,
        pace: Slots,
        patience: Patience = _PATIENCE,
        timeout_s: tuple[float, float] = (5.0, 30.0),
        deadline_s: float = 25.0,
    ) -> None:
        self._token = credential(access_token, setting="HUBSPOT_ACCESS_TOKEN")
        self.route = route_to(base_url, api="HubSpot", setting="HUBSPOT_BASE_URL")
        dated = "" if api_version == "v3" else f"/{api_version}"
        stem = "/crm/v3" if api_version == "v3" else "/crm"
        self.contacts_path = f"{stem}/objects{dated}/contacts"
        self.properties_path = f"{stem}/properties{dated}/contacts"
        self.account_path = f"/account-info/{api_version}/details"
        self._clock = clock
        self._pace = pace
        self.day: Heeding | None = None
        self.search: Slots | None = None
        self._patience = patience
        self._wire = Wire(self.route, timeout_s=timeout_s, deadline_s=deadline_s)
        self.circuit = Circuit()
        self._lock = threading.Lock()
        self._requests = 0
        self._api: Any = None

    @property
    def requests(self) -> int:
        """HTTP requests sent so far, repeated ones included."""
        return self._requests

    @property
    def credential(self) -> str:
        """A digest that changes with the token, and with the address to which it is sent."""
        return blake2b(f"{self.route.url}\n{self._token}".encode(), digest_size=16).hexdigest()

    def send(
        self,
        method: str,
        path: str,
        *,
        read: Callable[[Reply], T],
        where: str,
        body: Any = None,
        expects: frozenset[int] = frozenset(),
        scope: str = WRITE_SCOPE,
    ) -> T:
        """What ``read`` makes of the reply to a request, which is repeated while that may help.

        ``read`` gets every 2xx and the statuses it ``expects`` besides, and raises TransientError for a body
        that it cannot understand. Raises AccessRefusedError (401, 403), UnavailableError,
        ContractBrokenError, SettingsError for an impossible URL, and InterruptedRunError.
        """
        payload = None if body is None else jsontext.written(body)
        trace = Trace("HubSpot", method, path, clock=self._clock)

        def attempt() -> T:
            self.circuit.raise_if_open()
            self._official_client()  # its import must not take place between a slot and its request
            with self._pace.slot():
                self.circuit.raise_if_open()  # it may have opened while this thread waited for its turn
                reply = trace.of(lambda: self._exchange(method, path, payload))
            if (limit := ten_second_limit(reply)) is not None:
                self._pace.lower_limit(limit)
            if self.day:
                self.day.heed(reply)
            if error := stranger(reply, self.route):
                raise error
            if not reply.ok and reply.status not in expects:
                raise self._refusal(reply, where=where, scope=scope)
            return read(reply)

        try:
            return persevere(attempt, patience=self._patience, clock=self._clock, where=where)
        except (UnavailableError, ContractBrokenError) as error:
            self.circuit.open(error)
            raise

    def without_secrets(self, text: str) -> str:
        """``text`` without the access token, should HubSpot echo it."""
        return redact.secrets(text, self._token)

    def close(self) -> None:
        """Give up all connections; a request in flight in another thread fails."""
        self._wire.close()

    def _refusal(self, reply: Reply, *, where: str, scope: str) -> Exception:
        """The error that ``reply`` means, after telling the other threads what concerns them too."""
        error = refusal(reply, where=where, scope=scope, now=self._clock.now())
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._pace.pause(self._patience.obeyed_s(error))
        return error

    def _exchange(self, method: str, path: str, payload: bytes | None) -> Reply:
        """One HTTP request. Raises TransientError for whatever keeps a complete reply from arriving."""
        api = self._official_client()
        with self._lock:
            self._requests += 1
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        reply: Reply = api.call_api(
            path,
            method,
            header_params=headers,
            body=payload,
            auth_settings=["oauth2"],
            _preload_content=False,
        )
        return reply

    def _official_client(self) -> Any:
        with self._lock:
            if self._api is None:
                self._api = self._import_official_client()
            return self._api

    def _import_official_client(self) -> Any:
        from hubspot import HubSpot  # noqa: PLC0415 -- costs 100 ms, which only a run that sends should pay

        official = HubSpot(access_token=self._token, host=self.route.url, retry=False)
        api = official.crm.contacts.batch_api.api_client
        api.rest_client = _RestLayer(self._wire)
        return api


class _RestLayer:
    """Stands in for the official client's REST layer, ``hubspot.crm.contacts.rest``.

    The original knows neither the system's certificates nor the environment's proxies; it follows redirects,
    reads the body of an error for as long as it drips, and decodes it before anybody can see its status: one
    byte that is not UTF-8 hides a 401 behind a UnicodeDecodeError.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def GET(self, url: str, *, headers: dict[str, str], **_: Any) -> Reply:  # noqa: N802 -- the vendor's name
        return self._wire.request("GET", url, headers=headers)

    def POST(self, url: str, *, headers: dict[str, str], body: bytes, **_: Any) -> Reply:  # noqa: N802 -- likewise
        return self._wire.request("POST", url, headers=headers, body=body)
