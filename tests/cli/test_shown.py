"""What people see: a line a website, reasons once, times that mean something, and no text that acts."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from program import row
from storm import FOREVER, Fault
from terminal import on_a_terminal

if TYPE_CHECKING:
    from program import Program

ESCAPE = "\x1b"
CURSOR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
UPSERT = "/crm/objects/2026-03/contacts/batch/upsert"
FIFTY = [f"0b3c1f5e-7a2d-4c1b-9e8f-{number:012d}" for number in range(50)]


def shown(program: Program, *arguments: str) -> list[str]:
    """The lines on a terminal of 80 columns, without colour and the place of the state."""
    _, said = on_a_terminal(program, *arguments, NO_COLOR="1")
    return [line.rstrip() for line in CURSOR.sub("", said).splitlines() if not line.startswith("state: ")]


def sites(program: Program, *names: str) -> dict[str, str]:
    for name in names:
        program.sandbox.zenovay.websites.setdefault(name, [])
    return {"ZENOVAY_WEBSITE_ID": ",".join((program.website, *names))}


def in_the_state(program: Program, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(program.state_file)) as connection, connection:
        connection.execute(statement, values)


def test_fifty_websites_are_fifty_lines_at_eighty_columns(program: Program) -> None:
    program.visitors(row(1), row(2))
    program.settings |= sites(program, *FIFTY)

    lines = shown(program, "run", "--now")
    status = shown(program, "status")

    for told in (lines, status):
        of_websites = [line for line in told if line.startswith(("0b3c", program.website[:6]))]
        assert len(of_websites) == 51
        assert max(map(len, of_websites)) <= 80
    assert lines[-1] == "51 websites: 51 done"
    assert "…" in "".join(lines) or FIFTY[0] in "".join(lines)
    assert "deferred" not in "".join(lines)
    assert len(status) < 70


@pytest.fixture
def refused(program: Program) -> Program:
    """Nine contacts that HubSpot refuses for two reasons."""
    for number in range(9):
        email = f"person{number}@example.test"
        reason = f"Contact {10_000 + number} ({email}) is no good" if number < 6 else "Another reason"
        program.visitors(row(number, email=email))
        program.sandbox.hubspot.refused_addresses[email] = reason
    program.settings["SYNC_MAX_REJECTED"] = "1"
    program.run()
    return program


def test_nine_rejections_are_a_few_lines_by_reason(refused: Program) -> None:
    lines = shown(refused, "rejections")

    assert len(lines) < 20
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("6 contacts refused: ")]
    assert [line for line in lines if line.startswith("3 contacts refused: ")]
    assert "rejections retry" in "".join(lines)
    everything = shown(refused, "rejections", "list", "--all")
    assert len(everything) < 50
    assert sum("@" in line for line in everything) >= 9


def test_off_a_terminal_rejections_are_whole(refused: Program) -> None:
    grouped = refused("rejections").stdout
    each = refused("rejections", "list", "--all").stdout.splitlines()[1:]

    assert "6 contacts refused: " in grouped
    assert "person5@example.test, " in grouped
    assert len(each) == len(refused("rejections", "--json").value) == 9
    assert all(UTC.search(line) for line in each)


def test_status_says_first_where_the_state_is_and_whose(program: Program) -> None:
    program.visitors(row(1))
    program.run()

    lines = program("status").stdout.splitlines()

    assert lines[0].startswith("state: ")
    assert lines[1].startswith("portal: ")
    assert re.search(r"website site_sandbox: ok; last good run: \S+Z \(\d+ sec ago\)", "\n".join(lines))
    assert "last until" in "\n".join(lines) or "left until the month ends" in "\n".join(lines)
    assert not re.search(r"\d\.\d+Z", "\n".join(lines))


def test_status_says_since_when_a_website_fails_and_how_often(program: Program) -> None:
    program.visitors(row(1))
    program.run()
    good = program("status", "--json").value["websites"][0]
    failed = [program.run(ZENOVAY_API_KEY="zv_revoked").summary for _ in range(3)]

    (website,) = program("status", "--json").value["websites"]
    failing = website["failing"]

    assert good["failing"] is None
    assert good["last_success"] == website["last_success"]
    assert (failing["runs"], failing["exit_code"], failing["reason"]) == (3, 5, failed[-1]["reason"])
    assert good["last_success"] < failing["since"]
    assert "failing since" in program("status").stdout
    assert "3 runs in a row; the last: exit code 5." in program("status").stdout
    told = " ".join(shown(program, "status"))
    assert "failing" in told
    assert "FAILED" in told

    program.run()
    assert program("status", "--json").value["websites"][0]["failing"] is None
    assert "failing" not in program("status").stdout


def test_status_says_when_the_next_run_is_due(program: Program) -> None:
    program.visitors(row(1))
    program.run()
    (website,) = program("status", "--json", SYNC_MIN_INTERVAL="2h").value["websites"]

    assert website["next_run"] > website["last_success"]
    assert "next run: due in 2 hr" in program("status", SYNC_MIN_INTERVAL="2h").stdout

    program.sandbox.zenovay.faults.add(
        Fault.rate_limited("DAILY", retry_after="18000"), path="/visitors", times=FOREVER
    )
    stopped = program.run()
    if program("status", "--json").value["stops"]:
        assert stopped.exit_code == 4
        until = program("status", "--json").value
        assert until["websites"][0]["next_run"] >= until["stops"][0]["until"]


def test_status_says_what_is_left_of_the_month(program: Program) -> None:
    program.visitors(row(1))
    for _ in range(4):
        program.run()

    month = program("status", "--json").value["month"]

    assert {"used", "limit", "resets_at", "left", "lasts_until"} <= month.keys()
    assert 0 < month["left"] < 10_000
    assert month["lasts_until"] is None or month["lasts_until"] <= month["resets_at"]


def test_status_lists_as_many_contacts_as_it_counts(refused: Program) -> None:
    refused.visitors(row(20, email="new@example.test"), row(21))
    refused.run(SYNC_ANONYMOUS="match")
    refused.visitors(row(22, email="late@example.test"))
    refused.sandbox.hubspot.faults.add(Fault.empty(503), times=FOREVER)
    refused.run(SYNC_ANONYMOUS="match")
    in_the_state(refused, "UPDATE contacts SET gone = 1 WHERE key = 'new@example.test'")
    counts = refused("status", "--json").value["contacts"]

    for which in ("due", "rejected", "absent", "gone"):
        found = refused("status", "--contacts", which, "--json").value
        first = refused("status", "--contacts", which, "--limit", "1", "--json").value

        assert counts[which] > 0
        assert (found["contacts"], found["count"]) == (which, counts[which])
        assert len(found["listed"]) == counts[which]
        assert len(first["listed"]) == 1
        assert all(each.keys() == {"key", "kind", "record", "since", "reason"} for each in found["listed"])
        assert refused("status", "--contacts", which).stdout.count("\n") == 2 + counts[which]
        lines = shown(refused, "status", "--contacts", which)
        assert max(map(len, lines)) <= 80


def test_status_lists_the_runs_that_it_is_asked_for(program: Program) -> None:
    for _ in range(4):
        program.run()

    assert len(program("status", "--runs", "2", "--json").value["websites"][0]["runs"]) == 2
    assert program("status", "--runs", "2").stdout.count("incremental\tdone") == 2
    assert f"\n{program.website}\t20" in program("status", "--runs", "2").stdout
    assert program("status", "--runs", "0").stdout.count("incremental\tdone") == 0
    assert program("status", "--runs", "2", "--healthy").exit_code == 2
    assert program("status", "--limit", "2").exit_code == 2


def test_colours_are_left_out_where_they_are_not_wanted(program: Program) -> None:
    program.visitors(row(1))
    program.run()
    program.run(ZENOVAY_API_KEY="zv_revoked")

    _, coloured = on_a_terminal(program, "status")
    for variable, text in (("NO_COLOR", "1"), ("TERM", "dumb")):
        _, said = on_a_terminal(program, "status", **{variable: text})  # type: ignore[arg-type]  # no other
        assert ESCAPE not in said
        assert "FAILED" in said
        assert "done" in said
    assert f"{ESCAPE}[1;31mFAILED" in coloured
    assert f"{ESCAPE}[32mdone" in coloured
    assert ESCAPE not in program("status").stdout


EVIL = "shop\x1b[31mred\u202eevil"


@pytest.mark.parametrize("command", ["status", "rejections", "all", "contacts"])
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_texts_of_others_are_shown_and_not_obeyed(refused: Program, command: str, terminal: bool) -> None:  # noqa: FBT001 -- pytest's
    in_the_state(refused, "UPDATE rejections SET reason = ?, key = ?", f"no\r\n{EVIL}", EVIL)
    in_the_state(refused, "UPDATE contacts SET key = key || ? WHERE 1", EVIL)
    in_the_state(refused, "UPDATE websites SET name = ?", EVIL)
    arguments = {
        "status": ("status",),
        "rejections": ("rejections",),
        "all": ("rejections", "list", "--all"),
        "contacts": ("status", "--contacts", "rejected"),
    }[command]

    if terminal:
        _, said = on_a_terminal(refused, *arguments, columns=200, ZENOVAY_WEBSITE_ID="")
    else:
        said = refused(*arguments, ZENOVAY_WEBSITE_ID="").stdout

    assert f"{ESCAPE}[31m" not in said
    assert "\u202e" not in said
    assert "\r" not in said
    assert "\\x1b" in said


def test_what_a_run_prints_of_a_website_is_not_obeyed(program: Program) -> None:
    program.sandbox.zenovay.faults.add(Fault.answer(403, {"error": f"{EVIL}\r\n"}), times=FOREVER)

    _, said = on_a_terminal(program, "run", "--now", SYNC_LOG_FORMAT="text")

    assert f"{ESCAPE}[31m" not in said
    assert "\u202e" not in said


def test_what_fails_for_one_reason_everywhere_is_told_once_on_a_terminal(program: Program) -> None:
    program.settings |= sites(program, "one", "two")
    program.sandbox.zenovay.faults.add(Fault.answer(401, {"error": "no"}), path="/visitors", times=FOREVER)
    program.run()

    told = " ".join(shown(program, "status"))

    assert told.count("failing since") == 1
    assert f"{program.website}, one, two: failing since" in told or told.count(": failing since") == 1
    assert program("status").stdout.count("failing since") == 3
