"""Websites, their watermarks, and the history of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import delete, insert, select, update

from etl.models import Status
from etl.state.tables import runs, websites

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

KEPT_RUNS = 1000
"""Per website; older ones are forgotten."""


class Runs:
    """The history, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def website(self, name: str) -> tuple[int, datetime | None]:
        """The row id of a website, made if need be, and its watermark."""
        query = select(websites.c.id, websites.c.watermark).where(websites.c.name == name)
        found = self._connection.execute(query).one_or_none()
        if found:
            return found.id, found.watermark
        made = insert(websites).values(name=name).returning(websites.c.id)
        return self._connection.execute(made).scalar_one(), None

    def watermark(self, name: str) -> datetime | None:
        """The watermark of a website, known or not."""
        query = select(websites.c.watermark).where(websites.c.name == name)
        return self._connection.execute(query).scalar_one_or_none()

    def websites(self) -> dict[str, datetime | None]:
        """Every website that the state knows, with its watermark, by name."""
        query = select(websites.c.name, websites.c.watermark).order_by(websites.c.name)
        return {name: watermark for name, watermark in self._connection.execute(query)}  # noqa: C416

    def close_window(self, website_id: int, clock: datetime) -> datetime:
        """Move the watermark to ``clock``, the source's own; never back. Returns where it is now."""
        mine = websites.c.id == website_id
        before = self._connection.execute(select(websites.c.watermark).where(mine)).scalar_one()
        after = clock if before is None else max(before, clock)
        self._connection.execute(update(websites).where(mine).values(watermark=after))
        return after

    def begin(self, run: str, website_id: int, kind: str, started: datetime) -> None:
        self._connection.execute(
            insert(runs).values(id=run, website_id=website_id, kind=kind, started=started)
        )

    def end(self, run: str, ended: datetime, summary: dict[str, Any]) -> None:
        """Write down how a run ended, and forget the oldest ones."""
        self._connection.execute(
            update(runs)
            .where(runs.c.id == run)
            .values(ended=ended, status=summary["status"], summary=orjson.dumps(summary).decode())
        )
        website_id = select(runs.c.website_id).where(runs.c.id == run).scalar_subquery()
        oldest_kept = (
            select(runs.c.started)
            .where(runs.c.website_id == website_id)
            .order_by(runs.c.started.desc())
            .offset(KEPT_RUNS)
            .limit(1)
            .scalar_subquery()
        )
        self._connection.execute(
            delete(runs).where(runs.c.website_id == website_id, runs.c.started <= oldest_kept)
        )

    def last_success(self, website: str) -> datetime | None:
        """When the last incremental run that ended done or partial was started."""
        query = (
            select(runs.c.started)
            .join_from(runs, websites)
            .where(websites.c.name == website, runs.c.kind == "incremental")
            .where(runs.c.status.in_([Status.DONE, Status.PARTIAL]))
            .order_by(runs.c.started.desc())
            .limit(1)
        )
        return self._connection.execute(query).scalar_one_or_none()

    def last(self, website: str, most: int) -> list[dict[str, Any]]:
        """The summaries of the last runs of a website, latest first. A killed run has the status null."""
        query = (
            select(runs.c.id, runs.c.kind, runs.c.started, runs.c.ended, runs.c.status, runs.c.summary)
            .join_from(runs, websites)
            .where(websites.c.name == website)
            .order_by(runs.c.started.desc())
            .limit(most)
        )
        return [
            {
                **(orjson.loads(row.summary) if row.summary else {"run": row.id, "kind": row.kind}),
                "status": row.status,
                "started": row.started,
                "ended": row.ended,
            }
            for row in self._connection.execute(query)
        ]
