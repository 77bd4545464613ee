"""A record as HubSpot shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


NOT_MADE = "new-"
"""The ids of records that a dry run would have made begin so, which no id of HubSpot's does."""


class ShownContact(NamedTuple):
    """``record`` is the id that it has now, ``properties`` are those that have a value."""

    record: str
    properties: Mapping[str, str]

    @property
    def has_address(self) -> bool:
        """Whether somebody gave it one."""
        return any(name in self.properties for name in ("email", "hs_additional_emails"))


class Version(NamedTuple):
    """A text that a property held from ``at`` on, by HubSpot's clock; "" for nothing.

    ``source`` is who wrote it, in HubSpot's words; None where it does not say.
    """

    text: str
    at: datetime
    source: str | None
