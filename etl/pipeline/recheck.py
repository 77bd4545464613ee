"""Contacts that are due by themselves: absent and kept ones after a while, what the settings have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from etl.models.contact import EMAIL, VISITOR

if TYPE_CHECKING:
    from datetime import datetime

    from etl.pipeline.order import Order
    from etl.pipeline.ports import Transaction

RECHECKED_A_DAY = 7_000
"""Contacts that are looked at again, for no other reason than time: 70 requests."""

_UNLIMITED = 2**31 - 1
_NOTE = "rechecked"


def look_again(order: Order, state: Transaction, *, now: datetime) -> bool:
    """Make due who was absent ``order.recheck`` ago, as many as a day allows, and who need not be matched.

    And those of whom something was kept then.

    With ``order.recreate`` also what is gone. Returns whether anybody may be due now.
    """
    today = now.date().isoformat()
    noted = state.notebook.mapping(_NOTE)
    looked = noted.get("contacts", 0) if noted.get("day") == today else 0
    before, relieved = looked, 0
    waiting, then = state.records.waiting(), now - order.recheck
    for kind in (EMAIL, VISITOR):
        if kind not in order.matched:
            if _is_before(waiting.absent[kind], now):
                relieved += state.records.recheck(kind, before=now, most=_UNLIMITED)
        elif _is_before(waiting.absent[kind], then):
            looked += state.records.recheck(kind, before=then, most=max(0, RECHECKED_A_DAY - looked))
    if _is_before(waiting.kept, then):
        looked += state.records.recheck_kept(before=then, most=max(0, RECHECKED_A_DAY - looked))
    if looked != before:
        state.notebook.put(_NOTE, orjson.dumps({"day": today, "contacts": looked}).decode())
    revived = state.records.revive() if order.recreate else 0
    return waiting.due or looked != before or relieved > 0 or revived > 0


def _is_before(since: datetime | None, then: datetime) -> bool:
    return since is not None and since < then
