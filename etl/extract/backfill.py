"""Reading a window that lies anywhere in the past: its own pages, if the order tells where they are."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

from etl.extract.cursor import Cursor
from etl.extract.filter import instants
from etl.extract.forecast import Forecast, announce
from etl.extract.rows import name
from etl.extract.search import Search
from etl.models.reading import Bookmark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl.extract.client import Answer
    from etl.extract.endpoint import Endpoint
    from etl.extract.payload import Payload
    from etl.models.reading import Page, ReadRequest, ReadResult

SAMPLE = 5
"""Rows of one look of a search: enough to see their order."""

_MOST_STEPS_BACK = 5

_FROM_THE_START = Bookmark(0, (), None)

NEAR = 3
"""To so many pages ahead a search is not worth its looks."""


def backfill(endpoint: Endpoint, request: ReadRequest) -> Iterator[Page | ReadResult]:
    """The pages of the window; all of the list where its rows turn out not to come newest first.

    No sweep looks after a backfill, so that one row out of order is enough to say so.
    """
    cursor = Cursor(endpoint, request)
    bookmark = request.bookmark
    if bookmark is not None and bookmark.reached is None:
        answer = cursor.open(start=bookmark.offset, tail=bookmark.tail)
        _announce(cursor, None)
        yield from cursor.read(answer)
    else:
        yield from _seek(cursor, start=bookmark.offset if bookmark else 0)
        if not _is_through(cursor):
            yield from cursor.read(cursor.begin_anew())
    if cursor.lost and not cursor.order.holds:
        yield cursor.glimpse(_FROM_THE_START)  # a longer list goes on elsewhere
    yield cursor.result()


def _is_through(cursor: Cursor) -> bool:
    """Whether the window was read to its end, with nothing left out before it."""
    if cursor.whole and cursor.from_start:
        return True
    return not cursor.order.is_broken and (cursor.whole or cursor.order.has_passed(cursor.window.since))


def _seek(cursor: Cursor, *, start: int) -> Iterator[Page]:
    """Find the first page of the window, and read on until a page reaches behind it.

    Ends before that where the rows turn out not to be listed newest first.
    """
    answer = cursor.open(start=start)
    if start and not _begins_before(cursor, answer):
        start, answer = 0, cursor.jump(0)  # rows have gone from the front of the list
    rows, more = answer.value.rows, answer.value.has_more is not False
    seen = instants(rows)
    if not more or not seen:
        _announce(cursor, None if rows and more else 0)
        yield from _read_in_order(cursor, answer)
        return
    search = Search(ceiling=ceiling_of(cursor), size=cursor.pager.size, start=start, seen=seen)
    if _is_far(search, cursor):
        yield from _look_around(cursor, search, {name(row) for row in rows})
    _announce(cursor, search.rows_until(cursor.window.since) if search.is_orderly else None)
    found: Answer[Payload] | None = answer
    if search.start != start:
        found = _arrive(cursor, search.start, start=start) if search.is_orderly else None
    if found and (search.is_orderly or cursor.from_start):
        yield from _read_in_order(cursor, found)


def _is_far(search: Search, cursor: Cursor) -> bool:
    """Whether to search for the window is cheaper than to read on to it, as far as one page can tell."""
    if not search.is_orderly:
        return False
    rows = search.rows_until(ceiling_of(cursor))
    return rows is None or rows > NEAR * cursor.pager.size


def _read_in_order(cursor: Cursor, answer: Answer[Payload]) -> Iterator[Page]:
    """To the end of the window, or until the order breaks, unless nothing was left out so far."""
    since, from_start = cursor.window.since, cursor.from_start
    return cursor.read(
        answer, until=lambda order: order.has_passed(since) or (order.is_broken and not from_start)
    )


def _look_around(cursor: Cursor, search: Search, first: set[str]) -> Iterator[Page]:
    """Let ``search`` look until it knows; a server that always shows the ``first`` page has no order.

    Each look makes a page without rows, so that neither the place nor the request is forgotten should the
    process end.
    """
    while (offset := search.offset) is not None:
        at, rows = cursor.endpoint.sample(cursor.span, offset, SAMPLE)
        seen = instants(rows)
        if rows and (not seen or first.issuperset(map(name, rows))):
            search.is_orderly = False
        else:
            search.look(at, seen)
        reached = ceiling_of(cursor) - timedelta.resolution
        yield cursor.glimpse(Bookmark(search.start, (), reached) if search.is_orderly else _FROM_THE_START)


def _arrive(cursor: Cursor, found: int, *, start: int) -> Answer[Payload] | None:
    """The page that a search has ``found``, or one before it should rows have gone from the list since."""
    for back in range(_MOST_STEPS_BACK):
        at = max(start, found - back * cursor.pager.size)
        answer = cursor.jump(at)
        if at == start or _begins_before(cursor, answer):
            return answer
    return None


def _begins_before(cursor: Cursor, answer: Answer[Payload]) -> bool:
    """Whether a page begins before the rows that are looked for, or with one read by an earlier process."""
    rows, bookmark = answer.value.rows, cursor.request.bookmark
    if bookmark is not None and rows and name(rows[0]) in bookmark.tail:
        return True
    seen = instants(rows[:1])
    return bool(seen) and seen[0] >= ceiling_of(cursor)


def ceiling_of(cursor: Cursor) -> datetime:
    """Rows from here on are too new to be looked for, or an earlier process has read them."""
    ceiling, bookmark = cursor.filter.ceiling, cursor.request.bookmark
    if bookmark is None or bookmark.reached is None:
        return ceiling
    return min(ceiling, bookmark.reached + timedelta.resolution)


def _announce(cursor: Cursor, rows: int | None) -> None:
    """``rows`` are still to be read; None: nobody knows."""
    endpoint = cursor.endpoint
    requests = None if rows is None else endpoint.requests + ceil(rows / cursor.pager.size)
    announce(
        Forecast(
            cursor.request.website,
            requests,
            rows,
            endpoint.requests,
            per_minute=endpoint.per_minute,
            per_month=endpoint.per_month,
        )
    )
