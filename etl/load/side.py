"""What a delivery and its preview have in common: a client, the set-up, and whose contacts they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import SyncError
from etl.load import records
from etl.load.complaints import Complaint, listed
from etl.load.links import HubSpotLinks
from etl.load.lookup import presence, read_contacts, read_well
from etl.load.portal import read_portal
from etl.load.properties import link_property_of, visitor_id_of
from etl.load.recall import Memory
from etl.load.setup_check import SetupCheck
from etl.load.verdicts import MERGED, keys_in, record_in
from etl.load.words import HubSpotWords
from etl.models.contact import RECORD_ID
from etl.models.verdict import Recollection, Sight

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from etl.clock import Clock
    from etl.load.client import HubSpotClient
    from etl.load.properties import WantedProperty
    from etl.models.contact import ContactKey, Parcel
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

    def look_for(self, batch: Sequence[Parcel]) -> Sight:
        """What HubSpot holds of ``batch`` (at most 100, all found by one property), of all that they ask.

        May be called by several threads at once. Never raises SyncError: that is the ``stop``.
        """
        if not batch:
            return Sight({})
        try:
            self._setup.before_first()
            is_by_record = batch[0].found_by[0] == RECORD_ID
            return read_well(batch, self._read) if is_by_record else self._read(batch)
        except SyncError as error:
            return Sight({}, stop=error)

    def _read(self, batch: Sequence[Parcel]) -> Sight:
        asked = {name for parcel in batch for name in parcel.asks or ()}
        by, ids = batch[0].found_by[0], [parcel.found_by[1] for parcel in batch]
        answer = read_contacts(self._client, by, ids, properties=asked)
        return presence(batch, self._setup.believed(answer))

    def recall(self, batch: Sequence[Parcel]) -> Recollection:
        """What HubSpot holds of ``batch``, whose records are known, and held before, of all that they ask.

        Never raises SyncError: that is the ``stop`` of what was seen.
        """
        return Memory(self._client, self._setup, clock=self._clock).recall(batch)

    def _kin_of(self, records: Collection[str]) -> dict[str, tuple[ContactKey, ...]]:
        """What else leads to records that came back under another id: they were merged.

        Raises SyncError.
        """
        if not records:
            return {}
        ids, asked = sorted(records), (self._visitor_id, MERGED)
        answer = read_contacts(self._client, RECORD_ID, ids, properties=asked)
        if isinstance(answer, Complaint):
            answer = read_contacts(self._client, RECORD_ID, ids, properties=asked[:1])
        if isinstance(answer, Complaint):
            return {}
        results = (each for each in listed(answer.get("results")) if isinstance(each, dict))
        return {str(record_in(each)): tuple(keys_in(each, self._visitor_id)) for each in results}

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
