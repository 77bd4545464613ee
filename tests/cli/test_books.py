"""What is printed, logged and stored of a run is one object, and nothing is said of it over and over."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from program import row

if TYPE_CHECKING:
    from collections.abc import Callable

    from program import Program

MIDMONTH = datetime(2026, 3, 20, 12, tzinfo=UTC)
ENOUGH_RUNS = 5


def done(program: Program) -> None:
    program.visitors(row(1))


def rejected(program: Program) -> None:
    program.visitors(row(1), {**row(2), "pageviews": -1})


def refused(program: Program) -> None:
    program.visitors(row(1))
    program.settings["HUBSPOT_ACCESS_TOKEN"] = "revoked"


def away(program: Program) -> None:
    program.settings["HUBSPOT_BASE_URL"] = "http://127.0.0.1:9"


def nearly_spent(program: Program) -> None:
    """A month of which the runs so far say that it will not last."""
    zenovay = program.sandbox.zenovay
    program.settings["SYNC_MIN_INTERVAL"] = "0s"
    zenovay.frozen_at, zenovay.requests_per_month, zenovay.month_used = MIDMONTH, 10_000, 9000
    for _ in range(ENOUGH_RUNS):
        program("run")


def logged(stderr: str) -> list[dict[str, Any]]:
    """What the log says of the ends of runs."""
    lines = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    head = {"at", "level", "message", "action"}
    return [
        {key: value for key, value in line.items() if key not in head}
        for line in lines
        if line.get("action") == "run_finished"
    ]


def stored(program: Program) -> dict[str, Any]:
    with closing(sqlite3.connect(program.state_file)) as state:
        (text,) = state.execute("SELECT summary FROM runs ORDER BY started DESC LIMIT 1").fetchone()
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("prepare", "exit_code"), [(done, 0), (rejected, 3), (refused, 5), (away, 4), (nearly_spent, 0)]
)
def test_printed_logged_and_stored_are_one_object(
    program: Program, prepare: Callable[[Program], None], exit_code: int
) -> None:
    prepare(program)

    ended = program("run", "--json")

    assert ended.exit_code == exit_code
    assert [ended.summary] == logged(ended.stderr)
    assert ended.summary == stored(program)
    assert any("will not last" in each for each in ended.summary["warnings"]) is (prepare is nearly_spent)


def test_a_dry_run_is_printed_as_it_is_logged(program: Program) -> None:
    program.visitors(row(1), {**row(2), "pageviews": -1})

    ended = program("run", "--dry-run", "--json")

    shown = dict(ended.summary)
    assert [each["action"] for each in shown.pop("differences")] == ["create"]
    assert [shown] == logged(ended.stderr)


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [(refused, "HubSpot"), (nearly_spent, "will not last"), (rejected, "newly rejected")],
)
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["sentences", "json"])
def test_nothing_is_said_more_than_twice(
    program: Program, prepare: Callable[[Program], None], sentence: str, options: list[str]
) -> None:
    """Once in the log, which may go elsewhere, and once for whoever called; --json is for programs."""
    prepare(program)

    ended = program("run", *options)

    said = ended.stderr if options else ended.stdout + ended.stderr
    told = [line for line in said.splitlines() if sentence in line]
    assert 1 <= len(told) <= 2
