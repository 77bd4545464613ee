"""What may stand between us and an API, on loopback: a TLS front, an HTTP proxy, a SOCKS proxy."""

from __future__ import annotations

import asyncio
import base64
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from asyncio import StreamReader, StreamWriter

_HOP = ("proxy-", "connection:", "keep-alive:")


class _Between:
    """Accepts ``connections``, on a port of its own, while the ``with`` block lasts."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.connections = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        raise NotImplementedError

    async def _listen(self) -> None:
        if self._tls:
            self._loop.set_exception_handler(lambda *_: None)  # of a handshake that the other side refuses
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError, EOFError, asyncio.CancelledError):
            await self.serve(reader, writer)
        writer.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # the transports close one turn of the loop later


class Hangup(_Between):
    """Takes what is said first, and ends the connection."""

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()


class TlsFront(_Between):
    """Speaks TLS, and passes on to a plain port of this machine."""

    def __init__(self, tls: ssl.SSLContext, *, to: int) -> None:
        super().__init__(tls=tls)
        self._to = to

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        await _joined(reader, writer, await asyncio.open_connection("127.0.0.1", self._to))


@dataclass(frozen=True, slots=True)
class Asked:
    """``target`` is what the proxy was asked for: a URL, or host:port for CONNECT and SOCKS."""

    method: str
    target: str
    login: str | None


class Proxy(_Between):
    """Whatever host is asked for, it goes to that port of this machine; or answers ``refuses`` itself."""

    def __init__(
        self, *, login: str | None = None, refuses: int | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(tls=tls)
        self.asked: list[Asked] = []
        self._login = login
        self._refuses = refuses

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        raw = next(
            (line for line in lines if line.lower().startswith("proxy-authorization: Basic ".lower())), ""
        )
        login = base64.b64decode(raw.rpartition(" ")[2]).decode() if raw else None
        self.asked.append(Asked(method, target, login))
        status = self._refuses or (407 if login != self._login else None)
        if status:
            body = b"<html>ann@example.test</html>"
            writer.write(b"HTTP/1.1 %d No\r\nConnection: close\r\n" % status)
            writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
            return
        if method == "CONNECT":
            upstream = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _joined(reader, writer, upstream)
            return
        host, _, path = target.removeprefix("http://").partition("/")
        upstream = await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2]))
        kept = [line for line in lines if not line.lower().startswith(_HOP)]
        request = "\r\n".join([f"{method} /{path} HTTP/1.1", *kept, "Connection: close", "", ""])
        upstream[1].write(request.encode("latin-1"))
        upstream[1].write(await reader.readexactly(int(headers.get("content-length", 0))))
        await _poured(upstream[0], writer)
        upstream[1].close()


class SocksProxy(_Between):
    """SOCKS 5, without a login."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        length = 4 if kind == 1 else (await reader.readexactly(1))[0]
        host = await reader.readexactly(length)
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append(
            Asked("SOCKS", f"{host.decode('latin-1') if kind == 3 else 'address'}:{port}", None)
        )
        upstream = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await _joined(reader, writer, upstream)


async def _joined(
    reader: StreamReader, writer: StreamWriter, other: tuple[StreamReader, StreamWriter]
) -> None:
    try:
        await asyncio.gather(_poured(reader, other[1]), _poured(other[0], writer))
    finally:
        other[1].close()


async def _poured(source: StreamReader, sink: StreamWriter) -> None:
    while chunk := await source.read(1 << 16):
        sink.write(chunk)
        await sink.drain()
    sink.close()
