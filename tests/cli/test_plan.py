"""``backfill --plan``: what is said beforehand is what it then costs, and saying it changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from program import row
from situations import wait_for_lock

from etl.cli.planning import Pieces

if TYPE_CHECKING:
    from program import Program

PAGE = {"ZENOVAY_PAGE_SIZE": "100"}
TURN = datetime(2026, 3, 1, tzinfo=UTC)


def day(days_ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days_ago)).date().isoformat()


def listed(program: Program, website: str, count: int, *, every_min: float = 20) -> None:
    program.sandbox.zenovay.websites[website] = [
        row(number, id=f"{website}{number}", minutes_ago=every_min * number + 1) for number in range(count)
    ]


def asked(program: Program) -> int:
    return program.sandbox.zenovay.month_used


def planned(program: Program, *arguments: str, **settings: str) -> dict[str, Any]:
    ended = program("backfill", *arguments, "--plan", "--json", **settings)
    assert ended.exit_code == 0, ended.stderr
    return dict(ended.value)


@pytest.mark.parametrize(
    ("since", "until"), [(1, 0), (3, 2), (30, 29), (100, 80), (201, 200), (250, 0), (270, 268)]
)
def test_it_costs_what_was_said_give_or_take_little(program: Program, since: int, until: int) -> None:
    listed(program, program.website, 20_000)
    days = ("--from", day(since), "--to", day(until))

    said = planned(program, *days, **PAGE)
    done = program("backfill", *days, "--json", **PAGE).summary

    real = done["requests"]["zenovay"]
    assert said["asked"] <= 2
    assert abs(said["requests"] - real) <= max(2, 0.1 * real)
    assert abs(said["rows"] - done["rows"]["accepted"]) <= max(100, 0.1 * done["rows"]["accepted"])
    assert said["minutes"] == pytest.approx(said["requests"] / 1000, abs=0.1)
    assert said["share"] == pytest.approx(said["requests"] / 10_000)


def test_visitors_who_became_more_are_reckoned_with(program: Program) -> None:
    """A look further back tells that the list is shorter than its newest page lets one think."""
    now = [row(number, id=f"n{number}", minutes_ago=number) for number in range(2_000)]
    before = [row(number, id=f"o{number}", minutes_ago=2_000 + 60 * number) for number in range(7_000)]
    program.visitors(*now, *before)
    days = ("--from", day(280), "--to", day(1))

    said = planned(program, *days, **PAGE)

    real = program("backfill", *days, "--json", **PAGE).summary["requests"]["zenovay"]
    assert real / 3 < said["requests"] < 3 * real


@pytest.mark.parametrize("count", [0, 3, 99])
def test_a_short_list_is_known_by_one_request(program: Program, count: int) -> None:
    listed(program, program.website, count, every_min=60)

    said = planned(program, "--from", day(20), **PAGE)

    assert (said["requests"], said["rows"], said["asked"]) == (1, count, 1)


def test_it_leaves_nothing_behind_and_asks_hubspot_nothing(program: Program) -> None:
    listed(program, program.website, 5_000)

    planned(program, "--from", day(40), "--to", day(35), **PAGE)

    assert asked(program) == 2
    assert list(program.folder.iterdir()) == []
    assert program.sandbox.hubspot.requests == []


def test_its_requests_count_in_the_month_and_nothing_else_is_written(program: Program) -> None:
    listed(program, program.website, 5_000)
    program.run()
    before = program("status", "--json").value
    sent = len(program.sandbox.hubspot.requests)

    planned(program, "--from", day(40), "--to", day(35), **PAGE)

    after = program("status", "--json").value
    assert after["month"]["used"] == before["month"]["used"] + 2
    assert after["websites"] == before["websites"]
    assert after["contacts"] == before["contacts"]
    assert len(program.sandbox.hubspot.requests) == sent


def test_a_run_that_goes_on_does_not_keep_it_out(program: Program) -> None:
    program.run()
    listed(program, program.website, 5_000)
    program.sandbox.hubspot.latency_s = 5
    running = program.start("run", "--now")
    wait_for_lock(program)

    said = planned(program, "--from", day(40), "--to", day(35))

    assert running.poll() is None
    running.kill()
    running.communicate()
    assert said["requests"] > 1


def test_rows_in_no_order_are_told_as_such(program: Program) -> None:
    listed(program, program.website, 700)
    program.sandbox.zenovay.order = "shuffled"

    said = planned(program, "--from", day(5), "--to", day(4), **PAGE)

    assert (said["requests"], said["minutes"], said["share"], said["rows"]) == (None,) * 4
    ended = program("backfill", "--from", day(5), "--to", day(4), "--plan", **PAGE)
    assert ended.exit_code == 0
    assert "in no useful order" in ended.stdout


def test_what_an_earlier_command_has_read_is_not_counted_again(program: Program) -> None:
    program.settings["ZENOVAY_WEBSITE_ID"] = f"{program.website},site_b"
    for name in (program.website, "site_b"):
        listed(program, name, 8_000)
    days = ("--from", day(60), "--to", day(20))
    afresh = program("backfill", *days, "--plan", "--json", **PAGE).summaries
    assert program("backfill", *days, "--max-requests", "50", **PAGE).exit_code == 4

    first, second = program("backfill", *days, "--plan", "--json", **PAGE).summaries
    only = planned(program, *days, "--website", "site_b", **PAGE)

    assert (first["requests"], first["asked"]) == (0, 0)
    assert 0 < second["requests"] < afresh[1]["requests"]
    assert only["requests"] == second["requests"]
    said = program("backfill", *days, "--plan", **PAGE).stdout
    assert f"{program.website}: its days are read already" in said
    done = program("backfill", *days, "--json", **PAGE).summaries[1]
    assert abs(done["requests"]["zenovay"] - second["requests"]) <= 3


def test_more_than_the_month_has_is_told_with_the_month_in_which_it_ends(program: Program) -> None:
    listed(program, program.website, 20_000)
    settings = PAGE | {"ZENOVAY_REQUESTS_PER_MONTH": "100"}

    ended = program("backfill", "--from", day(250), "--plan", **settings)
    said = planned(program, "--from", day(250), **settings)

    assert ended.exit_code == 0
    assert "more than the 98 requests" in ended.stdout
    assert "--max-requests 98 in this month, then --max-requests 100" in ended.stdout
    assert said["month"]["fits"] is False
    assert said["month"]["left"] == 98
    assert said["month"]["through"] > datetime.now(UTC).isoformat()


def test_a_website_that_cannot_be_asked_does_not_keep_the_others(program: Program) -> None:
    program.settings["ZENOVAY_WEBSITE_ID"] = f"nowhere,{program.website}"
    listed(program, program.website, 10)

    ended = program("backfill", "--from", day(5), "--plan", "--json")

    assert ended.exit_code == 2
    assert "error: nowhere: " in ended.stderr
    assert ended.value["website"] == program.website


@pytest.mark.parametrize(
    "arguments",
    [("--from", day(5), "--dry-run"), ("--from", "yesterday"), ("--from", day(5), "--website", "site_x")],
)
def test_what_does_not_fit_is_a_wrong_argument_and_asks_nothing(
    program: Program, arguments: tuple[str, ...]
) -> None:
    ended = program("backfill", "--plan", *arguments)

    assert ended.exit_code == 2
    assert asked(program) == 0


@pytest.mark.parametrize(
    ("requests", "left", "monthly", "through"),
    [
        (10, 10, 0, None),
        (11, 10, 5, TURN),
        (15, 10, 5, TURN),
        (16, 10, 5, datetime(2026, 4, 1, tzinfo=UTC)),
        (75, 0, 5, datetime(2027, 5, 1, tzinfo=UTC)),
        (11, 10, 0, None),
    ],
)
def test_the_pieces_end_in_the_month_that_has_room_for_the_last(
    requests: int, left: int, monthly: int, through: datetime | None
) -> None:
    pieces = Pieces(requests, left, monthly, TURN, most=None)

    assert pieces.through == through
    assert pieces.fits == (requests <= left)
    assert (pieces.sentence is None) == pieces.fits


def test_the_commands_of_max_requests_are_counted() -> None:
    sentence = Pieces(11, 100, 100, TURN, most=5).sentence

    assert sentence
    assert "3 commands" in sentence
