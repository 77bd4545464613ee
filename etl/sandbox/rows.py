"""The rows of one website in the order and the window that a request asks for."""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNDATED = float("inf")
_SMALL = 2000


class Order(StrEnum):
    """The order in which rows are served; rows without a readable time come first where times order them."""

    NEWEST_FIRST = "newest_first"
    OLDEST_FIRST = "oldest_first"
    SHUFFLED = "shuffled"
    AS_GIVEN = "as_given"


def instant_of(row: Any) -> float:
    """Seconds since 1970 of the row's visit; infinity where it states no readable time."""
    if not isinstance(row, dict):
        return _UNDATED
    stated = row.get("last_seen") or row.get("visited_at")
    if not isinstance(stated, str):
        return _UNDATED
    try:
        instant = datetime.fromisoformat(stated)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return _UNDATED


@dataclass(frozen=True, slots=True)
class _Arranged:
    source: Sequence[Any]
    count: int
    order: Order
    rows: list[Any]
    instants: list[float]

    def is_of(self, source: Sequence[Any], order: Order) -> bool:
        return self.source is source and self.count == len(source) and self.order is order

    def since(self, earliest: float) -> list[Any]:
        """Rows at or after ``earliest``, and those without a readable time."""
        if self.order is Order.NEWEST_FIRST:
            cut = bisect_left(self.instants, -earliest, key=lambda instant: -instant)
            while cut < len(self.instants) and self.instants[cut] == earliest:
                cut += 1
            return self.rows[:cut]
        kept = zip(self.rows, self.instants, strict=True)
        return [row for row, instant in kept if instant >= earliest]


class RowViews:
    """Arranges rows once and reuses the arrangement while the same list holds as many rows."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._arranged: dict[str, _Arranged] = {}

    def forget(self) -> None:
        """Arrange anew: needed only after a row of a long list was changed in place."""
        self._arranged.clear()

    def since(self, website: str, rows: list[Any], *, earliest: float, order: Order) -> list[Any]:
        arranged = self._arranged.get(website)
        if arranged is None or len(rows) < _SMALL or not arranged.is_of(rows, order):
            arranged = self._arranged[website] = self._arrange(rows, order)
        return arranged.since(earliest)

    def _arrange(self, source: list[Any], order: Order) -> _Arranged:
        rows = list(source)
        dated = [(instant_of(row), row) for row in rows]
        if order is Order.SHUFFLED:
            random.Random(self._seed).shuffle(dated)
        elif order is Order.NEWEST_FIRST:
            dated.sort(key=lambda pair: -pair[0])
        elif order is Order.OLDEST_FIRST:
            dated.sort(key=lambda pair: -_UNDATED if pair[0] == _UNDATED else pair[0])
        instants = [instant for instant, _ in dated]
        return _Arranged(source, len(rows), order, [row for _, row in dated], instants)
