"""Merging what was made for an anonymous visitor into the record of whom it turned out to be."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from etl.transform import name_properties

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.errors import SyncError
    from etl.models.contact import LedgerEntry
    from etl.models.record import ShownContact
    from etl.pipeline.ports import Destination, Store

log = logging.getLogger(__name__)

MOST_MERGES = 100
"""In one run; each is a request, and there is no way back."""


def merge_left(
    destination: Destination, store: Store, *, interruption: Callable[[], SyncError | None]
) -> int:
    """Merge contacts of our own that were left, one after another. Returns how many.

    Only what this program made, and what nobody gave an address. What was done before a kill is found done:
    the record then answers under the id of the other. Raises SyncError.
    """
    with store.reading() as state:
        pairs = state.records.left(MOST_MERGES)
    merged = 0
    for left, known in pairs:
        if interruption():
            break
        merged += _merge(left, known, destination, store)
    return merged


def foreseen(store: Store) -> list[str]:
    """What a dry run says of the merges that would follow, should there be any."""
    with store.reading() as state:
        left = len(state.records.left(MOST_MERGES))
    contacts = "a contact" if left == 1 else f"{left} contacts"
    said = (
        f"SYNC_MERGE: up to {contacts} that this program made for visitors would then be merged into whom"
        " they turned out to be, unless somebody gave them an address."
    )
    return [said] if left else []


def _placeholders(left: LedgerEntry, shown: ShownContact) -> list[str]:
    """The name that this program gave it: the other, where it has none, would take it over."""
    ours = name_properties(left.key)
    return [name for name, text in ours.items() if shown.properties.get(name) == text]


def _merge(left: LedgerEntry, known: LedgerEntry, destination: Destination, store: Store) -> bool:
    with store.reading() as state:
        entry = state.entries.by_id([known.contact_id])[known.contact_id]  # an earlier pair may have moved it
    ours, theirs = str(left.record), str(entry.record)
    shown = destination.look(ours)
    record = None
    if shown is not None and shown.record != ours:
        now = destination.look(theirs)  # merged before, by a run that was killed, or by somebody
        record = shown.record if now and now.record == shown.record else None
    elif shown is not None and not shown.has_address:
        if placeholders := _placeholders(left, shown):
            destination.clear(ours, placeholders)
        record = destination.merge(theirs, ours)
    with store.transaction() as state:
        if record is None:
            state.records.disown(left.contact_id)
            log.info("contact not merged", extra={"action": "merge_left_out", "record": ours})
            return False
        state.links.rename(theirs, record)
        state.records.unite(entry._replace(record=record), left, remains=entry.remains)
    log.info("contacts merged", extra={"action": "contacts_merged", "record": record})
    return True
