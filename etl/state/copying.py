"""The whole state in another database: every row as it is, in one transaction of the other."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, and_, func, inspect, select, text, update

from etl.errors import SettingsError, StateError
from etl.state import tables
from etl.state.database import built, connect, revision, unhurried
from etl.state.failures import translated
from etl.state.lock import held_by, lock_of, take
from etl.state.statements import Insertion, Prepared, Statements, new, overwritten, value
from etl.state.store import Store
from etl.state.urls import exists, file_behind, parse_url, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import URL, Column, Connection, Table

    from etl.clock import Clock
    from etl.state.statements import Row

COPIED = tuple(table for table in tables.metadata.sorted_tables if table is not tables.lock)
"""Each after those that it refers to. Nobody holds the copy."""

_ROWS_AT_ONCE = 5000


def copy(source: str, target: str, clock: Clock) -> dict[str, int]:
    """Copy the state at ``source`` to the empty database at ``target``. Returns the rows of each table.

    Both are locked meanwhile; an old source is upgraded first, as by a run. Raises SettingsError where the
    one has no state or the other is not empty, LockedError, StateError, and InterruptedRunError once
    ``clock`` says so: then nothing is left in the other.
    """
    here, there = parse_url(source), parse_url(target, named="The URL to copy to")
    _refuse_without_state(here, clock)
    with (
        connect(here, clock=clock) as held,
        Store(held, clock=clock).locked(),
        connect(here, writing=False, clock=clock) as original,
        _empty(there, clock) as copied,
        translated(here),
        original.begin(),
        unhurried(original),
        translated(there),
        built(copied),
    ):
        return _copy_all(original, copied, clock)


def _refuse_without_state(url: URL, clock: Clock) -> None:
    found = None
    if exists(url):
        with connect(url, writing=False, clock=clock) as connection, translated(url), connection.begin():
            found = revision(connection)
    if found is None:
        raise SettingsError(
            f"There is no state at {place(url)}.", fix="SYNC_STATE_URL names the one that is to be copied."
        )


@contextmanager
def _empty(url: URL, clock: Clock) -> Iterator[Connection]:
    """An empty database and its lock. A file that was made for it goes again, should this fail."""
    is_new = not exists(url)
    with connect(url, create=True, clock=clock) as connection:
        _refuse_content(connection)
        lock = lock_of(connection)
        if not take(lock, clock):
            raise held_by(None)
        try:
            _refuse_content(connection)
            try:
                yield connection
            except BaseException:
                if is_new:
                    _remove(connection)
                raise
        finally:
            lock.drop()


def _refuse_content(connection: Connection) -> None:
    url = connection.engine.url
    with translated(url), connection.begin():
        found = inspect(connection).get_table_names()
    if found:
        raise SettingsError(
            f"The database to copy to, {place(url)}, is not empty, and nothing in it was touched.",
            fix="Name an empty one, or one that is not there yet; in PostgreSQL a schema of its own will do,"
            " as in ?schema=visitor_sync.",
        )


def _remove(connection: Connection) -> None:
    """Its lock file goes last: nobody else has begun to use the others."""
    path = file_behind(connection)
    if path is None:
        return
    for end in ("-wal", "-shm", "", ".lock"):
        with suppress(OSError):
            path.with_name(f"{path.name}{end}").unlink()


def _copy_all(source: Connection, target: Connection, clock: Clock) -> dict[str, int]:
    for table in COPIED:
        _copy_rows(table, source, target, clock)
    for table in COPIED:
        for column in _references_to_itself(table):
            _copy_references(table, column, source, target)
        if target.dialect.name == "postgresql":
            _settle(table, target)
    return {str(table.name): _compared(table, source, target) for table in COPIED}


def _copy_rows(table: Table, source: Connection, target: Connection, clock: Clock) -> None:
    """Without references to rows of the same table, which may not be there yet."""
    columns = list(table.columns)
    converters = [_converter(column) for column in columns]
    insertion = Insertion(table, *(column.name for column in columns))
    into = Statements(target)
    for rows in _chunks(source, Prepared(lambda _: select(*columns))):
        clock.wait(0.0, "a state is copied")
        into.add_many(
            insertion,
            (tuple(convert(each) for convert, each in zip(converters, row, strict=True)) for row in rows),
        )


def _converter(column: Column[Any]) -> Callable[[Any], Any]:
    """What makes the value of one database that of another: SQLite's truth values are numbers."""
    if _refers_to(column, column.table):
        return lambda _: None
    if isinstance(column.type, Boolean):
        return lambda given: None if given is None else bool(given)
    return lambda given: given


def _references_to_itself(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if _refers_to(column, table)]


def _refers_to(column: Column[Any], table: Any) -> bool:
    return any(key.column.table is table for key in column.foreign_keys)


def _copy_references(table: Table, column: Column[Any], source: Connection, target: Connection) -> None:
    keys = list(table.primary_key)
    named = [f"key_{key.name}" for key in keys]
    found = Prepared(lambda _: select(column, *keys).where(column.is_not(None)))
    change = Prepared(
        lambda _: (
            update(table)
            .values(overwritten(column.name))
            .where(and_(*(key == value(name) for key, name in zip(keys, named, strict=True))))
        ),
        new(column.name),
        *named,
    )
    into = Statements(target)
    for rows in _chunks(source, found):
        into.change_many(change, rows)


def _chunks(source: Connection, statement: Prepared) -> Iterator[Sequence[Row]]:
    chunk: list[Row] = []
    with translated(source.engine.url):
        for row in Statements(source).stream(statement):
            chunk.append(tuple(row))
            if len(chunk) == _ROWS_AT_ONCE:
                yield chunk
                chunk = []
    yield chunk


def _settle(table: Table, target: Connection) -> None:
    """Let PostgreSQL number new rows after those that are there, and know how many these are."""
    numbered = table.autoincrement_column
    if numbered is not None:
        sequence = func.pg_get_serial_sequence(table.name, numbered.name)
        target.execute(select(func.setval(sequence, func.max(numbered))))
    target.execute(text(f"ANALYZE {table.name}"))


def _compared(table: Table, source: Connection, target: Connection) -> int:
    """How many rows there are on both sides."""
    count = select(func.count()).select_from(table)
    here, there = source.scalar(count), target.scalar(count)
    if here is None or here != there:
        raise StateError(
            f"The copy has {there} rows of {table.name}, and the state has {here}: it was given up.",
            fix="Nothing is left of it, and the state is as it was. Copy again.",
        )
    return here
