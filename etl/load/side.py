"""What a delivery and its preview have in common: a client, the set-up, and whose contacts they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.load import records
from etl.load.links import HubSpotLinks
from etl.load.portal import read_portal
from etl.load.properties import link_property_of, visitor_id_of
from etl.load.setup_check import SetupCheck
from etl.load.words import HubSpotWords

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from etl.clock import Clock
    from etl.load.client import HubSpotClient
    from etl.load.properties import WantedProperty
    from etl.models.portal import Portal
    from etl.models.record import ShownContact


class HubSpotSide(HubSpotWords):
    """HubSpot as a destination, but for ``deliver``."""

    def __init__(
        self,
        client: HubSpotClient,
        properties: Sequence[WantedProperty],
        *,
        clock: Clock,
        verified: bool = False,
    ) -> None:
        self._client = client
        self._clock = clock
        self._visitor_id = visitor_id_of(properties)
        self._setup = SetupCheck(client, properties, verified=verified)
        self.links: HubSpotLinks | None = None
        if name := link_property_of(properties):
            self.links = HubSpotLinks(
                client, self._setup, property_name=name, visitor_id=self._visitor_id, clock=clock
            )

    @property
    def requests(self) -> int:
        """HTTP requests sent so far, repeated ones included."""
        return self._client.requests

    @property
    def credential(self) -> str:
        return self._client.credential

    def look(self, record: str) -> ShownContact | None:
        """The record behind an id, which may have another one now; None where there is none."""
        return records.look(self._client, record)

    def clear(self, record: str, names: Collection[str]) -> None:
        """Empty properties of a record."""
        records.clear(self._client, record, names)

    def merge(self, primary: str, other: str) -> str | None:
        """The id of what both records are from now on; None where HubSpot refuses that."""
        return records.merge(self._client, primary, other)

    def portal(self) -> Portal | None:
        return read_portal(self._client)

    @property
    def verified(self) -> bool:
        """Whether the properties are known to be right, from this run or an earlier one."""
        return self._setup.verified
