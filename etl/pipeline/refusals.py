"""Noticing that HubSpot refuses nearly everything."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from etl import redact
from etl.errors import TooManyRejectedError
from etl.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.models import Verdict

SAMPLE = 100
"""So many verdicts are needed before their share says anything."""

_SHOWN = 3


class Refusals:
    """Weighs a run's rejections against all of its verdicts."""

    def __init__(self, most: float) -> None:
        """``most`` is a share from 0 to 1."""
        self._most = most
        self._verdicts = 0
        self._reasons: Counter[str] = Counter()

    def weigh(self, verdicts: Iterable[Verdict]) -> TooManyRejectedError | None:
        """The error with which to stop, the commonest reason first, once too many contacts were refused."""
        for verdict in verdicts:
            self._verdicts += verdict.outcome is not Outcome.DEFERRED
            if verdict.outcome is Outcome.REJECTED:
                self._reasons[f"{verdict.code}: {redact.vendor_text(verdict.reason or '')}"] += 1
        rejected = self._reasons.total()
        if self._verdicts < SAMPLE or rejected <= self._most * self._verdicts:
            return None
        reasons = "; ".join(f"{count} x {reason}" for reason, count in self._reasons.most_common(_SHOWN))
        return TooManyRejectedError(
            f"HubSpot refused {rejected} of {self._verdicts} contacts, more than SYNC_MAX_REJECTED allows:"
            f" {reasons}.",
            fix="Find the common cause, then: visitor-sync rejections retry",
        )
