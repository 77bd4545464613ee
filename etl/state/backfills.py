"""Backfills that have begun and not come to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import delete, insert, select, update

from etl.models import Backfill, Mark
from etl.state.tables import backfills, websites

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection


class Backfills:
    """One row per website and window, inside one transaction. ``now`` is the instant of what happens."""

    def __init__(self, connection: Connection, *, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def begin(self, website_id: int, since: datetime, until: datetime | None) -> Backfill:
        """The unfinished backfill of this very window, else a new one.

        Without ``until`` it is the one that was begun without an end, which then is when it began.
        """
        mine = (backfills.c.website_id == website_id) & (backfills.c.since == since)
        mine &= backfills.c.open if until is None else (backfills.c.until == until) & ~backfills.c.open
        row = self._connection.execute(select(backfills).where(mine)).one_or_none()
        if row is not None:
            return _backfill(row)
        begun = {"since": since, "until": until or self._now, "open": until is None, "started": self._now}
        made = insert(backfills).values(website_id=website_id, requests=0, **begun).returning(backfills.c.id)
        number = self._connection.execute(made).scalar_one()
        return Backfill(number, since, until or self._now, self._now, None, 0)

    def advance(self, number: int, mark: Mark, *, requests: int) -> None:
        """The backfill stands at ``mark``, after ``requests`` in all."""
        self._connection.execute(
            update(backfills)
            .where(backfills.c.id == number)
            .values(
                offset=mark.offset,
                tail=orjson.dumps(mark.tail).decode(),
                reached=mark.reached,
                requests=requests,
            )
        )

    def finish(self, number: int) -> None:
        self._connection.execute(delete(backfills).where(backfills.c.id == number))

    def unfinished(self, website: str) -> Iterator[Backfill]:
        """Those of a website, the oldest first."""
        query = (
            select(backfills)
            .join_from(backfills, websites)
            .where(websites.c.name == website)
            .order_by(backfills.c.started)
        )
        yield from map(_backfill, self._connection.execute(query))


def _backfill(row: Any) -> Backfill:
    mark = None if row.offset is None else Mark(row.offset, tuple(orjson.loads(row.tail)), row.reached)
    return Backfill(row.id, row.since, row.until, row.started, mark, row.requests)
