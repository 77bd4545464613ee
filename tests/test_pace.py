"""Never more requests in any window than the limit, whoever asks and whatever happened before."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from fakes import NOW, FakeClock
from hypothesis import given
from hypothesis import strategies as st

from etl.instants import microseconds
from etl.pace import Pace

WINDOW_S = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def pace(clock: FakeClock, limit: int) -> Pace:
    return Pace(limit=limit, window_s=WINDOW_S, clock=clock, name="Somebody")


def most_in_any_window(instants: list[float]) -> int:
    return max((sum(start <= each < start + WINDOW_S for each in instants) for start in instants), default=0)


def seconds(instant: datetime) -> float:
    return (instant - NOW).total_seconds()


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.tuples(st.floats(0, 4), st.floats(0, 1), st.floats(0, 1)), max_size=25),
    earlier=st.lists(st.floats(-15, 5), max_size=5),
)
def test_no_window_ever_holds_more_than_the_limit(
    limit: int, steps: list[tuple[float, float, float]], earlier: list[float]
) -> None:
    """A request arrives at any instant within its duration, a quarter of a second at the latest."""
    clock = FakeClock()
    limited = pace(clock, limit)
    history = sorted(earlier)[-limit:]
    limited.restore(microseconds(NOW + timedelta(seconds=each)) for each in history)
    arrived = [min(each, 0.0) for each in history]
    for idle_s, lasts_s, arrives_at in steps:
        clock.advance(idle_s)
        with limited.slot():
            sent = seconds(clock.now())
            clock.advance(lasts_s)
        arrived.append(sent + arrives_at * min(lasts_s, 0.25))

    assert most_in_any_window(arrived) <= limit


def test_many_threads_share_one_limit(clock: FakeClock) -> None:
    limited = pace(clock, 5)
    sent: list[float] = []
    noting = threading.Lock()

    def request(_: int) -> None:
        with limited.slot(), noting:
            sent.append(clock.monotonic())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(request, range(100)))

    assert len(sent) == 100
    assert most_in_any_window(sent) <= 5


def test_requests_in_flight_count(clock: FakeClock) -> None:
    limited = pace(clock, 2)
    taken = 0

    def give_up(seconds: float, why: str) -> None:
        raise TimeoutError(why)

    clock.wait = give_up  # type: ignore[method-assign]
    with limited.slot(), limited.slot():
        taken += 2
        with pytest.raises(TimeoutError, match="limit of 2 requests per 10 s"), limited.slot():
            taken += 1

    assert taken == 2


def test_under_the_limit_nobody_waits(clock: FakeClock) -> None:
    limited = pace(clock, 3)
    for _ in range(3):
        with limited.slot():
            pass

    assert clock.waits == []


def test_at_the_limit_one_waits_no_longer_than_needed(clock: FakeClock) -> None:
    limited = pace(clock, 1)
    with limited.slot():
        pass
    with limited.slot():
        pass

    assert WINDOW_S <= clock.monotonic() - 1000 <= WINDOW_S + 0.01


def test_a_request_that_fails_counts(clock: FakeClock) -> None:
    limited = pace(clock, 1)
    with pytest.raises(ZeroDivisionError), limited.slot():
        raise ZeroDivisionError

    assert limited.history() == [microseconds(NOW)]


def test_during_a_pause_nobody_sends(clock: FakeClock) -> None:
    limited = pace(clock, 5)
    limited.pause(42)
    limited.pause(7)
    with limited.slot():
        assert clock.monotonic() == 1042


def test_a_stricter_limit_is_obeyed_and_a_laxer_one_is_not(clock: FakeClock) -> None:
    limited = pace(clock, 5)
    limited.lower_limit(2)
    limited.lower_limit(50)
    sent = []
    for _ in range(10):
        with limited.slot():
            sent.append(clock.monotonic())

    assert most_in_any_window(sent) == 2


def test_a_limit_that_the_other_side_states_replaces_ours(clock: FakeClock) -> None:
    limited = pace(clock, 1)
    limited.set_limit(4)
    for _ in range(4):
        with limited.slot():
            pass

    assert clock.waits == []


@pytest.mark.parametrize("stated", [0, -3])
def test_a_limit_of_nothing_still_lets_one_request_through(clock: FakeClock, stated: int) -> None:
    limited = pace(clock, 5)
    limited.lower_limit(stated)
    with limited.slot():
        pass

    assert clock.waits == []


def test_what_one_process_wrote_down_binds_the_next(clock: FakeClock) -> None:
    first = pace(clock, 2)
    for _ in range(2):
        with first.slot():
            clock.advance(1)
    second = pace(clock, 2)
    second.restore(first.history())
    with second.slot():
        assert WINDOW_S <= clock.monotonic() - 1000 <= WINDOW_S + 0.5


def test_a_limit_stated_to_one_process_binds_the_next_until_another_is_stated(clock: FakeClock) -> None:
    first = pace(clock, 5)
    first.lower_limit(2)
    second = pace(clock, 5)
    second.restore([], stated=first.stated)
    assert (second.limit, second.stated) == (2, 2)

    second.lower_limit(4)
    second.lower_limit(5)
    assert second.limit == 4


def test_a_laxer_limit_of_an_earlier_process_waits_until_it_is_stated_again(clock: FakeClock) -> None:
    limited = pace(clock, 5)
    limited.restore([], stated=60)
    assert limited.limit == 5
    limited.set_limit(60)
    assert limited.limit == 60


def test_a_history_from_the_future_counts_as_now(clock: FakeClock) -> None:
    limited = pace(clock, 1)
    limited.restore([microseconds(NOW + timedelta(days=1))])
    with limited.slot():
        assert clock.monotonic() - 1000 <= WINDOW_S + 0.01


def test_what_a_killed_process_may_have_sent_counts_from_now(clock: FakeClock) -> None:
    limited = pace(clock, limit=3)
    limited.restore([microseconds(NOW - timedelta(seconds=8))], unlogged=2)
    with limited.slot():
        pass
    assert clock.monotonic() - 1000.0 == pytest.approx(2.0, abs=0.01)
    with limited.slot():
        pass
    assert clock.monotonic() - 1000.0 == pytest.approx(WINDOW_S, abs=0.01)


def test_the_history_forgets_what_is_older_than_the_window(clock: FakeClock) -> None:
    limited = pace(clock, 5)
    with limited.slot():
        pass
    clock.advance(WINDOW_S + 1)
    with limited.slot():
        pass

    assert limited.history() == [microseconds(NOW + timedelta(seconds=WINDOW_S + 1))]
