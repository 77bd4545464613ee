"""``state copy``: every row of every table, whatever kind of database it comes from and goes to."""

from __future__ import annotations

import re
import tracemalloc
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from fakes import ACCOUNTS, NOW, FakeClock, opened
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Integer,
    LargeBinary,
    insert,
    inspect,
    select,
    text,
)

from etl.errors import LockedError, SettingsError, StateError
from etl.models.reading import Quota
from etl.state import copying, tables
from etl.state.copying import COPIED, copy
from etl.state.database import connect, revision, upgrade
from etl.state.store import Store
from etl.state.tables import Instant

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Column, Table

ROWS = 3
TEXT = "naïve \u2028 \U0001f600 '%s' \\ \"json\""
VALUES: dict[type, Callable[[int, int | None], Any]] = {
    LargeBinary: lambda number, _: bytes([0, 255, number, 39]) * 4,
    Instant: lambda number, _: NOW + timedelta(days=number, microseconds=1),
    Boolean: lambda number, _: number % 2 == 0,
    BigInteger: lambda number, _: 2**60 + number,
    Integer: lambda number, _: 2**30 + number,
}
Rows = dict[str, list[tuple[Any, ...]]]
KINDS = list(product(("sqlite", "postgres"), repeat=2))


@pytest.fixture
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Where a state is, and where one is to be."""
    wanted = request.param
    found = {}
    for role, kind in zip(("source", "target"), wanted, strict=True):
        if kind == "sqlite":
            found[role] = f"sqlite:///{tmp_path / role}.db"
        else:
            found[role] = f"{request.getfixturevalue('postgres_url')}?schema={role}"
    return found


def filled(url: str) -> None:
    """Rows in every table, with something in every column, whatever tables there will be."""
    with opened(url, FakeClock()) as store, store._connection.begin():
        for table in COPIED:
            for number in range(1, ROWS + 1):
                row = {column.name: made(column, table, number) for column in table.columns}
                store._connection.execute(insert(table).values(row))


def made(column: Column[Any], table: Table, number: int) -> Any:
    if column.foreign_keys:
        (key,) = column.foreign_keys
        return made(key.column, key.column.table, number)
    for check in (each for each in table.constraints if isinstance(each, CheckConstraint)):
        if found := re.match(rf"{column.name} IN \('(\w+)'", str(check.sqltext)):
            return found[1]
    if column.primary_key and isinstance(column.type, Integer):
        return number
    if number == ROWS and column.nullable:
        return None
    return VALUES.get(type(column.type), text_of)(number, getattr(column.type, "length", None))


def text_of(number: int, length: int | None) -> str:
    return f"{number}{TEXT}"[:length]


def rows(url: str) -> Rows:
    with connect(url, writing=False) as connection, connection.begin():
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in COPIED
        }


def references(url: str) -> list[tuple[Any, ...]]:
    contacts = tables.contacts.c
    with connect(url, writing=False) as connection, connection.begin():
        found = select(contacts.id, contacts.into).where(contacts.into.is_not(None)).order_by(contacts.id)
        return list(map(tuple, connection.execute(found)))


@pytest.mark.parametrize("urls", KINDS, indirect=True, ids=map(" to ".join, KINDS))
def test_every_row_of_every_table_is_as_it_was(urls: dict[str, str]) -> None:
    filled(urls["source"])
    before = rows(urls["source"])

    counts = copy(urls["source"], urls["target"], FakeClock())

    assert counts == {table.name: ROWS for table in COPIED}
    assert rows(urls["target"]) == before == rows(urls["source"])
    with connect(urls["target"]) as connection:
        assert revision(connection) is not None


def test_there_and_back_again_all_is_equal(sqlite_url: str, postgres_url: str, tmp_path: Path) -> None:
    filled(sqlite_url)
    back = f"sqlite:///{tmp_path / 'back.db'}"

    assert copy(sqlite_url, postgres_url, FakeClock()) == copy(postgres_url, back, FakeClock())

    assert rows(back) == rows(sqlite_url)


@pytest.mark.parametrize("urls", KINDS[:2], indirect=True, ids=map(" to ".join, KINDS[:2]))
def test_a_contact_may_lead_to_one_that_comes_later(urls: dict[str, str]) -> None:
    filled(urls["source"])
    with connect(urls["source"]) as connection, connection.begin():
        connection.execute(text('UPDATE contacts SET "into" = 3 WHERE id = 1'))
        connection.execute(text('UPDATE contacts SET "into" = 1 WHERE id = 2'))

    copy(urls["source"], urls["target"], FakeClock())

    assert references(urls["target"]) == [(1, 3), (2, 1), (3, 3)]


@pytest.mark.parametrize("urls", KINDS[:2], indirect=True, ids=map(" to ".join, KINDS[:2]))
def test_the_copy_can_be_written_to_as_the_state_could(urls: dict[str, str]) -> None:
    filled(urls["source"])
    copy(urls["source"], urls["target"], FakeClock())

    with opened(urls["target"], FakeClock()) as store, store.transaction() as state:
        assert state.holder()
        website = state.runs.website("a new one")
        assert website.id > ROWS
        state.backfills.begin(website.id, NOW - timedelta(days=9), NOW)
        state.limits.remember_quota("zenovay", Quota(1, None, NOW))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_is_not_empty_is_refused_and_left_alone(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    source = f"sqlite:///{tmp_path / 'source.db'}"
    filled(source)
    target = str(request.getfixturevalue(f"{kind}_url"))
    filled(target)
    before = rows(target)

    with pytest.raises(SettingsError, match="is not empty"):
        copy(source, target, FakeClock())
    with pytest.raises(SettingsError, match="is not empty"):
        copy(source, source, FakeClock())

    assert rows(target) == before


def test_where_there_is_no_state_nothing_is_made(postgres_url: str, tmp_path: Path) -> None:
    for source in (f"sqlite:///{tmp_path / 'none.db'}", postgres_url):
        with pytest.raises(SettingsError, match="There is no state at"):
            copy(source, f"sqlite:///{tmp_path / 'target.db'}", FakeClock())

    assert list(tmp_path.iterdir()) == []
    with connect(postgres_url) as connection, connection.begin():
        assert inspect(connection).get_table_names() == []


@pytest.mark.parametrize("urls", KINDS, indirect=True, ids=map(" to ".join, KINDS))
def test_what_fails_leaves_nothing_and_can_be_done_again(
    urls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(urls["source"])
    files = set(tmp_path.iterdir())

    def miscounted(*_: Any) -> int:
        raise StateError("miscounted")

    with monkeypatch.context() as patch:
        patch.setattr(copying, "_compared", miscounted)
        with pytest.raises(StateError, match="miscounted"):
            copy(urls["source"], urls["target"], FakeClock())

    assert set(tmp_path.iterdir()) == files
    copy(urls["source"], urls["target"], FakeClock())
    assert rows(urls["target"]) == rows(urls["source"])


def test_a_file_that_was_there_and_empty_stays_so(sqlite_url: str, tmp_path: Path) -> None:
    filled(sqlite_url)
    target = tmp_path / "target.db"
    target.touch(0o600)

    copy(sqlite_url, f"sqlite:///{target}", FakeClock())

    assert rows(f"sqlite:///{target}") == rows(sqlite_url)


def test_the_copy_is_its_owner_s_only(sqlite_url: str, tmp_path: Path) -> None:
    filled(sqlite_url)

    copy(sqlite_url, f"sqlite:///{tmp_path / 'deep' / 'er' / 'target.db'}", FakeClock())

    assert (tmp_path / "deep" / "er" / "target.db").stat().st_mode & 0o777 == 0o600


def test_nobody_may_run_meanwhile(state_url: str, tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'target.db'}"
    filled(state_url)

    with opened(state_url, FakeClock()), pytest.raises(LockedError):
        copy(state_url, target, FakeClock())

    assert not (tmp_path / "target.db").exists()


def test_the_target_of_somebody_else_is_not_written_to(sqlite_url: str, postgres_url: str) -> None:
    filled(sqlite_url)
    with connect(postgres_url) as connection:
        theirs = Store(connection, clock=FakeClock(), accounts=ACCOUNTS)
        assert theirs._lock.take()
        with pytest.raises(LockedError):
            copy(sqlite_url, postgres_url, FakeClock())
        theirs._lock.drop()

    copy(sqlite_url, postgres_url, FakeClock())


def test_memory_stays_flat_however_long_a_table_is(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_ROWS_AT_ONCE", 500)
    with connect(sqlite_url, create=True) as connection:
        upgrade(connection)

    def peak(name: str, count: int) -> int:
        with connect(sqlite_url) as connection, connection.begin():
            connection.execute(text("DELETE FROM facts"))
            values = [{"name": str(number), "value": "x" * 200} for number in range(count)]
            connection.execute(insert(tables.facts), values)
        tracemalloc.start()
        copy(sqlite_url, f"sqlite:///{tmp_path / name}", FakeClock())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak("warm.db", 10)
    assert peak("long.db", 60_000) < 2 * peak("short.db", 6_000)


def test_a_word_that_is_no_url_is_told_as_the_argument(sqlite_url: str) -> None:
    filled(sqlite_url)

    with pytest.raises(SettingsError, match="The URL to copy to must be"):
        copy(sqlite_url, "elsewhere.db", FakeClock())
