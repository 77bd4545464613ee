"""When a process that stays runs again: on the clock, whatever the clock does meanwhile."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from etl.models.summary import utc_text

if TYPE_CHECKING:
    from etl.clock import SystemClock

log = logging.getLogger(__name__)

ONE_DAY = timedelta(days=1)
_LOOK_S = 30.0
"""So often the wall clock is looked at: it may have been set, or the machine may have slept."""


def next_start(now: datetime, every: timedelta) -> datetime:
    """The first instant after ``now`` that is a multiple of ``every`` since midnight (UTC), or midnight."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    following = midnight + every * ((now - midnight) // every + 1)
    return min(following, midnight + ONE_DAY)


class Rhythm:
    """Starts every so often. Between two starts lies half of that at least, by a clock that never steps."""

    def __init__(self, clock: SystemClock, every: timedelta) -> None:
        self._clock = clock
        self._every = every
        self._started = clock.monotonic()

    def wait(self) -> bool:
        """Wait for the next start, without a backlog of those that were missed. Returns whether it comes.

        Where the wall clock is set forward, it comes at once, and once; where it is set back, it comes when
        it would have come.
        """
        now, monotonic = self._clock.now(), self._clock.monotonic()
        start = next_start(max(now, now + self._resting(monotonic)), self._every)
        ends = monotonic + (start - now).total_seconds()
        facts = {"action": "next_run", "start": utc_text(start), "seconds": round(ends - monotonic, 1)}
        log.info("the next run is waited for", extra=facts)
        while self._clock.now() < start and (left := ends - self._clock.monotonic()) > 0:
            if self._clock.pause(min(left, _LOOK_S)):
                return False
        self._started = self._clock.monotonic()
        return not self._clock.pause(0)

    def _resting(self, monotonic: float) -> timedelta:
        """How long it is still too early to start again."""
        return self._every / 2 - timedelta(seconds=monotonic - self._started)
