"""Waiting that a signal ends, whenever the signal comes."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from etl.clock import SystemClock
from etl.errors import InterruptedRunError

WAITS_AND_IS_SIGNALLED = """
import os, signal, sys, threading
from etl.clock import SystemClock

clock = SystemClock()
signal.signal(signal.SIGUSR1, lambda number, frame: clock.stop(0))
threading.Thread(
    target=lambda: [os.kill(os.getpid(), signal.SIGUSR1) for _ in range(200_000)], daemon=True
).start()
for _ in range(20_000):
    clock.pause(0.000001)
print("done")
"""
"""The handler runs in the thread that waits, at whatever it does just then."""


def test_no_signal_meets_a_lock_of_the_thread_that_waits() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WAITS_AND_IS_SIGNALLED], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "done\n"


def test_a_stop_ends_the_waits_of_all_threads_and_all_later_ones() -> None:
    clock, ended = SystemClock(), []

    def wait() -> None:
        with pytest.raises(InterruptedRunError):
            clock.wait(60, "a page")
        ended.append(clock.pause(60))

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert clock.pause(0) is False
    clock.stop(15)
    for thread in threads:
        thread.join(30)
    assert ended == [True] * 4
