"""Taking the visitors of a website that is synced no more off their contacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.pipeline.absorb import apply
from etl.pipeline.books import Books
from etl.pipeline.decide import Change

if TYPE_CHECKING:
    from etl.fields import SyncedFields
    from etl.pipeline.ports import Store

_AT_ONCE = 5_000


def clear(website_id: int, *, synced: SyncedFields, store: Store) -> int:
    """Take all visitors of a website out of the state, page by page. Returns how many there were.

    A contact that others belong to is computed from them alone, and due if that changes it; one that nobody
    belongs to any more is never sent again. HubSpot's records stay as they are. After a kill in between, the
    rest is taken out by the next time.
    """
    cleared = 0
    while taken := _clear_page(website_id, synced, store):
        cleared += taken
    return cleared


def _clear_page(website_id: int, synced: SyncedFields, store: Store) -> int:
    with store.transaction() as state:
        page = [visitor_id for visitor_id, _ in state.visitors.seen(website_id, after="", most=_AT_ONCE)]
        known = state.visitors.known(website_id, page)
        unwanted = [Change(each.visitor, None, each) for each in known.values()]
        apply(unwanted, website_id=website_id, synced=synced, state=state, books=Books())
        state.visitors.drop(website_id, known.keys())
    return len(page)
