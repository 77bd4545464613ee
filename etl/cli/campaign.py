"""One backfill over several websites, in as many commands as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.models.summary import RunSummary, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from etl.models.reading import Backfill
    from etl.pipeline import Order
    from etl.state.store import Transaction


class Days(NamedTuple):
    """What a backfill is asked for: ``[since, until)``; without ``until`` up to when it was first begun."""

    since: datetime | None
    until: datetime | None

    def unfinished(self, website: str, state: Transaction) -> Backfill | None:
        """What an earlier command has begun for these days, and has not come to the end of."""
        for each in state.backfills.unfinished(website):
            if each.since == self.since and self.until in {None, each.until}:
                return each
        return None

    def through(self, websites: Iterable[str], state: Transaction) -> set[str]:
        """Those of the websites that earlier commands have read, if there are others that they have not."""
        unfinished = {name for name in websites if self.unfinished(name, state)}
        noted = {name for name in websites if self.is_noted(name, state)}
        return noted - unfinished if unfinished else set()

    def is_noted(self, website: str, state: Transaction) -> bool:
        return state.notebook.get(_fact(website)) == str(self)

    def __str__(self) -> str:
        return f"{self.since}/{self.until}"


class Campaign:
    """Remembers which websites are through, so that the next command spends its requests on the others.

    A command may be for some of the ``websites`` only. Once all are through that is forgotten: the same
    command then reads all of them again.
    """

    def __init__(self, orders: Sequence[Order], state: Transaction, *, websites: Sequence[str]) -> None:
        """Takes up what earlier commands for the same days have left, and opens what they have not."""
        self._days, self._websites = Days(orders[0].since, orders[0].until), websites
        self._through = self._days.through([order.website for order in orders], state)
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
        unfinished = {name for name in self._websites if self._days.unfinished(name, state)}
        if unfinished and website not in unfinished:
            state.notebook.put(_fact(website), str(self._days))
        for name in self._websites if not unfinished else ():
            if self._days.is_noted(name, state):
                state.notebook.drop(_fact(name))


def _fact(website: str) -> str:
    return f"backfilled_{website}"
