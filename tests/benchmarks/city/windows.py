"""Limits as the other side counts them: by arrival, in every window that ends with one."""

from __future__ import annotations

from collections import deque


class Window:
    """At most ``limit`` requests in any ``seconds``; what is refused counts as well."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self.arrivals = self.exceeded = self.peak = 0
        self._recent: deque[float] = deque()

    def arrive(self, now: float) -> float:
        """Count a request. Returns the seconds to wait if it is one too many, else 0."""
        recent = self._recent
        while recent and recent[0] <= now - self.seconds:
            recent.popleft()
        recent.append(now)
        self.arrivals += 1
        self.peak = max(self.peak, len(recent))
        if len(recent) <= self.limit:
            return 0.0
        self.exceeded += 1
        return recent[-self.limit] + self.seconds - now

    @property
    def left(self) -> int:
        """How many more may come at the instant of the last one."""
        return max(0, self.limit - len(self._recent))

    def as_json(self) -> dict[str, int]:
        return {
            "limit": self.limit,
            "arrivals": self.arrivals,
            "exceeded": self.exceeded,
            "peak": self.peak,
        }
