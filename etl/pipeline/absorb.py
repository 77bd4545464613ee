"""Merging a page into the state: gather what is known, decide, apply; one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.pipeline.decide import decide, gaining, losing, merged, promotions, wanted
from etl.transform import remaining

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.fields import SyncedFields
    from etl.models.contact import ContactKey, DueContact, KnownVisitor
    from etl.models.reading import Page
    from etl.pipeline.books import Books
    from etl.pipeline.decide import Change, Wanted
    from etl.pipeline.ports import Transaction


Renewed = dict[int, "DueContact | None"]
"""What is to be delivered of the contacts that have changed, by their ids; None: no longer due."""


def absorb(
    page: Page,
    *,
    website_id: int,
    anonymous: bool,
    synced: SyncedFields,
    state: Transaction,
    books: Books,
) -> Renewed:
    """Merge the page's visitors into the state. Returns the contacts that thereby changed."""
    ids = {visitor.id for visitor in page.visitors}
    known = state.visitors.known(website_id, ids)
    links = state.links.of(ids)
    found = merged(known, page.visitors, links=links, anonymous=anonymous, synced=synced)
    renewed, looked_at = apply(found.changes, website_id=website_id, synced=synced, state=state, books=books)
    _touch_others(known, {change.visitor.id for change in found.changes}, looked_at, books)
    rows, kinds = books.rows, found.kinds(page.visitors)
    rows.read += page.read
    rows.out_of_window += page.out_of_window
    rows.rejected += len(page.rejections)
    rows.accepted += kinds["accepted"]
    rows.excluded += kinds["excluded"]
    rows.opted_out += kinds["opted_out"]
    rows.anonymous += kinds["anonymous"]
    books.newly_rejected += state.rejections.refuse_rows(website_id, page.rejections)
    return renewed


def apply(
    changes: Sequence[Change], *, website_id: int, synced: SyncedFields, state: Transaction, books: Books
) -> tuple[Renewed, set[int]]:
    """Write what ``changes`` of one website's visitors make of contacts.

    Returns the contacts that changed, and the ids of all that were looked at.
    """
    homes = state.entries.by_key(gaining(changes))
    for entry, key in promotions(homes):
        state.records.promote(entry, key)
        homes[key] = entry._replace(key=key)
    entries = {home.contact_id: home for home in homes.values()}
    entries |= state.entries.by_id(losing(changes) - entries.keys())
    decision = decide(
        changes,
        website_id=website_id,
        homes=homes,
        entries=entries.values(),
        members=state.visitors.members(entries.keys()),
        synced=synced,
    )
    added = state.ledger.add(decision.added)
    ids: dict[ContactKey | None, int] = {due.contact.key: due.contact_id for due in added}
    ids |= {key: home.contact_id for key, home in homes.items()}
    changed = [(change.visitor, ids.get(change.key), change.before) for change in changes]
    state.visitors.add(website_id, [(visitor, of) for visitor, of, before in changed if before is None])
    state.visitors.change(website_id, [(visitor, of) for visitor, of, before in changed if before])
    for due in added:
        books.touch(due.contact_id, due=True)
    renewed = _renew(decision.renewed, {home.contact_id for home in homes.values()}, state, books)
    renewed.update((due.contact_id, due) for due in added)
    return renewed, {*ids.values(), *entries}


def _renew(changes: Sequence[Wanted], gained: set[int], state: Transaction, books: Books) -> Renewed:
    """Write what is wanted of the ledger's contacts now. Returns them all, due or not."""
    due = state.ledger.want(changes)
    unwanted = [entry.contact_id for entry, contact, _ in changes if contact is None]
    for contact_id in unwanted:
        books.forget(contact_id)
    state.rejections.strike_out(unwanted)
    for entry, contact, _ in changes:
        is_due = due[entry.contact_id] is not None
        if contact and (is_due or entry.contact_id in gained):
            books.touch(entry.contact_id, due=is_due)
        elif contact:
            books.relieve(entry.contact_id)
    return due


def unite(
    pairs: Iterable[tuple[int, int]], *, synced: SyncedFields, state: Transaction, books: Books
) -> dict[int, int]:
    """Make one contact of each pair, whose contacts turned out to be one record: that of the first.

    It is due once more, as HubSpot holds what came last. Returns which contact each that went is now.
    """
    went: dict[int, int] = {}
    for pair in pairs:
        entries = state.entries.by_id({went.get(one, one) for one in pair})
        if len(entries) == 1:
            continue
        record = entries[went.get(pair[0], pair[0])].record
        stays, goes = sorted(entries.values(), key=lambda entry: (entry.key.rank, entry.contact_id))
        stays = stays._replace(record=record)
        members = state.visitors.members(entries.keys())
        remains = remaining((), synced, stays.remains, goes.remains)
        state.visitors.move(goes.contact_id, stays.contact_id)
        state.records.unite(stays, goes, remains=remains)
        state.rejections.strike_out([goes.contact_id])
        everybody = [member.visitor for each in members.values() for member in each]
        contact, fingerprint = wanted(stays.key, everybody, synced, remains=remains)
        state.ledger.want([(stays._replace(remains=remains), contact, fingerprint)])
        due = state.records.doubt([stays.contact_id])
        books.unite(goes.contact_id, stays.contact_id, due=bool(due))
        went = {one: stays.contact_id if other == goes.contact_id else other for one, other in went.items()}
        went[goes.contact_id] = stays.contact_id
    return went


def _touch_others(
    known: Mapping[str, KnownVisitor], changed: set[str], looked_at: set[int], books: Books
) -> None:
    """Rows that say nothing new belong to contacts, too."""
    for each in known.values():
        if (
            each.contact_id is not None
            and each.visitor.id not in changed
            and each.contact_id not in looked_at
        ):
            books.touch(each.contact_id, due=each.due)
