"""``sandbox --arrivals``: visitors who come while one looks on."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock
from program import COMMAND, OURS

from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.sandbox import Visitors, ZenovayWorld
from etl.sandbox.arrivals import Arrivals, pause_between

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 20
TIMES = ("last_seen", "visited_at")


@pytest.mark.parametrize(
    ("rate", "seconds"), [("5/min", 12), ("2/s", 0.5), ("30/h", 120), ("0.5/h", 7200), (" 1 / s ", 1)]
)
def test_a_rate_is_a_pause(rate: str, seconds: float) -> None:
    assert pause_between(rate) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "rate",
    [
        "",
        "5",
        "5/day",
        "0/s",
        "-1/s",
        "1/0",
        "many/min",
        "1e9/s",
        "2000/s",
        "0.0001/h",
        "5/min/min",
        "\u0665/s",
    ],
)
def test_what_is_no_rate_is_told_by_its_option(rate: str) -> None:
    with pytest.raises(SettingsError, match="--arrivals"):
        pause_between(rate)


def test_a_bad_rate_is_a_wrong_argument(tmp_path: Path) -> None:
    ended = subprocess.run(
        [COMMAND, "sandbox", "--arrivals", "often"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "5/min" in ended.stderr


def arrived(count: int, *, pause: timedelta) -> list[dict[str, Any]]:
    """The first rows that come to an empty website."""
    world = ZenovayWorld(clock=SystemClock(), websites={"site": []})
    with Arrivals(world, "site", Visitors(7, FakeClock().now()), pause=pause):
        patience = time.monotonic() + PATIENCE_S
        while len(world.websites["site"]) < count and time.monotonic() < patience:
            time.sleep(0.005)
    there = len(world.websites["site"])
    time.sleep(5 * pause.total_seconds())
    assert len(world.websites["site"]) == there
    return world.websites["site"][:count]


def test_who_comes_follows_from_the_seed_and_only_the_instants_are_of_now() -> None:
    pause = timedelta(milliseconds=4)
    first, second = (arrived(30, pause=pause) for _ in range(2))

    def timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]

    assert timeless(first) == timeless(second)
    assert first != second


def test_they_come_at_even_pauses_and_never_from_the_future() -> None:
    pause = timedelta(milliseconds=20)
    rows = [row for row in arrived(12, pause=pause) if "last_seen" in row]
    instants = [datetime.fromisoformat(row["last_seen"]) for row in rows]

    assert instants == sorted(instants)
    assert instants[-1] <= datetime.now(UTC)
    assert instants[-1] - instants[0] < timedelta(seconds=1)


def test_runs_against_the_running_sandbox_find_new_visitors_each_time(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    with subprocess.Popen(
        [COMMAND, "sandbox", "--arrivals", "40/s"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=bare
    ) as sandbox:
        assert sandbox.stdout
        environment = dict(bare)
        for line in sandbox.stdout:
            if line.startswith("# In another terminal"):
                break
            if line.startswith("export "):
                (_, assignment) = shlex.split(line)
                name, _, value = assignment.partition("=")
                environment[name] = value
        try:
            for arguments in (("setup",), ("run", "--now"), ("run", "--now", "--json")):
                done = subprocess.run(
                    [COMMAND, *arguments], cwd=tmp_path, env=environment, capture_output=True, check=False
                )
                assert done.returncode in {0, 3}, done.stderr
        finally:
            sandbox.terminate()
            sandbox.wait(10)

    assert json.loads(done.stdout)["contacts"]["created"] > 0
    assert sandbox.returncode == 0
