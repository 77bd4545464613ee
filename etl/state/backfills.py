"""Backfills that have begun and not come to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from etl.instants import instant, instant_or_none, microseconds, microseconds_or_none
from etl.models.reading import Backfill, Bookmark
from etl.state.failures import of_a_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl.state.statements import Row, Statements

_MINE = """
    SELECT id, since, until, started, "offset", tail, reached, requests FROM backfills
    WHERE website_id = ? AND since = ? AND """
_OPEN, _CLOSED = _MINE + "open", _MINE + "until = ? AND NOT open"
_BEGIN = """
    INSERT INTO backfills (website_id, since, until, open, started, requests)
    VALUES (?, ?, ?, ?, ?, 0) RETURNING id"""
_ADVANCE = """UPDATE backfills SET "offset" = ?, tail = ?, reached = ?, requests = ? WHERE id = ?"""
_UNFINISHED = """
    SELECT b.id, b.since, b.until, b.started, b."offset", b.tail, b.reached, b.requests
    FROM backfills b JOIN websites w ON w.id = b.website_id
    WHERE w.name = ? ORDER BY b.started"""


class Backfills:
    """One row per website and window, inside one transaction. ``now`` is the instant of what happens."""

    def __init__(self, statements: Statements, *, now: datetime) -> None:
        self._statements = statements
        self._now = now

    def begin(self, website_id: int, since: datetime, until: datetime | None) -> Backfill:
        """The unfinished backfill of this very window, else a new one.

        Without ``until`` it is the one that was begun without an end, which then is when it began.
        """
        window = (website_id, microseconds(since))
        if until is None:
            row = self._statements.row(_OPEN, window)
        else:
            row = self._statements.row(_CLOSED, (*window, microseconds(until)))
        if row is not None:
            return _backfill(row)
        end = until or self._now
        begun = (*window, microseconds(end), until is None, microseconds(self._now))
        return Backfill(self._statements.value(_BEGIN, begun), since, end, self._now, None, 0)

    def advance(self, number: int, bookmark: Bookmark, *, requests: int) -> None:
        """The backfill stands at ``bookmark``, after ``requests`` in all."""
        tail = orjson.dumps(bookmark.tail).decode()
        stands = (bookmark.offset, tail, microseconds_or_none(bookmark.reached), requests)
        self._statements.change(_ADVANCE, (*stands, number))

    def finish(self, number: int) -> None:
        self._statements.change("DELETE FROM backfills WHERE id = ?", (number,))

    def unfinished(self, website: str) -> Iterator[Backfill]:
        """Those of a website, the oldest first."""
        yield from map(_backfill, self._statements.rows(_UNFINISHED, (website,)))


@of_a_row
def _backfill(row: Row) -> Backfill:
    number, since, until, started, offset, tail, reached, requests = row
    bookmark = None
    if offset is not None:
        bookmark = Bookmark(offset, tuple(map(str, orjson.loads(tail))), instant_or_none(reached))
    return Backfill(number, instant(since), instant(until), instant(started), bookmark, requests)
