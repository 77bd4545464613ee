"""What travels between a client and the sandbox, and what is noted of it."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from etl.jsontext import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

JSON = "application/json;charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it arrived, the ``number``-th to its side. The names of ``headers`` are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    parts: Mapping[str, str] = field(default_factory=dict)
    number: int = 0

    @property
    def params(self) -> dict[str, str]:
        """The query, where the last of several values counts."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def bearer(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``deliberate`` marks one that goes against the published schema on purpose."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    deliberate: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request of the log.

    ``status`` is None where no answer was sent. ``rows`` counts rows served by Zenovay. ``body`` is the
    request's JSON, or None where it held none.
    """

    number: int
    time: datetime
    method: str
    path: str
    params: Mapping[str, str]
    status: int | None
    rows: int
    body: Any


@dataclass(frozen=True, slots=True)
class Violation:
    """Something a well-behaved client does not do, in the ``number``-th request to this side."""

    kind: str
    detail: str
    number: int


class RequestLog:
    """What was asked of one side, oldest first."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self.violations: list[Violation] = []
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        return next(self._numbers)

    def add(self, call: Call, reply: Reply | None, *, at: datetime) -> None:
        """Note a request; ``reply`` is None where no answer is sent."""
        try:
            body = parse(call.body) if call.body else None
        except ValueError:
            body = None
        self.requests.append(
            Recorded(
                number=call.number,
                time=at,
                method=call.method,
                path=call.path,
                params=call.params,
                status=reply.status if reply else None,
                rows=reply.rows if reply else 0,
                body=body,
            )
        )

    def violation(self, kind: str, detail: str, call: Call) -> None:
        self.violations.append(Violation(kind, detail, call.number))


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to HubSpot and its answer, for an observer.

    ``deliberate`` is True where a fault, or a setting that goes against the published schema, shaped the
    answer. The answer is what HubSpot meant to send, also where a fault kept it from arriving.
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


def json_bytes(value: Any) -> bytes:
    """``value`` as JSON. What orjson refuses (huge integers, lone surrogates), Python writes."""
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):
        return json.dumps(value).encode()


def json_reply(
    value: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    rows: int = 0,
    deliberate: bool = False,
) -> Reply:
    return Reply(
        status=status,
        body=json_bytes(value),
        headers={"content-type": JSON, **(headers or {})},
        rows=rows,
        deliberate=deliberate,
    )


def instant_text(instant: datetime) -> str:
    """ISO 8601 in UTC with ``Z``. Fractions of a second are milliseconds, and are dropped when zero."""
    whole = f"{instant:%Y-%m-%dT%H:%M:%S}"
    milliseconds = instant.microsecond // 1000
    return f"{whole}.{milliseconds:03d}Z" if milliseconds else f"{whole}Z"
