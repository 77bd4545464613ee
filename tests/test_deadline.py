"""A socket that is shut down when its time is up."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from etl.deadline import Deadline, _Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_S = 30.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(LONG_S)
        yield ours, theirs


def watchers() -> int:
    return [thread.name for thread in threading.enumerate()].count("deadlines")


def test_a_reader_wakes_up_when_the_time_is_up(pair: tuple[socket.socket, socket.socket]) -> None:
    started = time.monotonic()
    with Deadline(0.1, pair[0]) as deadline:
        assert pair[0].recv(1) == b""

    assert deadline.passed
    assert 0.1 <= time.monotonic() - started < LONG_S


def test_a_socket_that_comes_late_is_shut_down_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    with Deadline(0.01) as deadline:
        while not deadline.passed:
            time.sleep(0.01)
        deadline.guard(pair[0])
        assert pair[0].recv(1) == b""


def test_what_is_done_in_time_is_left_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    with Deadline(0.05, pair[0]) as deadline:
        pass
    time.sleep(0.15)

    assert not deadline.passed
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"


def test_a_short_deadline_is_kept_beside_a_long_one(pair: tuple[socket.socket, socket.socket]) -> None:
    with Deadline(LONG_S), Deadline(0.05, pair[0]) as short:
        assert pair[0].recv(1) == b""
    assert short.passed


def test_a_deadline_after_a_quiet_time_is_kept(pair: tuple[socket.socket, socket.socket]) -> None:
    with Deadline(0.01):
        time.sleep(0.1)  # so that nothing is left to be watched
    with Deadline(0.05, pair[0]):
        assert pair[0].recv(1) == b""


def test_all_deadlines_share_one_thread(pair: tuple[socket.socket, socket.socket]) -> None:
    with Deadline(LONG_S):
        before = watchers()
        with Deadline(LONG_S, pair[0]), Deadline(LONG_S), Deadline(LONG_S):
            assert watchers() == before > 0


def test_what_is_no_socket_is_passed_over() -> None:
    with Deadline(0.01, object()) as deadline:
        time.sleep(0.1)
    assert deadline.passed


def test_a_thread_that_could_not_start_is_tried_again(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.deadline._watch", _Watch())
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(RuntimeError), Deadline(0.01, pair[0]):
            pass
    with Deadline(0.05, pair[0]):
        assert pair[0].recv(1) == b""


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
