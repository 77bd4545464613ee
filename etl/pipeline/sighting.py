"""What a look makes of the contacts that were looked for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.models.contact import RECORD_ID
from etl.models.verdict import ABSENT, DEFERRED, GONE, Verdict
from etl.pipeline import writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.models.contact import Parcel
    from etl.models.record import ShownContact
    from etl.models.verdict import Sight

GONE_CODE = "GONE"
_GONE = "HubSpot had this contact and has it no more: it was deleted there."
_UNSAID = "HubSpot did not say whether it has this contact."


class Sorted(NamedTuple):
    """``found`` are those that are there; ``onward`` is sent, or looked for once more, without a record."""

    found: list[tuple[Parcel, ShownContact]]
    onward: list[Parcel]
    settled: list[tuple[Parcel, Verdict]]


def sort_out(batch: Sequence[Parcel], sight: Sight) -> Sorted:
    """Each parcel of ``batch`` once."""
    result = Sorted([], [], [])
    for parcel in batch:
        shown = sight.found.get(parcel.contact_id)
        if shown is not None:
            result.found.append((parcel, shown))
        elif parcel.contact_id not in sight.missing:
            why = sight.stop.what if sight.stop else _UNSAID
            result.settled.append((parcel, Verdict(parcel.contact_id, DEFERRED, reason=why)))
        elif parcel.record is not None and parcel.id_property != RECORD_ID:
            result.onward.append(writing.lost(parcel))
        elif parcel.record is not None or (parcel.is_lost and not parcel.recreate):
            result.settled.append((parcel, gone(parcel)))
        elif parcel.is_matched:
            result.settled.append((parcel, Verdict(parcel.contact_id, ABSENT)))
        else:
            result.onward.append(writing.missing(parcel))
    return result


def gone(parcel: Parcel) -> Verdict:
    """The verdict on a contact whose record was there once and is not any more."""
    return Verdict(parcel.contact_id, GONE, reason=_GONE, code=GONE_CODE, final=True)
