"""``SYNC_RETENTION``, from outside: visitors go, what they come to stays."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from mortal import Fate, Mortal
from program import row

if TYPE_CHECKING:
    from program import Program

ANN = "ann@example.test"
DAY = 24 * 60
FIRST = {
    "landing_page": "/first",
    "referrer": "https://first.example",
    "city": "Bern",
    "browser": "Firefox",
    "value_score": 90,
    "had_interaction": True,
}
LATER = {
    "landing_page": "/later",
    "referrer": "https://later.example",
    "city": "Basel",
    "browser": "Chrome",
    "value_score": 10,
    "had_interaction": False,
}
RUN = ("run", "--now", "--json")


def asked(program: Program, query: str) -> list[Any]:
    with closing(sqlite3.connect(program.state_file)) as state:
        return [value for (value,) in state.execute(query)]


def kept(program: Program) -> list[str]:
    return asked(program, "SELECT id FROM visitors ORDER BY id")


def only(program: Program) -> dict[str, str]:
    (contact,) = program.sandbox.hubspot.contacts.values()
    return {name: text for name, text in contact.items() if name.startswith("zenovay_") or name == "country"}


def day_before(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()


def test_the_facts_of_who_is_pruned_stay_on_the_contact(program: Program) -> None:
    program.settings |= {"SYNC_FIELDS": "everything"}
    assert program("setup").exit_code == 0
    old = [row(number, email=ANN, pageviews=5, minutes_ago=20 * DAY, **FIRST) for number in range(3)]
    program.visitors(*old)
    assert program.run().exit_code == 0
    before = only(program)
    assert (before["zenovay_pageviews"], before["zenovay_first_page"]) == ("15", "/first")

    program.settings["SYNC_RETENTION"] = "10d"
    ended = program.run()
    assert ended.exit_code == 0
    assert kept(program) == []
    assert only(program) == before
    assert program.run().summary["requests"]["hubspot"] == 0

    stranger = row(9, email=ANN, pageviews=2, minutes_ago=0.5, country_code=None, **LATER)
    program.visitors(stranger)
    ended = program.run()
    assert ended.summary["contacts"]["updated"] == 1
    after = only(program)
    assert after["zenovay_pageviews"] == "17"
    assert after["country"] == before["country"]
    for name in ("first_page", "first_referrer", "first_seen", "value_score", "engaged"):
        assert after[f"zenovay_{name}"] == before[f"zenovay_{name}"], name
    assert after["zenovay_last_page"] == "/later"
    assert after["zenovay_city"] == "Basel"


def test_rows_that_are_read_again_are_not_counted_twice(program: Program) -> None:
    program.settings["SYNC_RETENTION"] = "10d"
    program.visitors(*(row(number, email=ANN, minutes_ago=20 * DAY) for number in range(4)))
    program.visitors(row(9, email=ANN, minutes_ago=1))
    program.run()
    assert kept(program) == ["v000009"]
    assert only(program)["zenovay_pageviews"] == "15"

    past = program("backfill", "--from", day_before(25), "--to", day_before(15), "--json")
    assert past.summary["rows"]["out_of_window"] >= 4
    assert any("SYNC_RETENTION" in each for each in past.summary["warnings"])
    assert program.run(SYNC_RETENTION="400d").exit_code == 0
    assert only(program)["zenovay_pageviews"] == "15"
    assert kept(program) == ["v000009"]


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_commit_while_it_prunes_it_counts_right(program: Program, *, after: bool) -> None:
    program.visitors(*(row(number, email=ANN, minutes_ago=20 * DAY) for number in range(4)))
    program.visitors(row(9, email=ANN, minutes_ago=1))
    program.run()
    whole = program.state_file.read_bytes()
    for commit in count(1):
        for end in ("-wal", "-shm"):
            program.state_file.with_name(f"{program.state_file.name}{end}").unlink(missing_ok=True)
        program.state_file.write_bytes(whole)
        with Mortal(program, *RUN, fate=Fate(commit, after), SYNC_RETENTION="10d") as mortal:
            first = mortal.end()
        with Mortal(program, *RUN, SYNC_RETENTION="10d") as mortal:
            assert mortal.end().exit_code == 0
        assert kept(program) == ["v000009"]
        (remains,) = asked(program, "SELECT json_extract(remains, '$.pageviews') FROM contacts")
        assert remains == 12
        if first.exit_code == 0:
            break
    assert commit > 4
    program.visitors(row(10, email=ANN, minutes_ago=0.2))
    assert program.run(SYNC_RETENTION="10d").exit_code == 0
    assert only(program)["zenovay_pageviews"] == "18"


def test_a_clock_of_the_source_that_is_a_year_ahead_prunes_nobody(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2))
    program.run()
    program.sandbox.zenovay.skew = timedelta(days=365)
    assert program.run(SYNC_RETENTION="10d").exit_code in {0, 3}
    program.sandbox.zenovay.skew = timedelta()
    assert program.run(SYNC_RETENTION="10d").exit_code in {0, 3}

    assert kept(program) == ["v000001", "v000002"]


def test_who_opted_out_stays_remembered_and_who_hubspot_never_had_vanishes(program: Program) -> None:
    match = {"SYNC_KNOWN": "match", "SYNC_ANONYMOUS": "match", "SYNC_RETENTION": "10d"}
    out = row(1, email=ANN, minutes_ago=20 * DAY, gpc_opted_out=True)
    program.visitors(out, row(2, minutes_ago=20 * DAY), row(3, minutes_ago=1))
    ended = program.run(**match)

    assert (ended.summary["rows"]["opted_out"], ended.summary["contacts"]["absent"]) == (1, 2)
    assert kept(program) == ["v000001", "v000003"]
    assert asked(program, "SELECT key FROM contacts") == ["v000003"]
    program.visitors(row(1, email=ANN, minutes_ago=0.5))
    assert program.run(SYNC_RETENTION="10d").summary["rows"]["opted_out"] == 1
    assert ANN not in program.sandbox.hubspot.snapshot()
