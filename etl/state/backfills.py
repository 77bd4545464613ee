"""Backfills that have begun and not come to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import and_, delete, insert, not_, select, update

from etl.instants import instant, instant_or_none, microseconds, microseconds_or_none
from etl.models.reading import Backfill, Bookmark
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Prepared, overwritten, value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl.state.statements import Row, Statements

_T, _C = tables.backfills, tables.backfills.c
_STANDS = (_C.id, _C.since, _C.until, _C.started, _C.offset, _C.tail, _C.reached, _C.requests)
_MINE = and_(_C.website_id == value("website_id"), _C.since == value("since"))
_OPEN = Prepared(lambda _: select(*_STANDS).where(_MINE, _C.open))
_CLOSED = Prepared(lambda _: select(*_STANDS).where(_MINE, _C.until == value("until"), not_(_C.open)))
_BEGUN = ("website_id", "since", "until", "open", "started", "requests")
_BEGIN = Prepared(lambda _: insert(_T).values({name: value(name) for name in _BEGUN}).returning(_C.id))
_ADVANCED = ("offset", "tail", "reached", "requests")
_ADVANCE = Prepared(lambda _: update(_T).values(overwritten(*_ADVANCED)).where(_C.id == value("number")))
_FINISH = Prepared(lambda _: delete(_T).where(_C.id == value("number")))
_UNFINISHED = Prepared(
    lambda _: (
        select(*_STANDS)
        .select_from(_T.join(tables.websites, tables.websites.c.id == _C.website_id))
        .where(tables.websites.c.name == value("named"))
        .order_by(_C.started)
    ),
)


class Backfills:
    """One row per website and window, inside one transaction. ``now`` is the instant of what happens."""

    def __init__(self, statements: Statements, *, now: datetime) -> None:
        self._statements = statements
        self._now = now

    def begin(self, website_id: int, since: datetime, until: datetime | None) -> Backfill:
        """The unfinished backfill of this very window, else a new one.

        Without ``until`` it is the one that was begun without an end, which then is when it began.
        """
        window = {"website_id": website_id, "since": microseconds(since)}
        if until is None:
            row = self._statements.row(_OPEN, **window)
        else:
            row = self._statements.row(_CLOSED, **window, until=microseconds(until))
        if row is not None:
            return _backfill(row)
        end = until or self._now
        number: int = self._statements.value(
            _BEGIN,
            **window,
            until=microseconds(end),
            open=until is None,
            started=microseconds(self._now),
            requests=0,
        )
        return Backfill(number, since, end, self._now, None, 0)

    def advance(self, number: int, bookmark: Bookmark, *, requests: int) -> None:
        """The backfill stands at ``bookmark``, after ``requests`` in all."""
        self._statements.change(
            _ADVANCE,
            number=number,
            new_offset=bookmark.offset,
            new_tail=orjson.dumps(bookmark.tail).decode(),
            new_reached=microseconds_or_none(bookmark.reached),
            new_requests=requests,
        )

    def finish(self, number: int) -> None:
        self._statements.change(_FINISH, number=number)

    def unfinished(self, website: str) -> Iterator[Backfill]:
        """Those of a website, the oldest first."""
        yield from map(_backfill, self._statements.rows(_UNFINISHED, named=website))


@of_a_row
def _backfill(row: Row) -> Backfill:
    number, since, until, started, offset, tail, reached, requests = row
    bookmark = None
    if offset is not None:
        bookmark = Bookmark(offset, tuple(map(str, orjson.loads(tail))), instant_or_none(reached))
    return Backfill(number, instant(since), instant(until), instant(started), bookmark, requests)
