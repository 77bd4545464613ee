"""``visitor-sync`` and clocks that are wrong, from outside: what the CRM holds, and what is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from program import news, row

if TYPE_CHECKING:
    from program import Program

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def arrive(program: Program, first: int, count: int) -> None:
    """Visitors of the last seconds."""
    program.visitors(*(row(first + number, minutes_ago=0.05) for number in range(count)))


def delivered(program: Program) -> int:
    return len(program.sandbox.hubspot.contacts)


def watermark(summary: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(summary["watermark"]["after"])


def in_the_state(program: Program, change: str, *values: object) -> None:
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute(change, values)


def microseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1e6)


WRONG = [
    pytest.param(DAY, timedelta(0), True, id="timestamp a day ahead"),
    pytest.param(-DAY, timedelta(0), True, id="timestamp a day behind"),
    pytest.param(2 * HOUR, timedelta(0), True, id="local time with a Z"),
    pytest.param(2 * HOUR, timedelta(0), False, id="local time with a Z and no Date"),
    pytest.param(400 * DAY, timedelta(0), False, id="another year and no Date"),
    pytest.param(timedelta(0), DAY, True, id="Date a day ahead"),
    pytest.param(timedelta(0), 2 * HOUR, True, id="Date two hours ahead"),
    pytest.param(DAY, DAY, True, id="both a day ahead"),
    pytest.param(2 * HOUR, 2 * HOUR, True, id="both two hours ahead"),
]


@pytest.mark.parametrize(("timestamp", "date", "send_date"), WRONG)
@pytest.mark.parametrize("lasts", [True, False], ids=["for good", "for one answer"])
def test_a_wrong_clock_loses_no_row(
    program: Program, timestamp: timedelta, date: timedelta, *, send_date: bool, lasts: bool
) -> None:
    zenovay = program.sandbox.zenovay
    program.visitors(*(row(number) for number in range(30)))
    assert program.run().exit_code == 0

    zenovay.timestamp_skew, zenovay.date_skew, zenovay.send_date = timestamp, date, send_date
    for number in range(4):
        arrive(program, 1000 + 5 * number, 5)
        ended = program.run()
        assert ended.exit_code == 0
        assert watermark(ended.summary) <= datetime.now(UTC) + 3 * HOUR
        if not lasts:
            zenovay.timestamp_skew = zenovay.date_skew = timedelta(0)
    assert delivered(program) == 30 + 20


@pytest.mark.parametrize(
    ("timestamp", "date", "told"),
    [
        (DAY, timedelta(0), True),
        (2 * HOUR, timedelta(0), True),
        (timedelta(0), -DAY, True),
        (timedelta(0), DAY, True),
        (DAY, DAY, True),
        (4 * MINUTE, timedelta(0), False),
        (2 * HOUR, 2 * HOUR, False),
        (-40 * DAY, -40 * DAY, False),
    ],
)
def test_what_is_not_believed_is_told(
    program: Program, timestamp: timedelta, date: timedelta, *, told: bool
) -> None:
    zenovay = program.sandbox.zenovay
    zenovay.timestamp_skew, zenovay.date_skew = timestamp, date
    summary = program.run().summary
    assert bool(news(summary)) is told
    if told:
        assert "is not believed" in news(summary)[0]
        assert "timestamp" in summary["reason"]


def test_check_prints_all_three_clocks_where_they_disagree(program: Program) -> None:
    zenovay = program.sandbox.zenovay

    def said() -> str:
        ended = program("check", "--json")
        assert ended.exit_code == 0
        (saw,) = [each["saw"] for each in ended.value if each["check"].startswith("zenovay rows")]
        return str(saw)

    assert "clock" not in said()
    zenovay.timestamp_skew, zenovay.date_skew = timedelta(days=40), timedelta(days=-40)
    now = datetime.now(UTC)
    seen = said()
    for clock in (now + 40 * DAY, now - 40 * DAY, now):
        assert f"{clock:%Y-%m-%d}" in seen
    zenovay.timestamp_skew = zenovay.date_skew = -HOUR
    assert "the clocks disagree" in said()


def test_a_watermark_in_the_future_heals_by_itself(program: Program) -> None:
    """As an earlier version left it after an answer a day ahead, and runs that then delivered nothing."""
    program.visitors(*(row(number) for number in range(30)))
    program.run()
    arrive(program, 1000, 10)
    tomorrow = datetime.now(UTC) + DAY
    later = microseconds(tomorrow)
    in_the_state(program, "UPDATE websites SET watermark = ?, swept = ?, read_at = NULL", later, later)
    in_the_state(
        program,
        "INSERT INTO runs (id, website_id, kind, started, ended, status, summary)"
        " SELECT 'poisoned', website_id, kind, ?, ?, status,"
        " json_set(summary, '$.watermark.after', ?) FROM runs",
        *[microseconds(datetime.now(UTC))] * 2,
        tomorrow.isoformat(),
    )
    arrive(program, 2000, 10)

    ended = program.run()

    assert ended.exit_code == 0
    (warning,) = ended.summary["warnings"]
    assert "set back" in warning
    assert f"{tomorrow:%Y-%m-%dT%H:%M}" in warning
    assert delivered(program) == 50
    assert watermark(ended.summary) <= datetime.now(UTC)
    assert program.run().summary["warnings"] == []


def test_a_watermark_goes_back_to_the_start_of_the_last_successful_run(program: Program) -> None:
    program.visitors(row(1))
    program.run()
    (last,) = program("status", "--json").value["websites"][0]["runs"]
    in_the_state(program, "UPDATE websites SET watermark = ?", microseconds(datetime.now(UTC) + 4 * HOUR))
    failed = program.run(ZENOVAY_API_KEY="zv_another").summary
    assert failed["watermark"]["before"] == failed["watermark"]["after"]
    assert datetime.fromisoformat(failed["watermark"]["after"]) == datetime.fromisoformat(last["started"])


def test_a_watermark_that_no_run_explains_begins_anew(program: Program) -> None:
    program.visitors(row(1))
    program.run()
    in_the_state(
        program, "UPDATE websites SET watermark = ?, read_at = NULL", microseconds(datetime.now(UTC) + DAY)
    )
    in_the_state(program, "DELETE FROM runs")
    arrive(program, 50, 3)
    ended = program.run()
    assert ended.summary["window"]["range"] == "30d"
    assert delivered(program) == 4


def test_what_a_clock_ahead_of_itself_has_left_in_the_state_blocks_nothing(program: Program) -> None:
    """Our own clock was five days ahead, and was repaired."""
    program.visitors(*(row(number) for number in range(30)))
    program.run()
    later = microseconds(datetime.now(UTC) + 5 * DAY)
    in_the_state(program, "UPDATE websites SET swept = ?, read_at = ?, watermark = ?", later, later, later)
    in_the_state(program, "UPDATE runs SET started = ?, ended = ?", later, later)
    in_the_state(program, "UPDATE limits SET sent = ?, ahead = ?", f"[{later}]", 5 * 86_400 * 1_000_000)
    arrive(program, 1000, 5)

    assert program("run").exit_code == 0
    assert delivered(program) == 35
    arrive(program, 2000, 5)
    assert program("run", "--json").summary["status"] == "skipped"
    assert program.run().exit_code == 0
    assert delivered(program) == 40
    day = f"{datetime.now(UTC) - 2 * DAY:%Y-%m-%d}"
    assert program("backfill", "--from", day, "--json").exit_code == 0


def test_rows_of_a_day_ago_are_had_though_a_proxy_s_date_is_a_day_behind(program: Program) -> None:
    """Rows wait until that clock comes to them; by then they are out of the shortest range."""
    program.visitors(*(row(number, minutes_ago=24 * 60 + 2 + number) for number in range(10)))
    program.sandbox.zenovay.date_skew = -DAY
    program.run(SYNC_INITIAL_RANGE="24h")
    assert delivered(program) == 10
    program.visitors(row(90, minutes_ago=24 * 60 + 1))
    program.run()
    assert delivered(program) == 11
