"""Signals that ask a command to stop."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.clock import SystemClock


@contextmanager
def stoppable(clock: SystemClock) -> Iterator[None]:
    """SIGINT and SIGTERM ask the clock to stop; a second one ends the process at once.

    For the main thread alone: Python lets no other set what a signal does.
    """

    def stop(number: int, _frame: object) -> None:
        clock.stop(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
