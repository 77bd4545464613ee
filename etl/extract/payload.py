"""The body of an answer of the visitors endpoint: its rows, its clock, and whether more follow.

Three shapes are known: ``{"success", "data": {"visitors", "pagination"}, "timestamp"}`` (newest reference),
``{"data": […]}`` (older pages) and ``{"visitors": […]}``. Any other is unreadable, and never "0 visitors".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.instants import CLOCK_YEARS, parsed
from etl.redact import vendor_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_MOST_KEYS = 8
_LONGEST_KEY = 40


class UnreadableBodyError(Exception):
    """A body that the documentation does not allow; the text says what was seen, without any value."""


@dataclass(frozen=True, slots=True)
class Payload:
    """``has_more`` is None where the body has no pagination block; ``clock`` None where it states no time.

    ``limit`` is how many rows the server gives in a page, by its own words, which may be fewer than asked.
    """

    rows: list[Any]
    has_more: bool | None
    clock: datetime | None
    limit: int | None = None


def read_payload(body: Any) -> Payload:
    """The rows in a parsed body. Raises UnreadableBodyError."""
    envelope = opened(body)
    content = envelope.get("data")
    inner: Mapping[str, Any] = content if isinstance(content, dict) else envelope
    rows = content if isinstance(content, list) else inner.get("visitors")
    if not isinstance(rows, list):
        raise UnreadableBodyError(f"{keys_of(envelope, content)} and no rows")
    pagination = inner.get("pagination") or envelope.get("pagination")
    return Payload(
        rows=rows,
        has_more=_has_more(pagination),
        clock=_clock(envelope.get("timestamp")),
        limit=_limit(pagination),
    )


def opened(body: Any) -> dict[str, Any]:
    """``body``, if it is an object that does not report a failure. Raises UnreadableBodyError."""
    if not isinstance(body, dict):
        raise UnreadableBodyError(f"{_kind(body)} instead of an object")
    if body.get("success") is False:
        raise UnreadableBodyError(f"success:false{_code(body)} with a status of success")
    if body.get("error"):
        raise UnreadableBodyError(f"an error{_code(body)} with a status of success")
    return body


def _has_more(pagination: Any) -> bool | None:
    stated = pagination.get("has_more") if isinstance(pagination, dict) else None
    return stated if isinstance(stated, bool) else None


def _limit(pagination: Any) -> int | None:
    stated = pagination.get("limit") if isinstance(pagination, dict) else None
    return stated if type(stated) is int and stated > 0 else None


def _clock(timestamp: Any) -> datetime | None:
    stated = parsed(timestamp) if isinstance(timestamp, str) else None
    return stated if stated and stated.year in CLOCK_YEARS else None


def keys_of(envelope: Mapping[str, Any], content: Any) -> str:
    """The keys of a body, and of its ``data`` where ``content`` is an object, for a message."""
    keys = [str(key) for key in envelope]
    if isinstance(content, dict):
        keys += [f"data.{key}" for key in content]
    if not keys:
        return "an object without keys"
    shown = [vendor_text(key)[:_LONGEST_KEY] for key in keys[:_MOST_KEYS]]
    return f"an object with the keys {', '.join(shown)}{', …' if len(keys) > _MOST_KEYS else ''}"


def _code(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else body.get("code")
    return f" ({vendor_text(code)[:_LONGEST_KEY]})" if isinstance(code, str) else ""


def _kind(body: Any) -> str:
    if body is None:
        return "null"
    kinds = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return kinds.get(type(body), "something else")
