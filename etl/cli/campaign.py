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

    A command may be for some of the ``websites`` only. Once all are through that is forgotten: the same
    command then reads all of them again.
    """

    def __init__(self, orders: Sequence[Order], state: Transaction, *, websites: Sequence[str]) -> None:
        """Takes up what earlier commands for the same days have left, and opens what they have not."""
        self._days, self._websites = orders[0], websites
        wanted = [order.website for order in orders]
        resumed = any(self._is_open(website, state) for website in wanted)
        self._through = {website for website in wanted if resumed and self._is_through(website, state)}
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

    def note(self, website: str, state: Transaction) -> None:
        """Write down whether ``website``, which was read just now, is through; or that by now all are."""
        if not any(self._is_open(each, state) for each in self._websites):
            for each in filter(lambda each: self._is_noted(each, state), self._websites):
                state.notebook.drop(_fact(each))
        elif not self._is_open(website, state):
            state.notebook.put(_fact(website), self._span)

    def _is_open(self, website: str, state: Transaction) -> bool:
        since, until = self._days.since, self._days.until
        unfinished = state.backfills.unfinished(website)
        return any(each.since == since and until in {None, each.until} for each in unfinished)

    def _is_through(self, website: str, state: Transaction) -> bool:
        return self._is_noted(website, state) and not self._is_open(website, state)

    def _is_noted(self, website: str, state: Transaction) -> bool:
        return state.notebook.get(_fact(website)) == self._span

    @property
    def _span(self) -> str:
        return f"{self._days.since}/{self._days.until}"


def _fact(website: str) -> str:
    return f"backfilled_{website}"
