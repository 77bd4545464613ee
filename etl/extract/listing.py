"""In which order a website's rows are listed, as far as it was seen. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_LAST = 20
"""So many rows in a row that are older than an instant say that all the others are."""

_FEW = 10
"""One row in so many may stand out of order, and the others are still listed newest first."""


class ListOrder:
    """Watches rows go by, and tells whether they come newest first."""

    def __init__(self) -> None:
        self._rows = 0
        self._out_of_order = 0
        self._newest: datetime | None = None
        self._last: deque[datetime] = deque(maxlen=_LAST)

    def look(self, seen: datetime) -> None:
        """The next row of the list, last seen at ``seen``."""
        self._rows += 1
        self._out_of_order += bool(self._last) and seen > self._last[-1]
        self._newest = max(self._newest or seen, seen)
        self._last.append(seen)

    @property
    def is_broken(self) -> bool:
        """Whether any row is newer than the one before it."""
        return self._out_of_order > 0

    @property
    def lowest(self) -> datetime | None:
        """The row that came last; the oldest one where the order is not broken."""
        return self._last[-1] if self._last else None

    @property
    def holds(self) -> bool:
        """Whether all rows have come newest first so far, and enough of them to say so."""
        return not self.is_broken and self._falls

    @property
    def newest_first(self) -> bool | None:
        """Whether the rows have come newest first but for a few; None where there are too few to say so."""
        if not self.is_broken and not self._falls:
            return None
        return self._falls and self._out_of_order * _FEW <= self._rows

    def has_passed(self, instant: datetime) -> bool:
        """Whether all rows have come newest first, and are older than ``instant`` by now."""
        return self.holds and self._last[-1] < instant

    def seems_past(self, instant: datetime) -> bool:
        """Whether they have but for a few, and the last of them are."""
        return bool(self.newest_first) and max(self._last) < instant

    @property
    def _falls(self) -> bool:
        return self._newest is not None and self._newest > min(self._last)
