"""The HTTP side of HubSpot, through its official client: pace, retries, timeouts and errors of ours.

The only module that imports ``hubspot``, and only when the first request is made (it costs 100 ms).
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

from etl import jsontext, redact
from etl.errors import ContractBrokenError, SettingsError, UnavailableError
from etl.load.circuit import Circuit
from etl.load.replies import (
    WRITE_SCOPE,
    BusyError,
    Reply,
    failure,
    ten_second_limit,
)
from etl.network.route import route_to
from etl.network.strangers import stranger
from etl.retry import Patience, asked_to_wait, persevere

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.clock import Clock
    from etl.errors import SyncError
    from etl.pace import Pace

log = logging.getLogger(__name__)
T = TypeVar("T")

_PATIENCE = Patience()
_TOO_MANY = 429


class HubSpotClient:
    """Sends requests and returns complete replies. Safe to use from several threads.

    ``base_url`` as ``https://api.hubapi.com``; ``api_version`` is ``v3`` or a dated one. ``timeout_s`` are
    the seconds to connect and between two bytes, ``deadline_s`` those that all headers may take, and the
    whole body as well.
    """

    def __init__(
        self,
        *,
        access_token: str,
        base_url: str,
        api_version: str,
        clock: Clock,
        pace: Pace,
        patience: Patience = _PATIENCE,
        timeout_s: tuple[float, float] = (5.0, 30.0),
        deadline_s: float = 25.0,
    ) -> None:
        if not access_token.isascii() or not access_token.isprintable():
            raise SettingsError(
                "HUBSPOT_ACCESS_TOKEN holds a character that no token has.", fix="Copy the token again."
            )
        self._token = access_token
        self.route = route_to(base_url, api="HubSpot", setting="HUBSPOT_BASE_URL")
        dated = "" if api_version == "v3" else f"/{api_version}"
        stem = "/crm/v3" if api_version == "v3" else "/crm"
        self.contacts_path = f"{stem}/objects{dated}/contacts"
        self.properties_path = f"{stem}/properties{dated}/contacts"
        self.account_path = f"/account-info/{api_version}/details"
        self._clock = clock
        self._pace = pace
        self._patience = patience
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._circuit = Circuit()
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

        def attempt() -> T:
            self._circuit.raise_if_open()
            self._official_client()  # its import must not take place between a slot and its request
            with self._pace.slot():
                self._circuit.raise_if_open()  # it may have opened while this thread waited for its turn
                reply = self._exchange(method, path, payload)
                if error := self._stranger(reply):
                    raise error
                if not reply.ok and reply.status not in expects:
                    raise self._refusal(reply, where=where, scope=scope)
                return read(reply)

        try:
            return persevere(attempt, patience=self._patience, clock=self._clock, where=where)
        except (UnavailableError, ContractBrokenError) as error:
            self._circuit.open(error)
            raise

    def without_secrets(self, text: str) -> str:
        """``text`` without the access token, should HubSpot echo it."""
        return redact.secrets(text, self._token)

    def close(self) -> None:
        """Close idle connections. The client may be used again."""
        with self._lock:
            if self._api is not None:
                self._api.rest_client.pool.clear()

    def _stranger(self, reply: Reply) -> SyncError | None:
        location = reply.headers.get("location", "")
        return stranger(reply.status, location=location, body=reply.body, route=self.route)

    def _refusal(self, reply: Reply, *, where: str, scope: str) -> Exception:
        """The error that ``reply`` means, after telling the other threads what concerns them too."""
        error = failure(reply, where=where, scope=scope, now=self._clock.now())
        if isinstance(error, BusyError):
            error = self._impatient(error)
        if isinstance(error, BusyError) and reply.status == _TOO_MANY:
            self._pace.pause(error.wait_s)
        return error

    def _impatient(self, error: BusyError) -> BusyError | UnavailableError:
        """``error``, or the end of the run where it asks for a wait longer than our patience."""
        if error.wait_s <= self._patience.longest_asked_s:
            return error
        until = self._clock.now() + timedelta(seconds=error.wait_s)
        return asked_to_wait(error, error.what, until=until)

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
            _request_timeout=self._timeout_s,
        )
        if (limit := ten_second_limit(reply)) is not None:
            self._pace.lower_limit(limit)
        return reply

    def _official_client(self) -> Any:
        with self._lock:
            if self._api is None:
                self._api = self._import_official_client()
            return self._api

    def _import_official_client(self) -> Any:
        from hubspot import HubSpot  # noqa: PLC0415 -- costs 100 ms, which only a run that sends should pay

        from etl.load.wire import Wire  # noqa: PLC0415 -- and this 10 ms

        official = HubSpot(access_token=self._token, host=self.route.url, retry=False)
        api = official.crm.contacts.batch_api.api_client
        api.rest_client = Wire(self.route, deadline_s=self._deadline_s)
        return api
