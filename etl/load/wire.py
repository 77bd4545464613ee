"""One exchange over the held connections that the official client is given, bounded in time and size."""

from __future__ import annotations

import re
import threading
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPConnectionPool, PoolManager, ProxyManager, Timeout
from urllib3.exceptions import ConnectTimeoutError, DecodeError, HTTPError, ProxyError, ReadTimeoutError
from urllib3.util.ssltransport import SSLTransport

from etl.deadline import Deadline
from etl.network.failures import (
    NO_ANSWER,
    NO_CONNECTION,
    UNDECODABLE,
    Kinds,
    failed,
    late,
    tunnel_refused,
)
from etl.network.reply import Reply, whole
from etl.network.trust import trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.errors import SyncError
    from etl.network.proxies import Proxy
    from etl.network.route import Route
    from etl.retry import TransientError

_CHUNK = 1 << 16
_POOL_SIZE = 32
_CONNECT_REFUSED = re.compile(r"Tunnel connection failed: ([1-9][0-9]{2})\b")
"""How http.client says that a proxy answered CONNECT with that status."""

_KINDS: Kinds = (
    (ReadTimeoutError, NO_ANSWER),
    (ConnectTimeoutError, NO_CONNECTION),
    (DecodeError, UNDECODABLE),
)


class Wire:
    """A pool of connections that take ``route``, for any thread.

    ``timeout_s`` are the seconds to connect and between two bytes, ``deadline_s`` those of a whole answer.
    Redirects are not followed, as they would carry the key elsewhere, and nothing is repeated.
    """

    def __init__(self, route: Route, *, timeout_s: tuple[float, float], deadline_s: float) -> None:
        self.route = route
        self._timeout = Timeout(connect=timeout_s[0], read=timeout_s[1])
        self._deadline_s = deadline_s
        self._mine = threading.local()
        self._running: set[Deadline] = set()
        self._pool = _pool(route.proxy)
        self._pool.pool_classes_by_scheme = {
            scheme: _punctual(kind, self._mine) for scheme, kind in self._pool.pool_classes_by_scheme.items()
        }

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Reply:
        """The answer, whatever its status. Raises TransientError when none arrives in time and whole.

        Raises SettingsError and AccessRefusedError for what will not pass: a certificate, a proxy's refusal.
        """
        with Deadline(self._deadline_s) as deadline:
            self._mine.deadline = deadline
            self._running.add(deadline)
            try:
                reply = self._exchange(method, url, headers=headers, body=body)
            except (HTTPError, HTTPException, OSError, UnicodeError) as error:  # the last: no name for IDNA
                if deadline.passed:
                    raise late(self.route, self._deadline_s) from error
                raise _failure(error, self.route) from error
            finally:
                self._running.discard(deadline)
        if deadline.passed:  # what looks like an answer may be the half of one
            raise late(self.route, self._deadline_s)
        return reply

    def close(self) -> None:
        """Give up all connections; a request in flight in another thread fails."""
        for deadline in list(self._running):
            deadline.cut()
        self._pool.clear()

    def _exchange(self, method: str, url: str, **asked: Any) -> Reply:
        response = self._pool.request(
            method, url, timeout=self._timeout, redirect=False, preload_content=False, **asked
        )
        try:
            content = whole(iter(lambda: response.read1(_CHUNK), b""), self.route)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, headers, content)


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


def _punctual(kind: type[HTTPConnectionPool], mine: threading.local) -> type[HTTPConnectionPool]:
    """``kind`` with connections that are watched by the deadline of the thread that uses them.

    From the first byte on: a proxy, too, can drip.
    """

    class Connection(kind.ConnectionCls):  # type: ignore[name-defined, misc]
        def _new_conn(self) -> Any:
            made = super()._new_conn()
            mine.deadline.guard(made)
            return made

        def connect(self) -> None:
            super().connect()
            self._guard()

        def request(self, *args: Any, **options: Any) -> None:
            self._guard()
            super().request(*args, **options)

        def _guard(self) -> None:
            mine.deadline.guard(self.sock.socket if isinstance(self.sock, SSLTransport) else self.sock)

    class Pool(kind):  # type: ignore[valid-type, misc]
        ConnectionCls = Connection

    return Pool


def _failure(error: Exception, route: Route) -> SyncError | TransientError:
    refused = _CONNECT_REFUSED.search(str(error)) if isinstance(error, ProxyError) else None
    if refused:
        return tunnel_refused(int(refused[1]), route)
    return failed(error, route, _KINDS)
