"""Leaving out whom the settings exclude, among those that the state holds already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl import transform
from etl.models.erasure import Person
from etl.pipeline.absorb import apply
from etl.pipeline.books import Books
from etl.pipeline.decide import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.models.contact import KnownVisitor
    from etl.models.erasure import Screened
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Store, Transaction

_NOTE = "exclusions"
_AT_ONCE = 5000


def follow_exclusions(order: Order, store: Store) -> bool:
    """Once the exclusions have changed, go through all visitors and addresses, page by page.

    Who is excluded now leaves its contact; who was, is seen with fresh eyes when its next row comes. A kill
    in between costs a repetition. Returns whether they have changed.
    """
    with store.reading() as state:
        noted = state.notebook.get(_NOTE)
        if noted == order.exclusions.digest or (noted is None and not order.exclusions):
            return False
        websites = [website.id for website in state.runs.websites().values()]
    for website_id in websites:
        _screen_visitors(website_id, order, store)
    _erase_addresses(order, store)
    with store.transaction() as state:
        state.notebook.put(_NOTE, order.exclusions.digest)
    return True


def _screen_visitors(website_id: int, order: Order, store: Store) -> None:
    after: str | None = ""
    while after is not None:
        with store.transaction() as state:
            page = state.screening.visitors(website_id, after=after, most=_AT_ONCE)
            _screen(page, website_id, order, state)
        after = page[-1].visitor_id if page else None


def _screen(page: Sequence[Screened], website_id: int, order: Order, state: Transaction) -> None:
    covered = {
        each.visitor_id
        for each in page
        if order.exclusions.cover(visitor_id=each.visitor_id, email=each.email, country=each.country)
    }
    excluded = {each.visitor_id for each in page if each.excluded}
    state.screening.lift(website_id, excluded - covered)
    known = state.visitors.known(website_id, covered - excluded)
    changes = [_left_out(each) for each in known.values()]
    apply(changes, website_id=website_id, synced=order.synced, state=state, books=Books())


def _left_out(known: KnownVisitor) -> Change:
    visitor = known.visitor
    return Change(transform.merge(visitor, transform.left_out(visitor.id, visitor.last_seen)), None, known)


def _erase_addresses(order: Order, store: Store) -> None:
    """Erase the contacts of excluded addresses to which nobody belongs; HubSpot's records stay."""
    after: int | None = 0
    while after is not None:
        with store.transaction() as state:
            page = state.screening.addresses(after=after, most=_AT_ONCE)
            covered = {number for number, address in page if order.exclusions.cover_address(address)}
            _erase_deserted(covered, state)
        after = page[-1][0] if page else None


def _erase_deserted(contact_ids: set[int], state: Transaction) -> None:
    inhabited = {each.contact_id for each in state.erasure.members(contact_ids)}
    leads = list(state.erasure.contacts(contact_ids - inhabited))
    kept = {lead.contact_id for lead in leads if lead.remains}
    gone = {lead.contact_id for lead in leads if lead.leads_to not in kept}
    if gone:
        state.erasure.erase(Person(contacts=gone))
