"""Websites, their watermarks, and the history of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import delete, insert, select, update

from etl.models import Listing, Status, Website
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

    def website(self, name: str) -> Website:
        """What is known of a website; its row is made if need be."""
        found = self.known_website(name)
        if found:
            return found
        made = insert(websites).values(name=name).returning(websites.c.id)
        return Website(self._connection.execute(made).scalar_one())

    def known_website(self, name: str) -> Website | None:
        """What is known of a website, if it is known at all."""
        row = self._connection.execute(select(websites).where(websites.c.name == name)).one_or_none()
        return _website(row) if row else None

    def watermark(self, name: str) -> datetime | None:
        """The watermark of a website, known or not."""
        known = self.known_website(name)
        return known.watermark if known else None

    def websites(self) -> dict[str, Website]:
        """Every website that the state knows, by name."""
        rows = self._connection.execute(select(websites).order_by(websites.c.name))
        return {row.name: _website(row) for row in rows}

    def close_window(self, website: Website) -> Website:
        """Write down what a reading has found out, and return it; the watermark never moves back."""
        mine = websites.c.id == website.id
        before = self._connection.execute(select(websites.c.watermark).where(mine)).scalar_one()
        if before is not None and (website.watermark is None or website.watermark < before):
            website = replace(website, watermark=before)
        facts = {
            "watermark": website.watermark,
            "swept": website.swept,
            "newest_first": website.listing.newest_first,
            "strays": orjson.dumps(website.listing.strays).decode(),
            "traffic": orjson.dumps(list(website.traffic.items())).decode(),
            "degraded_since": website.degraded_since,
            "degraded_why": website.degraded_why,
        }
        self._connection.execute(update(websites).where(mine).values(facts))
        return website

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

    def requests(self, website: str, *, since: datetime) -> list[tuple[datetime, int]]:
        """When each incremental run since then was started, and how many requests to the source it cost."""
        query = (
            select(runs.c.started, runs.c.summary)
            .join_from(runs, websites)
            .where(websites.c.name == website, runs.c.kind == "incremental", runs.c.started >= since)
            .where(runs.c.summary.is_not(None))
            .order_by(runs.c.started)
        )
        return [
            (row.started, orjson.loads(row.summary)["requests"]["zenovay"])
            for row in self._connection.execute(query)
        ]


def _website(row: Any) -> Website:
    return Website(
        id=row.id,
        watermark=row.watermark,
        swept=row.swept,
        listing=Listing(row.newest_first, tuple(orjson.loads(row.strays or "[]"))),
        traffic=dict(orjson.loads(row.traffic or "[]")),
        degraded_since=row.degraded_since,
        degraded_why=row.degraded_why,
    )
