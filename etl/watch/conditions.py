"""What an alert watches for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from etl.models.summary import utc_second

if TYPE_CHECKING:
    from etl.models.traffic import TrafficReading

Kind = Literal["above", "below", "drop"]

_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Condition:
    """More or fewer visitors than ``limit``, or a drop by ``limit`` percent or more, in ``range``."""

    kind: Kind
    limit: float
    range: str

    def __str__(self) -> str:
        """Names it in the state: the same for the same condition."""
        return f"{self.kind} {_plain(self.limit)} {self.range}"

    def holds(self, now: TrafficReading, before: TrafficReading | None) -> bool | None:
        """Whether it is met; None where there is nothing to compare with.

        ``before`` is the reading from one range earlier, or the oldest that there is.
        """
        visitors = now.traffic.visitors
        if self.kind == "above":
            return visitors > self.limit
        if self.kind == "below":
            return visitors < self.limit
        if before is None or before.traffic.visitors == 0:
            return None
        return self._lost(now, before) >= self.limit

    def begins(self, now: TrafficReading, before: TrafficReading | None) -> str:
        """What is said when it becomes true."""
        return f"{_counted(now)}, {self._measured(now, before)}."

    def ends(self, now: TrafficReading, before: TrafficReading | None) -> str:
        """What is said when it is true no more."""
        return f"{_counted(now)}, no longer {self._watched(before)}."

    def fails(self, now: TrafficReading, before: TrafficReading | None) -> str:
        """What is said where somebody asks while it is not true."""
        return f"{_counted(now)}, not {self._watched(before)}."

    def _watched(self, before: TrafficReading | None) -> str:
        limit = _plain(self.limit)
        return f"a drop of {limit} %{_compared(before)}" if self.kind == "drop" else f"{self.kind} {limit}"

    def _measured(self, now: TrafficReading, before: TrafficReading | None) -> str:
        limit = _plain(self.limit)
        if self.kind != "drop" or before is None:
            return f"{self.kind} {limit}"
        return f"a drop of {self._lost(now, before):.0f} %{_compared(before)} (alert from {limit} % on)"

    def _lost(self, now: TrafficReading, before: TrafficReading) -> float:
        """In percent; divided last, so that a drop by exactly the limit is one."""
        earlier = before.traffic.visitors
        return (earlier - now.traffic.visitors) * _PERCENT / earlier


def _plain(limit: float) -> str:
    """With all its digits: what differs is another condition."""
    return str(int(limit)) if limit == int(limit) else str(limit)


def _counted(reading: TrafficReading) -> str:
    return f"{reading.website}: {reading.traffic.visitors} visitors in the last {reading.range}"


def _compared(before: TrafficReading | None) -> str:
    return f" from {before.traffic.visitors} at {utc_second(before.at)}" if before else ""
