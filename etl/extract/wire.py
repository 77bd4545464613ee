"""One GET at a time over one held connection, bounded in time and size."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.deadline import Deadline, shut_down
from etl.errors import SettingsError
from etl.extract.instants import clock, http_date
from etl.redact import vendor_text
from etl.retry import TransientError

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # its command line: 30 ms for nothing

import httpx  # noqa: E402 -- see above

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_CONNECT_S = 5.0
_LARGEST_BODY = 64 * 2**20
_MOST_DIGITS = 15


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
        start = self.body[:1000].lstrip()
        if not start:
            return "an empty body"
        if start[:1] in {b"{", b"["}:
            return (
                "JSON that cannot be read" if offset is None else f"JSON that cannot be read at byte {offset}"
            )
        return "HTML" if start[:1] == b"<" else "text that is not JSON"


class Wire:
    """An HTTP client that never waits longer than ``deadline_s`` for one answer.

    Redirects are not followed: they would carry the key elsewhere.
    """

    def __init__(
        self, *, base_url: str, headers: Mapping[str, str], read_timeout_s: float, deadline_s: float
    ) -> None:
        self._base_url = _checked(base_url)
        self._deadline_s = deadline_s
        self._socket: object = None
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(read_timeout_s, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0),
            follow_redirects=False,
        )

    def get(self, path: str, params: Mapping[str, str]) -> Reply:
        """The answer, whatever its status. Raises TransientError when none arrives in time and whole."""
        with Deadline(self._deadline_s, self._socket) as deadline:
            try:
                reply = self._exchange(path, params, deadline)
            except httpx.RequestError as exc:
                raise TransientError(self._late() if deadline.passed else _failure(exc)) from exc
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
        url = self._base_url + path
        with self._http.stream("GET", url, params=params, extensions=extensions) as response:
            return Reply(response.status_code, response.headers, _whole_body(response))

    def _late(self) -> str:
        return f"no whole answer within {self._deadline_s:g} s"


def _whole_body(response: httpx.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise TransientError(f"a body of more than {_LARGEST_BODY >> 20} MiB", malformed=True)
    return bytes(body)


def _checked(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as exc:
        raise SettingsError("ZENOVAY_BASE_URL is not a URL.", fix="Leave it unset for the real API.") from exc
    if url.scheme not in {"http", "https"} or not url.host:
        raise SettingsError("ZENOVAY_BASE_URL is not an http(s) URL.", fix="Leave it unset for the real API.")
    return base_url.rstrip("/")


def _failure(exc: httpx.RequestError) -> str:
    if isinstance(exc, httpx.ConnectTimeout):
        return f"no connection within {_CONNECT_S:g} s"
    if isinstance(exc, httpx.TimeoutException):
        return "no answer in time"
    return f"the connection failed ({vendor_text(str(exc)) or type(exc).__name__})"
