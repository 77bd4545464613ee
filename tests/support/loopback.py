"""A server on loopback that answers what a test tells it to, byte for byte."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. ``params`` are those of its URL."""

    path: str
    params: dict[str, str]
    headers: Mapping[str, str]
    method: str = "GET"
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Served:
    """An answer. ``raw`` is sent instead of everything else.

    Then ``drip`` follows bit by bit without end, or the connection is held open in silence.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    drip: bytes = b""
    hold: bool = False


def served(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Served:
    return Served(json.dumps(value).encode(), status=status, headers=headers or {})


class Loopback:
    """``answer`` decides on each request; ``asked`` keeps them."""

    def __init__(self, answer: Callable[[Asked], Served]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/external/v1"

    @classmethod
    def scripted(cls, script: Iterable[Served]) -> Self:
        """Gives the answers of ``script`` in their order."""
        answers = iter(script)
        return cls(lambda _: next(answers))

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def write(self, reply: Served, *, to: BaseHTTPRequestHandler) -> None:
        if reply.raw is None:
            to.send_response_only(reply.status)
            for name, text in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                to.send_header(name, text)
            to.end_headers()
            to.wfile.write(reply.body)
            return
        to.close_connection = True
        to.wfile.write(reply.raw)
        while (reply.drip or reply.hold) and not self._closing.wait(0.02):
            to.wfile.write(reply.drip)


def _handler_of(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        disable_nagle_algorithm = True  # headers and body are two writes; together they would wait 40 ms

        def do_GET(self) -> None:
            self.reply()

        def do_POST(self) -> None:
            self.reply()

        def reply(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            params = dict(parse_qsl(url.query, keep_blank_values=True))
            request = Asked(url.path, params, dict(self.headers.items()), self.command, body)
            loopback.asked.append(request)
            with suppress(OSError):
                loopback.write(loopback.answer(request), to=self)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler
