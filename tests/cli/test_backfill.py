"""``visitor-sync backfill``, from outside."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from program import row

if TYPE_CHECKING:
    from program import Program


def day(days_ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days_ago)).date().isoformat()


def test_a_backfill_brings_its_days_and_never_moves_the_watermark(program: Program) -> None:
    for days_ago in range(1, 61):
        program.visitors(row(days_ago, minutes_ago=days_ago * 24 * 60))

    ended = program("backfill", "--from", day(50), "--to", day(41), "--json")

    assert ended.exit_code == 0
    summary = ended.summary
    assert summary["kind"] == "backfill"
    assert summary["window"]["range"] == "90d"
    assert summary["watermark"] == {"before": None, "after": None}
    assert summary["contacts"]["created"] == 10
    assert len(program.sandbox.hubspot.contacts) == 10

    again = program("backfill", "--from", day(50), "--to", day(41), "--json").summary
    assert again["contacts"]["unchanged"] == 10
    assert again["requests"]["hubspot"] == 0


def test_old_days_never_overwrite_newer_facts(program: Program) -> None:
    program.visitors(row(1, minutes_ago=30, country_code="KR", pageviews=9))
    program.run()
    program.visitors(row(1, minutes_ago=20 * 24 * 60, country_code="FR", pageviews=2))

    program("backfill", "--from", day(25), "--to", day(15))

    (contact,) = program.sandbox.hubspot.contacts.values()
    assert (contact["country"], contact["zenovay_pageviews"]) == ("South Korea", "9")


def test_an_instant_as_end_is_exclusive(program: Program) -> None:
    edge = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    program.visitors(
        row(1, last_seen=edge.isoformat()),
        row(2, last_seen=(edge - timedelta(seconds=1)).isoformat()),
        row(3, last_seen=(edge - timedelta(hours=1)).isoformat()),
    )

    since = (edge - timedelta(hours=1)).isoformat()
    summary = program("backfill", "--from", since, "--to", edge.isoformat(), "--json").summary

    assert summary["rows"]["accepted"] == 2
    assert summary["rows"]["out_of_window"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "yesterday"), "--from"),
        (("--from", day(5), "--to", day(9)), "Give a later --to"),
        (("--from", day(5), "--to", f"{day(5)}T00:00:00Z"), "The range is empty"),
        (("--from", day(-3)), "future"),
        (("--from", day(700)), "365 days"),
        ((), "--from"),
    ],
)
def test_a_range_that_cannot_be_had_is_a_clear_error(
    program: Program, arguments: tuple[str, ...], sentence: str
) -> None:
    ended = program("backfill", *arguments)

    assert ended.exit_code == 2
    assert sentence in ended.stderr
    assert len(program.sandbox.zenovay.requests) == 0


def test_a_dry_run_of_a_backfill_writes_nothing(program: Program) -> None:
    program.visitors(row(1, minutes_ago=3 * 24 * 60))

    summary = program("backfill", "--from", day(5), "--dry-run", "--json").summary

    assert summary["contacts"]["created"] == 1
    assert program.sandbox.hubspot.contacts == {}
    assert list(program.folder.iterdir()) == []


def listed(program: Program, website: str, count: int) -> None:
    """``count`` rows, one every 20 minutes."""
    prefix = website[-1]
    program.sandbox.zenovay.websites[website] = [
        row(number, id=f"{prefix}{number}", minutes_ago=20 * number + 1) for number in range(count)
    ]


def created(program: Program) -> int:
    return len(program.sandbox.hubspot.contacts)


def unfinished(program: Program) -> list[int]:
    websites = program("status", "--json").value["websites"]
    return [len(website["backfills"]) for website in websites]


def test_a_search_of_few_requests_a_day_gets_on_and_comes_to_its_end(program: Program) -> None:
    listed(program, program.website, 20_000)
    dates = ("backfill", "--from", day(201), "--to", day(200), "--json")
    limited = {"ZENOVAY_PAGE_SIZE": "100"}

    codes = []
    for _ in range(8):
        ended = program(*dates, "--max-requests", "6", **limited)
        codes.append(ended.exit_code)
        assert ended.summary["requests"]["zenovay"] <= 6
        if ended.exit_code == 0:
            break
        assert unfinished(program) == [1]
        assert "unfinished backfill" in program("status").stdout

    assert codes[-1] == 0
    assert len(codes) > 2
    assert created(program) == 2 * 72
    assert unfinished(program) == [0]
    again = program(*dates, **limited).summary
    assert (again["contacts"]["unchanged"], again["requests"]["hubspot"]) == (2 * 72, 0)


def test_a_website_that_is_through_leaves_the_requests_to_the_others(program: Program) -> None:
    program.settings["ZENOVAY_WEBSITE_ID"] = f"{program.website},site_b"
    for website in (program.website, "site_b"):
        listed(program, website, 700)
    program.sandbox.zenovay.order = "shuffled"
    command = ("backfill", "--from", day(5), "--to", day(4), "--json", "--max-requests", "5")
    limited = {"ZENOVAY_PAGE_SIZE": "101"}

    assert program(*command, **limited).exit_code == 4
    second = program(*command, **limited)
    assert second.exit_code == 4
    assert [summary["status"] for summary in second.summaries] == ["done", "incomplete"]
    third = program(*command, **limited)
    assert third.exit_code == 0
    assert [summary["status"] for summary in third.summaries] == ["skipped", "done"]
    assert created(program) == 2 * 2 * 72

    afresh = program(*command[:-2], **limited)
    assert [summary["status"] for summary in afresh.summaries] == ["done", "done"]


@pytest.mark.parametrize("count", [0, 3, 500])
def test_what_it_costs_is_said_however_little_it_is(program: Program, count: int) -> None:
    listed(program, program.website, count)
    said = program("backfill", "--from", day(3), "--to", day(2), ZENOVAY_PAGE_SIZE="100").stderr
    planned = [json.loads(line) for line in said.splitlines() if "backfill_planned" in line]
    assert len(planned) == 1
    assert {"requests", "minutes", "share_of_month"} <= planned[0].keys()


def test_ten_months_back_are_reckoned_by_the_clock_of_the_source(program: Program) -> None:
    program.sandbox.zenovay.skew = timedelta(days=-120)
    program.visitors(row(1, minutes_ago=(120 + 300) * 24 * 60))
    program.run()

    summary = program("backfill", "--from", day(421), "--to", day(419), "--json").summary

    assert summary["contacts"]["created"] == 1
