"""Staying under a rate limit: at most ``limit`` requests in every sliding window."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from etl.instants import microseconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from etl.clock import Clock

ARRIVAL_S = 0.25
"""A request counts, at the latest, this long after it was sent: what the other side sees is its arrival."""


class Pace:
    """A sliding-window limit shared by threads.

    A slot is held from before the request is sent until ``window_s`` after it must have arrived, so that
    the other side never counts more than ``limit`` requests in any window of ``window_s`` seconds.
    """

    def __init__(self, *, limit: int, window_s: float, clock: Clock, name: str) -> None:
        self._limit = self._configured = limit
        self._stated: int | None = None
        self._recalled = False
        self.window_s = window_s
        self._clock = clock
        self._name = name
        self._lock = threading.Lock()
        self._stamps: deque[float] = deque()
        self._others: list[float] = []
        self._in_flight = 0
        self._paused_until = float("-inf")

    @property
    def limit(self) -> int:
        """Requests in a window."""
        return self._limit

    @property
    def stated(self) -> int | None:
        """The limit that the other side stated last, to this process or an earlier one."""
        return self._stated

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a free slot, then hold it around one request."""
        while (delay := self._try_acquire()) > 0:
            self._clock.wait(delay, f"{self._name}: limit of {self._limit} requests per {self.window_s:g} s")
        sent = self._clock.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1
                self._stamps.append(min(self._clock.monotonic(), sent + ARRIVAL_S))

    def pause(self, seconds: float) -> None:
        """Let nobody send for ``seconds``: the other side asked for it."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def lower_limit(self, limit: int) -> None:
        """Obey a limit that the other side stated, where it is stricter than ours."""
        with self._lock:
            ours = self._configured if self._recalled else self._limit
            self._state(limit, obeyed=min(ours, limit))

    def set_limit(self, limit: int) -> None:
        """Obey a limit that the other side stated, be it stricter than ours or not."""
        with self._lock:
            self._state(limit, obeyed=limit)

    def history(self) -> list[int]:
        """When the requests of the last window were sent, oldest first: microseconds on the wall clock."""
        with self._lock:
            monotonic, now = self._clock.monotonic(), microseconds(self._clock.now())
            self._forget(monotonic)
            return [now - round((monotonic - stamp) * 1e6) for stamp in self._stamps]

    def restore(self, history: Iterable[int], *, unlogged: int = 0, stated: int | None = None) -> None:
        """Count the requests of an earlier process. Instants in the future are taken as now.

        So are the ``unlogged`` that it may have sent and not written down: it may have died a moment ago. A
        limit that was ``stated`` to it, if stricter than ours, is obeyed until the other side states one.
        """
        monotonic, now = self._clock.monotonic(), microseconds(self._clock.now())
        ages = sorted((max(0.0, (now - sent) / 1e6) for sent in history), reverse=True)
        ages += [0.0] * unlogged
        with self._lock:
            self._stamps.extendleft(reversed([monotonic - age for age in ages]))
            if stated is not None:
                self._state(stated, obeyed=min(self._configured, stated))
                self._recalled = True

    def count_others(self, history: Iterable[int]) -> None:
        """Count requests that others have sent to the same limit: all that are known, in microseconds."""
        monotonic, now = self._clock.monotonic(), microseconds(self._clock.now())
        with self._lock:
            arrived = (monotonic - max(0.0, (now - sent) / 1e6 - ARRIVAL_S) for sent in history)
            self._others = sorted(arrived)

    def _state(self, limit: int, *, obeyed: int) -> None:
        self._stated, self._limit, self._recalled = limit, max(1, obeyed), False

    def _try_acquire(self) -> float:
        """Take a slot and return 0, or return the seconds after which to try again."""
        with self._lock:
            now = self._clock.monotonic()
            if now < self._paused_until:
                return self._paused_until - now
            self._forget(now)
            if len(self._stamps) + len(self._others) + self._in_flight < self._limit:
                self._in_flight += 1
                return 0.0
            first = min([*self._others[:1], *islice(self._stamps, 1)], default=None)
            if first is None:
                return 0.05  # every slot is held by a request in flight
            return max(0.001, first + self.window_s - now)

    def _forget(self, now: float) -> None:
        while self._stamps and self._stamps[0] + self.window_s < now:
            self._stamps.popleft()
        while self._others and self._others[0] + self.window_s < now:
            del self._others[0]
