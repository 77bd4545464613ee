"""What travels between a client and the sandbox."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

JSON = "application/json;charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it arrived. The names of ``headers`` are lower case; ``parts`` are those of the path."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    parts: Mapping[str, str] = field(default_factory=dict)

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
    """An answer. The names of ``headers`` are lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """The whole request is refused; nothing is written."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with {reply.status}")
        self.reply = reply


def json_bytes(value: Any) -> bytes:
    """``value`` as JSON. What orjson refuses (huge integers, lone surrogates), Python writes."""
    try:
        return orjson.dumps(value)
    except (TypeError, ValueError):
        return json.dumps(value).encode()


def json_reply(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json_bytes(value), {"content-type": JSON, **(headers or {})})


def instant_text(instant: datetime) -> str:
    """ISO 8601 in UTC with ``Z``. Fractions of a second are milliseconds, and are dropped when zero."""
    whole = f"{instant:%Y-%m-%dT%H:%M:%S}"
    milliseconds = instant.microsecond // 1000
    return f"{whole}.{milliseconds:03d}Z" if milliseconds else f"{whole}Z"
