"""Cutting the due contacts into batches."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from etl.models.contact import LOOK, Parcel
from etl.pipeline import writing
from etl.pipeline.packing import packed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from etl.models.contact import DueContact, Way
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Ledger

    _Route = tuple[Way, str]

BATCH = 100
"""HubSpot takes at most so many inputs in one request."""

_AHEAD = 500
"""So many due contacts are looked up at a time."""

_MOST_AHEAD = 2000
"""So many are kept at the most; the others wait in the ledger."""

_PAGE = 1000
"""A page adds at most so many contacts that nobody knew."""


class Backlog:
    """Due contacts, nearly in the order of their ids, and round again; a batch goes one way.

    A contact in flight is never handed out, so that it is never in two requests at once, nor one of which
    another turned out to be that is in flight; one that was held back is not handed out again in this run.
    What comes back from a look stays in flight until it has its verdict.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._after = 0
        self._in_flight: set[int] = set()
        self._held_back: set[int] = set()
        self._behind: dict[int, int] = {}
        self._ahead: dict[_Route, dict[int, Parcel]] = {}
        self._goes_on: dict[_Route, dict[int, Parcel]] = {}
        self._lone: dict[int, Parcel] = {}
        self._count = 0
        self._is_complete = False
        self._has_late = False

    def begin_empty(self) -> None:
        """The ledger holds nothing that is due, so that nothing need be looked up."""
        self._is_complete = True

    def wait_with_some(self) -> None:
        """Some contacts that were sent are due once more: they can wait until no more changes come."""
        self._has_late = True

    def renew(self, contacts: Mapping[int, DueContact | None]) -> None:
        """These are due with new facts, or None: due no longer. Nothing else has changed in the ledger."""
        for contact_id, due in contacts.items():
            had = self._take_back(contact_id) or self._call_back(contact_id)
            if due is None or self._is_taken(contact_id):
                continue
            if had is None and not self._takes_more:
                self._is_complete = False  # the next look finds it
            else:
                self._put(due)

    def _take_back(self, contact_id: int) -> Parcel | None:
        if (had := self._lone.pop(contact_id, None)) is not None:
            return had
        for kept in self._ahead.values():
            if (had := kept.pop(contact_id, None)) is not None:
                self._count -= 1
                return had
        return None

    def call_back(self, contact_ids: Iterable[int]) -> None:
        """Let go of those that wait for what is to be done for them next: it is another thing now."""
        for contact_id in contact_ids:
            self._call_back(contact_id)

    def _call_back(self, contact_id: int) -> Parcel | None:
        for kept in self._goes_on.values():
            if (had := kept.pop(contact_id, None)) is not None:
                self._in_flight.discard(contact_id)
                return had
        return None

    @property
    def _takes_more(self) -> bool:
        return self._is_complete and self._count < _MOST_AHEAD

    def _put(self, due: DueContact) -> None:
        parcel = writing.prepared(packed(due, self._order), self._order.synced, look=self._order.dry_run)
        if parcel.unanswered:
            self._lone[parcel.contact_id] = parcel
            return
        self._ahead.setdefault(_route(parcel), {})[parcel.contact_id] = parcel
        self._count += 1

    def hold(self, contact_ids: Iterable[int]) -> None:
        """These are not to be handed out until they go on, or have returned."""
        self._in_flight.update(contact_ids)

    def go_on(self, parcels: Iterable[Parcel]) -> None:
        """These are in flight again, and are handed out for what is to be done for them next."""
        for parcel in parcels:
            self._in_flight.add(parcel.contact_id)
            way, by = _route(parcel)
            route = way, by if not parcel.unanswered else f"{parcel.contact_id} alone"
            self._goes_on.setdefault(route, {})[parcel.contact_id] = parcel

    @property
    def is_full(self) -> bool:
        """Whether all that is due is kept here, and what another page makes due might not be."""
        return self._is_complete and self._count > _MOST_AHEAD - _PAGE

    def wants_a_look(self, *, flush: bool) -> bool:
        """Whether the ledger may hold more to send than was looked up; ``flush``: also what can wait."""
        return self._whole_batch() is None and (not self._is_complete or (flush and self._has_late))

    def _whole_batch(self) -> dict[int, Parcel] | None:
        return _first((*self._goes_on.values(), *self._ahead.values()), least=BATCH)

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

    def next_batch(self, *, flush: bool, looking: bool = False) -> list[Parcel]:
        """Up to 100 parcels; only a full hundred unless ``flush``. Empty where there is nothing to send.

        ``looking``: others are being looked at, so that what was looked at may get company.
        """
        kept = self._whole_batch()
        if kept is None and flush:
            kept = _first(self._ahead.values()) or (None if looking else _first(self._goes_on.values()))
        if kept is None:
            return self._hand_out([self._lone.pop(next(iter(self._lone)))]) if self._lone else []
        together = list(islice(kept, BATCH))
        if not any(kept is each for each in self._goes_on.values()):
            self._after, self._count = together[-1], self._count - len(together)
        batch = self._hand_out([kept.pop(contact_id) for contact_id in together])
        self._goes_on = {route: each for route, each in self._goes_on.items() if each}
        return batch

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
            if self._behind.pop(contact_id, None) is not None:
                self._has_late = True  # what waited for it is free
        self._held_back.update(held_back)

    def unite(self, went: Mapping[int, int]) -> None:
        """Contacts turned out to be others: these wait until all that is in flight of them has returned."""
        self._behind = {one: went.get(other, other) for one, other in self._behind.items()}
        self._behind |= {goes: stays for goes, stays in went.items() if goes in self._in_flight}
        self.renew(dict.fromkeys({*went, *went.values()}))

    def is_in_flight(self, contact_id: int) -> bool:
        return contact_id in self._in_flight

    def _hand_out(self, parcels: list[Parcel]) -> list[Parcel]:
        self._in_flight.update(parcel.contact_id for parcel in parcels)
        return parcels


def _route(parcel: Parcel) -> _Route:
    """What the parcels of a batch have in common: a look finds all of them by one property."""
    way = parcel.way
    return way, parcel.found_by[0] if way is LOOK else ""


def _first(routes: Iterable[dict[int, Parcel]], *, least: int = 1) -> dict[int, Parcel] | None:
    """What goes one way, and is so much at least."""
    return next((kept for kept in routes if len(kept) >= least), None)
