"""What a delivery would do, for dry runs: it reads, and writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.load.side import HubSpotSide
from etl.models.contact import UPSERT
from etl.models.verdict import CREATED, UPDATED, Delivery, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.models.contact import Parcel


class Preview(HubSpotSide):
    """Takes the place of HubSpotContacts in a dry run, and stops where the real run would stop."""

    def deliver(self, batch: Sequence[Parcel]) -> Delivery:
        """What would become of parcels that have all been looked at."""
        return Delivery(
            tuple(
                Verdict(parcel.contact_id, CREATED if parcel.way is UPSERT else UPDATED, parcel.record)
                for parcel in batch
            )
        )

    def archive(self, records: Sequence[str]) -> None:
        """Nothing: they stay where they are."""
