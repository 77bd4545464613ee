"""A throw-away copy of the state, on which a dry run may write as it likes."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from etl.state.database import connect, open_to_read, refuse_a_stump, revision, scratch, upgrade
from etl.state.failures import translated
from etl.state.statements import Statements
from etl.state.urls import exists, parse_url, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection

    from etl.clock import Clock

_ROWS_AT_ONCE = 5000
_NOT_COPIED = {"alembic_version", "lock"}  # the migrations write the one, nobody holds the other


@contextmanager
def snapshot(url: str | URL, *, clock: Clock | None = None) -> Iterator[Connection]:
    """A connection to a private copy of the state, with this program's schema, whatever the state's is.

    The state itself is only read, and not made if missing. Nothing is left of the copy, however we end.
    """
    parsed = parse_url(url)
    with scratch(parsed) as copy:
        if exists(parsed):
            if sqlite_path(parsed):
                _copy_file(parsed, copy)
            else:
                _copy_rows(parsed, copy, clock)
        upgrade(copy)
        yield copy


def _copy_file(url: URL, copy: Connection) -> None:
    """Copy a database that may be in use."""
    path = sqlite_path(url)
    assert path  # noqa: S101 -- for mypy: the caller has looked
    refuse_a_stump(path, url)
    target: Any = copy.connection.driver_connection
    with translated(url):
        with closing(open_to_read(path)) as source:
            source.backup(target)
        with copy.begin():
            if revision(copy) is not None:
                copy.exec_driver_sql("DELETE FROM lock")


def _copy_rows(url: URL, copy: Connection, clock: Clock | None) -> None:
    from etl.state import migrate  # noqa: PLC0415 -- alembic costs 150 ms, and a file needs none of it

    with connect(url, writing=False, clock=clock) as source, translated(url), source.begin():
        found = revision(source)
        if found is None:
            return
        with copy.begin():
            migrate.upgrade(copy, found)
        with copy.begin():
            copy.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for table in set(inspect(copy).get_table_names()) - _NOT_COPIED:
                _copy_table(table, source, copy)


def _copy_table(table: str, source: Connection, copy: Connection) -> None:
    names = [column["name"] for column in inspect(copy).get_columns(table)]
    columns = ", ".join(f'"{name}"' for name in names)
    places = ", ".join("?" * len(names))
    target = Statements(copy)
    chunk: list[tuple[Any, ...]] = []
    for row in Statements(source).stream(f"SELECT {columns} FROM {table}"):  # noqa: S608 -- names of our own
        chunk.append(tuple(row))
        if len(chunk) == _ROWS_AT_ONCE:
            target.add_many(f"INSERT INTO {table} ({columns}) VALUES ({places})", chunk)  # noqa: S608 -- names of our own
            chunk.clear()
    target.add_many(f"INSERT INTO {table} ({columns}) VALUES ({places})", chunk)  # noqa: S608 -- names of our own
