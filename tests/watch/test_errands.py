"""Errands: their order, their end, and that nothing they do fails or holds up whoever sends them."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock

from etl.clock import SystemClock
from etl.errors import UnavailableError
from etl.watch.errands import Errands

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a step waits for that hangs; set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def failing(error: BaseException) -> Any:
    def step() -> None:
        raise error

    return step


def warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__ for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_steps_of_one_name_keep_their_order() -> None:
    done: list[int] = []
    errands = Errands(FakeClock())
    errands.run("ping", lambda: time.sleep(0.02), lambda: done.append(1))
    errands.run("ping", lambda: done.append(2), lambda: done.append(3))
    assert errands.wait() == {"ping": True}
    assert done == [1, 2, 3]
    errands.run("ping", lambda: done.append(4))
    assert errands.wait() == {"ping": True}
    assert done == [1, 2, 3, 4]


def test_different_names_go_side_by_side() -> None:
    both = threading.Barrier(2)
    errands = Errands(FakeClock())
    errands.run("ping", lambda: both.wait(5))
    errands.run("slack", lambda: both.wait(5))
    assert errands.wait() == {"ping": True, "slack": True}


def test_sending_an_errand_takes_no_time(never: threading.Event) -> None:
    started = time.monotonic()
    errands = Errands(FakeClock())
    errands.run("ping", never.wait)
    errands.run("ping", never.wait)
    assert time.monotonic() - started < 5  # it would wait for ever


def test_a_step_that_raises_ends_its_own_errand_alone(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    errands = Errands(FakeClock())
    errands.run(
        "slack", failing(UnavailableError("Slack is out.", fix="Wait.")), lambda: done.append("slack")
    )
    errands.run("ping", lambda: done.append("ping"))
    assert errands.wait() == {"slack": False, "ping": True}
    errands.run("slack", lambda: done.append("slack"))
    assert errands.wait() == {"slack": False, "ping": True}
    assert done == ["ping"]
    (line,) = warnings(caplog)
    assert (line["action"], line["errand"], line["error"]) == (
        "errand_failed",
        "slack",
        "Slack is out. Wait.",
    )


@pytest.mark.parametrize("error", [ValueError("s3cret"), SystemExit("s3cret"), KeyboardInterrupt("s3cret")])
def test_of_other_errors_the_kind_alone_is_told(
    error: BaseException, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    errands = Errands(FakeClock())
    errands.run("slack", failing(error))
    assert errands.wait() == {"slack": False}
    (line,) = warnings(caplog)
    assert line["error"] == type(error).__name__
    assert "s3cret" not in str(line)
    assert "Traceback" not in capfd.readouterr().err


def test_pythons_own_hook_has_nothing_to_print(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    errands = Errands(FakeClock())
    errands.run("slack", failing(ValueError()))
    errands.wait()
    assert seen == []


def test_what_is_late_is_left(never: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()
    errands = Errands(SystemClock(), allow_s=0.2)
    errands.run("slack", never.wait)
    errands.run("ping", lambda: None)
    assert errands.wait() == {"slack": False, "ping": True}
    assert errands.wait() == {"slack": False, "ping": True}
    assert 0.15 < time.monotonic() - started < 5  # the errand never ends
    assert {(line["action"], line["errand"]) for line in warnings(caplog)} == {("errand_late", "slack")}
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "slack")


def test_the_time_of_the_run_itself_does_not_count() -> None:
    clock = FakeClock()
    errands = Errands(clock, allow_s=9.0)
    clock.advance(3600)
    errands.run("ping", lambda: time.sleep(0.05))
    assert errands.wait() == {"ping": True}


def test_a_signal_does_not_keep_the_last_word_from_going_out() -> None:
    clock = SystemClock()
    clock.stop(15)
    errands = Errands(clock)
    errands.run("ping", lambda: time.sleep(0.05))
    assert errands.wait() == {"ping": True}


def test_without_a_thread_the_errand_fails_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errands = Errands(FakeClock())
    monkeypatch.setattr(threading.Thread, "start", lambda _: failing(RuntimeError("no"))())
    errands.run("ping", lambda: None)
    assert errands.wait() == {"ping": False}
    assert warnings(caplog)[0]["error"] == "RuntimeError"


def test_nothing_to_do_is_done_at_once() -> None:
    errands = Errands(FakeClock())
    assert errands.wait() == {}
    errands.run("ping")
    assert errands.wait() == {"ping": True}
