"""What a contact's properties held before: every value with its time and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.sandbox.wire import instant_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

BOOKKEEPING = frozenset({"hs_object_id", "createdate", "lastmodifieddate"})
"""What HubSpot itself sets."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who wrote a value, in HubSpot's words."""

    type: str
    id: str


API = Source("API", "visitor-sync")
FORM = Source("FORM", "contact-form")
CRM_UI = Source("CRM_UI", "userId:1")
MERGE = Source("MERGE_OBJECTS", "userId:1")


@dataclass(frozen=True, slots=True)
class Written:
    """The values that one write changed; the empty text where it cleared one."""

    at: datetime
    source: Source
    values: Mapping[str, str]


History = tuple[Written, ...]
"""Oldest first."""


def grown(history: History, after: Mapping[str, str], *, at: datetime, source: Source) -> History:
    """With the write that led to ``after``; the same where nothing but the bookkeeping differs."""
    before = _latest(history)
    names = (before.keys() | after.keys()) - BOOKKEEPING
    values = {name: after.get(name, "") for name in sorted(names) if before.get(name) != after.get(name)}
    return (*history, Written(at, source, values)) if values else history


def combined(*histories: History) -> History:
    return tuple(sorted((write for history in histories for write in history), key=lambda write: write.at))


def versions(history: History, name: str) -> list[dict[str, Any]]:
    """The values of one property as HubSpot lists them, newest first."""
    return [
        {
            "value": write.values[name],
            "timestamp": instant_text(write.at),
            "sourceType": write.source.type,
            "sourceId": write.source.id,
        }
        for write in reversed(history)
        if name in write.values
    ]


def _latest(history: History) -> dict[str, str]:
    """The values that the last writes left."""
    values: dict[str, str] = {}
    for write in history:
        values.update(write.values)
    return {name: text for name, text in values.items() if text}
