"""One GET at a time over one held connection, bounded in time and size."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from etl.deadline import Deadline, shut_down
from etl.network.failures import failed, tunnel_refused
from etl.network.reply import LARGEST_BODY, Reply, too_large
from etl.network.trust import trust
from etl.retry import TransientError

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its command line: 30 ms for nothing

import httpx  # noqa: E402 -- see above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.errors import SyncError
    from etl.network.proxies import Proxy
    from etl.network.route import Route

_CONNECT_REFUSED = re.compile(r"[1-9][0-9]{2}\b")
"""How the text of httpcore begins where a proxy answered CONNECT with that status."""


class Wire:
    """A connection that takes ``route``, for one thread at a time.

    ``timeout_s`` are the seconds to connect and between two bytes, ``deadline_s`` those of a whole answer.
    Redirects are not followed, as they would carry the key elsewhere, and nothing is repeated.
    """

    def __init__(
        self,
        route: Route,
        *,
        headers: Mapping[str, str],
        timeout_s: tuple[float, float],
        deadline_s: float,
    ) -> None:
        self.route = route
        self._deadline_s = deadline_s
        self._socket: object = None
        connect_s, read_s = timeout_s
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(read_s, connect=connect_s),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0),
            follow_redirects=False,
            verify=trust(),
            proxy=_proxy(route.proxy) if route.proxy else None,
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
        if deadline.passed:  # what looks like an answer may be the half of one
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
            headers = {name.lower(): text for name, text in response.headers.items()}
            return Reply(response.status_code, headers, self._whole_body(response))

    def _whole_body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise too_large(self.route)
        return bytes(body)

    def _late(self) -> str:
        return f"{self.route.host} gave no whole answer within {self._deadline_s:g} s"


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
        return f"{route.next_hop} could not be reached in time"
    if isinstance(exc, httpx.TimeoutException):
        return f"{route.host} gave no answer in time"
    if isinstance(exc, httpx.DecodingError):
        return f"the answer of {route.host} could not be decompressed"
    if isinstance(exc, httpx.RemoteProtocolError):
        return f"{route.next_hop} broke off its answer, or speaks no HTTP"
    return None
