"""What ``visitor-sync`` makes of the month's requests, from outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from program import news, row

if TYPE_CHECKING:
    from program import Program

MIDMONTH = datetime(2026, 3, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NEVER_RESTS = {"SYNC_MIN_INTERVAL": "0s"}


@pytest.fixture(params=[True, False], ids=["stated", "unstated"])
def stated(request: pytest.FixtureRequest) -> bool:
    """Whether Zenovay's headers say what is used of the month."""
    return bool(request.param)


@pytest.fixture
def thrifty(program: Program, *, stated: bool) -> Program:
    """A plan of 10 requests a month, of which 2 are kept, at a website whose clock is months behind ours."""
    zenovay = program.sandbox.zenovay
    zenovay.frozen_at = MIDMONTH
    zenovay.requests_per_month, zenovay.send_usage_headers = 10, stated
    program.settings |= NEVER_RESTS | {"ZENOVAY_REQUESTS_PER_MONTH": "10", "ZENOVAY_RESERVE": "20%"}
    program.visitors(row(1, last_seen=(MIDMONTH - MINUTE).isoformat()))
    return program


def asked(program: Program) -> int:
    return program.sandbox.zenovay.visitor_requests


def scheduled(program: Program, times: int) -> list[int]:
    return [program("run").exit_code for _ in range(times)]


def test_scheduled_runs_leave_the_reserve_to_people(thrifty: Program) -> None:
    assert scheduled(thrifty, 9) == [0] * 8 + [4]
    assert asked(thrifty) == 8

    stopped = thrifty("run", "--json").summary
    assert stopped["status"] == "incomplete"
    assert "2026-04-01T00:00:00Z" in stopped["reason"]
    assert asked(thrifty) == 8

    assert thrifty.run().exit_code == 0
    assert asked(thrifty) == 9


def test_a_spent_month_is_named_with_its_end_by_the_clock_of_the_source(thrifty: Program) -> None:
    thrifty.sandbox.zenovay.month_used = 10
    refused = thrifty.run()
    assert refused.exit_code == 4
    assert "2026-04-01T00:00:00Z" in refused.summary["reason"]

    count = asked(thrifty)
    assert scheduled(thrifty, 2) == [4, 4]
    assert asked(thrifty) == count


def test_in_the_next_month_a_run_by_hand_begins_to_count_anew(thrifty: Program) -> None:
    assert scheduled(thrifty, 9)[-1] == 4
    assert [thrifty.run().exit_code for _ in range(3)] == [0, 0, 4]

    thrifty.sandbox.zenovay.frozen_at = MIDMONTH + timedelta(days=14)
    assert thrifty.run().exit_code == 0
    assert scheduled(thrifty, 2) == [0, 0]


@pytest.mark.parametrize("stated", [True], indirect=True)
def test_what_the_first_answer_says_of_the_month_holds_for_the_second_run(thrifty: Program) -> None:
    thrifty.sandbox.zenovay.month_used = 8
    assert scheduled(thrifty, 2) == [0, 4]
    assert asked(thrifty) == 1


def test_two_websites_share_the_requests_of_their_key(thrifty: Program) -> None:
    thrifty.sandbox.zenovay.websites["site_b"] = []
    both = {"ZENOVAY_WEBSITE_ID": f"{thrifty.website},site_b"}
    assert [thrifty("run", **both).exit_code for _ in range(5)] == [0, 0, 0, 0, 4]
    assert asked(thrifty) == 8


def polled(program: Program, *, times: int, every: timedelta) -> list[dict[str, Any]]:
    """The summaries of runs at regular intervals of Zenovay's clock."""
    summaries = []
    for _ in range(times):
        summaries.append(program("run", "--json").summary)
        program.sandbox.zenovay.frozen_at = program.sandbox.zenovay.now() + every
    return summaries


def test_the_cost_of_the_schedule_is_told_by_the_clock_of_the_source(program: Program) -> None:
    program.settings |= NEVER_RESTS
    program.sandbox.zenovay.frozen_at = MIDMONTH
    polled(program, times=5, every=20 * MINUTE)

    told = program("status", "--json").value["schedule"]
    assert (told["interval_s"], told["requests_per_month"], told["fits"]) == (1200, 2160, True)
    assert told["shortest_interval_s"] == 300
    assert "every 20 min cost about 2160 requests" in program("status").stdout
    (check,) = [each for each in program("check", "--json").value if each["check"] == "schedule"]
    assert check["ok"]
    assert "every 20 min cost about 2160 requests" in check["saw"]


def test_some_runs_by_hand_are_no_schedule(program: Program) -> None:
    assert [news(program.run().summary) for _ in range(4)] == [[]] * 4
    assert program("status", "--json").value["schedule"]["requests_per_month"] == 8640
    assert program("check").exit_code == 0


def test_a_month_that_will_not_last_is_told_once_a_day(program: Program) -> None:
    zenovay = program.sandbox.zenovay
    program.settings |= NEVER_RESTS
    zenovay.frozen_at, zenovay.requests_per_month, zenovay.month_used = MIDMONTH, 10_000, 9000

    summaries = polled(program, times=6, every=5 * MINUTE)
    (warning,) = [warning for summary in summaries for warning in news(summary)]
    assert "will not last" in warning

    zenovay.frozen_at += timedelta(days=1)
    summaries = polled(program, times=2, every=5 * MINUTE)
    assert [len(summary["warnings"]) for summary in summaries] == [1, 0]
