"""One exchange over the official client's connection pool, bounded in time and size."""

from __future__ import annotations

from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, PoolManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    ReadTimeoutError,
    SSLError,
)

from etl.deadline import Deadline
from etl.errors import SettingsError
from etl.load.replies import FIX_URL, NO_URL, Reply
from etl.retry import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 16
_LONGEST_BODY = 1 << 25


class Wire:
    """Stands in for the official client's REST layer, over the same connection pool.

    The original follows redirects, reads the body of an error for as long as it drips, and decodes it before
    anybody can see its status: one byte that is not UTF-8 hides a 401 behind a UnicodeDecodeError.
    """

    def __init__(self, pool: PoolManager, *, deadline_s: float) -> None:
        pool.pool_classes_by_scheme = {
            scheme: _punctual(kind, deadline_s) for scheme, kind in pool.pool_classes_by_scheme.items()
        }
        self.pool = pool
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
            raise TransientError(_what_broke(error)) from error
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


def _body(response: BaseHTTPResponse) -> bytes:
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > _LONGEST_BODY:
            raise TransientError("HubSpot's answer does not end", malformed=True)
    return bytes(content)


def _punctual(kind: type[HTTPConnectionPool], deadline_s: float) -> type[HTTPConnectionPool]:
    """``kind`` with connections that wait at most ``deadline_s`` for all the headers of an answer.

    Their answers name the socket, so that the body can be waited for in the same way.
    """

    class Connection(kind.ConnectionCls):  # type: ignore[name-defined, misc]
        def getresponse(self, *args: Any, **options: Any) -> Any:
            with Deadline(deadline_s, self.sock) as deadline, _blamed(deadline):
                watched = self.sock
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


def _what_broke(error: Exception) -> str:
    """What happened to a connection, without the URL and the rest that the vendor's text may hold."""
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (NameResolutionError, "HubSpot's host name could not be resolved"),
        (ReadTimeoutError, "HubSpot did not answer in time"),
        (ConnectTimeoutError, "HubSpot could not be reached"),
        (SSLError, "the TLS connection to HubSpot failed"),
        (DecodeError, "HubSpot's answer could not be decompressed"),
    )
    return next((what for kind, what in kinds if isinstance(error, kind)), "the connection to HubSpot broke")
