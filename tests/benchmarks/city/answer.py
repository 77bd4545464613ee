"""What travels between ``wire`` and the two sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Call:
    """A request. ``secret`` is the key or the token, ``at`` the instant on a monotonic clock."""

    method: str
    path: str
    query: str
    secret: str
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """``who`` asked ``what`` of which ``website``, for the books; a status of 0 cuts the connection."""

    who: str
    what: str
    status: int
    body: bytes = b""
    headers: bytes = b""
    website: str = ""
    delay_s: float = 0.0


def in_json(content: Any) -> bytes:
    return orjson.dumps(content)
