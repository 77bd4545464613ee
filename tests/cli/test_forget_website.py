"""A website that is synced no more leaves the state, and HubSpot keeps what it has."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, row
from situations import wait_for_lock

from etl.state import tables

if TYPE_CHECKING:
    from program import Program

ANN = "ann@example.test"
OLD = "old-site"


@pytest.fixture
def two(program: Program) -> Program:
    """Ann is a visitor of both websites; others of one each. One row of the old one is broken."""
    program.visitors(row(1, email=ANN), row(2, email="new@example.test"))
    program.sandbox.zenovay.websites[OLD] = [
        row(1, email=ANN, pageviews=40),
        *(row(number) for number in range(10, 15)),
        row(20, last_seen="nonsense"),
    ]
    ended = program.run(ZENOVAY_WEBSITE_ID=f"{program.website},{OLD}")
    assert ended.exit_code == 3, ended.stderr
    program("report", "--json", ZENOVAY_WEBSITE_ID=f"{program.website},{OLD}")
    return program


def held(program: Program, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(program.state_file)) as connection:
        return connection.execute(query).fetchall()


def test_its_visitors_are_taken_off_their_contacts_and_nothing_is_deleted_in_hubspot(two: Program) -> None:
    hubspot = two.sandbox.hubspot
    before = dict(hubspot.contacts)
    assert hubspot.snapshot()[ANN]["zenovay_pageviews"] == "43"

    ended = two("forget-website", OLD, "--yes")

    assert (ended.exit_code, ended.stderr) == (0, "")
    assert f"{OLD} is out of the state, with 6 visitors; nothing was deleted" in ended.stdout
    assert "1 contacts are due" in ended.stdout
    status = two("status", "--json").value
    assert [each["website"] for each in status["websites"]] == [two.website]
    assert status["contacts"]["due"] == 1

    run = two.run().summary
    assert run["contacts"]["updated"] == 1
    assert hubspot.contacts.keys() == before.keys()
    assert hubspot.snapshot()[ANN]["zenovay_pageviews"] == "3"
    assert two("status", "--json").value["contacts"]["due"] == 0
    assert two.run().summary["requests"]["hubspot"] == 0


def test_no_table_keeps_anything_of_it(two: Program) -> None:
    ((number,),) = held(two, f"SELECT id FROM websites WHERE name = '{OLD}'")
    two("forget-website", OLD, "--yes")

    for table in tables.metadata.sorted_tables:
        for column in table.c:
            if any(key.column.table is tables.websites for key in column.foreign_keys):
                assert held(two, f"SELECT 1 FROM {table.name} WHERE {column.name} = {number}") == []
            if column.name in {"website", "name"}:
                assert held(two, f"SELECT 1 FROM {table.name} WHERE {column.name} LIKE '%{OLD}%'") == []

    assert held(two, "SELECT 1 FROM verdicts WHERE run NOT IN (SELECT number FROM runs)") == []


def test_one_that_is_in_the_settings_stays(two: Program) -> None:
    ended = two("forget-website", two.website, "--yes")

    assert ended.exit_code == 2
    assert "ZENOVAY_WEBSITE_ID" in ended.error["fix"]
    assert len(two("status", "--json").value["websites"]) == 2


def test_one_that_is_not_known_is_told_with_those_that_are(two: Program) -> None:
    ended = two("forget-website", "elsewhere", "--yes")

    assert ended.exit_code == 2
    assert OLD in ended.error["fix"]


def test_it_asks_where_somebody_is_there_and_wants_a_word_elsewhere(two: Program) -> None:
    assert two("forget-website", OLD).exit_code == 2
    for answer, left in (("n", 2), ("y", 1)):
        assert f"Take {OLD} and its " in _answered(two, answer)
        assert len(two("status", "--json").value["websites"]) == left


def _answered(program: Program, answer: str) -> str:
    ours, its = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "forget-website", OLD],
        stdin=its,
        stdout=subprocess.PIPE,
        env=program.environment(),
        cwd=program.folder,
        text=True,
    ) as process:
        os.write(ours, f"{answer}\n".encode())
        said, _ = process.communicate(timeout=30)
    os.close(ours)
    os.close(its)
    return said


def test_it_waits_for_no_run(two: Program) -> None:
    two.sandbox.zenovay.latency_s = 30
    with two.start("run", "--now") as first:
        wait_for_lock(two)
        ended = two("forget-website", OLD, "--yes")
        first.kill()
        first.communicate()

    assert ended.exit_code == 75


def test_websites_that_are_not_in_the_settings_are_told_in_a_line(two: Program) -> None:
    status = two("status").stdout
    found = {each["website"]: each["in_settings"] for each in two("status", "--json").value["websites"]}
    everything = two("status", "--json", ZENOVAY_WEBSITE_ID="").value["websites"]

    assert "1 websites not in the settings: visitor-sync forget-website W clears them" in status
    assert f"website {OLD}" not in status
    assert found == {two.website: True, OLD: False}
    assert [each["in_settings"] for each in everything] == [None, None]
    assert f"website {OLD}" in two("status", ZENOVAY_WEBSITE_ID="").stdout
