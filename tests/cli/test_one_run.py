"""``status --run``: which contacts a run created, updated and rejected, and what that changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from program import row

if TYPE_CHECKING:
    from program import Program

ANN = "ann@example.test"


def two_runs(program: Program) -> tuple[str, str]:
    """The ids of a run that creates two contacts, and of one that updates one of them."""
    other = row(2)
    program.visitors(row(1, email=ANN, pageviews=2), other)
    first = program.run().summary["run"]
    program.visitors(row(1, email=ANN, pageviews=5, minutes_ago=0.5), other)
    return first, program.run().summary["run"]


def test_a_run_is_told_contact_by_contact(program: Program) -> None:
    first, second = two_runs(program)

    made = json.loads(program("status", "--run", first, "--json").stdout)
    changed = json.loads(program("status", "--run", second[:8], "--json").stdout)

    assert (made["run"], made["kind"], made["counts"]) == (first, "incremental", {"created": 2})
    assert {each["record"] for each in made["contacts"]} == {*program.sandbox.hubspot.contacts}
    (ann,) = changed["contacts"]
    assert (ann["key"], ann["kind"], ann["outcome"]) == (ANN, "email", "updated")
    views = "zenovay_pageviews"
    assert (ann["before"][views], ann["after"][views]) == ("2", "5")
    assert ann["before"].keys() == ann["after"].keys() == {"zenovay_pageviews", "zenovay_last_seen"}


def test_people_see_the_first_contacts_and_how_many_there_are(program: Program) -> None:
    first, second = two_runs(program)

    lines = program("status", "--run", first, "--limit", "1").stdout.splitlines()
    updated = program("status", "--run", second).stdout

    assert [line for line in lines if line.startswith("created\t")] == [lines[3]]
    assert lines[2] == "2 created"
    assert lines[-1] == "1 more: --limit 2 lists all"
    assert "zenovay_pageviews: 2 → 5" in updated


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--run", "ab"], "6 or more"),
        (["--run", "abcdef"], "No run"),
        (["--run", "abcdef", "--runs", "1"], "one"),
    ],
)
def test_what_names_no_run_is_an_error_that_says_what_to_do(
    program: Program, arguments: list[str], what: str
) -> None:
    two_runs(program)
    ended = program("status", *arguments)
    assert ended.exit_code == 2
    assert what in ended.stderr
