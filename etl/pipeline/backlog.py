"""Cutting the due contacts into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl import transform
from etl.models import ContactKind, Parcel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.models import DueContact
    from etl.pipeline.ports import Ledger
    from etl.transform import PropertyNames

BATCH = 100
"""HubSpot takes at most so many inputs in one request."""


class Backlog:
    """Due contacts in the order of their ids, each handed out once before any comes a second time.

    A contact in flight is never handed out, so that it is never in two requests at once; one that was held
    back is not handed out again in this run.
    """

    def __init__(self, names: PropertyNames) -> None:
        self._names = names
        self._after = 0
        self._lone: list[DueContact] = []
        self._in_flight: set[int] = set()
        self._held_back: set[int] = set()

    def next_batch(self, ledger: Ledger, *, flush: bool) -> list[Parcel]:
        """Up to 100 parcels; only a full hundred unless ``flush``. Empty where there is nothing to send."""
        while not self._lone:
            found = ledger.due(after=self._after, most=BATCH)
            if len(found) < BATCH and not flush:
                return []
            if not found and not self._after:
                return []
            self._after = found[-1].contact_id if len(found) == BATCH else 0
            free = [due for due in found if due.contact_id not in self._in_flight | self._held_back]
            self._lone = [due for due in free if due.alone]
            if together := [due for due in free if not due.alone]:
                return self._hand_out(together)
            if len(found) < BATCH:
                break
        return self._hand_out([self._lone.pop()]) if self._lone else []

    def returned(self, contact_ids: Iterable[int], *, held_back: Iterable[int]) -> None:
        """These are no longer in flight; ``held_back`` are not to be sent again in this run."""
        self._in_flight.difference_update(contact_ids)
        self._held_back.update(held_back)

    def _hand_out(self, contacts: list[DueContact]) -> list[Parcel]:
        self._in_flight.update(due.contact_id for due in contacts)
        return [self._parcel(due) for due in contacts]

    def _parcel(self, due: DueContact) -> Parcel:
        key = due.contact.key
        properties = transform.properties(due.contact, self._names)
        name = transform.name_properties(key)
        return Parcel(
            contact_id=due.contact_id,
            id_property="email" if key.kind is ContactKind.EMAIL else self._names.visitor_id,
            id_value=key.value,
            properties=properties if due.known else {**properties, **name},
            fingerprint=due.fingerprint,
            name_properties=name,
            known=due.known,
            alone=due.alone,
        )
