"""A dry run works on a copy; the state itself is only read."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes import ACCOUNTS, NOW, FakeClock, opened, page, row
from program import python_that_waits
from sqlalchemy import event, select, text
from sqlalchemy.engine import Engine

from etl.errors import StateError
from etl.fields import BASIC_FIELDS
from etl.pipeline.absorb import absorb
from etl.pipeline.books import Books
from etl.state.snapshot import snapshot
from etl.state.store import Store
from etl.state.tables import contacts, visitors

if TYPE_CHECKING:
    from sqlalchemy import Connection

WRITE_AND_WAIT = """
import sys
from fakes import FakeClock, opened
with opened(sys.argv[1], FakeClock()) as store:
    with store.transaction() as state:
        state.notebook.put("name", "uncheckpointed")
    print("written", flush=True)
    sys.stdin.read()
"""


def absorbed(store: Store, *names: str) -> None:
    with store.transaction() as state:
        website_id = state.runs.website("site").id
        rows = page(*map(row, names))
        absorb(rows, website_id=website_id, anonymous=True, synced=BASIC_FIELDS, state=state, books=Books())


def write_to(connection: Connection) -> None:
    store = Store(connection, clock=FakeClock(), accounts=ACCOUNTS)
    with store.locked():
        absorbed(store, "new")


def names(connection: Connection) -> list[str]:
    with connection.begin():
        return sorted(connection.scalars(select(visitors.c.id)))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_copy_holds_what_the_state_holds_and_the_state_does_not_get_what_the_copy_gets(
    state_url: str,
) -> None:
    with opened(state_url, FakeClock()) as store:
        absorbed(store, "a", "b")
    with snapshot(state_url) as copy:
        assert names(copy) == ["a", "b"]
        write_to(copy)
        assert names(copy) == ["a", "b", "new"]

    with opened(state_url, FakeClock()) as store:
        assert names(store._connection) == ["a", "b"]


def test_copying_leaves_the_file_byte_for_byte_and_makes_none(sqlite_url: str, tmp_path: Path) -> None:
    with opened(sqlite_url, FakeClock()) as store:
        absorbed(store, "a")
    before = files(tmp_path)
    with snapshot(sqlite_url) as copy:
        write_to(copy)

    assert files(tmp_path) == before
    assert before.keys() == {"state.db", "state.db.lock"}


def test_where_there_is_no_state_the_copy_is_empty_and_none_is_made(tmp_path: Path) -> None:
    with snapshot(f"sqlite:///{tmp_path / 'folder' / 'state.db'}") as copy:
        assert names(copy) == []
        write_to(copy)

    assert files(tmp_path) == {}


def test_a_postgres_database_that_nobody_has_set_up_stays_empty(postgres_url: str) -> None:
    from sqlalchemy import create_engine, inspect  # noqa: PLC0415 -- one test needs it

    with snapshot(postgres_url) as copy:
        write_to(copy)
        assert names(copy) == ["new"]

    engine = create_engine(postgres_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_the_copy_is_taken_while_a_run_holds_the_lock_and_is_not_locked_itself(state_url: str) -> None:
    with opened(state_url, FakeClock()) as store:
        absorbed(store, "a")
        with snapshot(state_url) as copy:
            write_to(copy)
            assert names(copy) == ["a", "new"]
        with store.transaction() as state:
            assert state.holder()


def test_the_copy_holds_what_another_process_has_written_but_not_checkpointed(
    sqlite_url: str, tmp_path: Path
) -> None:
    with python_that_waits(WRITE_AND_WAIT, sqlite_url, said="written") as writer:
        before = files(tmp_path)
        assert b"uncheckpointed" not in before["state.db"]
        with snapshot(sqlite_url) as copy, copy.begin():
            assert copy.execute(text("SELECT value FROM facts")).scalar_one() == "uncheckpointed"
        assert files(tmp_path).keys() == before.keys()
        assert without_index(files(tmp_path)) == without_index(before)

        writer.send_signal(signal.SIGKILL)
        writer.wait()
    with snapshot(sqlite_url) as copy, copy.begin():
        assert copy.execute(text("SELECT value FROM facts")).scalar_one() == "uncheckpointed"
    assert without_index(files(tmp_path)) == without_index(before)


def without_index(found: dict[str, bytes]) -> dict[str, bytes]:
    """The files of the state without SQLite's shared memory, which every reader marks."""
    return {name: content for name, content in found.items() if not name.endswith("-shm")}


def test_a_copy_of_a_server_is_of_one_instant(postgres_url: str) -> None:
    """A page absorbed between the copies of two tables must be in both of them or in neither."""
    with opened(postgres_url, FakeClock()) as store:
        absorbed(store, "a")
        pending = ["b"]

        def interfere(_: Any, __: Any, statement: str, *___: Any) -> None:
            if "FROM visitors" in statement and pending:
                absorbed(store, pending.pop())

        event.listen(Engine, "before_cursor_execute", interfere)
        try:
            with snapshot(postgres_url) as copy:
                assert names(copy) == ["a"]
                with copy.begin():
                    assert list(copy.scalars(select(contacts.c.key))) == ["a"]
        finally:
            event.remove(Engine, "before_cursor_execute", interfere)


def test_a_small_copy_needs_no_place_for_temporary_files(
    state_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(state_url, FakeClock()) as store:
        absorbed(store, "a")
    for variable in ("SQLITE_TMPDIR", "TMPDIR"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    with snapshot(state_url) as copy:
        open_files = [str(each.resolve()) for each in Path("/proc/self/fd").iterdir()]
        write_to(copy)
        assert names(copy) == ["a", "new"]

    assert not [path for path in open_files if "etilqs" in path]


def test_a_state_that_cannot_be_read_is_an_error_of_the_state(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("dear diary, " * 100)

    with pytest.raises(StateError), snapshot(sqlite_url):
        pass
    assert (tmp_path / "state.db").read_text() == "dear diary, " * 100


def test_the_state_of_a_newer_version_is_not_copied(state_url: str) -> None:
    with opened(state_url, FakeClock(NOW)) as store, store._connection.begin():
        store._connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StateError, match="newer visitor-sync"), snapshot(state_url):
        pass
