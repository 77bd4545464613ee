"""As much of HTTP/1.1 as the program speaks, and the books of what it says."""

from __future__ import annotations

import asyncio
import random
import time
from itertools import count
from typing import TYPE_CHECKING

from .answer import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from .answer import Answer
    from .callers import Callers

_OPEN = b"HTTP/1.1 %d .\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n"
_NUMBERS = count(1)

Entry = list[float | int | str]


class Ledger:
    """The requests in the order of their arrival, as ``Request`` has them."""

    def __init__(self, callers: Callers) -> None:
        self.callers = callers
        self.entries: list[Entry] = []


class Wire(asyncio.Protocol):
    """One connection to one side. ``latency_ms`` is the least and the most before an answer."""

    def __init__(
        self,
        side: str,
        answer: Callable[[Call], Answer],
        ledger: Ledger,
        *,
        latency_ms: tuple[float, float],
    ) -> None:
        self._side, self._answer, self._ledger = side, answer, ledger
        self._latency_ms = latency_ms
        self._number = next(_NUMBERS)
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._process: int | None = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end])
            after = end + 4 + int(_header(head, b"content-length") or 0)
            if len(self._received) < after:
                return
            body = bytes(self._received[end + 4 : after])
            del self._received[:after]
            self._reply(*self._booked(head, body))

    def _booked(self, head: bytes, body: bytes) -> tuple[Answer, Entry]:
        method, target, _ = head.split(b" ", 2)
        path, _, query = target.decode().partition("?")
        secret = _header(head, b"x-api-key") or _header(head, b"authorization").removeprefix(b"Bearer ")
        answer = self._answer(Call(method.decode(), path, query, secret.decode(), body, time.monotonic()))
        if self._process is None:
            ends = (self._transport.get_extra_info(name) for name in ("peername", "sockname"))
            self._process = self._ledger.callers.of(*ends)
        entry: Entry = [
            time.time(), 0.0, self._process, self._number,
            self._side, answer.who, answer.what, answer.website, answer.status,
        ]  # fmt: skip
        self._ledger.entries.append(entry)
        return answer, entry

    def _reply(self, answer: Answer, entry: Entry) -> None:
        delay_s = answer.delay_s + random.uniform(*self._latency_ms) / 1000
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._write, answer, entry)
        else:
            self._write(answer, entry)

    def _write(self, answer: Answer, entry: Entry) -> None:
        if self._transport.is_closing():
            return
        entry[1] = time.time()
        if not answer.status:
            self._transport.abort()
            return
        body = answer.body
        self._transport.write(_OPEN % (answer.status, len(body), answer.headers) + body)


def _header(head: bytes, name: bytes) -> bytes:
    """The value of a header; ``name`` is in lower case. Empty where it is absent."""
    at = head.lower().find(b"\r\n" + name + b":")
    if at < 0:
        return b""
    value = head[at + len(name) + 3 :]
    return value.partition(b"\r\n")[0].strip()
