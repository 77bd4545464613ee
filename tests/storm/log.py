"""What is noted of the requests to one side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.jsontext import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.sandbox.wire import Call, Reply


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request. ``status`` is None where no answer was sent, ``body`` where there was no JSON."""

    method: str
    path: str
    params: Mapping[str, str]
    status: int | None
    body: Any


@dataclass(frozen=True, slots=True)
class Violation:
    """Something a well-behaved client does not do."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to HubSpot and its answer, for an observer.

    ``deliberate`` is True where a fault or a mood shaped the answer. The answer is what HubSpot meant to
    send, also where a fault kept it from arriving.
    """

    method: str
    path: str
    query: str
    request_headers: Mapping[str, str]
    request_body: bytes
    status: int
    response_headers: Mapping[str, str]
    response_body: bytes
    deliberate: bool


def recorded(call: Call, reply: Reply | None) -> Recorded:
    """``reply`` is None where no answer is sent."""
    return Recorded(call.method, call.path, call.params, reply.status if reply else None, json_of(call.body))


def exchange(call: Call, reply: Reply, *, deliberate: bool) -> Exchange:
    return Exchange(
        method=call.method,
        path=call.path,
        query=call.query,
        request_headers=call.headers,
        request_body=call.body,
        status=reply.status,
        response_headers=reply.headers,
        response_body=reply.body,
        deliberate=deliberate,
    )


def json_of(body: bytes) -> Any:
    """The value, or None where it cannot be read."""
    try:
        return parse(body) if body else None
    except ValueError:
        return None
