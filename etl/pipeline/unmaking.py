"""Taking away the contacts that a run had made, where nobody has touched them since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import SyncError
from etl.models.contact import Parcel
from etl.models.verdict import GONE, Verdict
from etl.pipeline import undo
from etl.pipeline.packing import id_property
from etl.pipeline.sighting import GONE_CODE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.models.contact import LedgerEntry
    from etl.models.deed import Deed
    from etl.models.summary import MadeFate, PastRun
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Restorer, Store

_SHORT = 8


def unmake(
    deeds: Sequence[Deed], past: PastRun, order: Order, destination: Restorer, store: Store
) -> tuple[dict[int, MadeFate], SyncError | None]:
    """Archive up to 100 contacts, and let them be gone here, so that they are not made again.

    Returns what becomes of each of which that is known, and what has kept the others from being judged. One
    that is not there any more is gone here too: maybe this has archived it, and was killed.
    """
    with store.reading() as state:
        entries = state.entries.by_id([deed.contact_id for deed in deeds])
    fates: dict[int, MadeFate] = {
        deed.contact_id: "gone" if entries[deed.contact_id].blocked else "left"
        for deed in deeds
        if deed.record is None
    }
    known = {deed.contact_id: deed for deed in deeds if deed.record is not None}
    parcels = {number: _parcel(deed, entries[number], order) for number, deed in known.items()}
    sight = destination.look_for(list(parcels.values()))
    fates |= dict.fromkeys(sight.missing, "gone")
    for number, shown in sight.found.items():
        as_made = undo.is_as_made(
            known[number], entries[number], shown, began=past.started, synced=order.synced
        )
        fates[number] = "archived" if as_made else "changed"
    going = [number for number in known if fates.get(number) == "archived"]
    try:
        if going:
            destination.archive([str(known[number].record) for number in going])
    except SyncError as failure:
        _part(parcels, sight.missing, past, order, store)
        return {number: fate for number, fate in fates.items() if fate != "archived"}, failure
    _part(parcels, {*going, *sight.missing}, past, order, store)
    return fates, sight.stop


def _parcel(deed: Deed, entry: LedgerEntry, order: Order) -> Parcel:
    return Parcel(
        deed.contact_id,
        id_property(deed.key.kind, order.synced),
        deed.key.value,
        {},
        entry.wanted or b"",
        record=deed.record,
        known=True,
        asks=undo.made_properties(entry),
    )


def _part(
    parcels: Mapping[int, Parcel], contact_ids: Collection[int], past: PastRun, order: Order, store: Store
) -> None:
    """Write down that these contacts are not there any more."""
    if not contact_ids:
        return
    reason = f"It was made by the run {past.run[:_SHORT]}, and went when that was undone."
    told = [
        (parcels[number], Verdict(number, GONE, reason=reason, code=GONE_CODE, final=True))
        for number in contact_ids
    ]
    with store.transaction() as state:
        state.ledger.settle(told)
        state.rejections.settle(told)
        state.verdicts.settle(order.run, told)
        state.ledger.part_with(contact_ids)
