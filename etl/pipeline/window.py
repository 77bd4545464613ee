"""The window of one run: what is asked of the source, what its answers say, and what follows at the end."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from etl.models.clocks import DIFFERENT
from etl.models.reading import ReadRequest, Sweep
from etl.pipeline.refusals import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.errors import ContractBrokenError, TooManyRejectedError
    from etl.models.reading import Backfill, KnownWebsite, Page, ReadResult
    from etl.models.visitor import Rejection
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Source, Transaction

ENOUGH_OF_ONE_FAULT = 20
"""So many new rows of one page, and no other, mean that the API has changed, not that the rows are bad."""

ENOUGH_TO_MISS = 20
"""A source that listed so many rows in a range does not list none the next time."""


def _without_values(reason: str) -> str:
    return re.sub(r' "[^"]*"', "", reason)


def is_suspect(page: Page) -> bool:
    """Whether to look if the API has changed: many rows of the page are refused, and none is not."""
    return not page.visitors and len(page.rejections) >= ENOUGH_OF_ONE_FAULT


class OpenWindow:
    """A window that is being read since ``started``, by our clock.

    ``backfill`` is what an earlier run of the same backfill has left. ``failure`` is what keeps the watermark
    where it is though everything was read, ``degraded`` why the answer was not believed.
    """

    def __init__(
        self,
        order: Order,
        website: KnownWebsite,
        backfill: Backfill | None,
        *,
        started: datetime,
        source: Source,
    ) -> None:
        self._source = source
        self._order = order
        self._website = website
        self._backfill = backfill
        self._started = started
        self._readable = self._refused = 0
        self._rows = 0
        self.failure: TooManyRejectedError | None = None
        self.degraded: str | None = None
        self.warnings: list[str] = []

    def request(self) -> ReadRequest:
        """What to ask of the source."""
        order, website = self._order, self._website
        request = ReadRequest(
            order.website,
            since=order.since,
            until=order.until,
            initial=order.initial,
            newest_first=website.newest_first,
        )
        if self._backfill is not None:
            bookmark = self._backfill.bookmark
            until = self._backfill.until if bookmark else order.until
            return replace(request, past=True, bookmark=bookmark, until=until)
        if website.watermark is None:
            return request
        request = replace(request, since=self._read_to(website.watermark) - order.lookback)
        if order.sweep_interval is None:
            return request
        last = website.swept or website.watermark - order.sweep_interval
        return replace(request, sweep=Sweep(last, order.sweep_interval, website.watermark))

    def _read_to(self, watermark: datetime) -> datetime:
        """The watermark, or when it was set by our clock, where the source's may be ahead of its rows."""
        read_at = self._website.read_at
        return read_at if read_at and watermark - read_at > DIFFERENT else watermark

    def changed_api(self, page: Page, state: Transaction) -> ContractBrokenError | None:
        """The error to end with where the page holds nothing but many new rows of one and the same fault."""
        new = state.rejections.unlisted(self._website.id, page.rejections)
        codes = {row.code for row in new}
        if len(new) < ENOUGH_OF_ONE_FAULT or len(codes) > 1:
            return None
        return self._source.changed_api(len(new), codes.pop(), _without_values(new[0].reason))

    def absorbed(self, page: Page, state: Transaction, *, requests: int) -> None:
        """The page is in the state; ``requests`` to the source were made by this run."""
        if page.restarted:
            self._rows = self._readable = self._refused = 0
        self._rows += page.read
        self._readable += len(page.visitors)
        if page.rejections:
            self._refused += len(self._refused_since(page, state))
        if self._backfill and page.bookmark:
            spent = self._backfill.requests + requests
            state.backfills.advance(self._backfill.number, page.bookmark, requests=spent)

    def _refused_since(self, page: Page, state: Transaction) -> Sequence[Rejection]:
        """The refused rows that had not been refused before the last window was closed."""
        website = self._website
        began = website.read_at or website.watermark
        if began is None:
            return page.rejections
        closed = state.runs.ended(website.id, began) or began
        return state.rejections.unlisted(website.id, page.rejections, by=closed)

    def close(self, result: ReadResult, state: Transaction) -> KnownWebsite:
        """The window is in the state to its end. Returns what is now known of the website."""
        self.warnings += result.notes
        self.failure = self._too_few_readable()
        if self._backfill:
            state.backfills.finish(self._backfill.number)
            return self._website
        self.degraded = self._falls_short(result, state)
        if self.degraded:
            self.warnings.append(
                f"{self.degraded} The watermark stays, so that a good answer covers the gap."
            )
        if self.failure or self.degraded:
            return self._website
        website = replace(
            self._website,
            watermark=result.clock,
            swept=result.clock if result.swept else self._website.swept,
            newest_first=result.newest_first,
            read_at=self._started,
        )
        return state.runs.close_window(website)

    def _too_few_readable(self) -> TooManyRejectedError | None:
        """The error to end with where much of the window was refused that was not refused before it."""
        rows = self._readable + self._refused
        if rows < SAMPLE or self._refused <= self._order.max_rejected * rows:
            return None
        again = "Run the backfill again" if self._backfill else "The watermark stays; run again"
        return self._source.too_many_unreadable(self._refused, rows, again=again)

    def _falls_short(self, result: ReadResult, state: Transaction) -> str | None:
        """Why the answer is not believed: an API that is out of order may answer well-formed and empty.

        What it lists short of its rows without listing none, the lookback and the daily sweep find.
        """
        if self._rows or self._website.watermark is None:
            return None
        last = state.runs.last_answer(self._website.id, result.ranges)
        if last is None or not (last.degraded or last.rows >= ENOUGH_TO_MISS):
            return None
        return self._source.nothing_listed(result.window.range, None if last.degraded else last.rows)
