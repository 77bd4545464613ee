"""Visitors who were not seen for long are kept no more; what they come to stays on their contacts."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import orjson

from etl import transform
from etl.models.contact import VISITOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.fields import SyncedFields
    from etl.models.contact import KnownVisitor, LedgerEntry
    from etl.models.visitor import Visitor
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Store, Transaction

STEP = 5_000
"""So many visitors are looked at in one transaction."""

MOST_STEPS = 8
"""And so many steps are taken in one run, as long as each finds somebody."""


REST = timedelta(days=1)
"""So long after all were looked at nobody is: who has expired meanwhile waits for that."""


def pruned_to(website: str, state: Transaction) -> datetime | None:
    """Rows that are older were taken off the state: read again, they would be counted twice."""
    text = state.notebook.mapping(_note(website)).get("to")
    return None if text is None else datetime.fromisoformat(text)


def prune(order: Order, *, website_id: int, clock: datetime, store: Store) -> int:
    """Go on through the visitors of a website, and take off who was last seen before ``order.retention``.

    ``clock`` is the source's. Returns how many were taken off.
    """
    cutoff, pruned = clock - order.retention, 0
    for _ in range(MOST_STEPS):
        with store.transaction() as state:
            taken = _step(order, website_id, cutoff, state)
        pruned += taken
        if not taken:
            break
    return pruned


def _is_through(note: Mapping[str, str], cutoff: datetime) -> bool:
    """Whether all were looked at, a short while ago, for such as were last seen before ``cutoff``."""
    through = note.get("through")
    return through is not None and cutoff < datetime.fromisoformat(through) + REST


def _step(order: Order, website_id: int, cutoff: datetime, state: Transaction) -> int:
    note = state.notebook.mapping(_note(order.website))
    if _is_through(note, cutoff):
        return 0
    seen = state.visitors.seen(website_id, after=note.get("after", ""), most=STEP)
    expired = [visitor_id for visitor_id, at in seen if at < cutoff]
    known = state.visitors.known(website_id, expired)
    pruned = {name: each for name, each in known.items() if not _says_no(each.visitor)}
    if pruned:
        _take_off(pruned, website_id, order.synced, state)
        note["to"] = max(cutoff, datetime.fromisoformat(note.get("to", cutoff.isoformat()))).isoformat()
    note["after"] = seen[-1][0] if len(seen) == STEP else ""
    if not note["after"]:
        note["through"] = cutoff.isoformat()
    state.notebook.put(_note(order.website), orjson.dumps(note).decode())
    return len(pruned)


def _says_no(visitor: Visitor) -> bool:
    """Whether it has to be remembered that nothing of the visitor is to be synced."""
    return bool(visitor.opted_out or visitor.excluded)


def _take_off(
    pruned: Mapping[str, KnownVisitor], website_id: int, synced: SyncedFields, state: Transaction
) -> None:
    by_contact: defaultdict[int, list[Visitor]] = defaultdict(list)
    for each in pruned.values():
        if each.contact_id is not None:
            by_contact[each.contact_id].append(each.visitor)
    entries = state.entries.by_id(by_contact.keys())
    state.visitors.drop(website_id, pruned.keys())
    nobodies = {contact_id for contact_id, entry in entries.items() if _is_nobody(entry)}
    left = nobodies - state.visitors.members(nobodies).keys()
    state.records.keep_remains(
        {
            contact_id: transform.remaining(by_contact[contact_id], synced, entry.remains)
            for contact_id, entry in entries.items()
            if contact_id not in left
        }
    )
    state.rejections.strike_out(left)
    state.records.drop(left)


def _is_nobody(entry: LedgerEntry) -> bool:
    """Whether HubSpot has never heard of the contact, and only the visitor that is gone could lead to it."""
    never_sent = entry.record is None and entry.confirmed is None
    return entry.key.kind is VISITOR and never_sent and not entry.due


def _note(website: str) -> str:
    return f"retention_{website}"
