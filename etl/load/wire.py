"""One exchange over the official client's connection pool, bounded in time and size."""

from __future__ import annotations

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
    from etl.clock import Clock

_CHUNK = 1 << 16
_LONGEST_BODY = 1 << 25


class Wire:
    """Stands in for the official client's REST layer, over the same connection pool.

    The original follows redirects, reads the body of an error for as long as it drips, and decodes it before
    anybody can see its status: one byte that is not UTF-8 hides a 401 behind a UnicodeDecodeError.
    """

    def __init__(self, pool: PoolManager, *, deadline_s: float, clock: Clock) -> None:
        pool.pool_classes_by_scheme = {
            scheme: _punctual(kind, deadline_s) for scheme, kind in pool.pool_classes_by_scheme.items()
        }
        self.pool = pool
        self._deadline_s = deadline_s
        self._clock = clock

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
            content = self._body(response)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return content

    def _body(self, response: BaseHTTPResponse) -> bytes:
        """The whole body, or TransientError when it takes too long or does not end."""
        ends = self._clock.monotonic() + self._deadline_s
        content = bytearray()
        while chunk := response.read1(_CHUNK):
            content += chunk
            if len(content) > _LONGEST_BODY:
                raise TransientError("HubSpot's answer does not end", malformed=True)
            if self._clock.monotonic() > ends:
                raise _late(self._deadline_s)
        return bytes(content)


def _punctual(kind: type[HTTPConnectionPool], deadline_s: float) -> type[HTTPConnectionPool]:
    """``kind`` with connections that wait at most ``deadline_s`` for all the headers of an answer."""

    class Connection(kind.ConnectionCls):  # type: ignore[name-defined, misc]
        def getresponse(self, *args: Any, **options: Any) -> Any:
            with Deadline(deadline_s, self.sock) as deadline:
                try:
                    response = super().getresponse(*args, **options)
                except (HTTPException, OSError) as error:
                    if deadline.passed:
                        raise _late(deadline_s) from error
                    raise
            if deadline.passed:  # what looks like an answer is the half of one
                response.close()
                raise _late(deadline_s)
            return response

    class Pool(kind):  # type: ignore[valid-type, misc]
        ConnectionCls = Connection

    return Pool


def _late(deadline_s: float) -> TransientError:
    return TransientError(f"HubSpot's answer took longer than {deadline_s:g} s to arrive")


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
