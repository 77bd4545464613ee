"""One exchange over the official client's connection pool, bounded in time and size."""

from __future__ import annotations

import re
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    LocationValueError,
    ProxyError,
    ReadTimeoutError,
)
from urllib3.util.ssltransport import SSLTransport

from etl.deadline import Deadline
from etl.errors import SettingsError
from etl.load.replies import CHECK_ADDRESS, FIX_URL, NO_URL, Reply
from etl.network.failures import failed, tunnel_refused
from etl.network.trust import trust
from etl.retry import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.errors import SyncError
    from etl.network.proxies import Proxy
    from etl.network.route import Route

_CHUNK = 1 << 16
_LONGEST_BODY = 1 << 25
_POOL_SIZE = 32
_CONNECT_REFUSED = re.compile(r"Tunnel connection failed: ([1-9][0-9]{2})\b")
"""How http.client says that a proxy answered CONNECT with that status."""


class Wire:
    """Stands in for the official client's REST layer, with a pool of connections that take ``route``.

    The original knows neither the system's certificates nor the environment's proxies; it follows redirects,
    reads the body of an error for as long as it drips, and decodes it before anybody can see its status: one
    byte that is not UTF-8 hides a 401 behind a UnicodeDecodeError.
    """

    def __init__(self, route: Route, *, deadline_s: float) -> None:
        pool = _pool(route.proxy)
        pool.pool_classes_by_scheme = {
            scheme: _punctual(kind, deadline_s) for scheme, kind in pool.pool_classes_by_scheme.items()
        }
        self.pool = pool
        self._route = route
        self._deadline_s = deadline_s

    def GET(self, url: str, *, headers: dict[str, str], _request_timeout: Any, **_: Any) -> Reply:  # noqa: N802 -- the vendor's name
        return self._request("GET", url, headers=headers, timeout_s=_request_timeout)

    def POST(  # noqa: N802 -- the vendor's name
        self, url: str, *, headers: dict[str, str], body: bytes, _request_timeout: Any, **_: Any
    ) -> Reply:
        return self._request("POST", url, headers=headers, timeout_s=_request_timeout, body=body)

    def _request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        timeout_s: tuple[float, float],
        body: bytes | None = None,
    ) -> Reply:
        try:
            response = self.pool.request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=Timeout(connect=timeout_s[0], read=timeout_s[1]),
                redirect=False,
                preload_content=False,
            )
            content = self._whole_body(response)
        except LocationValueError as error:
            raise SettingsError(NO_URL, fix=FIX_URL) from error
        except (HTTPError, HTTPException, OSError) as error:
            raise _failure(error, self._route) from error
        return Reply(
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=content,
        )

    def _whole_body(self, response: BaseHTTPResponse) -> bytes:
        """The body of ``response``, whose connection is then given back, or closed if the body broke off."""
        try:
            with Deadline(self._deadline_s, response.watched_socket) as deadline, _blamed(deadline):  # type: ignore[attr-defined]
                content = _body(response)
        except BaseException:
            response.close()
            raise
        _drop_if_late(response, deadline)
        response.release_conn()
        return content


def _pool(proxy: Proxy | None) -> PoolManager:
    """A pool that repeats nothing by itself."""
    options: dict[str, Any] = {"maxsize": _POOL_SIZE, "retries": False, "ssl_context": trust()}
    if proxy is None:
        return PoolManager(**options)
    if proxy.scheme.startswith("socks"):
        from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 -- an extra

        user, password = proxy.credentials or (None, None)
        return SOCKSProxyManager(proxy.url, username=user, password=password, **options)
    return ProxyManager(proxy.url, proxy_headers=proxy.headers, proxy_ssl_context=trust(), **options)


def _body(response: BaseHTTPResponse) -> bytes:
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > _LONGEST_BODY:
            raise TransientError("HubSpot's answer does not end", malformed=True, fix=CHECK_ADDRESS)
    return bytes(content)


def _punctual(kind: type[HTTPConnectionPool], deadline_s: float) -> type[HTTPConnectionPool]:
    """``kind`` with connections that wait at most ``deadline_s`` for all the headers of an answer.

    Their answers name the socket, so that the body can be waited for in the same way.
    """

    class Connection(kind.ConnectionCls):  # type: ignore[name-defined, misc]
        def getresponse(self, *args: Any, **options: Any) -> Any:
            watched = self.sock.socket if isinstance(self.sock, SSLTransport) else self.sock
            with Deadline(deadline_s, watched) as deadline, _blamed(deadline):
                response = super().getresponse(*args, **options)
            _drop_if_late(response, deadline)
            response.watched_socket = watched
            return response

    class Pool(kind):  # type: ignore[valid-type, misc]
        ConnectionCls = Connection

    return Pool


@contextmanager
def _blamed(deadline: Deadline) -> Iterator[None]:
    """Raise TransientError for what breaks because the time is up."""
    try:
        yield
    except (HTTPError, HTTPException, OSError) as error:
        if deadline.passed:
            raise _late(deadline) from error
        raise


def _drop_if_late(response: BaseHTTPResponse, deadline: Deadline) -> None:
    """Raise TransientError if the time is up: what looks like an answer may be the half of one."""
    if deadline.passed:
        response.close()
        raise _late(deadline)


def _late(deadline: Deadline) -> TransientError:
    return TransientError(f"HubSpot's answer took longer than {deadline.seconds:g} s to arrive")


def _failure(error: Exception, route: Route) -> SyncError | TransientError:
    refused = _CONNECT_REFUSED.search(str(error)) if isinstance(error, ProxyError) else None
    if refused:
        return tunnel_refused(int(refused[1]), route)
    return failed(error, route, otherwise=_in_words(error, route))


def _in_words(error: Exception, route: Route) -> str | None:
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (ReadTimeoutError, f"{route.host} did not answer in time"),
        (ConnectTimeoutError, f"{route.next_hop} could not be reached in time"),
        (DecodeError, f"the answer of {route.host} could not be decompressed"),
    )
    return next((what for kind, what in kinds if isinstance(error, kind)), None)
