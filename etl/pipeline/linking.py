"""Taking up links: which visitors belong to which record, and what of their contacts that changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl import transform
from etl.models.contact import RECORD, VISITOR, ContactKey
from etl.models.link import LinkedRecord, ShownRecord
from etl.pipeline.absorb import apply
from etl.pipeline.books import Books
from etl.pipeline.decide import Change
from etl.pipeline.forgetting import stay_away

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from etl.models.contact import KnownVisitor
    from etl.models.link import Link, LinkPage
    from etl.pipeline.order import Order
    from etl.pipeline.ports import LinkSource, Store, Transaction

WATCHED = 100
"""So many linked records are looked at by the way in every run, whether their links were taken away."""

_AT_ONCE = 1000


def follow_links(source: LinkSource, order: Order, store: Store) -> None:
    """Take up what has changed since the last time, page by page: a kill in between loses none.

    Raises SyncError where HubSpot cannot be asked.
    """
    name = source.property_name
    with store.reading() as state:
        read_to, watched = state.links.read_to(name), state.links.watched(WATCHED)
    for page in source.changed(read_to, watched=watched):
        with store.reading() as state:
            known = state.links.of_records({each.record for each in page.records})
        news = [each for each in page.records if _is_news(each, known)]
        found, lost = _histories(source, news, store)
        found += [
            LinkedRecord(each.record) for each in page.records if not each.value and each.record in known
        ]
        with store.transaction() as state:
            _take_up(found, lost, order, state)
            read_to = _note(page, read_to, name, state)
    with store.transaction() as state:
        state.links.looked_at(watched)


def _note(page: LinkPage, read_to: datetime | None, name: str, state: Transaction) -> datetime | None:
    if page.read_to is None or (read_to and page.read_to <= read_to):
        return read_to
    state.links.note(name, page.read_to)
    return page.read_to


def _is_news(shown: ShownRecord, known: Mapping[str, Collection[Link]]) -> bool:
    """Whether the record has another id than the one that it is known to have got last."""
    if shown.value is None:
        return False
    links = known.get(shown.record, ())
    last = max((link.since for link in links), default=None)
    return shown.value.strip() not in {link.visitor_id for link in links if link.since == last}


def _histories(
    source: LinkSource, news: Sequence[ShownRecord], store: Store
) -> tuple[list[LinkedRecord], list[LinkedRecord]]:
    """All links of the records with ``news``, and again those of records that share a visitor with them.

    And what is left of those that answer no more under their ids: they were merged, or are gone, and what
    they shared is not theirs any more.
    """
    found = {each.record: each for each in source.history(news)}
    shared = {link.visitor_id for each in found.values() for link in each.links}
    with store.reading() as state:
        rivals = {link.record: link for link in state.links.of_visitors(shared) if link.record not in found}
        links = state.links.of_records(rivals.keys())
    answered = source.history([ShownRecord(each.record, None, each.since) for each in rivals.values()])
    found = {each.record: each for each in answered} | found
    lost = [
        LinkedRecord(record, tuple(link for link in links[record] if link.visitor_id not in shared))
        for record in rivals.keys() - found.keys()
    ]
    return list(found.values()), lost


def _take_up(
    found: Sequence[LinkedRecord], lost: Sequence[LinkedRecord], order: Order, state: Transaction
) -> None:
    """Write down what links these records have now, and have their visitors' facts go where they belong.

    What else leads to such a record, or shares a visitor with it, may have been merged into it.
    """
    found = _without_forgotten(found, order, state)
    lost = _without_forgotten(lost, order, state)
    records = {each.record: each for each in (*found, *lost)}
    before = state.links.of_records(records.keys())
    after = {record: each.links for record, each in records.items()}
    _replace(records.keys(), after, before, order, state)
    keys = {key for each in found for key in each.keys}
    rivals = state.links.of_visitors({link.visitor_id for each in found for link in each.links})
    others = {link.record for link in rivals} | {each.record for each in lost}
    keys |= {ContactKey(RECORD, record) for record in others}
    state.records.doubt_others(keys, {each.record for each in found})


def _without_forgotten(
    found: Sequence[LinkedRecord], order: Order, state: Transaction
) -> Sequence[LinkedRecord]:
    """``found`` without records and visitors that were forgotten; who is linked to such a record is, too."""
    if state.forgotten.is_empty():
        return found
    records = {ContactKey(RECORD, each.record) for each in found}
    linked = {ContactKey(VISITOR, link.visitor_id) for each in found for link in each.links}
    buried = state.forgotten.among(records | linked)
    theirs = [each for each in found if ContactKey(RECORD, each.record) in buried]
    news = {link.visitor_id for each in theirs for link in each.links}
    keys = {key for each in theirs for key in each.keys}
    stay_away(news, keys, synced=order.synced, state=state, books=Books())
    away = news | {key.value for key in buried if key.kind is VISITOR}
    return [
        replace(each, links=tuple(link for link in each.links if link.visitor_id not in away))
        for each in found
        if ContactKey(RECORD, each.record) not in buried
    ]


def begin_anew(order: Order, state: Transaction) -> None:
    """Forget what another portal said: of contacts, of links, and of which contacts are one."""
    joined = state.records.joined()
    state.ledger.begin_anew()
    _drop_all_links(order, state)
    websites = state.runs.websites().values()
    for start in range(0, len(joined), _AT_ONCE):
        members = state.visitors.members(joined[start : start + _AT_ONCE])
        everybody = [each for theirs in members.values() for each in theirs]
        for website in websites:
            visitor_ids = {each.visitor.id for each in everybody if each.website_id == website.id}
            _rehome_on(website.id, visitor_ids, {}, order, state)
    state.records.drop_linked()


def _drop_all_links(order: Order, state: Transaction) -> None:
    while records := state.links.watched(_AT_ONCE):
        before = state.links.of_records(records)
        _replace(records, {}, before, order, state)
    state.links.begin_anew()


def _replace(
    records: Collection[str],
    after: Mapping[str, Collection[Link]],
    before: Mapping[str, Collection[Link]],
    order: Order,
    state: Transaction,
) -> None:
    links = [link for record in records for link in after.get(record, ())]
    visitor_ids = {link.visitor_id for link in links}
    visitor_ids |= {link.visitor_id for record in records for link in before.get(record, ())}
    led = state.links.of(visitor_ids)
    state.links.replace(records, links)
    leads = state.links.of(visitor_ids)
    relinked = {each for each in visitor_ids if led.get(each) != leads.get(each)}
    if relinked:
        _rehome(relinked, leads, order, state)


def _rehome(visitor_ids: Collection[str], links: Mapping[str, str], order: Order, state: Transaction) -> None:
    """Let visitors, on whatever website, belong to the contacts that their keys lead to now."""
    for website in state.runs.websites().values():
        _rehome_on(website.id, visitor_ids, links, order, state)


def _rehome_on(
    website_id: int, visitor_ids: Collection[str], links: Mapping[str, str], order: Order, state: Transaction
) -> None:
    known = state.visitors.known(website_id, visitor_ids)
    changes = [_rehomed(each, links.get(name), order) for name, each in known.items()]
    apply(changes, website_id=website_id, synced=order.synced, state=state, books=Books())


def _rehomed(known: KnownVisitor, linked_to: str | None, order: Order) -> Change:
    key = transform.wanted_key(known.visitor, anonymous=order.anonymous, linked_to=linked_to)
    return Change(known.visitor, key, known)
