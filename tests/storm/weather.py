"""What happens to a request on its way to the sandbox, and to the answer on its way back."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.sandbox.gate import arrived, deliver
from etl.sandbox.loopback import TRANSPORT
from etl.sandbox.site import FORM_PATH, SCRIPT_PATH
from etl.sandbox.wire import RefusedError, Reply
from etl.sandbox.zenovay import PATH
from storm.faults import Delivery, Fault
from storm.log import exchange, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence
    from datetime import datetime

    from starlette.types import ASGIApp, Receive, Scope, Send

    from etl.sandbox.wire import Call
    from storm.log import Exchange
    from storm.worlds import StormyHubSpot, StormyTeam, StormyZenovay

_PAGES = frozenset({"/", FORM_PATH, SCRIPT_PATH})
"""What browsers ask for, untouched and uncounted."""
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Weather:
    """An ASGI application around the sandbox's.

    ``observers`` are called after each exchange with HubSpot, in the thread of the server.
    """

    within: ASGIApp
    zenovay: StormyZenovay
    hubspot: StormyHubSpot
    team: StormyTeam
    observers: Sequence[Callable[[Exchange], None]] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in _PAGES:
            await self.within(scope, receive, send)
            return
        world = self._world(scope["path"])
        call = await arrived(scope, receive)
        if len(call.body) < int(call.headers.get("content-length", 0)):
            return  # whoever sent it was killed amid it: no API ever sees such a request
        fault = world.faults.strike(call)
        carried_out = fault is None or fault.carried_out
        with world.working_on(call) if carried_out else nullcontext():
            await asyncio.sleep(world.latency_s)
            real = await self._answer(scope, call) if carried_out else self._counted(world, call)
        shaped = world.reshaped(call, real) if carried_out else real
        reply = _dated(fault.applied_to(shaped) if fault else shaped, world.date())
        world.requests.append(recorded(call, None if fault and fault.silent else reply))
        if world is self.hubspot:
            deliberate = shaped is not real or bool(fault and fault.shapes_reply)
            for observer in self.observers:
                observer(exchange(call, reply, deliberate=deliberate))
        await _send(reply, fault, scope, receive, send)

    def _world(self, path: str) -> StormyZenovay | StormyHubSpot | StormyTeam:
        if path.startswith((PATH, "/live", "/e/live")):
            return self.zenovay
        return self.team if path.startswith(("/slack", "/ping")) else self.hubspot

    async def _answer(self, scope: Scope, call: Call) -> Reply:
        """What the sandbox answers."""
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": call.body}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self.within(scope, receive, send)
        start, *bodies = sent
        headers = {name.decode("latin-1").lower(): text.decode("latin-1") for name, text in start["headers"]}
        return Reply(start["status"], b"".join(each.get("body", b"") for each in bodies), headers)

    def _counted(self, world: StormyZenovay | StormyHubSpot | StormyTeam, call: Call) -> Reply:
        """Nothing is done, and yet the request counts."""
        with suppress(RefusedError), world.lock:
            world.admit(call)
        return Reply(500)


def _dated(reply: Reply, date: datetime | None) -> Reply:
    """The answer with its ``Date``, and without what only the way to here was framed by."""
    headers = {name: text for name, text in reply.headers.items() if name not in ("content-length", "date")}
    if date is not None:
        headers["date"] = format_datetime(date, usegmt=True)
    return replace(reply, headers=headers)


async def _send(reply: Reply, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    delivery = fault.delivery if fault else Delivery.WHOLE
    if delivery is Delivery.WHOLE:
        await deliver(reply, send)
        return
    if delivery is Delivery.TRUNCATED:
        await _write(transport, [_head(reply) + reply.body[: len(reply.body) // 2]], 0.0)
    elif fault is not None and delivery is Delivery.DRIP:
        whole, size = _head(reply) + reply.body, fault.drip_bytes
        drops = [whole[start : start + size] for start in range(0, len(whole), size)]
        await _write(transport, drops, fault.drip_s)
    elif delivery is Delivery.RESET:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        transport.abort()
    elif delivery is Delivery.CLOSED:
        transport.close()
    while (await receive()).get("type") != "http.disconnect":
        pass


async def _write(transport: asyncio.Transport, parts: Sequence[bytes], pause_s: float) -> None:
    """Write past the web server, which would insist on sending what Content-Length promises."""
    for part in parts:
        if transport.is_closing():
            return
        transport.write(part)
        await asyncio.sleep(pause_s)
    transport.close()


def _head(reply: Reply) -> bytes:
    phrase = HTTPStatus(reply.status).phrase if reply.status in set(HTTPStatus) else "Unknown"
    headers = {"connection": "close", **reply.headers, "content-length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {text}" for name, text in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
