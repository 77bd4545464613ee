"""Finding a place in a long list that is sorted newest first, in about 2 log2(n) looks. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_END_OF_ALL_LISTS = 1 << 40


class Search:
    """Looks for the last place before which every row is newer than ``ceiling`` allows.

    Offsets count rows from the start of the list. It doubles its step until it is past the place, then
    halves. ``start`` is always an offset at which, or before which, nothing is missed; another search that
    begins there goes on from this one, as long as each may take two looks.
    """

    def __init__(self, *, ceiling: datetime, size: int, start: int, seen: Sequence[datetime]) -> None:
        """``seen`` are the rows of the page at ``start``, at least one; ``size`` is as near as is wanted."""
        self._ceiling = ceiling
        self._size = self._step = size
        self.start = start
        self._past: int | None = None
        self._points: dict[int, datetime] = {start + len(seen) - 1: seen[-1], start: seen[0]}
        self._end: int | None = None
        self.is_orderly = list(seen) == sorted(seen, reverse=True)

    @property
    def offset(self) -> int | None:
        """Where to look next; None when the place is found, or when there is no order to find it by."""
        if not self.is_orderly:
            return None
        if self._past is None:
            return self.start + self._step
        return (self.start + self._past) // 2 if self._past - self.start > self._size else None

    def look(self, offset: int, seen: Sequence[datetime]) -> None:
        """A few rows from ``offset`` on were last seen then; none at all: the list ends before."""
        if not seen:
            self._past = self._end = offset
            return
        self._points[offset] = seen[0]
        in_order = sorted(self._points)
        instants = [self._points[at] for at in in_order]
        if list(seen) != sorted(seen, reverse=True) or instants != sorted(instants, reverse=True):
            self.is_orderly = False
        elif seen[0] < self._ceiling:
            self._past = offset
        else:
            self._step *= 2
            self.start = offset
        self.is_orderly = self.is_orderly and offset < _END_OF_ALL_LISTS

    def rows_until(self, since: datetime) -> int | None:
        """About how many rows lie between ``start`` and the last that was seen at ``since`` or later.

        Reckoned from the looks taken, as if visitors came evenly between them; None where they tell nothing.
        """
        later = sorted((at, seen) for at, seen in self._points.items() if at >= self.start)
        for (at, seen), (further, older) in pairwise(later):
            if older < since:
                share = (seen - since) / (seen - older) if seen > since else 0.0
                return at - self.start + round((further - at) * share)
        first, last = min(self._points.items()), max(self._points.items())
        if first[1] <= last[1]:
            return None
        per_row = (first[1] - last[1]) / (last[0] - first[0])
        rows = last[0] - self.start + round((last[1] - since) / per_row)
        return max(0, min(rows, self._end - self.start) if self._end is not None else rows)
