"""What reading a window of the past will take, by two looks at the list at most."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil, isqrt
from typing import TYPE_CHECKING

from etl.extract.backfill import NEAR, SAMPLE, ceiling_of
from etl.extract.cursor import Cursor
from etl.extract.filter import instants
from etl.extract.forecast import Forecast
from etl.extract.search import Search

if TYPE_CHECKING:
    from etl.extract.endpoint import Endpoint
    from etl.models.reading import ReadRequest

_MOST_ASKED = 2
_MOMENT = timedelta(microseconds=1)


def plan(endpoint: Endpoint, request: ReadRequest) -> Forecast:
    """Where the window lies is reckoned as if visitors came evenly between the rows that were seen.

    Raises what a reading does.
    """
    bookmark = request.bookmark
    if bookmark and bookmark.reached is None:
        return _forecast(endpoint, request, rows=None, requests=None)
    cursor, start = Cursor(endpoint, request), bookmark.offset if bookmark else 0
    page = cursor.open(start=start).value
    seen, size = instants(page.rows), min(cursor.pager.size, page.limit or cursor.pager.size)
    since, before = cursor.window.since, ceiling_of(cursor)
    if page.has_more is False or len(page.rows) < size:
        rows = sum(since <= each < before for each in seen)
        return _forecast(endpoint, request, rows=rows, requests=1)
    if not seen:
        return _forecast(endpoint, request, rows=None, requests=None)
    search = Search(ceiling=before, size=size, start=start, seen=seen)
    _look_once_more(cursor, search, size)
    first, last = _place(search, before), _place(search, since)
    if not search.is_orderly or first is None or last is None:
        return _forecast(endpoint, request, rows=None, requests=None)
    requests = _requests(first - start, last - start, size)
    return _forecast(endpoint, request, rows=max(0, last - first), requests=requests)


def _look_once_more(cursor: Cursor, search: Search, size: int) -> None:
    """Far enough ahead to see how the numbers change with time, and not so far that the list has ended."""
    away = search.rows_until(cursor.window.since)
    if away is None or away <= size or cursor.endpoint.requests >= _MOST_ASKED:
        return
    at, rows = cursor.endpoint.sample(cursor.span, search.start + isqrt(size * away), SAMPLE)
    search.look(at, instants(rows))


def _place(search: Search, instant: datetime) -> int | None:
    """The offset of the first row before ``instant``, about."""
    rows = search.rows_until(instant)
    return None if rows is None else search.start + rows


def _requests(first: int, last: int, size: int) -> int:
    """To get to the row ``first`` and read to the row ``last``, both counted from where it begins."""
    if first <= NEAR * size:
        return max(1, ceil(last / size))
    looks, start = _search(first, size)
    return 1 + looks + max(1, ceil((last - start) / size))


def _search(first: int, size: int) -> tuple[int, int]:
    """How many looks it takes to find the row ``first``, and where the reading then begins.

    It is looked for among imagined rows, a moment apart.
    """
    ceiling = datetime(2000, 1, 1, tzinfo=UTC)
    search = Search(ceiling=ceiling, size=size, start=0, seen=[ceiling + first * _MOMENT])
    looks = 0
    while (offset := search.offset) is not None:
        search.look(offset, [ceiling + (first - offset) * _MOMENT])
        looks += 1
    return looks, search.start


def _forecast(
    endpoint: Endpoint, request: ReadRequest, *, rows: int | None, requests: int | None
) -> Forecast:
    return Forecast(
        request.website,
        requests,
        rows,
        endpoint.requests,
        per_minute=endpoint.per_minute,
        per_month=endpoint.per_month,
    )
