"""One judgement, shared by all threads, of whether the other side is worth another request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from etl.errors import SetupError

if TYPE_CHECKING:
    from etl.errors import SyncError


class Circuit:
    """Opens when one request has been given up, or HubSpot is not set up rightly, and stays open.

    So an outage ends the run once: no other request outlasts the patience of the first, and none begins.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: SyncError | None = None

    def raise_if_open(self) -> None:
        """Raises what opened the circuit."""
        if self._opened is not None:
            raise self._opened

    def open(self, error: SyncError) -> SyncError:
        """Let nobody send again, for ``error``'s sake, and return the error that stays.

        That is the first, but that the set-up is wrong explains any other.
        """
        with self._lock:
            if self._opened is None or isinstance(error, SetupError):
                self._opened = error
            return self._opened
