"""Sorting the rows of a page: visitors of the window, rejections, and the rest. Pure but for ``Descent``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.extract.rows import read_row, seen_at
from etl.models.visitor import Rejection, Visitor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.extract.listing import Descent
    from etl.extract.paging import Step


@dataclass(slots=True)
class Sorted:
    """What was in a page; ``read`` counts all of its rows that are new."""

    read: int
    visitors: list[Visitor] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def out_of_window(self) -> int:
        return self.read - len(self.visitors) - len(self.rejections)


@dataclass(frozen=True, slots=True)
class Sieve:
    """Rows of ``[since, ceiling)`` are in the window."""

    since: datetime
    ceiling: datetime

    def sort(self, rows: Sequence[Any], names: Sequence[str], step: Step, descent: Descent) -> Sorted:
        """The rows that ``step`` says are new; ``descent`` looks at those that lie behind all before."""
        found = Sorted(len(step.fresh))
        for at in step.fresh:
            seen = self._put(rows[at], found)
            if seen is not None and at >= step.behind:
                descent.look(names[at], seen)
        return found

    def _put(self, row: Any, found: Sorted) -> datetime | None:
        """Put ``row`` where it belongs. Returns when it was last seen, if it says so."""
        read = read_row(row, since=self.since, ceiling=self.ceiling)
        if isinstance(read, Visitor):
            found.visitors.append(read)
            return read.last_seen
        if read is not None:
            found.rejections.append(read)
        return seen_at(row)


def instants(rows: Sequence[Any]) -> list[datetime]:
    """When the rows were last seen, in their order, as far as they say so."""
    return [seen for row in rows if (seen := seen_at(row)) is not None]
