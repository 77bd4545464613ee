"""Cutting the due contacts into batches."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from etl import transform
from etl.models.contact import EMAIL, MATCH, RECORD, RECORD_ID, UPDATE, UPSERT, Parcel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from etl.fields import SyncedFields
    from etl.models.contact import ContactKind, DueContact, Way
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Ledger

    _Route = tuple[Way, ContactKind]

BATCH = 100
"""HubSpot takes at most so many inputs in one request."""

_AHEAD = 500
"""So many due contacts are looked up at a time."""

_MOST_AHEAD = 2000
"""So many are kept at the most; the others wait in the ledger."""

_ID_PROPERTIES = {EMAIL: "email", RECORD: RECORD_ID}

_PAGE = 1000
"""A page adds at most so many contacts that nobody knew."""


class Backlog:
    """Due contacts, nearly in the order of their ids, and round again; a batch goes one way.

    A contact in flight is never handed out, so that it is never in two requests at once, nor one of which
    another turned out to be that is in flight; one that was held back is not handed out again in this run.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._after = 0
        self._in_flight: set[int] = set()
        self._held_back: set[int] = set()
        self._behind: dict[int, int] = {}
        self._ahead: dict[_Route, dict[int, DueContact]] = {}
        self._lone: dict[int, DueContact] = {}
        self._count = 0
        self._is_complete = False
        self._has_late = False

    def wait_with_some(self) -> None:
        """Some contacts that were sent are due once more: they can wait until no more changes come."""
        self._has_late = True

    def renew(self, contacts: Mapping[int, DueContact | None]) -> None:
        """These are due with new facts, or None: due no longer. Nothing else has changed in the ledger."""
        for contact_id, due in contacts.items():
            had = self._take_back(contact_id)
            if due is None or self._is_taken(contact_id):
                continue
            if had is None and not self._takes_more:
                self._is_complete = False  # the next look finds it
            else:
                self._put(due)

    def _take_back(self, contact_id: int) -> DueContact | None:
        if (had := self._lone.pop(contact_id, None)) is not None:
            return had
        for kept in self._ahead.values():
            if (had := kept.pop(contact_id, None)) is not None:
                self._count -= 1
                return had
        return None

    @property
    def _takes_more(self) -> bool:
        return self._is_complete and self._count < _MOST_AHEAD

    def _put(self, due: DueContact) -> None:
        if due.unanswered:
            self._lone[due.contact_id] = due
            return
        route = self._route(due)
        if (kept := self._ahead.get(route)) is None:
            kept = self._ahead[route] = {}
        kept[due.contact_id] = due
        self._count += 1

    def _route(self, due: DueContact) -> _Route:
        """What the contacts of a batch have in common."""
        kind = due.contact.key.kind
        if due.record is not None:
            return UPDATE, RECORD
        return (MATCH, kind) if kind in self._order.matched else (UPSERT, RECORD)

    @property
    def is_full(self) -> bool:
        """Whether all that is due is kept here, and what another page makes due might not be."""
        return self._is_complete and self._count > _MOST_AHEAD - _PAGE

    def wants_a_look(self, *, flush: bool) -> bool:
        """Whether the ledger may hold more to send than was looked up; ``flush``: also what can wait."""
        return self._whole_batch() is None and (not self._is_complete or (flush and self._has_late))

    def _whole_batch(self) -> _Route | None:
        return next((route for route, kept in self._ahead.items() if len(kept) >= BATCH), None)

    def look(self, ledger: Ledger, *, flush: bool) -> None:
        """Look up what is due: some contacts after the last that was handed out, and round again."""
        self._has_late = self._has_late and not flush
        self._ahead, self._lone, self._count = {}, {}, 0
        self._is_complete = True
        for count, due in enumerate(self._free(ledger), 1):
            self._put(due)
            if count == _AHEAD:
                self._is_complete = False
                return

    def next_batch(self, *, flush: bool) -> list[Parcel]:
        """Up to 100 parcels; only a full hundred unless ``flush``. Empty where there is nothing to send."""
        route = self._whole_batch()
        if route is None and flush:
            route = next((route for route, kept in self._ahead.items() if kept), None)
        if route is not None:
            kept = self._ahead[route]
            together = list(islice(kept, BATCH))
            self._after, self._count = together[-1], self._count - len(together)
            return self._hand_out([kept.pop(contact_id) for contact_id in together])
        return self._hand_out([self._lone.pop(next(iter(self._lone)))]) if self._lone else []

    def _free(self, ledger: Ledger) -> Iterator[DueContact]:
        """Due contacts that may be handed out: those after the last batch, then those before."""
        for after, until in ((self._after, None), (0, self._after)):
            found = ledger.due(after=after, most=_AHEAD)
            while found:
                for due in found:
                    if until is not None and due.contact_id > until:
                        return
                    if not self._is_taken(due.contact_id):
                        yield due
                found = ledger.due(after=found[-1].contact_id, most=_AHEAD) if len(found) == _AHEAD else []

    def _is_taken(self, contact_id: int) -> bool:
        return (
            contact_id in self._in_flight
            or contact_id in self._held_back
            or contact_id in self._behind.values()
        )

    def returned(self, contact_ids: Iterable[int], *, held_back: Iterable[int]) -> None:
        """These are no longer in flight; ``held_back`` are not to be sent again in this run."""
        for contact_id in contact_ids:
            self._in_flight.discard(contact_id)
            self._behind.pop(contact_id, None)
        self._held_back.update(held_back)

    def unite(self, went: Mapping[int, int]) -> None:
        """Contacts turned out to be others: these wait until all that is in flight of them has returned."""
        self._behind = {one: went.get(other, other) for one, other in self._behind.items()}
        self._behind |= {goes: stays for goes, stays in went.items() if goes in self._in_flight}
        self.renew(dict.fromkeys({*went, *went.values()}))

    def is_in_flight(self, contact_id: int) -> bool:
        return contact_id in self._in_flight

    def _hand_out(self, contacts: list[DueContact]) -> list[Parcel]:
        self._in_flight.update(due.contact_id for due in contacts)
        return [self._parcel(due) for due in contacts]

    def _parcel(self, due: DueContact) -> Parcel:
        contact_id, contact, fingerprint, known, unanswered, record = due
        kind, value = contact.key
        properties, name = transform.properties(contact, self._synced), transform.name_properties(contact.key)
        if not known and record is None:
            properties |= name
        return Parcel(
            contact_id,
            _ID_PROPERTIES.get(kind) or self._synced.visitor_id,
            value,
            properties,
            fingerprint,
            name,
            known,
            unanswered,
            record,
            kind in self._order.matched,
            self._order.recreate and kind is not RECORD,
        )

    @property
    def _synced(self) -> SyncedFields:
        return self._order.synced
