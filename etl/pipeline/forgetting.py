"""Forgetting people: all that is kept of them is erased, and tombstones keep them away from then on.

What a key leads to is somebody's contact, with all its visitors and whatever else leads to it. An anonymous
contact that one of these visitors has left behind is theirs as well. A contact that others belong to is
somebody else's: it stays, without the visitors that are forgotten.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from etl.models.contact import EMAIL, VISITOR, ContactKey
from etl.models.erasure import Holdings, Person
from etl.pipeline.absorb import apply
from etl.pipeline.decide import Change

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from etl.fields import SyncedFields
    from etl.models.erasure import Lead
    from etl.models.reading import Page
    from etl.pipeline.absorb import Renewed
    from etl.pipeline.books import Books
    from etl.pipeline.ports import Transaction


def found(keys: Collection[ContactKey], state: Transaction) -> Person:
    """Whom ``keys`` lead to. Visitors that state the address but belong elsewhere are found by ``joined``."""
    person = Person()
    person.add(keys)
    person.unrecorded |= person.addresses
    contacts = {lead.leads_to for lead in state.erasure.leads(keys)}
    contacts |= {each.contact_id for each in state.erasure.traces(person.visitors) if each.contact_id}
    _follow(person, contacts, state)
    return person


def is_known(person: Person, state: Transaction) -> bool:
    """Whether the state holds anything of somebody."""
    return (
        state.erasure.holdings(person) != Holdings()
        or bool(state.links.of(person.visitors))
        or bool(state.links.of_records(person.records))
    )


def joined(people: Sequence[Person], state: Transaction) -> None:
    """Let visitors that state an address of one of ``people`` be theirs. The database reads all visitors."""
    stating = defaultdict(set)
    addresses = {address for person in people for address in person.addresses - person.shared}
    for each in state.erasure.stating(addresses):
        stating[each.email].add(each.visitor_id)
    for person in people:
        news = {one for address in person.addresses & stating.keys() for one in stating[address]}
        if not news <= person.visitors:
            person.visitors |= news
            _follow(person, set(), state)


def forget(people: Iterable[Person], *, synced: SyncedFields, state: Transaction, books: Books) -> Renewed:
    """Erase all that is kept of ``people``. Returns the contacts of others that thereby changed."""
    renewed: Renewed = {}
    for person in people:
        renewed |= _leave_others(person, synced=synced, state=state, books=books)
        state.links.erase(person.visitors, person.records)
        state.erasure.erase(person)
        state.forgotten.bury(person.keys)
        books.erase(person.contacts)
        renewed |= dict.fromkeys(person.contacts)
    return renewed


def without_forgotten(
    page: Page, *, synced: SyncedFields, state: Transaction, books: Books
) -> tuple[Page, Renewed]:
    """``page`` without the rows of whom was forgotten, which count as excluded.

    A visitor that is new under an address that was forgotten is forgotten, too. Returns as well what thereby
    changed.
    """
    if state.forgotten.is_empty():
        return page, {}
    rows = {ContactKey(VISITOR, row.id) for row in page.visitors}
    refused = {ContactKey(VISITOR, row.key) for row in page.rejections}
    addresses = {ContactKey(EMAIL, row.email) for row in page.visitors if row.email is not None}
    buried = state.forgotten.among(rows | refused | addresses)
    if not buried:
        return page, {}
    away = {key.value for key in buried if key.kind is VISITOR}
    news = {row.id for row in page.visitors if row.email and ContactKey(EMAIL, row.email) in buried} - away
    renewed = stay_away(news, (), synced=synced, state=state, books=books)
    visitors = tuple(row for row in page.visitors if row.id not in away | news)
    rejections = tuple(row for row in page.rejections if row.key not in away | news)
    books.rows.excluded += len(page.visitors) - len(visitors) + len(page.rejections) - len(rejections)
    return replace(page, visitors=visitors, rejections=rejections), renewed


def stay_away(
    visitor_ids: Collection[str],
    keys: Collection[ContactKey],
    *,
    synced: SyncedFields,
    state: Transaction,
    books: Books,
) -> Renewed:
    """Forget visitors, and whom ``keys`` lead to, who turned out to be people that were forgotten."""
    if not visitor_ids and not keys:
        return {}
    person = found(keys, state)
    person.visitors |= set(visitor_ids)
    _follow(person, set(), state)
    return forget([person], synced=synced, state=state, books=books)


def _follow(person: Person, contacts: Collection[int], state: Transaction) -> None:
    """Add ``contacts``, and whatever leads to them, and what that leads to, until there is no more."""
    _add_linked(person, person.records, state)
    for contact_id in contacts:
        _take(person, contact_id, state, owned=True)
    while left := _left_behind(person, state):
        for home in left:
            _take(person, home.contact_id, state, owned=home.key.kind is VISITOR)


def _take(person: Person, contact_id: int, state: Transaction, *, owned: bool) -> None:
    leads = list(state.erasure.contacts([contact_id]))
    records = {lead.record for lead in leads if lead.record is not None}
    person.contacts |= {lead.contact_id for lead in leads}
    person.add(lead.key for lead in leads)
    person.records |= records
    if owned:
        person.owned |= records
        addresses = {lead.key.value for lead in leads if lead.key.kind is EMAIL}
        person.unrecorded = person.unrecorded - addresses if records else person.unrecorded | addresses
    for each in state.erasure.members([contact_id]):
        person.visitors.add(each.visitor_id)
        if each.email is not None:
            person.addresses.add(each.email)
    _add_linked(person, records, state)


def _add_linked(person: Person, records: Collection[str], state: Transaction) -> None:
    for links in state.links.of_records(records).values():
        person.visitors |= {link.visitor_id for link in links}


def _left_behind(person: Person, state: Transaction) -> list[Lead]:
    """Contacts that this person's visitors lead to, and to which nobody else belongs.

    What leads to somebody else's contact is noted: an address as shared, a visitor id as an alias.
    """
    known = person.contacts | person.aliases
    keys = {key for key in person.keys if key.kind in (VISITOR, EMAIL)}
    leads = [lead for lead in state.erasure.leads(keys) if lead.contact_id not in known]
    homes = {home.contact_id: home for home in state.erasure.contacts({lead.leads_to for lead in leads})}
    left = {}
    for lead in leads:
        home = homes[lead.leads_to]
        if home.key.kind is VISITOR or (lead.into is None and not _has_others(home, person, state)):
            left[home.contact_id] = home
        elif lead.key.kind is EMAIL:
            person.shared.add(lead.key.value)
        else:
            person.aliases.add(lead.contact_id)
    return list(left.values())


def _has_others(home: Lead, person: Person, state: Transaction) -> bool:
    members = state.erasure.members([home.contact_id])
    return home.remains or any(each.visitor_id not in person.visitors for each in members)


def _leave_others(person: Person, *, synced: SyncedFields, state: Transaction, books: Books) -> Renewed:
    """Have the visitors leave the contacts of others, which are computed again without them."""
    elsewhere: defaultdict[int, list[str]] = defaultdict(list)
    for each in state.erasure.traces(person.visitors):
        if each.contact_id is not None and each.contact_id not in person.contacts:
            elsewhere[each.website_id].append(each.visitor_id)
    renewed: Renewed = {}
    for website_id, ids in elsewhere.items():
        known = state.visitors.known(website_id, ids)
        changes = [Change(each.visitor, None, each) for each in known.values()]
        changed, _ = apply(changes, website_id=website_id, synced=synced, state=state, books=books)
        renewed |= changed
    return renewed
