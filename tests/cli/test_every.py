"""``run --every``: a process that stays, as a container has it."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from agency import agency
from program import row
from situations import until
from storm import FOREVER, Fault

from etl.cli.rhythm import Rhythm, next_start
from etl.clock import SystemClock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from agency import Agency
    from program import Program

EVERY = ("run", "--every", "1s", "--json")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIVE = timedelta(minutes=5)


class Staying:
    """A process that stays, and what it has said so far."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self._out, self._err = folder / "out", folder / "err"

    @property
    def summaries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._out.read_text().splitlines(keepends=True) if "\n" in line]

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._err.read_text().splitlines(keepends=True) if "\n" in line]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def staying(made: Program | Agency, *arguments: str, **settings: str) -> Iterator[Staying]:
    folder = made.folder
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = made.start(*arguments, stdout=out, stderr=err, **settings)
        try:
            yield Staying(process, folder)
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def busy(program: Program) -> Program:
    program.settings |= {"SYNC_MIN_INTERVAL": "0s", "HOME": str(program.folder)}
    program.visitors(row(1))
    return program


def test_it_runs_at_once_and_again_on_the_clock_until_a_signal(busy: Program) -> None:
    with staying(busy, *EVERY) as process:
        until(lambda: len(process.summaries) >= 3)
        assert process.end() == 143
        started = [line["at"] for line in process.log if line["action"] == "run_started"]
        waits = [line for line in process.log if line["action"] == "next_run"]
    assert {each["status"] for each in process.summaries} == {"done"}
    assert len(started) >= 3
    assert all("." not in wait["start"] and wait["seconds"] <= 2 for wait in waits)
    assert sum(each["contacts"]["created"] for each in process.summaries) == 1


def test_a_signal_between_runs_ends_it_at_once(busy: Program) -> None:
    with staying(busy, "run", "--every", "1h") as process:
        until(lambda: any(line["action"] == "next_run" for line in process.log))
        began = time.monotonic()
        assert process.end(signal.SIGINT) == 130
        assert time.monotonic() - began < 5
        assert process.summaries == []


def test_a_signal_during_a_run_ends_it_as_in_cron(busy: Program) -> None:
    busy.sandbox.zenovay.faults.add(Fault.answer(503, {}), times=FOREVER)
    with staying(busy, *EVERY) as process:
        until(lambda: bool(busy.sandbox.zenovay.requests))
        assert process.end() == 143
    (summary,) = process.summaries
    assert (summary["status"], summary["exit_code"]) == ("incomplete", 143)


def test_failing_runs_do_not_end_it(busy: Program) -> None:
    refused = Fault.answer(401, {"error": "no"})
    with staying(busy, *EVERY) as process:
        until(lambda: len(process.summaries) >= 1)
        busy.sandbox.zenovay.faults.add(refused, times=FOREVER)
        until(lambda: any(each["exit_code"] == 5 for each in process.summaries))
        busy.sandbox.zenovay.faults.clear()
        good = busy.state_file.read_bytes()
        until(lambda: process.summaries[-1]["exit_code"] == 0)
        busy.state_file.write_text("This is no database. " * 1000)
        until(lambda: any(each["exit_code"] == 7 for each in process.summaries))
        busy.state_file.write_bytes(good)
        until(lambda: process.summaries[-1]["exit_code"] == 0)
        assert process.end() == 143
    errors = [line["exit_code"] for line in process.log if line["action"] == "error"]
    assert {5, 7} <= {*errors}


def test_settings_that_are_wrong_at_the_start_end_it(busy: Program) -> None:
    ended = busy(*EVERY, SYNC_LOOKBACK="fortnight")
    assert (ended.exit_code, ended.summaries[0]["exit_code"]) == (2, 2)
    unknown = busy(*EVERY, ZENOVAY_WEBSITE_ID="site_nowhere")
    assert (unknown.exit_code, unknown.summaries[0]["website"]) == (2, "site_nowhere")


def test_settings_are_read_once(busy: Program) -> None:
    with staying(busy, *EVERY) as process:
        until(lambda: len(process.summaries) >= 1)
        (busy.folder / ".env").write_text("SYNC_LOOKBACK=fortnight\n")
        (busy.folder / "visitor-sync.toml").write_text("[nonsense]\n")
        until(lambda: len(process.summaries) >= 3)
        assert process.end() == 143
    assert {each["exit_code"] for each in process.summaries} == {0}


def test_it_rests_within_the_minimum_interval(busy: Program) -> None:
    assert busy("run").exit_code == 0
    with staying(busy, *EVERY, SYNC_MIN_INTERVAL="1h") as process:
        until(lambda: len(process.summaries) >= 2)
        process.end()
    assert {each["status"] for each in process.summaries} == {"skipped"}


def test_now_is_meant_for_the_first_run(busy: Program) -> None:
    assert busy("run").exit_code == 0
    with staying(busy, *EVERY, "--now", SYNC_MIN_INTERVAL="1h") as process:
        until(lambda: len(process.summaries) >= 3)
        process.end()
    assert [each["status"] for each in process.summaries][:3] == ["done", "skipped", "skipped"]


def test_a_run_that_takes_longer_leaves_out_what_it_missed(busy: Program) -> None:
    busy.sandbox.zenovay.latency_s = 2.2
    with staying(busy, *EVERY) as process:
        until(lambda: len(process.summaries) >= 3)
        process.end()
    actions = [line["action"] for line in process.log if line["action"] in {"run_started", "run_finished"}]
    assert actions[:6] == ["run_started", "run_finished"] * 3


def test_killed_it_is_started_again_and_goes_on(busy: Program) -> None:
    busy.visitors(*(row(number) for number in range(10, 210)))
    busy.sandbox.hubspot.latency_s = 0.3
    with staying(busy, *EVERY, HUBSPOT_CONCURRENCY="1") as process:
        until(lambda: bool(busy.sandbox.hubspot.contacts))
        process.process.kill()
    with staying(busy, *EVERY) as process:
        until(lambda: len(process.summaries) >= 1)
        process.end()
    assert process.summaries[0]["status"] == "done"
    assert len(busy.sandbox.hubspot.contacts) == 201


def test_each_run_is_pinged_by_itself(busy: Program) -> None:
    busy.settings |= busy.sandbox.watching_environment()
    with staying(busy, *EVERY) as process:
        until(lambda: len(busy.sandbox.team.pings) >= 4)
        process.end()
    assert [ping.kind for ping in busy.sandbox.team.pings][:4] == ["start", "success"] * 2


@pytest.mark.parametrize("arguments", [("--cron",), ("--dry-run",)])
def test_what_does_not_go_together_is_refused(busy: Program, arguments: tuple[str, ...]) -> None:
    assert busy("run", "--every", "5m", *arguments).exit_code == 2


@pytest.mark.parametrize("every", ["0s", "2d", "-5m", "soon", "500ms"])
def test_an_interval_that_is_none_is_refused(busy: Program, every: str) -> None:
    ended = busy("run", "--every", every)
    assert ended.exit_code == 2
    assert "--every" in ended.error["what"]


def test_several_portals_go_on_beside_one_that_is_refused_from_the_start(tmp_path: Path) -> None:
    with agency(tmp_path, "acme", "bolt") as made:
        made.visitors(1)
        made.portals["acme"].zenovay.websites.clear()
        with staying(made, *EVERY, "--all") as process:
            until(lambda: len(process.summaries) >= 4)
            assert process.end() == 143
    told = {(each["portal_name"], each["exit_code"]) for each in process.summaries}
    assert told == {("acme", 2), ("bolt", 0)}


def test_a_process_that_begins_is_well_and_one_that_hangs_is_not(busy: Program) -> None:
    stale = {"SYNC_STALE_AFTER": "2s"}
    assert busy("run").exit_code == 0
    with sqlite3.connect(busy.state_file) as state:
        state.execute("UPDATE runs SET started = started - 86400000000, ended = ended - 86400000000")
    state.close()
    assert busy("status", "--healthy", SYNC_STALE_AFTER="1h").exit_code == 1
    busy.sandbox.zenovay.latency_s = 60
    with staying(busy, *EVERY) as process:
        until(lambda: any(line["action"] == "run_started" for line in process.log))
        assert busy("status", "--healthy", SYNC_STALE_AFTER="1h").exit_code == 0
        until(lambda: busy("status", "--healthy", **stale).exit_code == 1)
        process.process.kill()
    assert busy("status", "--healthy", SYNC_STALE_AFTER="1h").exit_code == 1


@pytest.mark.parametrize(
    ("now", "every", "start"),
    [
        (NOON, FIVE, NOON + FIVE),
        (NOON + timedelta(minutes=4, seconds=59.9), FIVE, NOON + FIVE),
        (NOON, timedelta(hours=7), NOON + timedelta(hours=2)),
        (NOON + timedelta(hours=9), timedelta(hours=7), NOON + timedelta(hours=12)),
        (NOON, timedelta(days=1), NOON + timedelta(hours=12)),
    ],
)
def test_starts_are_multiples_of_the_interval_since_midnight(
    now: datetime, every: timedelta, start: datetime
) -> None:
    assert next_start(now, every) == start


class SteppedClock(SystemClock):
    """A wall clock and a monotonic one, of which the first is set while somebody waits."""

    def __init__(self, *steps: timedelta) -> None:
        super().__init__()
        self._passed = 0.0
        self._offset = timedelta(0)
        self._steps = list(steps)
        self.pauses = 0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._passed) + self._offset

    def monotonic(self) -> float:
        return self._passed

    def pause(self, seconds: float) -> bool:
        if seconds:
            self.pauses += 1
            self._passed += seconds
            if self._steps:
                self._offset += self._steps.pop(0)
        return False

    def work(self, seconds: float) -> None:
        self._passed += seconds


def starts(clock: SteppedClock, *, runs: int, run_s: float = 1.0) -> list[float]:
    """When runs started, in seconds of the clock that never steps."""
    rhythm, found = Rhythm(clock, FIVE), []
    for _ in range(runs):
        clock.work(run_s)
        rhythm.wait()
        found.append(clock.monotonic())
    return found


def gaps(instants: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(instants)]


def test_without_steps_runs_start_on_the_clock() -> None:
    assert starts(SteppedClock(), runs=4) == [300, 600, 900, 1200]


def test_runs_that_take_longer_than_the_interval_start_at_the_next_instant() -> None:
    assert starts(SteppedClock(), runs=3, run_s=301) == [600, 1200, 1800]


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(days=-3), timedelta(seconds=-1)])
def test_a_clock_that_is_set_back_brings_no_silence(step: timedelta) -> None:
    assert max(gaps([0.0, *starts(SteppedClock(step), runs=5)])) <= 450


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(days=3), timedelta(seconds=200)])
def test_a_clock_that_is_set_forward_brings_no_storm(step: timedelta) -> None:
    found = starts(SteppedClock(step), runs=5)
    assert min(gaps(found)) >= 150
    assert found[0] <= 300


def test_a_clock_that_is_set_again_and_again_brings_neither() -> None:
    back_and_forth: list[timedelta] = [timedelta(hours=5), timedelta(hours=-9)] * 200
    between = gaps(starts(SteppedClock(*back_and_forth), runs=50))
    assert min(between) >= 30
    assert max(between) <= 450
