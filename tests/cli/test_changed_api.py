"""A changed API is not so many bad rows: ``visitor-sync`` stops before it passes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from program import row

if TYPE_CHECKING:
    from collections.abc import Callable

    from program import Program

Rows = list[dict[str, Any]]


def unix_seconds(each: dict[str, Any]) -> dict[str, Any]:
    return {**each, "last_seen": int(datetime.fromisoformat(each["last_seen"]).timestamp())}


def another_name(each: dict[str, Any]) -> dict[str, Any]:
    return {("seen_at" if name == "last_seen" else name): value for name, value in each.items()}


def numeric_ids(each: dict[str, Any]) -> dict[str, Any]:
    return {**each, "id": int(each["id"][1:])}


def local_texts(each: dict[str, Any]) -> dict[str, Any]:
    return {**each, "last_seen": f"7.2.2026 12:{each['id'][-2:]} ann@example.test"}


CHANGES = [unix_seconds, another_name, numeric_ids, local_texts]


def rows(first: int, count: int, *, minutes: float = 0.05) -> Rows:
    return [row(first + number, minutes_ago=minutes) for number in range(count)]


def synced(program: Program) -> set[str]:
    contacts = program.sandbox.hubspot.contacts.values()
    return {str(contact["zenovay_visitor_id"]) for contact in contacts}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_good_run_a_changed_api_ends_the_run_and_its_repair_loses_nothing(
    program: Program, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    before, after = [row(number) for number in range(20)], rows(1000, 150)
    program.visitors(*before)
    good = program.run().summary

    for more in (0, 5):
        after += rows(2000, more)
        program.replace_visitors(*map(change, [*after, *before]))
        broken = program.run()
        assert broken.exit_code == 6
        assert broken.summary["status"] == "failed"
        assert broken.summary["watermark"]["after"] == good["watermark"]["after"]
        assert "refused for one reason" in broken.stderr
        assert f"{150 + more}" in broken.stderr or f"{170 + more}" in broken.stderr
        assert "example.test" not in broken.stdout + broken.stderr
        assert program("rejections", "--json").value == []

    program.replace_visitors(*after, *before)
    assert program.run().exit_code == 0
    assert synced(program) == {each["id"] for each in [*before, *after]}


@pytest.mark.parametrize("command", ["run", "backfill"])
def test_it_is_a_changed_api_on_any_page_and_in_a_backfill(program: Program, command: str) -> None:
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    arguments = ["run", "--now"] if command == "run" else ["backfill", "--from", yesterday]
    good = [row(number) for number in range(30)]
    bad = [numeric_ids(row(100 + number)) for number in range(30)]
    program.visitors(*good, *bad)
    ended = program(*arguments, "--json", ZENOVAY_PAGE_SIZE="30")
    assert ended.exit_code == 6
    assert len(synced(program)) == 30
    assert ended.summary["watermark"]["after"] is None

    program.replace_visitors(*good, *(row(100 + number) for number in range(30)))
    assert program(*arguments, "--json", ZENOVAY_PAGE_SIZE="30").exit_code == 0
    assert len(synced(program)) == 60


def test_fewer_than_twenty_are_bad_rows(program: Program) -> None:
    program.visitors(*map(numeric_ids, rows(0, 19)))
    first = program.run()
    assert (first.exit_code, first.summary["rows"]["rejected"]) == (3, 19)
    assert first.summary["watermark"]["after"] is not None
    assert program.run().exit_code == 0


def test_faults_of_several_kinds_are_bad_rows(program: Program) -> None:
    bad = [numeric_ids(each) if number % 2 else another_name(each) for number, each in enumerate(rows(0, 40))]
    program.visitors(*bad)
    assert program.run().exit_code == 3
    assert len(program("rejections", "--json").value) == 40


def test_bad_rows_that_are_listed_already_are_no_changed_api(program: Program) -> None:
    bad = list(map(numeric_ids, rows(0, 30)))
    program.visitors(row(500, minutes_ago=0.1), *bad)
    assert program.run().exit_code == 3

    program.replace_visitors(*bad)
    again = program.run()
    assert (again.exit_code, again.summary["rows"]["rejected"]) == (0, 30)


@pytest.mark.parametrize("share", ["20%", "50%"])
def test_where_few_rows_can_be_read_the_watermark_stays(program: Program, share: str) -> None:
    program.settings["SYNC_MAX_REJECTED"] = share
    program.visitors(row(1))
    before = program.run().summary["watermark"]["after"]
    more = rows(100, 120)
    program.visitors(*(numeric_ids(each) if number % 3 else each for number, each in enumerate(more)))

    for _ in range(2):
        ended = program.run()
        assert ended.exit_code == 3
        assert ended.summary["status"] == "partial"
        assert ended.summary["watermark"]["after"] == before
        assert "80 of" in ended.summary["reason"]
        assert "watermark stays" in ended.summary["reason"]
        assert "SYNC_MAX_REJECTED" in ended.summary["reason"]
    assert len(synced(program)) == 41

    program.replace_visitors(row(1), *more)
    mended = program.run()
    assert mended.exit_code == 0
    assert mended.summary["watermark"]["after"] != before
    assert len(synced(program)) == 121


def test_bad_rows_that_a_watermark_has_passed_hold_it_no_more(program: Program) -> None:
    """Rows without a time are read with every window, however old they are."""
    program.visitors(*rows(100, 80), *map(another_name, rows(300, 30)))
    program.settings["SYNC_MAX_REJECTED"] = "50%"
    assert program.run().exit_code == 3

    program.settings["SYNC_MAX_REJECTED"] = "20%"
    program.visitors(*rows(200, 30))
    later = program.run()
    assert later.exit_code == 0
    assert later.summary["watermark"]["after"] > later.summary["watermark"]["before"]


def test_rows_are_allowed_to_be_refused_where_the_setting_says_so(program: Program) -> None:
    program.visitors(row(1), *map(numeric_ids, rows(100, 150)))
    ended = program.run(SYNC_MAX_REJECTED="100%")
    assert ended.exit_code == 3
    assert ended.summary["watermark"]["after"] is not None


def test_retrying_rows_names_the_backfill_that_reads_them_again(program: Program) -> None:
    program.visitors(row(9), *map(numeric_ids, rows(0, 3)))
    program.run()
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    command = f"visitor-sync backfill --from {today} --to {today}"

    lifted = program("rejections", "retry")
    assert "not kept" in lifted.stdout
    assert command in lifted.stdout
    assert "not kept" not in program("rejections", "retry").stdout

    program.run()
    told = program("rejections", "retry", "--json").value
    assert (told["retried"], told["rows"], told["backfill"]) == (3, 3, command)
    program.replace_visitors(row(9), *rows(0, 3))
    assert program(*command.split()[1:]).exit_code == 0
    assert len(synced(program)) == 4
