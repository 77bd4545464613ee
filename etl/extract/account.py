"""What Zenovay says about the account behind the key: its websites, and what it has used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.extract.payload import UnreadableBodyError, opened
from etl.instants import parsed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from etl.extract.client import ZenovayClient


@dataclass(frozen=True, slots=True)
class ListedWebsite:
    """``tracking_code`` is public, and what people paste by mistake as the id."""

    id: str
    tracking_code: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """The quotas; None where Zenovay does not say. Requests of the month, and requests per minute."""

    used: int | None = None
    limit: int | None = None
    resets_at: datetime | None = None
    per_minute: int | None = None


def websites(client: ZenovayClient) -> list[ListedWebsite]:
    """The websites that the key may read. Raises the errors of ZenovayClient.get."""
    return client.get("/websites", {}, readable=read_websites).value


def usage(client: ZenovayClient) -> Usage:
    """What the account has used this month. Raises the errors of ZenovayClient.get."""
    return client.get("/usage", {}, readable=read_usage).value


def read_websites(body: Any) -> list[ListedWebsite]:
    """The websites in a parsed body; entries without an id are passed over. Raises UnreadableBodyError."""
    content = opened(body).get("data", body)
    entries = content.get("websites") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise UnreadableBodyError("an object without a list of websites")
    return [
        ListedWebsite(entry["id"], tracking_code=_text(entry.get("tracking_code")))
        for entry in entries
        if isinstance(entry, dict) and _text(entry.get("id"))
    ]


def read_usage(body: Any) -> Usage:
    """The quotas in a parsed body. Raises UnreadableBodyError."""
    content = opened(body).get("data", body)
    spent = _part(content, "usage")
    return Usage(
        used=_count(spent.get("monthly_requests")),
        limit=_count(spent.get("monthly_limit")),
        resets_at=parsed(_text(spent.get("monthly_reset_at")) or ""),
        per_minute=_count(_part(content, "rate_limits").get("requests_per_minute")),
    )


def _part(content: Any, key: str) -> Mapping[str, Any]:
    part = content.get(key) if isinstance(content, dict) else None
    return part if isinstance(part, dict) else {}


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
