"""What a command syncs, for those who watch it: settings, and what the portal is called that they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.models.summary import place_of

if TYPE_CHECKING:
    from etl.settings import Settings


class Subject(NamedTuple):
    """The websites of one portal that are read with one key. ``portal`` is None where none is declared."""

    settings: Settings
    portal: str | None = None

    def places(self) -> dict[str, str]:
        """How people are told of each website, by its id."""
        return {website: place_of(self.portal, website) for website in self.settings.zenovay.website_id}
