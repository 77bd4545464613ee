"""One backfill over several websites, in as many commands as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.models.summary import RunSummary, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.pipeline import Order
    from etl.state.store import Transaction


class Campaign:
    """Remembers which websites are through, so that the next command spends its requests on the others.

    Once all are through that is forgotten: the same command then reads all of them again.
    """

    def __init__(self, orders: Sequence[Order], state: Transaction) -> None:
        """Takes up what earlier commands for the same days have left, and opens what they have not."""
        self._orders = orders
        resumed = any(_is_open(order, state) for order in orders)
        self._through = {order.website for order in orders if resumed and _is_through(order, state)}
        for order in orders:
            if order.website not in self._through and order.since is not None:
                state.backfills.begin(state.runs.website(order.website).id, order.since, order.until)

    def rests(self, order: Order, state: Transaction) -> RunSummary | None:
        """The summary of a website that is through already, None for any other."""
        if order.website not in self._through:
            return None
        summary = RunSummary(order.run, order.kind, order.website, order.dry_run, status=Status.SKIPPED)
        summary.watermark_before = summary.watermark_after = state.runs.watermark(order.website)
        summary.reason = "Its days are read completely; this backfill goes on with the other websites."
        return summary

    def note(self, state: Transaction) -> None:
        """Write down who is through by now."""
        still_open = [order for order in self._orders if _is_open(order, state)]
        for order in self._orders:
            if not still_open:
                state.notebook.drop(_fact(order))
            elif order not in still_open:
                state.notebook.put(_fact(order), _days(order))


def _is_open(order: Order, state: Transaction) -> bool:
    unfinished = state.backfills.unfinished(order.website)
    return any(each.since == order.since and order.until in {None, each.until} for each in unfinished)


def _is_through(order: Order, state: Transaction) -> bool:
    return not _is_open(order, state) and state.notebook.get(_fact(order)) == _days(order)


def _fact(order: Order) -> str:
    return f"backfilled_{order.website}"


def _days(order: Order) -> str:
    return f"{order.since}/{order.until}"
