"""A contact as it is listed for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime


class ListedContact(NamedTuple):
    """``since`` is known of what HubSpot refused or does not have; ``reason`` is a sentence, if there is one.

    ``kind`` says what the key is: an email, a visitor or a record.
    """

    key: str
    kind: str
    record: str | None
    since: datetime | None
    reason: str | None
