"""Counting requests: a rolling window, and a quota per calendar period."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo


@dataclass(slots=True)
class RollingWindow:
    """The instants of the requests admitted in the last ``seconds``, on a monotonic clock."""

    seconds: float
    _admitted: deque[float] = field(default_factory=deque)

    def admit(self, now: float, *, limit: int) -> bool:
        """Count a request unless the window is full."""
        if self.used(now) >= limit:
            return False
        self._admitted.append(now)
        return True

    def used(self, now: float) -> int:
        while self._admitted and self._admitted[0] <= now - self.seconds:
            self._admitted.popleft()
        return len(self._admitted)

    def frees_in(self, now: float) -> float:
        """Seconds until the oldest request leaves the window."""
        return max(0.0, self._admitted[0] + self.seconds - now) if self.used(now) else 0.0


def month_after(instant: datetime) -> datetime:
    """The first instant of the next calendar month, UTC."""
    first = instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def midnight_after(instant: datetime, zone: tzinfo) -> datetime:
    """The next midnight of ``zone``."""
    day = instant.astimezone(zone).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=zone)
