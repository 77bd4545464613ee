"""Between the web server and the two sides: admission, faults, notes, and how an answer is sent."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, replace
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from etl.sandbox.faults import Delivery, Fault
from etl.sandbox.wire import Call, Exchange, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from starlette.types import Receive, Scope, Send

    from etl.sandbox.faults import Faults
    from etl.sandbox.wire import RequestLog

TRANSPORT = "visitor_sync.transport"
_LINGER_NOT = struct.pack("ii", 1, 0)
_BODILESS = frozenset({204, 304})


class World(Protocol):
    """One side, as the gate needs it."""

    latency_s: float
    send_date: bool
    faults: Faults
    log: RequestLog

    def now(self) -> datetime: ...
    def date(self) -> datetime: ...
    def admit(self, call: Call, /) -> Reply | None: ...
    def working_on(self, call: Call, /) -> AbstractContextManager[Reply | None]: ...
    def dress(self, call: Call, reply: Reply, /) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Gate:
    """An ASGI application that answers one endpoint.

    Without ``guarded`` the request needs no key and is not counted against any limit.
    """

    world: World
    operation: Callable[[Call], Reply]
    observers: Sequence[Callable[[Exchange], None]] = ()
    guarded: bool = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = await self._arrived(scope, receive)
        arrived = self.world.now()
        fault = self.world.faults.strike(call)
        refused = self.world.admit(call) if self.guarded else None
        if fault is not None and fault.silent and not fault.carried_out:
            self.world.log.add(call, None, at=arrived)
            await _be_silent(fault.delivery, scope, receive)
            return
        with self.world.working_on(call) as clash:
            await asyncio.sleep(self.world.latency_s + (fault.delay_s if fault else 0.0))
            reply = self._reply(call, refused or clash, fault)
        self.world.log.add(call, None if fault and fault.silent else reply, at=arrived)
        self._tell(call, reply)
        await _deliver(reply, fault, scope, receive, send)

    async def _arrived(self, scope: Scope, receive: Receive) -> Call:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return Call(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers={name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]},
            body=bytes(body),
            parts=scope.get("path_params", {}),
            number=self.world.log.next_number(),
        )

    def _reply(self, call: Call, refused: Reply | None, fault: Fault | None) -> Reply:
        real = None
        if fault is None or fault.carried_out:
            real = self.world.dress(call, refused or self.operation(call))
        reply = real if fault is None else fault.applied_to(real)
        dated = {"date": format_datetime(self.world.date(), usegmt=True)} if self.world.send_date else {}
        assert reply is not None  # noqa: S101  without a fault the request was answered
        return replace(reply, headers={**dated, **reply.headers})

    def _tell(self, call: Call, reply: Reply) -> None:
        if not self.observers:
            return
        exchange = Exchange(
            method=call.method,
            path=call.path,
            query=call.query,
            request_headers=call.headers,
            request_body=call.body,
            status=reply.status,
            response_headers=reply.headers,
            response_body=reply.body,
            deliberate=reply.deliberate,
        )
        for observer in self.observers:
            observer(exchange)


async def _deliver(reply: Reply, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
    delivery = fault.delivery if fault else Delivery.WHOLE
    if delivery in {Delivery.RESET, Delivery.CLOSED, Delivery.HANG}:
        await _be_silent(delivery, scope, receive)
    elif fault is not None and delivery is Delivery.TRUNCATED:
        await _send_raw([_head(reply), reply.body[: len(reply.body) // 2]], 0.0, scope, receive)
    elif fault is not None and delivery is Delivery.DRIP:
        at_once, bit_by_bit = (
            (b"", _head(reply) + reply.body) if fault.drip_head else (_head(reply), reply.body)
        )
        size = fault.drip_bytes
        drops = [bit_by_bit[start : start + size] for start in range(0, len(bit_by_bit), size)]
        await _send_raw([at_once, *drops], fault.drip_s, scope, receive)
    else:
        await _send_whole(reply, send)


async def _send_whole(reply: Reply, send: Send) -> None:
    body = b"" if reply.status in _BODILESS else reply.body
    headers = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in reply.headers.items()]
    if reply.status not in _BODILESS:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_raw(parts: Sequence[bytes], pause_s: float, scope: Scope, receive: Receive) -> None:
    """Write past the web server, which would insist on sending what Content-Length promises."""
    transport = _transport(scope)
    for part in parts:
        if transport.is_closing():
            break
        transport.write(part)
        await asyncio.sleep(pause_s)
    transport.close()
    await _disconnected(receive)


def _head(reply: Reply) -> bytes:
    phrase = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else "Unknown"
    lines = [f"HTTP/1.1 {reply.status} {phrase}", "connection: close"]
    headers = {**reply.headers, "content-length": str(len(reply.body))}
    lines += [f"{name}: {text}" for name, text in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _be_silent(delivery: Delivery, scope: Scope, receive: Receive) -> None:
    transport = _transport(scope)
    if delivery is Delivery.RESET:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        transport.abort()
    elif delivery is Delivery.CLOSED:
        transport.close()
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    message: MutableMapping[str, Any] = {}
    while message.get("type") != "http.disconnect":
        message = await receive()


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    return transport
