"""The window of one run: what is asked of the source, what its answers say, and what follows at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from etl import traffic
from etl.models.reading import Reading, Sweep
from etl.models.summary import utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from etl.models.reading import Backfill, Ending, Page, Website
    from etl.pipeline.ports import Transaction
    from etl.pipeline.run import Order


class OpenWindow:
    """A window that is being read. ``backfill`` is what an earlier run of the same backfill has left."""

    def __init__(self, order: Order, website: Website, backfill: Backfill | None) -> None:
        self._order = order
        self._website = website
        self._backfill = backfill
        self._traffic: Counter[int] = Counter()
        self._left: Counter[int] = Counter()
        self._rows = 0
        self.warnings: list[str] = []

    def reading(self) -> Reading:
        """What to ask of the source."""
        order, website = self._order, self._website
        reading = Reading(
            order.website,
            since=order.since,
            until=order.until,
            initial=order.initial,
            listing=website.listing,
        )
        if self._backfill is not None:
            mark = self._backfill.mark
            return replace(reading, past=True, mark=mark, until=self._backfill.until if mark else order.until)
        if website.watermark is None:
            return reading
        reading = replace(reading, since=website.watermark - order.lookback)
        if order.sweep_interval is None:
            return reading
        last = website.swept or website.watermark - order.sweep_interval
        return replace(reading, sweep=Sweep(last, order.sweep_interval, website.watermark))

    def absorbed(self, page: Page, state: Transaction, *, left: Iterable[datetime], requests: int) -> None:
        """The page is in the state; ``requests`` to the source were made by this run.

        Visitors who had last been seen at the instants ``left`` were seen again since.
        """
        if page.restarted:
            self._traffic.clear()
            self._rows = 0
        self._traffic.update(page.traffic)
        self._left.update(traffic.slot(instant) for instant in left)
        self._rows += page.read - page.out_of_window
        if self._backfill and page.mark:
            state.backfills.advance(
                self._backfill.number, page.mark, requests=self._backfill.requests + requests
            )

    def close(self, ending: Ending, state: Transaction) -> Website:
        """The window is in the state to its end. Returns what is now known of the website."""
        self.warnings += ending.notes
        self._warn_of_gap(ending)
        if self._backfill:
            state.backfills.finish(self._backfill.number)
            return self._website
        return state.runs.close_window(self._concluded(ending))

    def _concluded(self, ending: Ending) -> Website:
        """The watermark moves to the source's clock, unless the answer fell short of what there must be."""
        website = self._website
        watermark = website.watermark
        known = traffic.without(website.traffic, self._left)
        why = self._falls_short(ending, known)
        held = watermark if why and watermark else ending.clock
        usual = traffic.merged(known, self._traffic, since=held - traffic.MEMORY)
        if why:
            since = website.degraded_since or ending.clock
            self.warnings.append(f"{why} The watermark stays, so that a good answer covers the gap.")
            return replace(website, traffic=usual, degraded_since=since, degraded_why=why)
        return replace(
            website,
            watermark=ending.clock,
            swept=ending.clock if ending.swept else website.swept,
            listing=ending.listing,
            traffic=usual,
            degraded_since=None,
            degraded_why=None,
        )

    def _falls_short(self, ending: Ending, usual: Mapping[int, int]) -> str | None:
        website = self._website
        if website.watermark is None:
            return None
        read_to = website.watermark
        short = traffic.shortfall(usual, self._traffic, since=ending.horizon, until=read_to)
        if short:
            return (
                f"Zenovay's answer is degraded: of {short[1]} rows that it listed before {utc_text(read_to)},"
                f" it lists {short[0]} now."
            )
        since, until = ending.window.since, ending.clock
        before = traffic.a_day_before(usual, since=since, until=until)
        if not self._rows and before >= traffic.ENOUGH:
            return (
                f"Zenovay's answer is degraded: no row since {utc_text(since)}, where there were {before} at"
                " the same time of the day before."
            )
        return None

    def _warn_of_gap(self, ending: Ending) -> None:
        if ending.window.since < ending.horizon:
            self.warnings.append(
                f"The rows between {utc_text(ending.window.since)} and {utc_text(ending.horizon)} cannot be"
                " had any more: no range of Zenovay's reaches back so far."
            )
