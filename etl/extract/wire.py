"""One GET at a time over one held connection, bounded in time and size."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl import jsontext
from etl.deadline import Deadline, shut_down
from etl.extract.instants import clock, http_date
from etl.network.failures import failed, tunnel_refused
from etl.network.route import route_to
from etl.network.strangers import kind_of
from etl.network.trust import trust
from etl.retry import TransientError

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its command line: 30 ms for nothing

import httpx  # noqa: E402 -- see above

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from etl.errors import SyncError
    from etl.network.proxies import Proxy
    from etl.network.route import Route

_CONNECT_S = 5.0
_LARGEST_BODY = 64 * 2**20
_MOST_DIGITS = 15
_CONNECT_REFUSED = re.compile(r"[1-9][0-9]{2}\b")
"""How the text of httpcore begins where a proxy answered CONNECT with that status."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read to its end. ``headers`` are found in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def date(self) -> datetime | None:
        """The other side's clock, in whole seconds, if it states it."""
        return clock(http_date(self.headers.get("Date", "")))

    def number(self, header: str) -> int | None:
        """The whole number in a header; None where there is none, or one that no limit has."""
        text = self.headers.get(header, "").strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None

    def kind(self, offset: int | None = None) -> str:
        """What the body looks like, for a message; ``offset`` is the byte from which on it cannot be read."""
        kind = kind_of(self.body)
        return f"{kind} at byte {offset}" if offset is not None and jsontext.is_meant(self.body) else kind


class Wire:
    """An HTTP client that never waits longer than ``deadline_s`` for one answer.

    Redirects are not followed: they would carry the key elsewhere.
    """

    def __init__(
        self, *, base_url: str, headers: Mapping[str, str], read_timeout_s: float, deadline_s: float
    ) -> None:
        self.route = route_to(base_url, api="Zenovay", setting="ZENOVAY_BASE_URL")
        self._deadline_s = deadline_s
        self._socket: object = None
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(read_timeout_s, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0),
            follow_redirects=False,
            verify=trust(),
            proxy=_proxy(self.route.proxy) if self.route.proxy else None,
            trust_env=False,
        )

    def get(self, path: str, params: Mapping[str, str]) -> Reply:
        """The answer, whatever its status. Raises TransientError when none arrives in time and whole.

        Raises SettingsError and AccessRefusedError for what will not pass: a certificate, a proxy's refusal.
        """
        with Deadline(self._deadline_s, self._socket) as deadline:
            try:
                reply = self._exchange(path, params, deadline)
            except (httpx.RequestError, UnicodeError) as exc:  # the latter: a name that IDNA does not allow
                raise TransientError(self._late()) if deadline.passed else _failure(exc, self.route) from exc
        if deadline.passed:
            raise TransientError(self._late())
        return reply

    def close(self) -> None:
        """Give up the connection; a request in flight in another thread fails."""
        shut_down(self._socket)
        self._http.close()

    def _exchange(self, path: str, params: Mapping[str, str], deadline: Deadline) -> Reply:
        def remember_socket(event: str, seen: Mapping[str, Any]) -> None:
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                self._socket = seen["return_value"].get_extra_info("socket")
                deadline.guard(self._socket)

        extensions = {"trace": remember_socket}
        url = self.route.url + path
        with self._http.stream("GET", url, params=params, extensions=extensions) as response:
            return Reply(response.status_code, response.headers, _whole_body(response))

    def _late(self) -> str:
        return f"{self.route.host} gave no whole answer within {self._deadline_s:g} s"


def _whole_body(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise TransientError(
                f"a body of more than {_LARGEST_BODY >> 20} MiB",
                malformed=True,
                fix="Check ZENOVAY_BASE_URL.",
            )
    return bytes(body)


def _proxy(proxy: Proxy) -> httpx.Proxy:
    context = trust() if proxy.scheme == "https" else None
    return httpx.Proxy(proxy.url, ssl_context=context, auth=proxy.credentials)


def _failure(exc: Exception, route: Route) -> SyncError | TransientError:
    refused = _CONNECT_REFUSED.match(str(exc)) if isinstance(exc, httpx.ProxyError) else None
    if refused:
        return tunnel_refused(int(refused[0]), route)
    return failed(exc, route, otherwise=_in_words(exc, route))


def _in_words(exc: Exception, route: Route) -> str | None:
    if isinstance(exc, httpx.ConnectTimeout):
        return f"no connection to {route.next_hop} within {_CONNECT_S:g} s"
    if isinstance(exc, httpx.TimeoutException):
        return f"{route.host} gave no answer in time"
    if isinstance(exc, httpx.DecodingError):
        return f"the answer of {route.host} could not be decompressed"
    if isinstance(exc, httpx.RemoteProtocolError):
        return f"{route.next_hop} broke off its answer, or speaks no HTTP"
    return None
