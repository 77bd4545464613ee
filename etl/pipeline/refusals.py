"""Noticing that HubSpot refuses nearly everything."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from etl import redact
from etl.errors import TooManyRejectedError
from etl.models.verdict import DEFERRED, REJECTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.models.verdict import Verdict

SAMPLE = 100
"""So many verdicts are needed before their share says anything."""

_SHOWN = 3


class Refusals:
    """Weighs rejections against all verdicts, or all contacts asked about. For several threads at once."""

    def __init__(self, most: float) -> None:
        """``most`` is a share from 0 to 1."""
        self._most = most
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
                self._reasons[f"{verdict.code}: {redact.vendor_text(verdict.reason or '')}"] += 1

    def _too_many(self) -> TooManyRejectedError | None:
        rejected, contacts = self._reasons.total(), max(self._verdicts, self._asked)
        if contacts < SAMPLE or rejected <= self._most * contacts:
            return None
        reasons = "; ".join(f"{count} x {reason}" for reason, count in self._reasons.most_common(_SHOWN))
        return TooManyRejectedError(
            f"HubSpot refused {rejected} of {contacts} contacts, more than SYNC_MAX_REJECTED allows:"
            f" {reasons}.",
            fix="Find the common cause, then: visitor-sync rejections retry",
        )
