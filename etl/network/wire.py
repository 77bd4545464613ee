"""One exchange at a time over one held connection, bounded in time and size."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from etl.deadline import Deadline, shut_down
from etl.network.failures import (
    NO_ANSWER,
    NO_CONNECTION,
    NO_HTTP,
    UNDECODABLE,
    Kinds,
    failed,
    late,
    tunnel_refused,
)
from etl.network.reply import Reply, whole
from etl.network.trust import trust

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its command line: 30 ms for nothing

import httpx  # noqa: E402 -- see above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.errors import SyncError
    from etl.network.proxies import Proxy
    from etl.network.route import Route
    from etl.retry import TransientError

_CONNECT_REFUSED = re.compile(r"[1-9][0-9]{2}\b")
"""How the text of httpcore begins where a proxy answered CONNECT with that status."""

_OURS = {"Accept-Encoding": "gzip, deflate", "User-Agent": f"visitor-sync/{version('visitor-sync')}"}

_KINDS: Kinds = (
    (httpx.ConnectTimeout, NO_CONNECTION),
    (httpx.TimeoutException, NO_ANSWER),
    (httpx.DecodingError, UNDECODABLE),
    (httpx.RemoteProtocolError, NO_HTTP),
)


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
            headers={**_OURS, **headers},
            timeout=httpx.Timeout(read_s, connect=connect_s),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0),
            follow_redirects=False,
            verify=trust(),
            proxy=_proxy(route.proxy) if route.proxy else None,
            trust_env=False,
        )

    def get(self, path: str = "", params: Mapping[str, str] | None = None) -> Reply:
        """The answer to a GET; see ``exchange``."""
        return self.exchange("GET", path, params)

    def post(self, body: bytes, path: str = "", params: Mapping[str, str] | None = None) -> Reply:
        """The answer to a POST; see ``exchange``."""
        return self.exchange("POST", path, params, body)

    def exchange(
        self, method: str, path: str, params: Mapping[str, str] | None, body: bytes | None = None
    ) -> Reply:
        """The answer, whatever its status. Raises TransientError when none arrives in time and whole.

        Raises SettingsError and AccessRefusedError for what will not pass: a certificate, a proxy's refusal.
        """
        with Deadline(self._deadline_s, self._socket) as deadline:
            try:
                reply = self._exchange(deadline, method, path, params, body)
            except (httpx.RequestError, UnicodeError) as exc:  # the latter: a name that IDNA does not allow
                if deadline.passed:
                    raise late(self.route, self._deadline_s) from exc
                raise _failure(exc, self.route) from exc
        if deadline.passed:  # what looks like an answer may be the half of one
            raise late(self.route, self._deadline_s)
        return reply

    def close(self) -> None:
        """Give up the connection; a request in flight in another thread fails."""
        shut_down(self._socket)
        self._http.close()

    def _exchange(
        self,
        deadline: Deadline,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
    ) -> Reply:
        def remember_socket(event: str, seen: Mapping[str, Any]) -> None:
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                self._socket = seen["return_value"].get_extra_info("socket")
                deadline.guard(self._socket)

        extensions = {"trace": remember_socket}
        url = self.route.url + path
        asked = self._http.stream(method, url, params=params, content=body, extensions=extensions)
        with asked as response:
            headers = {name.lower(): text for name, text in response.headers.items()}
            return Reply(response.status_code, headers, whole(response.iter_bytes(), self.route))


def _proxy(proxy: Proxy) -> httpx.Proxy:
    context = trust() if proxy.scheme == "https" else None
    return httpx.Proxy(proxy.url, ssl_context=context, auth=proxy.credentials)


def _failure(exc: Exception, route: Route) -> SyncError | TransientError:
    refused = _CONNECT_REFUSED.match(str(exc)) if isinstance(exc, httpx.ProxyError) else None
    if refused:
        return tunnel_refused(int(refused[0]), route)
    return failed(exc, route, _KINDS)
