"""``visitor-sync run`` against a Zenovay whose answers fall short, from outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from program import news, row

if TYPE_CHECKING:
    from collections.abc import Callable

    from program import Program

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def seen(number: int, at: datetime) -> dict[str, Any]:
    return row(number, last_seen=at.isoformat())


def hourly(begin: datetime, end: datetime, *, a_day: int) -> list[dict[str, Any]]:
    """Rows at regular intervals; the same instant always makes the same visitor."""
    pause = DAY / a_day
    first, last = (begin - NOON) // pause, (end - NOON) // pause
    return [seen(1_000_000 + number, NOON + number * pause) for number in range(first, last)]


def at(program: Program, now: datetime, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The summary of a run while Zenovay's clock shows ``now`` and it lists ``rows``."""
    program.sandbox.zenovay.frozen_at = now
    program.replace_visitors(*rows)
    ended = program.run(SYNC_INITIAL_RANGE="24h")
    assert ended.exit_code == 0
    return ended.summary


def utc(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def website(program: Program) -> dict[str, Any]:
    (only,) = program("status", "--json").value["websites"]
    found: dict[str, Any] = only
    return found


def synced(program: Program) -> set[str]:
    contacts = program.sandbox.hubspot.contacts.values()
    return {str(contact["zenovay_visitor_id"]) for contact in contacts}


@pytest.mark.parametrize("away", [HOUR, 5 * HOUR, 3 * DAY])
def test_an_answer_without_rows_is_told_and_the_next_good_one_covers_the_gap(
    program: Program, away: timedelta
) -> None:
    at(program, NOON, hourly(NOON - DAY, NOON, a_day=480))

    for now in (NOON + away / 3, NOON + away / 2, NOON + away):
        short = at(program, now, [])
        assert "degraded" in short["degraded"]
        assert "degraded" in short["warnings"][0]
        assert "degraded" in short["reason"]
        assert short["watermark"]["after"] == utc(NOON)
    told = website(program)["degraded"]
    assert told == {"since": utc(NOON + away / 3), "why": short["degraded"]}
    assert "degraded since" in program("status").stdout

    now = NOON + away + timedelta(minutes=5)
    everything = hourly(NOON - DAY, now, a_day=480)
    good = at(program, now, everything)
    told_of_strangers = [each for each in good["warnings"] if "contacts without an address" in each]
    assert (good["warnings"], good["degraded"]) == (told_of_strangers, None)
    assert good["watermark"]["after"] == utc(now)
    assert website(program)["degraded"] is None
    assert synced(program) == {each["id"] for each in everything}


@pytest.mark.parametrize("shortened", [lambda rows: rows[::10], lambda rows: rows[: len(rows) // 3]])
def test_what_a_shorter_answer_left_out_is_found_by_the_sweep(
    program: Program, shortened: Callable[[list[Any]], list[Any]]
) -> None:
    """It moves the watermark: what it lacks is older than the lookback when good answers come again."""
    at(program, NOON, hourly(NOON - DAY, NOON, a_day=480))
    for hours in (3, 6):
        now = NOON + hours * HOUR
        short = at(program, now, shortened(hourly(now - DAY, now, a_day=480)))
        assert short["watermark"]["after"] == utc(now)

    for hours in (9, 12, 18, 24):
        now = NOON + hours * HOUR
        at(program, now, hourly(NOON - DAY, now, a_day=480))

    assert website(program)["swept"] == utc(now)
    assert synced(program) >= {each["id"] for each in hourly(NOON - DAY, now, a_day=480)}


def test_days_without_a_run_are_no_fault_of_the_source(program: Program) -> None:
    at(program, NOON, hourly(NOON - DAY, NOON, a_day=60))
    summary = at(program, NOON + 4 * DAY, hourly(NOON - 4 * DAY, NOON + 4 * DAY, a_day=60))
    assert summary["warnings"] == []


def test_visitors_whose_only_row_moves_on_with_every_visit_are_not_missed(program: Program) -> None:
    for hour in range(5):
        now = NOON + hour * HOUR
        rows = [seen(number, now - timedelta(minutes=number)) for number in range(40)]
        summary = at(program, now, rows)
        assert news(summary) == []
        assert summary["watermark"]["after"] == utc(now)


def test_a_quiet_website_and_a_night_are_nothing_to_tell(program: Program) -> None:
    day = hourly(NOON - 10 * HOUR, NOON, a_day=40)
    for hours in (0, 1, 6, 18, 24):
        assert news(at(program, NOON + hours * HOUR, day if hours < 14 else day[hours - 14 :])) == []


def test_a_gap_that_no_range_covers_is_said_plainly(program: Program) -> None:
    began, now = NOON - timedelta(days=400), NOON
    at(program, began, hourly(began - DAY, began, a_day=480))
    summary = at(program, now, hourly(now - DAY, now, a_day=480))
    (warning,) = summary["warnings"]
    assert "cannot be had any more" in warning
    assert summary["watermark"]["after"] == utc(now)
    assert at(program, now, hourly(now - DAY, now, a_day=480))["warnings"] == []
