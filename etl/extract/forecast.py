"""What a backfill is going to cost, said before it begins."""

from __future__ import annotations

import logging
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.extract.client import ZenovayClient

log = logging.getLogger(__name__)


def announce(client: ZenovayClient, *, website: str, rows: int | None, page: int, made: int) -> None:
    """Log how many requests, minutes and which share of the month ``rows`` rows take, ``page`` in each.

    ``made`` requests were needed to find the place, and the first page may be among them. Without ``rows``
    it cannot be told, since the list has no order that helps.
    """
    facts: dict[str, object] = {"action": "backfill_planned", "website": website}
    if rows is None:
        log.info("backfill planned: the rows are in no useful order, all are read", extra=facts)
        return
    requests = made + ceil(rows / page)
    facts["requests"] = requests
    facts["minutes"] = round(requests / client.pace.limit, 1)
    facts["share_of_month"] = f"{requests / client.budget.limit:.1%}"
    log.info("backfill planned", extra=facts)
