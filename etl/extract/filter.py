"""What of a page lies in the window: visitors, rejections, and how many rows there are of the rest. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.extract.rows import read_row, seen_at
from etl.models.visitor import Rejection, Visitor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.exclusions import Exclusions
    from etl.fields import SyncedFields


@dataclass(slots=True)
class Sorted:
    """What was found among the rows put in so far."""

    read: int = 0
    visitors: list[Visitor] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def out_of_window(self) -> int:
        return self.read - len(self.visitors) - len(self.rejections)


@dataclass(frozen=True, slots=True)
class WindowFilter:
    """Rows of ``[since, ceiling)`` are in the window."""

    since: datetime
    ceiling: datetime
    synced: SyncedFields
    exclusions: Exclusions

    def put(self, row: Any, found: Sorted) -> datetime | None:
        """Put ``row`` where it belongs in ``found``. Returns when it was last seen, if it says so."""
        found.read += 1
        read = read_row(
            row,
            since=self.since,
            ceiling=self.ceiling,
            synced=self.synced,
            exclusions=self.exclusions,
        )
        if isinstance(read, Visitor):
            found.visitors.append(read)
            return read.last_seen
        if read is not None:
            found.rejections.append(read)
        return seen_at(row)


def instants(rows: Sequence[Any]) -> list[datetime]:
    """When the rows were last seen, in their order, as far as they say so."""
    return [seen for row in rows if (seen := seen_at(row)) is not None]
