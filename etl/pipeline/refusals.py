"""Noticing that nearly everything is refused."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from etl import redact
from etl.models.verdict import DEFERRED, REJECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from etl.errors import TooManyRejectedError
    from etl.models.verdict import Verdict

SAMPLE = 100
"""So many verdicts are needed before their share says anything."""

_SHOWN = 3


class Refusals:
    """Weighs rejections against all verdicts, or all contacts asked about. For several threads at once."""

    def __init__(self, most: float, error: Callable[[int, int, str], TooManyRejectedError]) -> None:
        """``most`` is a share from 0 to 1; ``error`` takes the rejected, all contacts, and the reasons."""
        self._most = most
        self._error = error
        self._asked = 0
        self._verdicts = 0
        self._reasons: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ask(self, contacts: int) -> None:
        """So many contacts are asked about; as long as there is no verdict, they count as taken."""
        with self._lock:
            self._asked += contacts

    def weigh(self, verdicts: Iterable[Verdict]) -> TooManyRejectedError | None:
        """The error with which to stop, the commonest reason first, once too many contacts were refused."""
        with self._lock:
            self._count(verdicts)
            return self._too_many()

    def _count(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self._verdicts += verdict.outcome is not DEFERRED
            if verdict.outcome is REJECTED:
                said = redact.numbers(redact.vendor_text(verdict.reason or ""))
                self._reasons[f"{verdict.code}: {said}"] += 1

    def _too_many(self) -> TooManyRejectedError | None:
        rejected, contacts = self._reasons.total(), max(self._verdicts, self._asked)
        if contacts < SAMPLE or rejected <= self._most * contacts:
            return None
        reasons = "; ".join(f"{count} x {reason}" for reason, count in self._reasons.most_common(_SHOWN))
        return self._error(rejected, contacts, reasons)
