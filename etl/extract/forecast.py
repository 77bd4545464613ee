"""What a backfill is going to cost, said before it begins."""

from __future__ import annotations

import logging
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forecast:
    """``requests`` and ``rows`` are still to come, ``asked`` were made to find that out.

    The former are None where they cannot be told, since the list has no order that helps. ``per_minute`` and
    ``per_month`` are the requests that the plan allows.
    """

    website: str
    requests: int | None
    rows: int | None
    asked: int
    per_minute: int
    per_month: int

    @property
    def minutes(self) -> float | None:
        return None if self.requests is None else round(self.requests / self.per_minute, 1)

    @property
    def share(self) -> float | None:
        """Of the month, 1.0 being all of it."""
        return None if self.requests is None else self.requests / self.per_month


def announce(forecast: Forecast) -> None:
    """Log how many requests it takes, how many minutes, and which share of the month."""
    facts: dict[str, object] = {"action": "backfill_planned", "website": forecast.website}
    if forecast.requests is None:
        log.info("backfill planned: the rows are in no useful order, all are read", extra=facts)
        return
    facts["requests"] = forecast.requests
    facts["minutes"] = forecast.minutes
    facts["share_of_month"] = f"{forecast.share:.1%}"
    log.info("backfill planned", extra=facts)
