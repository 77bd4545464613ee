"""The rows of one website in the order and the window that a request asks for."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

UNDATED = float("inf")
_SMALL = 2000


def instant_of(row: Any) -> float:
    """Seconds since 1970 of the row's visit; infinity where it states no readable time."""
    if not isinstance(row, dict):
        return UNDATED
    stated = row.get("last_seen") or row.get("visited_at")
    if not isinstance(stated, str):
        return UNDATED
    try:
        instant = datetime.fromisoformat(stated)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return UNDATED


@dataclass(frozen=True, slots=True)
class Arranged:
    """Rows, newest first; before them those without a readable time, as they were given."""

    source: list[Any]
    count: int
    rows: list[Any]
    ages: list[float]

    @classmethod
    def of(cls, source: list[Any]) -> Arranged:
        rows = list(source)
        dated = sorted(((-instant_of(row), row) for row in rows), key=lambda pair: pair[0])
        return cls(source, len(rows), [row for _, row in dated], [age for age, _ in dated])

    def is_of(self, source: list[Any]) -> bool:
        """Whether it need not be made anew: a row changed in place goes unnoticed in a long list."""
        return self.source is source and self.count == len(source) >= _SMALL

    def since(self, earliest: float) -> list[Any]:
        """Rows at or after ``earliest``, in seconds since 1970, and those without a readable time."""
        return self.rows[: bisect_right(self.ages, -earliest)]
