"""The database of a fleet, seen from outside: made, counted, dropped."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
_SCHEMA = "visitor_sync"
_RUNNING = text(
    f"SELECT portal || '/' || website FROM {_SCHEMA}.sites JOIN {_SCHEMA}.workers ON workers.id = worker"
    " WHERE running_since IS NOT NULL AND pid = :pid"
)
_SINCE = text(f"SELECT running_since FROM {_SCHEMA}.sites WHERE portal = :portal AND website = :website")
_IS_THERE = text("SELECT to_regclass(:runs) IS NOT NULL")
_IS_OVER = (
    "SELECT EXISTS (SELECT 1 FROM {schema}.runs JOIN {schema}.websites ON websites.id = website_id"
    " WHERE websites.name = :website AND started >= :since AND ended IS NOT NULL)"
)
_CONNECTIONS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
_PERMITS = text(f"SELECT coalesce(sum(used), 0) FROM {_SCHEMA}.limits")


class Tables:
    """One connection, kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def running(self, pid: int) -> list[str]:
        """``portal/website`` of all that a worker is running now."""
        return list(self._connection.execute(_RUNNING, {"pid": pid}).scalars())

    def cut(self, pid: int) -> list[str]:
        """``portal/website`` of all that a worker was running when it died, but for what was done by then."""
        return [name for name in self.running(pid) if not self._is_over(*name.split("/"))]

    def _is_over(self, portal: str, website: str) -> bool:
        """Whether the run that has begun has come to its end in the portal's state."""
        ask, schema = self._connection.execute, f"{_SCHEMA}_{portal}"
        since = ask(_SINCE, {"portal": portal, "website": website}).scalar_one()
        if not ask(_IS_THERE, {"runs": f"{schema}.runs"}).scalar_one():
            return False
        is_over = text(_IS_OVER.format(schema=schema))
        return bool(ask(is_over, {"website": website, "since": since}).scalar_one())

    def connections(self) -> int:
        """How many others hold a connection to the database."""
        return int(self._connection.execute(_CONNECTIONS).scalar_one()) - 1

    def permits(self) -> int:
        """Those that were granted, of months and days."""
        return int(self._connection.execute(_PERMITS).scalar_one())


@contextmanager
def look_into(url: str) -> Iterator[Tables]:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield Tables(connection)


@contextmanager
def database_of_its_own() -> Iterator[str]:
    """The URL of an empty database, which is dropped afterwards."""
    name = f"visitor_sync_{uuid.uuid4().hex[:12]}"
    server = create_engine(SERVER, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield server.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
