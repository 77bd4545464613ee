"""One run at a time: who holds the lock, and who may take it over."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import ACCOUNTS, NOW, FakeClock, opened
from sqlalchemy import update

from etl.errors import LockedError
from etl.state.lock import LEASE
from etl.state.store import Store, open_state, read_state
from etl.state.tables import lock

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def disguise(store: Store, **values: object) -> None:
    """Make the lock's row say something else of its owner."""
    with store._connection.begin():
        store._connection.execute(update(lock).values(**values))


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
            state.facts.put("name", "value")


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
    owner = subprocess.Popen(
        [sys.executable, "-c", ACQUIRE, state_url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout
        assert owner.stdout.readline() == "locked\n"
        with contender(state_url, clock) as second:
            with pytest.raises(LockedError, match=f"process {owner.pid} "), second.locked():
                pass
            owner.send_signal(signal.SIGKILL)
            owner.wait()
            with second.locked() as taken_over:
                assert taken_over


def test_the_lock_of_another_host_is_taken_over_only_after_the_lease(
    state_url: str, clock: FakeClock
) -> None:
    with opened(state_url, clock) as first, contender(state_url, clock) as second:
        disguise(first, host="elsewhere", pid=2**22 + 1, process_started="1")
        clock.advance(LEASE.total_seconds())
        with pytest.raises(LockedError, match="on elsewhere"), second.locked():
            pass
        clock.advance(1)
        with second.locked() as taken_over:
            assert taken_over


def test_the_lock_of_an_earlier_process_with_a_reused_pid_is_taken_over(
    state_url: str, clock: FakeClock
) -> None:
    with opened(state_url, clock) as first, contender(state_url, clock) as second:
        disguise(first, process_started="an earlier boot")
        with second.locked() as taken_over:
            assert taken_over


def test_a_writer_whose_lock_was_taken_over_writes_nothing_more(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock) as first, contender(state_url, clock) as second:
        with first.transaction() as state:
            state.facts.put("before", "value")
        clock.advance(LEASE.total_seconds() + 1)
        with second.locked() as taken_over:
            assert taken_over
            with pytest.raises(LockedError, match="took over"), first.transaction() as state:
                state.facts.put("after", "value")
            with second.transaction() as state:
                assert (state.facts.get("before"), state.facts.get("after")) == ("value", None)


def test_once_the_lock_is_known_to_be_lost_nobody_waits_for_it(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock) as first, contender(state_url, clock) as second:
        clock.advance(LEASE.total_seconds() + 1)
        with second.locked():
            with pytest.raises(LockedError), first.transaction():
                pass
            with pytest.raises(LockedError, match="took over"):
                first.stand_guard()
    assert clock.waits == []


def test_a_writer_whose_lock_was_taken_over_does_not_release_it(state_url: str, clock: FakeClock) -> None:
    with contender(state_url, clock) as second:
        with opened(state_url, clock) as first:
            disguise(first, process_started="an earlier boot")
            second._lock.acquire(second._connection, NOW)
            second._connection.commit()
        with second.transaction() as state:
            assert state.holder()


def test_a_writer_that_was_stopped_amid_a_transaction_is_named_and_not_waited_for(
    state_url: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.state.database._BUSY_S", 1)
    with contender(state_url, clock) as second, opened(state_url, clock) as first, first.transaction():
        clock.advance(LEASE.total_seconds() + 1)
        with pytest.raises(LockedError, match=f"process {os.getpid()} on"), second.locked():
            pass
        with (
            pytest.raises(LockedError, match=f"process {os.getpid()} on"),
            contender(state_url, clock) as third,
            third.locked(),
        ):
            pass


def test_nothing_is_sent_on_a_claim_that_ran_out_while_it_was_being_written(
    state_url: str, clock: FakeClock
) -> None:
    with opened(state_url, clock) as store:
        with store.transaction():
            clock.advance(
                LEASE.total_seconds() + 1
            )  # stopped right here: the heartbeat is the one from before
        with pytest.raises(LockedError, match="could not be renewed"):
            store.stand_guard()


def test_every_transaction_keeps_the_lock_alive(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock) as first, contender(state_url, clock) as second:
        for _ in range(3):
            clock.advance(LEASE.total_seconds() - 1)
            with first.transaction():
                pass
        with pytest.raises(LockedError), second.locked():
            pass


def test_a_transaction_that_fails_does_not_count_as_a_sign_of_life(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock) as first, contender(state_url, clock) as second:
        clock.advance(LEASE.total_seconds() - 1)
        with pytest.raises(ZeroDivisionError), first.transaction():
            raise ZeroDivisionError
        clock.advance(2)
        with second.locked() as taken_over:
            assert taken_over


def test_a_clock_that_steps_back_lets_nobody_in(state_url: str, clock: FakeClock) -> None:
    slow = FakeClock(NOW - timedelta(days=1))
    with (
        opened(state_url, clock),
        contender(state_url, slow) as second,
        pytest.raises(LockedError),
        second.locked(),
    ):
        pass


def test_the_holder_can_be_read_without_the_lock(state_url: str, clock: FakeClock) -> None:
    with opened(state_url, clock), read_state(state_url, clock) as state:
        assert state
        holder = state.holder()
        assert holder
        assert (holder.pid, holder.host, holder.since) == (os.getpid(), socket.gethostname(), NOW)
        assert not holder.is_gone(NOW)
