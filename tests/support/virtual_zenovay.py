"""A website in memory: rows arrive, late or not, while its clock goes on with every request."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.extract.budget import Budget
from etl.extract.client import Answer
from etl.extract.visitors import ZenovayVisitors
from etl.extract.windows import SPANS
from etl.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from etl.extract.paging import Dialect

START = datetime(2026, 2, 1, tzinfo=UTC)
_MANY = 100
LENGTHS = {span.range: span.length.total_seconds() for span in SPANS}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A visitor seen at ``seen``, of whom the API knows from ``arrives`` on; both in seconds since START."""

    arrives: float
    seen: float
    id: str

    def row(self) -> dict[str, Any]:
        return {"id": self.id, "visited_at": instant(self.seen).isoformat(), "country_code": "CH"}


def instant(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class VirtualZenovay:
    """Stands in for the client. Each request takes ``takes_s`` seconds of its clock."""

    arrivals: Sequence[Arrival]
    takes_s: float = 2.0
    arranged: Callable[[list[Arrival]], list[Arrival]] | None = None
    clock_s: float = 0.0
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._coming = sorted(self.arrivals, key=lambda each: each.arrives)
        self._there: list[tuple[float, str, Arrival]] = []
        self._next = 0
        self.pace = Pace(limit=30, window_s=60, clock=self, name="Zenovay")
        self.budget = Budget(clock=self, limit=1_000_000)

    @property
    def requests(self) -> int:
        return len(self.asked)

    def source(self, *, page_size: int = 1000, paging: Dialect = "offset") -> ZenovayVisitors:
        return ZenovayVisitors(self, paging=paging, page_size=page_size)  # type: ignore[arg-type]

    def now(self) -> datetime:
        return instant(self.clock_s)

    def monotonic(self) -> float:
        return self.clock_s

    def wait(self, seconds: float, why: str) -> None:
        raise AssertionError(f"nobody waits here: {seconds} s for {why}")

    def get(self, _path: str, params: Mapping[str, str], *, readable: Callable[[Any], Any]) -> Answer[Any]:
        self.asked.append(params)
        self.clock_s += self.takes_s
        first, self._next = (
            self._next,
            bisect_right(self._coming, self.clock_s, key=lambda each: each.arrives),
        )
        arrived = [(-each.seen, each.id, each) for each in self._coming[first : self._next]]
        if len(arrived) > _MANY:
            self._there = sorted(self._there + arrived)
        else:
            for each in arrived:
                insort(self._there, each)
        size = int(params.get("limit") or params["per_page"])
        offset = int(params["offset"]) if "offset" in params else (int(params["page"]) - 1) * size
        page, more = self._page(params["range"], offset, size)
        block = {"limit": size, "offset": offset, "has_more": more}
        body = {
            "success": True,
            "data": {"visitors": [each.row() for each in page], "pagination": block},
            "timestamp": self.now().isoformat(),
        }
        return Answer(readable(body), None, self.now())

    def _page(self, range_: str, offset: int, size: int) -> tuple[list[Arrival], bool]:
        end = bisect_right(self._there, (LENGTHS[range_] - self.clock_s, "~"))
        begin = bisect_left(self._there, (-self.clock_s, ""))
        if self.arranged:
            rows = self.arranged([each for _, _, each in self._there[begin:end]])
            return rows[offset : offset + size], offset + size < len(rows)
        first, last = begin + offset, min(begin + offset + size, end)
        return [each for _, _, each in self._there[first:last]], last < end
