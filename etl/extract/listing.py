"""In which order a website's rows are listed, as far as it was seen. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from etl.models.reading import Listing

if TYPE_CHECKING:
    from datetime import datetime

_DEPTH = 4
"""A row that would put so many rows before it out of order is the one out of order itself."""

_FEW = 100
"""Of so many rows one may stand out of order, and the others are still listed newest first."""

_MOST_STRAYS = 200


class Descent:
    """Watches rows go by, and tells whether they come newest first.

    A row out of order is a stray. Those that ``listing`` knows from an earlier reading are passed over.
    """

    def __init__(self, listing: Listing) -> None:
        self._before = listing
        self._known = frozenset(listing.strays)
        self._met: dict[str, None] = {}
        self._new: dict[str, None] = {}
        self._top: deque[tuple[datetime, str]] = deque(maxlen=_DEPTH)
        self._rows = 0
        self._first: datetime | None = None

    def look(self, name: str, seen: datetime) -> None:
        """The next row of the list, last seen at ``seen``."""
        self._rows += 1
        if name in self._known:
            self._met[name] = None
            return
        top = self._top
        if not top or seen <= top[-1][0]:
            top.append((seen, name))
            self._first = self._first or seen
            return
        self._sort_out(name, seen)

    @property
    def is_broken(self) -> bool:
        """Whether a row has come out of order that was not known to do so."""
        return bool(self._new)

    @property
    def lowest(self) -> datetime | None:
        """The oldest row so far, those out of order aside."""
        return self._top[-1][0] if self._top else None

    @property
    def holds(self) -> bool:
        """Whether the rows have come newest first so far, and enough of them to say so."""
        return not self._new and self._first is not None and self._first > self._top[-1][0]

    def has_passed(self, instant: datetime) -> bool:
        """Whether the rows have come newest first, and are older than ``instant`` by now."""
        return self.holds and self._top[-1][0] < instant

    def listing(self, *, whole: bool) -> Listing:
        """What to remember of the order; ``whole`` says that the list was read to its end."""
        if not whole:
            return Listing(self._before.newest_first, (*self._before.strays, *self._new)[:_MOST_STRAYS])
        strays = (*self._met, *self._new)
        if self._first is None or (not strays and not self.holds):
            return Listing(self._before.newest_first, strays)
        few = len(strays) <= max(1, self._rows // _FEW) and self._first > self._top[-1][0]
        return Listing(few, strays[:_MOST_STRAYS] if few else ())

    def _sort_out(self, name: str, seen: datetime) -> None:
        """``seen`` is newer than the row before: either that one is out of order, or this one."""
        older = [entry for entry in self._top if entry[0] < seen]
        if len(older) == len(self._top) and len(older) > 1:
            self._new[name] = None
            return
        for entry in older:
            self._top.remove(entry)
            self._new[entry[1]] = None
        self._top.append((seen, name))
        self._first = seen if self._first is None or len(self._top) == 1 else self._first
