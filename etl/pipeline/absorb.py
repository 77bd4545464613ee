"""Merging a page into the state: gather what is known, decide, write; one transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from etl import transform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.models.contact import ContactKey, DueContact, KnownVisitor, LedgerEntry
    from etl.models.reading import Page
    from etl.models.visitor import Visitor
    from etl.pipeline.books import Books
    from etl.pipeline.ports import Transaction


class _Change(NamedTuple):
    """A visitor and its contact, now and before. They differ."""

    visitor: Visitor
    key: ContactKey | None
    before: KnownVisitor | None


class Absorbed(NamedTuple):
    """What a page has changed.

    ``added`` are contacts that nobody knew; all of them are due. ``renewed`` says whether known ones changed.
    """

    added: list[DueContact]
    renewed: bool


class _Written(NamedTuple):
    """``looked_at`` are the ids of all contacts that were computed anew."""

    added: list[DueContact]
    renewed: bool
    looked_at: set[int]


def absorb(page: Page, *, website_id: int, anonymous: bool, state: Transaction, books: Books) -> Absorbed:
    """Merge the page's visitors into the state, and make due what thereby changed."""
    known = state.visitors.known(website_id, {visitor.id for visitor in page.visitors})
    merged = transform.merge_all({key: found.visitor for key, found in known.items()}, page.visitors)
    wanted: dict[str, ContactKey] = {}
    changes: list[_Change] = []
    for name, visitor in merged.items():
        key, before = None, known.get(name)
        if transform.is_wanted(visitor, anonymous=anonymous):
            key = wanted[name] = transform.contact_key(visitor)
        if before is None or before.visitor != visitor or before.key != key:
            changes.append(_Change(visitor, key, before))
    written = _write(changes, website_id=website_id, state=state, books=books)
    done, changed = written.looked_at, {change.visitor.id for change in changes}
    for found in known.values():
        if found.contact_id is not None and found.visitor.id not in changed and found.contact_id not in done:
            books.touch(found.contact_id, due=found.due)
    _count_rows(page, merged=merged, wanted=wanted, books=books)
    books.newly_rejected += state.rejections.refuse_rows(website_id, page.rejections)
    return Absorbed(written.added, written.renewed)


def _write(changes: list[_Change], *, website_id: int, state: Transaction, books: Books) -> _Written:
    """Write changed visitors and their contacts."""
    entries = state.ledger.by_key({change.key for change in changes if change.key})
    added = _add_contacts(changes, entries, state=state, books=books)
    ids: dict[ContactKey | None, int] = {due.contact.key: due.contact_id for due in added}
    ids |= {key: entry.contact_id for key, entry in entries.items()}
    state.visitors.add(
        website_id, [(change.visitor, ids.get(change.key)) for change in changes if change.before is None]
    )
    state.visitors.change(
        website_id, [(change.visitor, ids.get(change.key)) for change in changes if change.before]
    )
    gained = {entry.contact_id: entry for entry in entries.values()}
    left = {
        change.before.contact_id
        for change in changes
        if change.before and change.before.contact_id is not None and change.before.key != change.key
    }
    lost = state.ledger.by_id(left - gained.keys()) if left - gained.keys() else {}
    _renew_contacts(gained, lost, state=state, books=books)
    return _Written(added, bool(gained or lost), {*ids.values(), *lost})


def _add_contacts(
    changes: list[_Change], entries: Mapping[ContactKey, LedgerEntry], *, state: Transaction, books: Books
) -> list[DueContact]:
    """Contacts that nobody knew: all their visitors are in this page."""
    members: defaultdict[ContactKey, list[Visitor]] = defaultdict(list)
    for change in changes:
        if change.key and change.key not in entries:
            members[change.key].append(change.visitor)
    contacts = [transform.contact(key, visitors) for key, visitors in members.items()]
    added = state.ledger.add([(contact, transform.fingerprint(contact)) for contact in contacts])
    for due in added:
        books.touch(due.contact_id, due=True)
    return added


def _renew_contacts(
    gained: Mapping[int, LedgerEntry], lost: Mapping[int, LedgerEntry], *, state: Transaction, books: Books
) -> None:
    """Contacts that the ledger had: computed again from all their visitors."""
    entries = {**lost, **gained}
    if not entries:
        return
    members = state.visitors.members(entries.keys())
    renewed = {
        contact_id: transform.contact(entry.key, members[contact_id]) if members.get(contact_id) else None
        for contact_id, entry in entries.items()
    }
    due = state.ledger.want(
        (entries[contact_id], contact, transform.fingerprint(contact) if contact else None)
        for contact_id, contact in renewed.items()
    )
    unwanted = [contact_id for contact_id, contact in renewed.items() if contact is None]
    for contact_id in unwanted:
        books.forget(contact_id)
    state.rejections.strike_out(unwanted)
    for contact_id, contact in renewed.items():
        if contact and (contact_id in gained or due[contact_id]):
            books.touch(contact_id, due=due[contact_id])
        elif contact:
            books.relieve(contact_id)


def _count_rows(
    page: Page, *, merged: Mapping[str, Visitor], wanted: Mapping[str, ContactKey], books: Books
) -> None:
    rows = books.rows
    rows.read += page.read
    rows.out_of_window += page.out_of_window
    rows.rejected += len(page.rejections)
    kinds = Counter(
        "accepted" if visitor.id in wanted else "opted_out" if merged[visitor.id].opted_out else "anonymous"
        for visitor in page.visitors
    )
    rows.accepted += kinds["accepted"]
    rows.opted_out += kinds["opted_out"]
    rows.anonymous += kinds["anonymous"]
