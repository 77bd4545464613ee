"""Opening the tables that portals share, and making or upgrading them."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from datetime import UTC
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, text

from etl.errors import StateError
from etl.state.database import connect, rebuilding, unhurried
from etl.state.failures import NewerError, translated
from etl.state.urls import place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from etl.clock import Clock

REVISIONS = ("0001",)
"""All revisions in ``migrations/fleet``; a test keeps it so."""

SCHEMA = REVISIONS[-1]
_OUR_TABLE = "limits"
_REVISION = text("SELECT version_num FROM alembic_version")
_CURRENT = text("SELECT version_num, clock_timestamp() FROM alembic_version")
STILL_S = 5.0
"""What is done in one transaction takes some milliseconds: a process that takes longer is frozen."""

_STANDS_STILL = text("SELECT set_config('idle_in_transaction_session_timeout', :after, false)")
ALONE, CLAIMS, DECIDES = (
    text(f"SELECT pg_advisory_xact_lock({kind}, hashtext(coalesce(current_schema(), '')))")
    for kind in (30323, 30324, 30325)
)
"""Who makes the tables, claims an account, or decides what is due waits for others in the same schema."""


@contextmanager
def open_fleet(url: str, clock: Clock, *, upgrades: bool = False) -> Iterator[Connection]:
    """A connection to the shared tables, which are made where there are none.

    Older ones are upgraded in a SQLite file, or where that is asked for: others at work there may know
    the older ones only. Raises StateError (exit 7) for older ones otherwise, and for a newer version's.
    """
    with _connected(url, clock, create=True) as connection:
        found = revision(connection)
        if found is None or (found != SCHEMA and (upgrades or connection.dialect.name == "sqlite")):
            _upgrade(connection)
        elif found != SCHEMA:
            raise _older(connection, found)
        yield connection


@contextmanager
def existing_fleet(url: str, clock: Clock) -> Iterator[Connection]:
    """A connection to shared tables that are there. Raises StateError for others, and makes nothing."""
    with _connected(url, clock) as connection:
        found = revision(connection)
        if found is None:
            raise StateError(
                f"There are no shared tables at {place(connection.engine.url)} yet.",
                fix="Run visitor-sync fleet init, then this again.",
            )
        if found != SCHEMA:
            raise _older(connection, found)
        yield connection


@contextmanager
def _connected(url: str, clock: Clock, *, create: bool = False) -> Iterator[Connection]:
    """A connection that keeps no others waiting: the server ends a transaction that stands still."""
    with connect(url, create=create, clock=clock) as connection:
        if connection.dialect.name != "sqlite":
            with translated(connection.engine.url), connection.begin():
                connection.execute(_STANDS_STILL, {"after": f"{STILL_S:g}s"})
        yield connection


def revision(connection: Connection) -> str | None:
    """The revision of the shared tables; None for an empty place.

    Raises StateError where they are a newer version's, or another program's.
    """
    with translated(connection.engine.url), connection.begin():
        known = set(inspect(connection).get_table_names())
        found = connection.execute(_REVISION).scalar() if "alembic_version" in known else None
    where = place(connection.engine.url)
    if found is None and not known:
        return None
    if found is None or _OUR_TABLE not in known:
        raise StateError(
            f"{where} holds tables of another program.",
            fix="It was left untouched. Name another place in SYNC_STATE_URL.",
        )
    if found not in REVISIONS:
        raise newer(connection, f"revision {found}")
    return str(found)


def prove_current(connection: Connection) -> datetime:
    """The clock of PostgreSQL; within a transaction.

    Raises NewerError unless the shared tables still are of this version.
    """
    found, now = connection.execute(_CURRENT).one()
    if found != SCHEMA:
        raise newer(connection, f"revision {found}")
    return now.astimezone(UTC)  # type: ignore[no-any-return]  # as the driver has it


def _older(connection: Connection, found: str) -> StateError:
    return StateError(
        f"The shared tables at {place(connection.engine.url)} are of an older version ({found}).",
        fix="Run visitor-sync fleet init, then start this again.",
    )


def newer(connection: Connection, what: str) -> NewerError:
    return NewerError(
        f"The shared tables at {place(connection.engine.url)} were made by a newer visitor-sync ({what}).",
        fix="They were left untouched. Upgrade this program.",
    )


def _upgrade(connection: Connection) -> None:
    from etl.state import migrate  # noqa: PLC0415 -- alembic costs 150 ms, needed once per release

    if connection.dialect.name == "sqlite":
        raw: Any = connection.connection.driver_connection
        with suppress(sqlite3.OperationalError):  # somebody else may be making them now
            raw.execute("PRAGMA journal_mode=WAL")  # so that taking a permit costs no fsync
    with translated(connection.engine.url), rebuilding(connection), connection.begin(), unhurried(connection):
        if connection.dialect.name != "sqlite":
            connection.execute(ALONE)  # two that begin at once: the second finds it done
        migrate.upgrade(connection, SCHEMA, of="fleet")
