"""Merging a page into the state: gather what is known, decide, apply; one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.pipeline.decide import decide, merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.fields import SyncedFields
    from etl.models.contact import ContactKey, DueContact, KnownVisitor, LedgerEntry
    from etl.models.reading import Page
    from etl.pipeline.books import Books
    from etl.pipeline.decide import Decision, Merged
    from etl.pipeline.ports import Transaction


Renewed = dict[int, "DueContact | None"]
"""What is to be delivered of the contacts that a page has changed, by their ids; None: no longer due."""


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
    known = state.visitors.known(website_id, {visitor.id for visitor in page.visitors})
    found = merged(known, page.visitors, anonymous=anonymous, synced=synced)
    entries = _entries(found, state)
    decision = decide(
        found.changes,
        website_id=website_id,
        entries=entries,
        members=state.visitors.members([entry.contact_id for entry in entries]),
        synced=synced,
    )
    renewed, looked_at = _apply(decision, found, website_id=website_id, state=state, books=books)
    _touch_others(known, found, looked_at, books)
    rows, kinds = books.rows, found.kinds(page.visitors)
    rows.read += page.read
    rows.out_of_window += page.out_of_window
    rows.rejected += len(page.rejections)
    rows.accepted += kinds["accepted"]
    rows.opted_out += kinds["opted_out"]
    rows.anonymous += kinds["anonymous"]
    books.newly_rejected += state.rejections.refuse_rows(website_id, page.rejections)
    return renewed


def _entries(found: Merged, state: Transaction) -> list[LedgerEntry]:
    """The contacts of the ledger that gain or lose a visitor."""
    gaining = state.ledger.by_key(found.gaining())
    losing = found.losing().difference(entry.contact_id for entry in gaining.values())
    return [*state.ledger.by_id(losing).values(), *gaining.values()]


def _apply(
    decision: Decision, found: Merged, *, website_id: int, state: Transaction, books: Books
) -> tuple[Renewed, set[int]]:
    """Write what was decided. Returns as well the ids of all contacts that it looked at."""
    added = state.ledger.add(decision.added)
    ids: dict[ContactKey | None, int] = {due.contact.key: due.contact_id for due in added}
    ids |= {entry.key: entry.contact_id for entry, _, _ in decision.renewed}
    changed = [(change.visitor, ids.get(change.key), change.before) for change in found.changes]
    state.visitors.add(website_id, [(visitor, of) for visitor, of, before in changed if before is None])
    state.visitors.change(website_id, [(visitor, of) for visitor, of, before in changed if before])
    for due in added:
        books.touch(due.contact_id, due=True)
    gained = {ids[key] for key in found.gaining()}
    renewed = _renew(decision, gained, state=state, books=books)
    renewed.update((due.contact_id, due) for due in added)
    return renewed, set(ids.values())


def _renew(decision: Decision, gained: set[int], *, state: Transaction, books: Books) -> Renewed:
    """Write what is wanted of the ledger's contacts now. Returns them all, due or not."""
    due = state.ledger.want(decision.renewed)
    unwanted = [entry.contact_id for entry, contact, _ in decision.renewed if contact is None]
    for contact_id in unwanted:
        books.forget(contact_id)
    state.rejections.strike_out(unwanted)
    for entry, contact, _ in decision.renewed:
        is_due = due[entry.contact_id] is not None
        if contact and (is_due or entry.contact_id in gained):
            books.touch(entry.contact_id, due=is_due)
        elif contact:
            books.relieve(entry.contact_id)
    return due


def _touch_others(
    known: Mapping[str, KnownVisitor], found: Merged, looked_at: set[int], books: Books
) -> None:
    """Rows that say nothing new belong to contacts, too."""
    changed = {change.visitor.id for change in found.changes}
    for each in known.values():
        if (
            each.contact_id is not None
            and each.visitor.id not in changed
            and each.contact_id not in looked_at
        ):
            books.touch(each.contact_id, due=each.due)
