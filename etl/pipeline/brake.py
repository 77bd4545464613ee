"""Noticing that a run would write over what is not its own on too many contacts, before it does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from etl.models.verdict import UPDATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from etl.errors import TooManyChangedError
    from etl.models.contact import Parcel
    from etl.models.verdict import Verdict

    _Error = Callable[[int, int, Mapping[str, int]], TooManyChangedError]

SAMPLE = 100
"""So many contacts to be updated are needed before a share of them says anything."""

MOST_PARKED = 20_000
"""So many contacts wait at most for the others; then what is known so far decides."""


class Brake:
    """Keeps back the contacts of which values would be written over, until all others are known."""

    def __init__(self, most: float, error: _Error) -> None:
        """``most`` is a share from 0 to 1; ``error`` takes the changed, all contacts, and the properties."""
        self._most = most
        self._error = error
        self._updated = bytearray()
        """One byte for each contact, up to the largest id seen."""

        self._changed: Counter[str] = Counter()
        self._released: set[int] = set()
        self._parked: dict[int, Parcel] = {}

    def park(self, parcels: Iterable[Parcel]) -> list[Parcel]:
        """Keep back those that write over something. Returns the others."""
        free = []
        for parcel in parcels:
            if parcel.replaces and parcel.contact_id not in self._released:
                self._parked[parcel.contact_id] = parcel
            else:
                free.append(parcel)
        return free

    def let_go(self, contact_ids: Iterable[int]) -> list[int]:
        """These are not due as they were. Returns those that were kept back."""
        return [number for number in contact_ids if self._parked.pop(number, None) is not None]

    def count(self, verdicts: Iterable[Verdict]) -> None:
        """These contacts were updated."""
        for contact_id, outcome, *_ in verdicts:
            if outcome is UPDATED:
                if contact_id >= len(self._updated):
                    self._updated.extend(bytes(contact_id + 1024 - len(self._updated)))
                self._updated[contact_id] = True

    @property
    def is_on(self) -> bool:
        """Whether anything is kept back."""
        return bool(self._parked)

    @property
    def parked(self) -> list[Parcel]:
        """All that is kept back."""
        return list(self._parked.values())

    @property
    def is_full(self) -> bool:
        return len(self._parked) >= MOST_PARKED

    def judge(self) -> TooManyChangedError | Sequence[Parcel]:
        """The error with which to stop, or all that were kept back and may go on now."""
        changed = self._released | self._parked.keys()
        properties = self._changed + Counter(name for each in self._parked.values() for name in each.replaces)
        contacts = len(changed) + self._updated.count(True) - sum(map(self._was_updated, changed))
        if contacts >= SAMPLE and len(changed) > self._most * contacts:
            return self._error(len(changed), contacts, properties)
        free = list(self._parked.values())
        self._changed, self._released = properties, changed
        self._parked.clear()
        return free

    def _was_updated(self, contact_id: int) -> bool:
        return contact_id < len(self._updated) and bool(self._updated[contact_id])
