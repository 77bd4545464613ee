"""Between the web server and the two sides: a request is admitted, answered, and the answer is sent."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING, Protocol

from etl.sandbox.wire import Call, RefusedError, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from starlette.types import Receive, Scope, Send

BODILESS = frozenset({204, 304})


class World(Protocol):
    """One side, as the gate needs it."""

    @property
    def lock(self) -> AbstractContextManager[bool]: ...
    def now(self) -> datetime: ...
    def admit(self, call: Call, /) -> None:
        """Count the request. Raises RefusedError where the key, the plan or a limit refuses it."""

    def headers(self) -> Mapping[str, str]:
        """What every answer of this side carries."""


@dataclass(frozen=True, slots=True)
class Gate:
    """An ASGI application that answers one endpoint, one request of its side at a time.

    Without ``guarded`` the request needs no key and is not counted. ``operation`` may raise RefusedError.
    """

    world: World
    operation: Callable[[Call], Reply]
    guarded: bool = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = await arrived(scope, receive)
        with self.world.lock:
            try:
                if self.guarded:
                    self.world.admit(call)
                reply = self.operation(call)
            except RefusedError as refused:
                reply = refused.reply
            date = format_datetime(self.world.now(), usegmt=True)
            headers = {"date": date, **self.world.headers(), **reply.headers}
        await deliver(Reply(reply.status, reply.body, headers), send)


async def arrived(scope: Scope, receive: Receive) -> Call:
    """The whole request."""
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
    )


async def deliver(reply: Reply, send: Send) -> None:
    """Send the whole answer."""
    body = b"" if reply.status in BODILESS else reply.body
    headers = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in reply.headers.items()]
    if reply.status not in BODILESS:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
