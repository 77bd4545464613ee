"""What a run has sent is written down once, and what others have sent is learnt in time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from fakes import NOW, FakeClock, opened
from sqlalchemy import event

from etl.instants import microseconds
from etl.pace import Pace
from etl.state.tallies import LEARN_S
from etl.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.state.store import Store, Transaction

T = microseconds(NOW)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(state_url: str, clock: FakeClock) -> Iterator[Store]:
    with opened(state_url, clock) as store:
        yield store


@pytest.fixture
def pace(clock: FakeClock) -> Pace:
    return Pace(limit=3, window_s=60.0, clock=clock, name="Zenovay")


@contextmanager
def asked(store: Store) -> Iterator[list[str]]:
    """What is asked of the database in one transaction in which nothing else is done."""
    statements: list[str] = []

    def executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement.split(maxsplit=1)[0])

    event.listen(store._connection, "before_cursor_execute", executed)
    try:
        with store.transaction():
            pass
        yield [each for each in statements if each != "BEGIN"]
    finally:
        event.remove(store._connection, "before_cursor_execute", executed)


def sent(store: Store) -> list[int]:
    with store.reading() as state:
        return state.limits.sent("zenovay")


def test_what_did_not_change_is_not_written_again(store: Store, clock: FakeClock, pace: Pace) -> None:
    store.keep({"zenovay": pace}, {})
    with pace.slot():
        clock.advance(0.1)
    with asked(store) as first:
        assert "UPDATE" in first
    clock.advance(0.2)
    with asked(store) as second:
        assert second == []
    with pace.slot():
        clock.advance(0.1)
    with asked(store) as third:
        assert third == ["UPDATE"]
    assert len(sent(store)) == 2


def write_down_and_fail(store: Store, state: Transaction) -> None:
    store._tallies.write_down(state.limits)
    raise ZeroDivisionError


def test_what_was_rolled_back_is_written_by_the_next(store: Store, clock: FakeClock, pace: Pace) -> None:
    store.keep({"zenovay": pace}, {})
    with store.transaction():
        pass
    with pace.slot():
        clock.advance(0.1)
    with pytest.raises(ZeroDivisionError), store.transaction() as state:
        write_down_and_fail(store, state)
    assert sent(store) == []

    with store.transaction():
        pass

    assert len(sent(store)) == 1


def test_requests_beside_are_learnt_with_the_next_request_and_after_a_second(
    store: Store, clock: FakeClock, pace: Pace
) -> None:
    store.keep({"zenovay": pace}, {})
    with store.transaction():
        pass
    for number in (1, 2):
        with store.beside() as state:
            state.limits.count_beside("zenovay", T + number, since=0)
        if number == 1:
            with pace.slot():
                clock.advance(0.1)
        else:
            clock.advance(LEARN_S)
        with store.transaction():
            pass
        assert len(pace._others) == number


@pytest.mark.parametrize(
    ("written", "now", "covers"),
    [
        ([], [], True),
        ([T], [], True),
        ([T, T + 5000], [T + 5000], True),
        ([T, T + 5000], [T + 999, T + 5999], True),
        ([T], [T + 1_000_000], False),
        ([T], [T, T], False),
        ([T, T + 5000], [T + 5000, T + 10_000], False),
    ],
)
def test_older_requests_leave_the_window_by_themselves(
    written: list[int],
    now: list[int],
    covers: bool,  # noqa: FBT001 -- of a table
) -> None:
    assert Tally(written, 30, None).covers(Tally(now, None, None)) == covers


def test_a_limit_that_is_stated_anew_is_written() -> None:
    assert Tally([], 30, None).covers(Tally([], 30, None))
    assert not Tally([], 30, None).covers(Tally([], 20, None))
