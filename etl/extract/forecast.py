"""What a backfill is going to cost, said before it begins."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)


def announce(website: str, requests: int | None, *, per_minute: int, per_month: int) -> None:
    """Log how many requests it takes, how many minutes, and which share of the month.

    ``requests`` is None where it cannot be told, since the list has no order that helps.
    """
    facts: dict[str, object] = {"action": "backfill_planned", "website": website}
    if requests is None:
        log.info("backfill planned: the rows are in no useful order, all are read", extra=facts)
        return
    facts["requests"] = requests
    facts["minutes"] = round(requests / per_minute, 1)
    facts["share_of_month"] = f"{requests / per_month:.1%}"
    log.info("backfill planned", extra=facts)
