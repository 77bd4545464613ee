"""Reading the newest rows: all of the range on the first run and in a sweep, else as many as it takes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from etl.extract.cursor import Cursor
from etl.extract.windows import LONGEST, SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl.extract.endpoint import Endpoint
    from etl.models.reading import Page, ReadRequest, ReadResult

LATE = timedelta(hours=4)
"""A sweep reaches so far behind the one before, for rows that arrived late."""


def newest(endpoint: Endpoint, request: ReadRequest) -> Iterator[Page | ReadResult]:
    """The pages of the window; the last of them, where rows come newest first, is one that reaches behind it.

    That the order is relied on costs a row that hides behind that page up to a day: the sweep, which relies
    on none, finds it.
    """
    cursor = Cursor(endpoint, request)
    answer = cursor.open()
    sweep = request.sweep
    if sweep is None or cursor.span is not SHORTEST or not sweep.is_due(cursor.clock):
        stop = cursor.window.since if request.newest_first else None
        yield from cursor.read(answer, until=lambda order: stop is not None and order.seems_past(stop))
        yield cursor.result(swept=cursor.whole and request.since is None)
        return
    _reach_back(cursor, to=sweep.last - LATE)
    yield from cursor.read(answer)
    swept = cursor.whole
    if cursor.window.since < cursor.begin:
        yield from _read_further(cursor)
    yield cursor.result(swept=swept)


def _reach_back(cursor: Cursor, to: datetime) -> None:
    """Widen the window to the whole range; and further, if the order allows to stop behind ``to``."""
    reach = to if cursor.request.newest_first else cursor.begin
    cursor.reach(min(cursor.window.since, max(reach, cursor.clock - LONGEST.length)))


def _read_further(cursor: Cursor) -> Iterator[Page]:
    """Go on behind the range that was read, in a longer one, as far as the window reaches.

    If the longer list does not go on where the shorter one ended, then the window ends with the shorter one.
    """
    since = cursor.window.since
    answer = cursor.further() if cursor.order.newest_first else None
    if answer is None:
        cursor.reach(cursor.begin)
    else:
        yield from cursor.read(answer, until=lambda order: order.seems_past(since))
