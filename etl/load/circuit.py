"""One judgement, shared by all threads, of whether the other side is worth another request."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.errors import ContractBrokenError, SyncError, UnavailableError
from etl.load.replies import BusyError
from etl.retry import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAILURES = 8


class Circuit:
    """Opens after eight failed attempts in a row, whichever threads made them, and stays open.

    So an outage ends the run once, instead of every thread trying for as long as one would alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._malformed: list[bool] = []
        self._opened: SyncError | None = None

    def raise_if_open(self) -> None:
        """Raises what opened the circuit."""
        if self._opened is not None:
            raise self._opened

    def open(self, error: SyncError) -> None:
        """Let nobody send again, for ``error``'s sake. The first error stays."""
        with self._lock:
            self._opened = self._opened or error

    @contextmanager
    def judging(self, where: str) -> Iterator[None]:
        """Around one attempt: counts how it ends. Being asked to wait (BusyError) says nothing either way.

        Raises UnavailableError, or ContractBrokenError if every answer was malformed, when the circuit opens,
        and what opened it if that happened while this attempt waited for its turn.
        """
        self.raise_if_open()
        try:
            yield
        except BusyError:
            raise
        except TransientError as error:
            self._note_failure(f"{where}: {error.what}", malformed=error.malformed)
            raise
        self._note_success()

    def _note_success(self) -> None:
        if self._malformed:
            with self._lock:
                self._malformed.clear()

    def _note_failure(self, what: str, *, malformed: bool) -> None:
        with self._lock:
            self._malformed.append(malformed)
            if len(self._malformed) >= _FAILURES and self._opened is None:
                self._opened = self._error(what)
        self.raise_if_open()

    def _error(self, what: str) -> SyncError:
        if all(self._malformed):
            return ContractBrokenError(
                f"{what}, {_FAILURES} times in a row.",
                fix="Check HUBSPOT_BASE_URL, and whether the API has changed; nothing is lost.",
            )
        return UnavailableError(
            f"{what}; {_FAILURES} attempts in a row have failed.", fix="Nothing is lost; run again later."
        )
