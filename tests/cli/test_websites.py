"""``--website``: one or several of those in the settings, and only them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from program import row

if TYPE_CHECKING:
    from program import Program

NAMES = ("site_a", "site_b", "site_c")


@pytest.fixture
def agency(program: Program) -> Program:
    """A program with three websites, of five visitors each."""
    program.settings["ZENOVAY_WEBSITE_ID"] = ",".join(NAMES)
    for name in NAMES:
        program.sandbox.zenovay.websites[name] = [
            row(number, id=f"{name}{number}", minutes_ago=number * 60 + 1) for number in range(5)
        ]
    return program


def day(days_ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days_ago)).date().isoformat()


def only(*names: str) -> list[str]:
    return [argument for name in names for argument in ("--website", name)]


def shown(program: Program, *names: str) -> list[str]:
    status = program("status", "--json", *only(*names)).value
    return [website["website"] for website in status["websites"]]


def open_backfills(program: Program) -> set[str]:
    websites = program("status", "--json").value["websites"]
    return {website["website"] for website in websites if website["backfills"]}


def test_a_run_reads_only_the_websites_that_are_named(agency: Program) -> None:
    ended = agency.run(*only("site_c", "site_a", "site_c"))

    assert [summary["website"] for summary in ended.summaries] == ["site_a", "site_c"]
    assert len(agency.sandbox.hubspot.contacts) == 10
    assert shown(agency) == ["site_a", "site_c"]
    assert shown(agency, "site_c") == ["site_c"]
    assert [summary["website"] for summary in agency.run().summaries] == list(NAMES)


def test_cron_and_a_dry_run_take_it_too(agency: Program) -> None:
    assert agency("run", "--dry-run", "--json", *only("site_b")).summary["contacts"]["created"] == 5
    assert agency("run", "--cron", *only("site_b")).exit_code == 0

    assert shown(agency) == ["site_b"]
    assert agency("status", "--healthy", *only("site_b")).exit_code == 0
    assert agency("status", "--healthy").exit_code == 1


@pytest.mark.parametrize(
    "command",
    [("run",), ("run", "--dry-run"), ("run", "--cron"), ("backfill", "--from", day(2)), ("status",)],
)
def test_a_website_that_the_settings_do_not_name_is_refused_with_those_that_they_do(
    agency: Program, command: tuple[str, ...]
) -> None:
    ended = agency(*command, *only("site_a", "site_x"))

    assert ended.exit_code == 2
    told = ended.stderr + ended.stdout
    assert "--website names site_x, which ZENOVAY_WEBSITE_ID does not." in told
    assert "site_a, site_b, site_c" in told
    assert not agency.state_file.exists()


def test_health_of_an_unknown_website_is_not_good(agency: Program) -> None:
    ended = agency("status", "--healthy", *only("site_x"))

    assert ended.exit_code == 1
    assert "site_x" in ended.stdout


def test_a_part_of_a_campaign_counts_for_all_of_it(agency: Program) -> None:
    """What is through by a command for one website rests when the backfill of all goes on."""
    for name in NAMES:
        agency.sandbox.zenovay.websites[name] = [
            row(number, id=f"{name}{number}", minutes_ago=20 * number + 1) for number in range(700)
        ]
    agency.sandbox.zenovay.order = "shuffled"
    agency.settings["ZENOVAY_PAGE_SIZE"] = "101"
    command = ("backfill", "--from", day(5), "--to", day(4), "--json")

    assert agency(*command, "--max-requests", "2").exit_code == 4
    assert open_backfills(agency) == set(NAMES)
    assert agency(*command, *only("site_b")).summary["status"] == "done"
    assert open_backfills(agency) == {"site_a", "site_c"}

    statuses = [summary["status"] for summary in agency(*command).summaries]
    assert statuses == ["done", "skipped", "done"]
    assert len(agency.sandbox.hubspot.contacts) == 3 * 2 * 72
    assert [summary["status"] for summary in agency(*command).summaries] == ["done"] * 3


def test_a_backfill_of_one_website_opens_none_of_the_others(agency: Program) -> None:
    command = ("backfill", "--from", day(3), "--json", *only("site_b"))

    assert agency(*command).summary["website"] == "site_b"
    assert shown(agency) == ["site_b"]
    assert open_backfills(agency) == set()
