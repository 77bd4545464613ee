"""The visitors of a website in a window, page by page."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from etl.extract.paging import Paging, Turn
from etl.extract.payload import read_payload
from etl.extract.rows import read_row
from etl.extract.windows import LONGEST, narrowest
from etl.models import Page, Visitor, Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl.clock import Clock
    from etl.extract.client import Answer, ZenovayClient
    from etl.extract.paging import Dialect
    from etl.extract.payload import Payload
    from etl.extract.windows import Span
    from etl.models import Rejection

log = logging.getLogger(__name__)

_SLACK = timedelta(seconds=60)
"""What our clock may be off, and what the relative window may move on while it is being read."""


@dataclass(frozen=True, slots=True)
class _Extraction:
    """What stays the same over all pages. Rows of ``[window.since, ceiling)`` are in the window."""

    window: Window
    clock: datetime
    ceiling: datetime


class ZenovayVisitors:
    """The source of visitors. ``page_size`` is lowered to the largest that the API allows."""

    def __init__(self, client: ZenovayClient, *, clock: Clock, paging: Dialect, page_size: int) -> None:
        self._client = client
        self._clock = clock
        self._paging = paging
        self._page_size = page_size

    @property
    def requests(self) -> int:
        """How many HTTP requests the client has made, retries included."""
        return self._client.requests

    def pages(
        self, website: str, *, since: datetime | None, until: datetime | None, initial: timedelta
    ) -> Iterator[Page]:
        """Every page of ``[since, until)``; at least one, be it empty.

        Without ``since`` the window reaches back ``initial``; without ``until`` it ends with the source's
        clock, inclusive. Rows later than that clock are out of the window: their time will come. Raises the
        errors of ZenovayClient.get, and ContractBrokenError for pages without end.
        """
        path = f"/analytics/{quote(website, safe='')}/visitors"
        paging = Paging(self._paging, size=self._page_size, where=f"Zenovay {path}")
        span = narrowest(initial if since is None else self._clock.now() - since + _SLACK)
        answer = self._ask(path, span, paging)
        while since is not None and _clock(answer) - since > span.length and span is not LONGEST:
            span = narrowest(_clock(answer) - since + _SLACK)
            answer = self._ask(path, span, paging)

        extraction = _extraction(span, _clock(answer), since=since, until=until, initial=initial)
        if extraction.clock - extraction.window.since > span.length:
            _warn_of_gap(website, extraction)
        while (turn := paging.take(answer.value)) is not Turn.DROP_AND_STOP:
            yield _page(answer.value, extraction)
            if turn is Turn.USE_AND_STOP:
                return
            answer = self._ask(path, span, paging)

    def _ask(self, path: str, span: Span, paging: Paging) -> Answer[Payload]:
        params = {"range": span.range} | paging.params()
        if self._paging == "page":
            params["timeRange"] = span.range
        return self._client.get(path, params, readable=read_payload)


def _clock(answer: Answer[Payload]) -> datetime:
    """The source's clock; our own, from before the question, where the source states none."""
    return answer.value.clock or answer.date or answer.asked_at


def _extraction(
    span: Span, clock: datetime, *, since: datetime | None, until: datetime | None, initial: timedelta
) -> _Extraction:
    start = clock - initial if since is None else since
    end = clock if until is None else min(until, clock)
    ceiling = clock + timedelta.resolution  # a row at the clock itself is in, one at ``until`` is not
    return _Extraction(
        window=Window(since=start, until=end, range=span.range),
        clock=clock,
        ceiling=ceiling if until is None else min(until, ceiling),
    )


def _page(payload: Payload, extraction: _Extraction) -> Page:
    since, ceiling = extraction.window.since, extraction.ceiling
    visitors: list[Visitor] = []
    rejections: list[Rejection] = []
    for row in payload.rows:
        seen = read_row(row, since=since, ceiling=ceiling)
        if isinstance(seen, Visitor):
            visitors.append(seen)
        elif seen is not None:
            rejections.append(seen)
    return Page(
        window=extraction.window,
        clock=extraction.clock,
        read=len(payload.rows),
        out_of_window=len(payload.rows) - len(visitors) - len(rejections),
        visitors=tuple(visitors),
        rejections=tuple(rejections),
    )


def _warn_of_gap(website: str, extraction: _Extraction) -> None:
    """The longest range does not reach back to the window's start; the days before it cannot be had."""
    facts = {
        "action": "gap",
        "website": website,
        "since": extraction.window.since.isoformat(),
        "range": extraction.window.range,
    }
    log.warning("the window starts before the longest range", extra=facts)
