"""A worker's one connection to the shared tables, which its threads use in turn."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from etl.clock import SystemClock
from etl.errors import SyncError
from etl.fleet.database import open_fleet, prove_current
from etl.fleet.schedule import Schedule
from etl.state.failures import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


_FRESH_S = 3.0


class Desk:
    """Looks, at each use, whether the tables are still of this version.

    It is opened at the first use, and anew after whatever went wrong; if that fails, whoever waits for it
    hears that at once, too. Its waits are bounded by their own
    time, not by a signal: how the last job ended is to be written down.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._fault: SyncError | None = None
        self._failed = 0.0

    @contextmanager
    def transaction(self) -> Iterator[Schedule]:
        """One transaction. Raises NewerError, StateError, LostError."""
        with self._lock:
            connection = self._opened()
            try:
                with translated(connection.engine.url), connection.begin():
                    yield Schedule(connection, prove_current(connection))
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        with self._lock:
            self._close()

    def _opened(self) -> Connection:
        if self._connection is None:
            if self._fault and time.monotonic() - self._failed < _FRESH_S:
                raise self._fault
            try:
                self._connection = self._stack.enter_context(open_fleet(self._url, SystemClock()))
            except SyncError as exc:
                self._fault, self._failed = exc, time.monotonic()
                raise
        return self._connection

    def _close(self) -> None:
        self._connection = None
        self._stack.close()
