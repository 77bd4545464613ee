"""What an alert watches for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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
        return f"{self.kind} {self.limit:g} {self.range}"

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
        limit = f"{self.limit:g}"
        over = {
            "above": f"no longer above {limit}",
            "below": f"no longer below {limit}",
            "drop": f"no longer a drop of {limit} %{_compared(before)}",
        }
        return f"{_counted(now)}, {over[self.kind]}."

    def _measured(self, now: TrafficReading, before: TrafficReading | None) -> str:
        if self.kind != "drop" or before is None:
            return f"{self.kind} {self.limit:g}"
        return (
            f"a drop of {self._lost(now, before):.0f} %{_compared(before)} (alert from {self.limit:g} % on)"
        )

    def _lost(self, now: TrafficReading, before: TrafficReading) -> float:
        earlier = before.traffic.visitors
        return (earlier - now.traffic.visitors) / earlier * _PERCENT


def _counted(reading: TrafficReading) -> str:
    return f"{reading.website}: {reading.traffic.visitors} visitors in the last {reading.range}"


def _compared(before: TrafficReading | None) -> str:
    return f" from {before.traffic.visitors} at {before.at:%Y-%m-%dT%H:%M:%SZ}" if before else ""
