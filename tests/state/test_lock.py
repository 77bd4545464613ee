"""One run at a time: who holds the lock, and who may take it over."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sqlite3
import stat
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import ACCOUNTS, NOW, FakeClock, opened
from program import python_that_waits
from situations import terminate_others
from sqlalchemy import text

from etl.errors import LockedError, StateError, UnavailableError
from etl.instants import microseconds
from etl.state import migrate
from etl.state.database import connect, revision
from etl.state.store import Store, open_state, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACQUIRE = """
import sys
from fakes import FakeClock, opened
with opened(sys.argv[1], FakeClock()):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@contextmanager
def contender(url: str, clock: FakeClock) -> Iterator[Store]:
    """A store that does not hold the lock yet."""
    with open_state(url) as connection:
        yield Store(connection, clock=clock, accounts=ACCOUNTS)


def test_the_second_is_told_who_holds_the_lock_and_since_when(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock), contender(state_url, clock) as second:
        said = f"process {os.getpid()} on {socket.gethostname()}, since 2026-02-07T12:00:00Z"
        with pytest.raises(LockedError, match=re.escape(said)), second.locked():
            pass


def test_being_refused_leaves_the_first_at_work(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock) as first, contender(state_url, clock) as second:
        with pytest.raises(LockedError), second.locked():
            pass
        with first.transaction() as state:
            state.notebook.put("name", "value")


def test_a_lock_that_was_released_is_free(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock):
        pass
    with contender(state_url, clock) as second:
        with second.locked() as taken_over:
            assert not taken_over
        with second.reading() as state:
            assert state.holder() is None


def test_the_lock_of_a_process_that_was_killed_is_taken_over_at_once(
    state_url: str, clock: FakeClock
) -> None:
    with python_that_waits(ACQUIRE, state_url, said="locked") as owner, contender(state_url, clock) as second:
        with pytest.raises(LockedError, match=f"process {owner.pid} "), second.locked():
            pass
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        with second.locked() as taken_over:
            assert taken_over


def test_a_signature_that_was_left_keeps_nobody_out_and_is_not_shown(
    state_url: str, clock: FakeClock
) -> None:
    with opened(state_url, clock):
        pass
    with contender(state_url, clock) as store:
        left = text("INSERT INTO lock (id, owner, host, pid, since) VALUES (1, 'x', :host, :pid, 1)")
        with store._connection.begin():
            store._connection.execute(left, {"host": socket.gethostname(), "pid": os.getpid()})
        with read_state(state_url, clock) as state:
            assert state
            assert state.holder() is None
        with store.locked() as killed:
            assert killed
        assert not [seconds for seconds, _ in clock.waits if seconds]


def test_a_look_at_the_lock_does_not_keep_a_run_out(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock):
        pass
    with contender(state_url, clock) as looking, contender(state_url, clock) as beginning:
        glances = iter([True, True])
        take = beginning._lock.take
        beginning._lock.take = lambda: not next(glances, False) and take()  # type: ignore[method-assign]
        with beginning.locked(), looking.reading() as state:
            assert state.holder()
    assert len(clock.waits) == 2


def test_a_lock_file_that_was_removed_gives_nobody_a_lock_of_his_own(
    sqlite_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    with opened(sqlite_url, clock) as first:
        (tmp_path / "state.db.lock").unlink()
        with pytest.raises(LockedError, match="removed"), first.transaction() as state:
            state.notebook.put("name", "value")
        with opened(sqlite_url, clock) as second:
            with second.transaction() as state:
                assert state.notebook.get("name") is None
            with pytest.raises(LockedError, match="removed"), first.transaction():
                pass


def test_one_file_by_two_names_has_one_lock(sqlite_url: str, tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(tmp_path / "state.db")
    with (
        opened(sqlite_url, clock),
        contender(f"sqlite:///{tmp_path / 'elsewhere' / 'link.db'}", clock) as second,
        pytest.raises(LockedError, match=f"process {os.getpid()} on"),
        second.locked(),
    ):
        pass


def test_the_lock_file_is_its_owners_only_and_stays(
    sqlite_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    with opened(sqlite_url, clock):
        pass

    assert stat.S_IMODE((tmp_path / "state.db.lock").stat().st_mode) == 0o600


def test_a_lock_file_that_cannot_be_used_is_an_error_of_the_state(
    sqlite_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    (tmp_path / "state.db.lock").mkdir()

    with (
        contender(sqlite_url, clock) as store,
        pytest.raises(StateError, match=r"state\.db\.lock cannot be used"),
        store.locked(),
    ):
        pass


def test_a_file_system_without_locks_is_an_error_of_the_state(
    sqlite_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with (
        contender(sqlite_url, clock) as store,
        pytest.raises(StateError, match="No locks available"),
        store.locked(),
    ):
        pass


def test_two_schemas_of_one_database_do_not_exclude_each_other(postgres_url: str, clock: FakeClock) -> None:
    with contender(postgres_url, clock) as store, store._connection.begin():
        store._connection.execute(text("CREATE SCHEMA other"))
    other = f"{postgres_url}?options=-csearch_path%3Dother"
    with opened(postgres_url, clock), opened(other, clock), read_state(postgres_url, clock) as state:
        assert state
        assert state.holder()


def test_a_writer_whose_connection_was_ended_writes_nothing_more_and_the_lock_is_free(
    postgres_url: str, clock: FakeClock
) -> None:
    with opened(postgres_url, clock) as first:
        with first.transaction() as state:
            state.notebook.put("before", "value")
        terminate_others(postgres_url)
        with opened(postgres_url, clock) as second:
            for _ in range(2):
                with pytest.raises(UnavailableError), first.transaction() as state:
                    state.notebook.put("after", "value")
            assert not first.is_usable
            with second.transaction() as state:
                assert (state.notebook.get("before"), state.notebook.get("after")) == ("value", None)


@pytest.mark.parametrize(("silent_s", "refused"), [(0, True), (59, True), (-59, True), (61, False)])
def test_an_older_version_that_is_running_is_not_upgraded_under_its_feet(
    state_url: str, clock: FakeClock, silent_s: float, *, refused: bool
) -> None:
    with contender(state_url, clock) as store:
        with store._connection.begin():
            migrate.upgrade(store._connection, "0002")
            store._connection.execute(
                text("INSERT INTO lock VALUES (1, 'x', 'elsewhere', 7, '', :since, :since)"),
                {"since": microseconds(clock.now() - timedelta(seconds=silent_s))},
            )
        if refused:
            with pytest.raises(LockedError, match="process 7 on elsewhere"), store.locked():
                pass
            with connect(state_url) as connection, connection.begin():
                assert revision(connection) == "0002"
        else:
            with store.locked() as killed:
                assert killed


def test_a_write_lock_of_another_program_is_told_with_the_file(
    sqlite_url: str, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.state.database._BUSY_S", 0.2)
    with opened(sqlite_url, clock):
        pass
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as browser:
        browser.execute("BEGIN IMMEDIATE")
        said = re.escape(f"State database {tmp_path / 'state.db'}: another program holds a write lock")
        with contender(sqlite_url, clock) as store, pytest.raises(LockedError, match=said), store.locked():
            pass


def test_the_holder_can_be_read_without_the_lock(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock), read_state(state_url, clock) as state:
        assert state
        holder = state.holder()
        assert holder
        assert (holder.pid, holder.host, holder.since) == (os.getpid(), socket.gethostname(), NOW)
