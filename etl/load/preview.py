"""What a delivery would do, for dry runs: it reads, and writes nothing."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from etl.errors import SyncError
from etl.load.lookup import presence, read_contacts
from etl.load.side import HubSpotSide
from etl.load.verdicts import deferred
from etl.models.verdict import ABSENT, CREATED, UPDATED, Delivery, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.models.contact import Parcel

_UNSAID = "HubSpot did not say whether it has this contact."


class Preview(HubSpotSide):
    """Takes the place of HubSpotContacts in a dry run, and stops where the real run would stop."""

    def deliver(self, batch: Sequence[Parcel]) -> Delivery:
        """What would become of each parcel: contacts confirmed before are not looked up again."""
        verdicts = {each.contact_id: Verdict(each.contact_id, UPDATED) for each in batch if _is_known(each)}
        stop: SyncError | None = None
        try:
            self._setup.before_first()
            unknown = sorted(
                (each for each in batch if not _is_known(each)), key=lambda each: each.id_property
            )
            for id_property, parcels in groupby(unknown, key=lambda each: each.id_property):
                verdicts |= self._look_up(id_property, list(parcels))
        except SyncError as error:
            stop = error
        why = stop.what if stop else _UNSAID
        return Delivery(tuple(verdicts.get(each.contact_id) or deferred(each, why) for each in batch), stop)

    def _look_up(self, id_property: str, parcels: Sequence[Parcel]) -> dict[int, Verdict]:
        answer = read_contacts(self._client, id_property, [parcel.id_value for parcel in parcels])
        found = presence(parcels, self._setup.believed(answer))
        verdicts = {number: Verdict(number, UPDATED, record) for number, record in found.records.items()}
        for parcel in parcels:
            if parcel.contact_id in found.missing:
                outcome = ABSENT if parcel.is_matched else CREATED
                verdicts[parcel.contact_id] = Verdict(parcel.contact_id, outcome)
        return verdicts


def _is_known(parcel: Parcel) -> bool:
    return parcel.known or parcel.record is not None
