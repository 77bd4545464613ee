"""Time as an argument: the wall clock, a monotonic clock, and waiting that a signal can end."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from etl.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Clock(Protocol):
    """What the program needs to know about time."""

    def now(self) -> datetime:
        """The wall clock, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never steps."""
        ...

    def wait(self, seconds: float, why: str) -> None:
        """Return after ``seconds``. Raises InterruptedRunError as soon as the run is asked to stop."""
        ...


class SystemClock:
    """The machine's clock. Waits of a second or more are logged with their reason before they begin."""

    def __init__(self, on_wait: Callable[[float, str], None] | None = None) -> None:
        self._stop: SimpleQueue[None] = SimpleQueue()
        self._signal = 0
        self.on_wait = on_wait

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float, why: str) -> None:
        if seconds >= 1:
            log.info("waiting", extra={"action": "wait", "seconds": round(seconds, 1), "why": why})
            if self.on_wait:
                self.on_wait(seconds, why)
        self.pause(seconds)
        if interruption := self.interruption():
            raise interruption

    def pause(self, seconds: float) -> bool:
        """Wait without a word. Returns whether the run is asked to stop, and then at once."""
        with suppress(Empty):
            self._stop.get(timeout=max(0.0, seconds))
            self._stop.put(None)  # for whoever else waits, and for later
        return bool(self._signal)

    def stop(self, signal_number: int) -> None:
        """End every wait, now and later. Safe to call from a signal handler.

        An Event would not be: the thread that waits for it may hold its lock when the signal comes.
        """
        self._signal = signal_number
        self._stop.put(None)

    def interruption(self) -> InterruptedRunError | None:
        """The error with which to end, once a signal has asked for it."""
        return InterruptedRunError(self._signal) if self._signal else None
