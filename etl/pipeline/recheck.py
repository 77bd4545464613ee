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


def look_again(order: Order, state: Transaction, *, now: datetime) -> None:
    """Make due who was absent ``order.recheck`` ago, as many as a day allows, and who need not be matched.

    And those of whom something was kept then.

    With ``order.recreate`` also what is gone.
    """
    today = now.date().isoformat()
    noted = state.notebook.mapping(_NOTE)
    looked = noted.get("contacts", 0) if noted.get("day") == today else 0
    before = looked
    for kind in (EMAIL, VISITOR):
        if kind in order.matched:
            most = max(0, RECHECKED_A_DAY - looked)
            looked += state.records.recheck(kind, before=now - order.recheck, most=most)
        else:
            state.records.recheck(kind, before=now, most=_UNLIMITED)
    looked += state.records.recheck_kept(before=now - order.recheck, most=max(0, RECHECKED_A_DAY - looked))
    if looked != before:
        state.notebook.put(_NOTE, orjson.dumps({"day": today, "contacts": looked}).decode())
    if order.recreate:
        state.records.revive()
