"""What an API says of waits and limits, and how long ``visitor-sync`` believes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from program import row
from storm import FOREVER, Fault

if TYPE_CHECKING:
    from program import Program

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
VISITORS, UPSERT = "/visitors", "/batch/upsert"
EPOCH_S = "1795733183"
LIES = [EPOCH_S, EPOCH_S + "000", "Thu, 01 Jan 2099 00:00:00 GMT", "31536000"]


def stops(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = program("status", "--json").value["stops"]
    return found


def until(stop: dict[str, Any]) -> timedelta:
    """How far off its end is."""
    return datetime.fromisoformat(stop["until"]) - datetime.now(UTC)


def in_the_state(program: Program, change: str, *values: object) -> None:
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute(change, values)


def limited(code: str, **headers: str) -> Fault:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = {"success": False, "error": {"code": code, "message": "Slow down."}}
    return Fault.answer(429, body, headers=named)


@pytest.mark.parametrize("stated", LIES)
@pytest.mark.parametrize("side", ["zenovay", "hubspot"])
def test_a_wait_that_cannot_be_meant_silences_nobody(program: Program, side: str, stated: str) -> None:
    """It is an outage as any other: repeated within the run, and over with the next one."""
    world = program.sandbox.zenovay if side == "zenovay" else program.sandbox.hubspot
    path = VISITORS if side == "zenovay" else UPSERT
    program.visitors(row(1))
    world.faults.add(Fault.answer(503, headers={"Retry-After": stated}), path=path)
    assert program.run().exit_code == 0
    assert stops(program) == []
    assert len(program.sandbox.hubspot.contacts) == 1


def test_a_wait_of_a_year_for_a_second_s_limit_is_a_second(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.hubspot.faults.add(Fault.rate_limited("SECONDLY", retry_after="31536000"), path=UPSERT)
    assert program.run().exit_code == 0


@pytest.mark.parametrize(
    ("path", "fault", "api", "kind", "said_by", "longest"),
    [
        (UPSERT, Fault.rate_limited("DAILY"), "hubspot", "daily", "our own reckoning: midnight UTC", DAY),
        (
            UPSERT,
            Fault.rate_limited("DAILY", retry_after="7200"),
            "hubspot",
            "daily",
            "Retry-After",
            2 * HOUR,
        ),
        (UPSERT, Fault.rate_limited("DAILY", retry_after=EPOCH_S), "hubspot", "daily", "midnight UTC", DAY),
        (UPSERT, Fault.rate_limited("SECONDLY", retry_after="1800"), "hubspot", "wait", "Retry-After", HOUR),
        (UPSERT, Fault.answer(477, {}), "hubspot", "move", "477", DAY),
        (UPSERT, Fault.answer(477, {}, headers={"Retry-After": EPOCH_S}), "hubspot", "move", "477", DAY),
        (
            UPSERT,
            Fault.answer(429, {}, headers={"X-HubSpot-RateLimit-Daily-Remaining": "0"}),
            "hubspot",
            "wait",
            "X-HubSpot-RateLimit-Daily-Remaining",
            HOUR,
        ),
        (
            VISITORS,
            limited("RATE_LIMIT_EXCEEDED", Retry_After="1800"),
            "zenovay",
            "wait",
            "Retry-After",
            HOUR,
        ),
        (VISITORS, limited("MONTHLY_LIMIT_EXCEEDED"), "zenovay", "monthly", "our own reckoning", 31 * DAY),
        (
            VISITORS,
            limited("MONTHLY_LIMIT_EXCEEDED", X_Usage_Reset="2099-01-01T00:00:00Z"),
            "zenovay",
            "monthly",
            "our own reckoning",
            31 * DAY,
        ),
        (
            VISITORS,
            limited("MONTHLY_LIMIT_EXCEEDED", X_Usage_Reset=(datetime.now(UTC) + 20 * DAY).isoformat()),
            "zenovay",
            "monthly",
            "X-Usage-Reset",
            20 * DAY,
        ),
    ],
)
def test_a_stop_says_of_what_kind_it_is_and_who_said_so(
    program: Program, path: str, fault: Fault, api: str, kind: str, said_by: str, longest: timedelta
) -> None:
    program.visitors(row(1))
    world = program.sandbox.zenovay if api == "zenovay" else program.sandbox.hubspot
    world.faults.add(fault, path=path, times=FOREVER)
    ended = program.run()
    assert ended.exit_code == 4
    assert said_by in ended.summary["reason"]

    (stop,) = stops(program)
    assert set(stop) == {"api", "until", "reason", "kind", "said_by"}
    assert (stop["api"], stop["kind"]) == (api, kind)
    assert said_by in stop["said_by"]
    assert timedelta(0) < until(stop) <= longest
    shown = program("status").stdout
    assert said_by in shown
    assert stop["until"][:16] in shown

    asked = len(program.sandbox.zenovay.requests), len(program.sandbox.hubspot.requests)
    resting = program("run", "--json", SYNC_MIN_INTERVAL="0s")
    assert resting.exit_code == 4
    assert stop["until"][:16] in resting.summary["reason"]
    assert (len(program.sandbox.zenovay.requests), len(program.sandbox.hubspot.requests)) == asked

    world.faults.clear()
    assert program.run().exit_code == 0
    assert stops(program) == []
    assert len(program.sandbox.hubspot.contacts) == 1


@pytest.mark.parametrize("column", ["stop_made", "stopped_until"])
def test_a_stop_that_was_reckoned_with_a_wrong_clock_does_not_outlive_its_repair(
    program: Program, column: str
) -> None:
    program.visitors(row(1))
    program.sandbox.hubspot.faults.add(Fault.rate_limited("DAILY"), path=UPSERT)
    assert program.run().exit_code == 4
    five_days = round(5 * DAY / timedelta(microseconds=1))
    in_the_state(program, "UPDATE limits SET stopped_until = stopped_until + ?", five_days)
    if column == "stop_made":
        in_the_state(program, "UPDATE limits SET stop_made = stop_made + ?", five_days)
        assert program("run", SYNC_MIN_INTERVAL="0s").exit_code == 0
        assert len(program.sandbox.hubspot.contacts) == 1
    else:
        (stop,) = stops(program)
        assert until(stop) <= DAY


def test_a_stop_of_an_earlier_version_is_tried_unless_it_is_short(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.hubspot.faults.add(Fault.rate_limited("DAILY", retry_after="3000"), path=UPSERT)
    assert program.run().exit_code == 4
    in_the_state(program, "UPDATE limits SET stop_made = NULL, stop_kind = NULL, stop_said_by = NULL")
    assert program("run", SYNC_MIN_INTERVAL="0s").exit_code == 4
    assert "somebody" in program("status").stdout

    in_the_state(program, "UPDATE limits SET stopped_until = stopped_until + 7200000000")
    assert program("run", SYNC_MIN_INTERVAL="0s").exit_code == 0


def test_a_header_that_calls_the_month_spent_silences_nobody_for_longer_than_an_hour(
    program: Program,
) -> None:
    program.settings |= {"SYNC_MIN_INTERVAL": "0s", "ZENOVAY_PAGE_SIZE": "10"}
    lie = {"X-Usage-Monthly": "12000", "X-Usage-Limit": "10000", "X-Usage-Reset": "2099-01-01T00:00:00Z"}
    program.sandbox.zenovay.faults.add(Fault(carried_out=True, headers=lie), path=VISITORS, times=FOREVER)
    program.visitors(row(1))
    assert program("run").exit_code == 0

    program.visitors(*(row(number, minutes_ago=0.01) for number in range(100, 130)))
    silenced = program("run", "--json")
    assert silenced.exit_code == 4
    assert "by Zenovay's headers" in silenced.summary["reason"]
    assert silenced.summary["requests"]["zenovay"] == 0
    assert program("run").exit_code == 4

    an_hour_ago = round((datetime.now(UTC) - HOUR).timestamp() * 1e6)
    in_the_state(program, "UPDATE limits SET sent = ? WHERE used IS NOT NULL", f"[{an_hour_ago}]")
    tried = program("run", "--json")
    assert tried.exit_code == 0
    assert tried.summary["requests"]["zenovay"] >= 3
    assert len(program.sandbox.hubspot.contacts) == 31
    assert program("run").exit_code == 4


def test_a_good_answer_after_which_nothing_of_the_day_remains_ends_the_run_for_an_hour(
    program: Program,
) -> None:
    hubspot = program.sandbox.hubspot
    spent = {"X-HubSpot-RateLimit-Daily": "250000", "X-HubSpot-RateLimit-Daily-Remaining": "0"}
    hubspot.faults.add(Fault(carried_out=True, headers=spent), times=FOREVER)
    program.visitors(row(1))
    ended = program("run", "--json", SYNC_MIN_INTERVAL="0s")
    assert (ended.exit_code, ended.summary["requests"]["hubspot"]) == (4, 1)
    (stop,) = stops(program)
    assert (stop["api"], stop["kind"]) == ("hubspot", "wait")
    assert "X-HubSpot-RateLimit-Daily-Remaining" in stop["said_by"]
    assert timedelta(0) < until(stop) <= HOUR

    asked = len(hubspot.requests)
    assert program("run", "--json", SYNC_MIN_INTERVAL="0s").exit_code == 4
    assert len(hubspot.requests) == asked

    hour = round(HOUR / timedelta(microseconds=1))
    in_the_state(
        program, "UPDATE limits SET stopped_until = stopped_until - ?, stop_made = stop_made - ?", hour, hour
    )
    assert program("run", "--json", SYNC_MIN_INTERVAL="0s").exit_code == 0
    assert len(hubspot.contacts) == 1
    assert stops(program) == []


def test_whoever_insists_is_not_held_back_by_what_a_good_answer_says_of_the_day(program: Program) -> None:
    spent = {"X-HubSpot-RateLimit-Daily": "250000", "X-HubSpot-RateLimit-Daily-Remaining": "0"}
    program.sandbox.hubspot.faults.add(Fault(carried_out=True, headers=spent), times=FOREVER)
    program.visitors(row(1))
    assert program("run", "--now").exit_code == 0
    assert len(program.sandbox.hubspot.contacts) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HubSpot-RateLimit-Daily-Remaining": "0"},
        {"X-HubSpot-RateLimit-Daily": "0", "X-HubSpot-RateLimit-Daily-Remaining": "0"},
        {"X-HubSpot-RateLimit-Daily": "250000", "X-HubSpot-RateLimit-Daily-Remaining": "-1"},
        {"X-HubSpot-RateLimit-Daily": "250000", "X-HubSpot-RateLimit-Daily-Remaining": "1"},
    ],
)
def test_what_is_no_spent_day_holds_nobody_back(program: Program, headers: dict[str, str]) -> None:
    program.sandbox.hubspot.faults.add(Fault(carried_out=True, headers=headers), times=FOREVER)
    program.visitors(row(1))
    assert program("run", SYNC_MIN_INTERVAL="0s").exit_code == 0
    assert stops(program) == []
