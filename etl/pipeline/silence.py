"""Noticing answers of HubSpot's that say nothing: of one contact again and again, or of any."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.models.verdict import DEFERRED, REJECTED, Delivery, Sight, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etl.errors import ContractBrokenError
    from etl.models.contact import Parcel

MOST_UNANSWERED = 5
"""A contact that HubSpot's answers left out in so many runs in a row counts as rejected."""

FRUITLESS_BATCHES = 3
"""So many batches in a row without one readable verdict mean that HubSpot's answers cannot be read."""

FRUITLESS_CONTACTS = 100
"""So do so many contacts in a row that were left out before and go one by one: a few prove nothing."""


class Silence:
    """Watches the deliveries of one run, in the order in which they come back."""

    def __init__(self, error: Callable[[int], ContractBrokenError]) -> None:
        """``error`` takes the number of batches in a row that held no verdict."""
        self._error = error
        self._batches = 0
        self._contacts = 0

    def judge(self, batch: Sequence[Parcel], delivery: Delivery) -> Delivery:
        """``delivery``, where contacts left out once too often are rejected, and with a stop if need be."""
        stop = delivery.stop or self._unreadable(batch, delivery)
        if stop is delivery.stop and not any(verdict.unanswered for verdict in delivery.verdicts):
            return delivery
        by_id = {parcel.contact_id: parcel for parcel in batch}
        verdicts = (_rejected_if_starved(by_id[each.contact_id], each) for each in delivery.verdicts)
        return Delivery(tuple(verdicts), stop)

    def judge_sight(self, batch: Sequence[Parcel], sight: Sight) -> Sight:
        """``sight``, with a stop if need be."""
        readable = bool(sight.found or sight.missing)
        return replace(sight, stop=sight.stop or self._fruitless(batch, readable=readable))

    def _unreadable(self, batch: Sequence[Parcel], delivery: Delivery) -> ContractBrokenError | None:
        readable = any(verdict.outcome is not DEFERRED for verdict in delivery.verdicts)
        return self._fruitless(batch, readable=readable)

    def _fruitless(self, batch: Sequence[Parcel], *, readable: bool) -> ContractBrokenError | None:
        if readable:
            self._batches = self._contacts = 0
            return None
        if any(parcel.unanswered for parcel in batch):
            self._contacts += len(batch)
        else:
            self._batches += 1
        if self._batches < FRUITLESS_BATCHES and self._contacts < FRUITLESS_CONTACTS:
            return None
        return self._error(self._batches + self._contacts)


def _rejected_if_starved(parcel: Parcel, verdict: Verdict) -> Verdict:
    runs = parcel.unanswered + verdict.unanswered
    if not verdict.unanswered or runs < MOST_UNANSWERED:
        return verdict
    reason = f"{verdict.reason} So it was in {runs} runs in a row."
    return Verdict(parcel.contact_id, REJECTED, reason=reason, code="UNANSWERED")
