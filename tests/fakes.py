"""Tiny real classes in the place of the world."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until somebody waits. ``waits`` holds seconds and reasons, in order."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._lock = threading.Lock()
        self.waits: list[tuple[float, str]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, seconds: float, why: str) -> None:
        self.waits.append((seconds, why))
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds
