"""Cutting the due contacts into batches."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from etl import transform
from etl.models.contact import EMAIL, Parcel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from etl.fields import SyncedFields
    from etl.models.contact import DueContact
    from etl.pipeline.ports import Ledger

BATCH = 100
"""HubSpot takes at most so many inputs in one request."""

_AHEAD = 500
"""So many due contacts are looked up at a time."""

_MOST_AHEAD = 2000
"""So many are kept at the most; the others wait in the ledger."""

_PAGE = 1000
"""A page adds at most so many contacts that nobody knew."""


class Backlog:
    """Due contacts, nearly in the order of their ids, and round again.

    A contact in flight is never handed out, so that it is never in two requests at once; one that was held
    back is not handed out again in this run.
    """

    def __init__(self, synced: SyncedFields) -> None:
        self._synced = synced
        self._after = 0
        self._in_flight: set[int] = set()
        self._held_back: set[int] = set()
        self._ahead: dict[int, DueContact] = {}
        self._lone: dict[int, DueContact] = {}
        self._is_complete = False
        self._has_late = False

    def wait_with_some(self) -> None:
        """Some contacts that were sent are due once more: they can wait until no more changes come."""
        self._has_late = True

    def renew(self, contacts: Mapping[int, DueContact | None]) -> None:
        """These are due with new facts, or None: due no longer. Nothing else has changed in the ledger."""
        for contact_id, due in contacts.items():
            had = self._ahead.pop(contact_id, None) or self._lone.pop(contact_id, None)
            if due is None or contact_id in self._in_flight or contact_id in self._held_back:
                continue
            if had is None and not self._takes_more:
                self._is_complete = False  # the next look finds it
            else:
                self._put(due)

    @property
    def _takes_more(self) -> bool:
        return self._is_complete and len(self._ahead) < _MOST_AHEAD

    def _put(self, due: DueContact) -> None:
        (self._lone if due.unanswered else self._ahead)[due.contact_id] = due

    @property
    def is_full(self) -> bool:
        """Whether all that is due is kept here, and what another page makes due might not be."""
        return self._is_complete and len(self._ahead) > _MOST_AHEAD - _PAGE

    def wants_a_look(self, *, flush: bool) -> bool:
        """Whether the ledger may hold more to send than was looked up; ``flush``: also what can wait."""
        return len(self._ahead) < BATCH and (not self._is_complete or (flush and self._has_late))

    def look(self, ledger: Ledger, *, flush: bool) -> None:
        """Look up what is due: some contacts after the last that was handed out, and round again."""
        self._has_late = self._has_late and not flush
        self._ahead, self._lone = {}, {}
        self._is_complete = True
        for due in self._free(ledger):
            self._put(due)
            if len(self._ahead) == _AHEAD:
                self._is_complete = False
                return

    def next_batch(self, *, flush: bool) -> list[Parcel]:
        """Up to 100 parcels; only a full hundred unless ``flush``. Empty where there is nothing to send."""
        if len(self._ahead) >= BATCH or (flush and self._ahead):
            together = list(islice(self._ahead, BATCH))
            self._after = together[-1]
            return self._hand_out([self._ahead.pop(contact_id) for contact_id in together])
        return self._hand_out([self._lone.pop(next(iter(self._lone)))]) if self._lone else []

    def _free(self, ledger: Ledger) -> Iterator[DueContact]:
        """Due contacts that may be handed out: those after the last batch, then those before."""
        taken = self._in_flight | self._held_back
        for after, until in ((self._after, None), (0, self._after)):
            found = ledger.due(after=after, most=_AHEAD)
            while found:
                for due in found:
                    if until is not None and due.contact_id > until:
                        return
                    if due.contact_id not in taken:
                        yield due
                found = ledger.due(after=found[-1].contact_id, most=_AHEAD) if len(found) == _AHEAD else []

    def returned(self, contact_ids: Iterable[int], *, held_back: Iterable[int]) -> None:
        """These are no longer in flight; ``held_back`` are not to be sent again in this run."""
        self._in_flight.difference_update(contact_ids)
        self._held_back.update(held_back)

    def _hand_out(self, contacts: list[DueContact]) -> list[Parcel]:
        self._in_flight.update(due.contact_id for due in contacts)
        return [self._parcel(due) for due in contacts]

    def _parcel(self, due: DueContact) -> Parcel:
        contact_id, contact, fingerprint, known, unanswered = due
        kind, value = contact.key
        properties = transform.properties(contact, self._synced)
        if kind is EMAIL:
            return Parcel(contact_id, "email", value, properties, fingerprint, {}, known, unanswered)
        name = transform.name_properties(contact.key)
        named = properties if known else {**properties, **name}
        return Parcel(contact_id, self._synced.visitor_id, value, named, fingerprint, name, known, unanswered)
