"""What a delivery would do, for dry runs: it reads, and writes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.errors import SyncError
from etl.load.side import HubSpotSide
from etl.models.contact import RECORD_ID, UPSERT
from etl.models.record import NOT_MADE, ShownContact
from etl.models.verdict import CREATED, DEFERRED, UPDATED, Delivery, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.clock import Clock
    from etl.load.client import HubSpotClient
    from etl.load.properties import WantedProperty
    from etl.models.contact import Parcel, Texts
    from etl.models.verdict import Sight


class Preview(HubSpotSide):
    """Takes the place of HubSpotContacts in a dry run, and stops where the real run would stop.

    It remembers what would have been written, and shows it: what comes later in a run, or in that of another
    website, would meet it.
    """

    def __init__(
        self,
        client: HubSpotClient,
        properties: Sequence[WantedProperty],
        *,
        clock: Clock,
        verified: bool = False,
    ) -> None:
        super().__init__(client, properties, clock=clock, verified=verified)
        self._texts: dict[str, Texts] = {}
        self._made: dict[tuple[str, str], str] = {}
        self._records: dict[int, str] = {}
        """The ids that contacts were shown under, which may be others than they are known by."""

    def look_for(self, batch: Sequence[Parcel]) -> Sight:
        made = {each.contact_id: self._made[each.found_by] for each in batch if each.found_by in self._made}
        sight = super().look_for([each for each in batch if each.contact_id not in made])
        found = {number: ShownContact(record, {}) for number, record in made.items()} | dict(sight.found)
        self._records.update((number, shown.record) for number, shown in found.items())
        return replace(sight, found={number: self._with_ours(shown) for number, shown in found.items()})

    def _with_ours(self, shown: ShownContact) -> ShownContact:
        return shown._replace(properties={**shown.properties, **self._texts.get(shown.record, {})})

    def deliver(self, batch: Sequence[Parcel]) -> Delivery:
        """What would become of parcels that have all been looked at."""
        verdicts = [self._verdict(parcel) for parcel in batch]
        merged = {
            str(said.record)
            for parcel, said in zip(batch, verdicts, strict=True)
            if parcel.record is not None and said.is_new_to(parcel)
        }
        try:
            kin = self._kin_of(merged)
        except SyncError as error:
            deferred = (Verdict(each.contact_id, DEFERRED, reason=error.what) for each in batch)
            return Delivery(tuple(deferred), error)
        return Delivery(tuple(each._replace(kin=kin.get(str(each.record), ())) for each in verdicts))

    def _verdict(self, parcel: Parcel) -> Verdict:
        if parcel.way is UPSERT:
            record = f"{NOT_MADE}{parcel.contact_id}"
            self._made |= dict.fromkeys((parcel.found_by, (RECORD_ID, record)), record)
            outcome = CREATED
        else:
            record = self._records.get(parcel.contact_id, str(parcel.record))
            outcome = UPDATED
        self._texts[record] = {**self._texts.get(record, {}), **parcel.properties}
        return Verdict(parcel.contact_id, outcome, record)

    def archive(self, records: Sequence[str]) -> None:
        """Nothing: they stay where they are."""
