"""``--dry-run``: what it says is what the run then does, and it writes nothing anywhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from program import row
from storm import FOREVER, Fault
from terminal import on_a_terminal, plain

from etl.sandbox.hubspot_schema import Definition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from program import Ended, Program

ANN, BOB = "ann@example.test", "bob@example.test"
READS = ("batch/read", "/search")
READ = "/crm/objects/2026-03/contacts/batch/read"
NAMES = {"firstname", "lastname"}
PEOPLE = 250
MERGED = ((14, 17), (20, 25), (30, 35), (44, 46))
"""Whose records are one in the end. A value of theirs may be written before that shows: it counts, or not."""

COUNTRY_CHANGES, VIEWS_CHANGE = 2, 5
"""Of so many people, the country or the page views of one are left alone."""

OUTCOMES = {
    "create": {"created"},
    "update": {"updated"},
    "keep": {"kept", "updated"},
    "unchanged": {"kept", "updated"},
    "absent": {"absent"},
    "gone": {"gone"},
}
"""What the run says of contacts of which the dry run says so. Writing what is there already is no change."""


def of(number: int) -> str:
    return f"p{number}@example.test"


def person(number: int, **facts: Any) -> dict[str, Any]:
    """Two thirds have addresses."""
    return row(number, email=of(number) if number % 3 else None, **facts)


def record_of(program: Program, number: int) -> str | None:
    """The record of a person, by its visitor id or address."""
    held = {"zenovay_visitor_id": f"v{number:06d}"} if number % 3 == 0 else {"email": of(number)}
    ((name, text),) = held.items()
    return next(
        (id_ for id_, each in program.sandbox.hubspot.contacts.items() if each.get(name) == text), None
    )


def facts_of(contacts: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {
        record: {name: text for name, text in held.items() if name != "lastmodifieddate"}
        for record, held in contacts.items()
    }


def state_bytes(program: Program) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in program.folder.iterdir() if "state.db" in each.name}


def verdicts(program: Program, run: str) -> dict[tuple[str, str], str]:
    query = """
        SELECT c.kind, c."key", v.outcome FROM verdicts v JOIN contacts c ON c.id = v.contact_id
        JOIN runs r ON r.number = v.run WHERE r.id = ? AND c."into" IS NULL
    """
    with closing(sqlite3.connect(program.state_file)) as state:
        return {(kind, key): outcome for kind, key, outcome in state.execute(query, (run,))}


def dry(program: Program, *command: str, **settings: str) -> Ended:
    """A dry run that writes nothing: not to HubSpot, and no byte of the state."""
    hubspot = program.sandbox.hubspot
    asked, held, state = len(hubspot.requests), hubspot.contacts, state_bytes(program)
    ended = program(*(command or ("run",)), "--dry-run", "--json", **settings)
    written = [
        each.path
        for each in hubspot.requests[asked:]
        if each.method != "GET" and not each.path.endswith(READS)
    ]
    assert written == []
    assert hubspot.contacts == held
    assert state_bytes(program) == state
    return ended


def assert_that_the_run_does_so(program: Program, **settings: str) -> list[dict[str, Any]]:
    """Compare a dry run with the run that follows, property by property. Returns the differences."""
    before = facts_of(program.sandbox.hubspot.contacts)
    said = dry(program, **settings).summary
    done = program.run(**settings).summary
    after = facts_of(program.sandbox.hubspot.contacts)
    differences: list[dict[str, Any]] = said["differences"]
    assert len({(each["kind"], each["key"]) for each in differences}) == len(differences)
    refused = {each["key"] for each in differences if each["refused_before"]}
    outcomes = verdicts(program, done["run"])
    assert {(each["kind"], each["key"]) for each in differences} == set(outcomes)
    for each in differences:
        outcome = outcomes[each["kind"], each["key"]]
        assert outcome in OUTCOMES[each["action"]] or (outcome == "rejected" and each["key"] in refused), each
    rejected = sum(outcome == "rejected" for outcome in outcomes.values())
    for name, count in said["values"].items():
        assert abs(count - done["values"][name]) <= len(MERGED), (name, count, done["values"])
    if not rejected:
        assert said["contacts"] == done["contacts"]
    assert_predicted(
        before,
        after,
        [
            {**each, "record": each["record"] and program.sandbox.hubspot.store.successor(each["record"])}
            for each in differences
            if outcomes[each["kind"], each["key"]] != "rejected"
        ],
    )
    return differences


def as_held(text: str) -> str:
    """HubSpot writes a whole second without its milliseconds."""
    return text.replace(".000Z", "Z")


def assert_predicted(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]], differences: Sequence[dict[str, Any]]
) -> None:
    """HubSpot holds what it held, and the new values of the differences, and nothing else."""
    predicted = dict(before)
    made = []
    for each in differences:
        written = {
            change["property"]: as_held(change["new"]) for change in each["changes"] if not change["kept"]
        }
        for change in each["changes"]:
            assert change["old"] == before.get(each["record"] or "", {}).get(change["property"]), each
        if each["action"] == "create":
            assert each["record"] is None
            made.append(written | ({"email": each["key"]} if each["kind"] == "email" else {}))
        elif written:
            assert each["action"] == "update"
            predicted[each["record"]] = before[each["record"]] | written
    assert {record: after[record] for record in predicted} == predicted
    own = {"hs_object_id", "createdate", *NAMES}
    new = [
        {name: text for name, text in held.items() if name not in own}
        for record, held in after.items()
        if record not in predicted
    ]
    assert sorted(new, key=str) == sorted(made, key=str)


def mixture(program: Program) -> None:
    """What a portal and a website may have come to, between two runs."""
    hubspot = program.sandbox.hubspot
    hubspot.refused_addresses |= {of(7): "no", of(8): "never"}
    program.visitors(
        *(person(number, minutes_ago=30) for number in range(PEOPLE)), {**row(999), "pageviews": -1}
    )
    program.run(SYNC_ANONYMOUS="upsert", SYNC_KNOWN="upsert")
    del hubspot.refused_addresses[of(7)]
    records = {number: record for number in range(PEOPLE) if (record := record_of(program, number))}
    for number, record in records.items():
        if number % 10 == 1:
            hubspot.edit(record, country="Elsewhere")
        elif number % 10 == 2:
            hubspot.edit(record, country="")
        elif number % 10 == 3:
            hubspot.edit(record, zenovay_pageviews="1000")
        elif number % 25 == 4:
            hubspot.archive(record)
        elif number % 10 == 6:
            hubspot.edit(record, country="Italy")
    for one, other in MERGED:
        hubspot.merge(records[one], records[other])
    hubspot.seed({"email": of(301), "country": "Norway", "firstname": "Nora"})
    hubspot.seed({"email": of(302), "country": "Italy"})
    hubspot.seed({"email": of(304)})
    hubspot.seed({"zenovay_visitor_id": "v000303", "firstname": "X", "country": "Peru"})
    later = [
        person(
            number,
            minutes_ago=20,
            country_code="CH" if number % COUNTRY_CHANGES else "IT",
            pageviews=3 if number % VIEWS_CHANGE == 0 else 4 + number,
        )
        for number in range(PEOPLE)
    ]
    once_more = [
        person(number, minutes_ago=10, country_code="FR", pageviews=900) for number in range(0, 60, 4)
    ]
    new = [person(number, minutes_ago=15, country_code="IT") for number in range(300, 330)]
    program.replace_visitors(*later, *once_more, *new, {**row(998), "pageviews": -1})


@pytest.mark.parametrize("write", ["protect", "overwrite", "fill_empty"])
@pytest.mark.parametrize(
    "mode",
    [
        {},
        {"SYNC_RECREATE": "always", "ZENOVAY_PAGE_SIZE": "60", "HUBSPOT_CONCURRENCY": "2"},
        {"SYNC_ANONYMOUS": "match", "SYNC_KNOWN": "match", "ZENOVAY_PAGE_SIZE": "100"},
        {"SYNC_ANONYMOUS": "skip"},
    ],
    ids=["never", "always", "match", "skip"],
)
def test_what_it_says_is_what_the_run_then_does(program: Program, mode: dict[str, str], write: str) -> None:
    mixture(program)
    policy = {"SYNC_MAX_CHANGED": "100%", "SYNC_COUNTRY_WRITE": write}

    differences = assert_that_the_run_does_so(program, **mode, **policy)

    found = {each["action"] for each in differences}
    assert found >= {"update"} | ({"absent"} if "SYNC_KNOWN" in mode else {"create"})
    assert ("gone" in found) is (mode.get("SYNC_RECREATE") != "always")
    kept = [change for each in differences for change in each["changes"] if change["kept"]]
    assert bool(kept) is (write != "overwrite")
    assert {change["policy"] for change in kept} <= {write}
    again = assert_that_the_run_does_so(program, **mode, **policy)
    assert [each for each in again if each["action"] in {"create", "update"}] == []


def test_a_first_one_says_what_the_first_run_does_and_leaves_no_state(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "country": "Italy"})
    program.visitors(row(1, email=ANN), row(2, email=BOB), row(3))

    assert [each["action"] for each in assert_that_the_run_does_so(program)] == ["update", "create", "create"]


def test_a_backfill_says_the_same(program: Program) -> None:
    first_day = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    program.visitors(row(1, email=ANN), row(2))

    said = dry(program, "backfill", "--from", first_day).summary

    assert {each["key"]: each["action"] for each in said["differences"]} == {
        ANN: "create",
        "v000002": "create",
    }
    done = program("backfill", "--from", first_day, "--json").summary
    assert done["contacts"] == said["contacts"]


def test_a_second_website_meets_what_the_first_would_have_written(program: Program) -> None:
    hubspot, settings = program.sandbox.hubspot, {"ZENOVAY_WEBSITE_ID": f"{program.website},site_other"}
    hubspot.seed({"email": BOB})
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    others = [row(5, email=ANN, minutes_ago=1, country_code="IT"), row(6, email=BOB, minutes_ago=1)]
    program.sandbox.zenovay.add_rows("site_other", others)

    first, second = dry(program, **settings).summaries
    done = program.run(**settings).summaries

    assert [each["contacts"] for each in (first, second)] == [each["contacts"] for each in done]
    assert [[each["action"] for each in one["differences"]] for one in (first, second)] == [
        ["create", "update"],
        ["update", "update"],
    ]
    (ann, _) = second["differences"]
    country = next(change for change in ann["changes"] if change["property"] == "country")
    assert (country["old"], country["new"]) == ("Switzerland", "Italy")
    assert (country["by_people"], country["kept"], ann["record"]) == (False, False, None)


def test_it_marks_what_people_changed_since_the_last_write(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    program.run()
    record = record_with(program, ANN)
    program.sandbox.hubspot.edit(record, country="Wonderland", zenovay_pageviews="77")
    program.replace_visitors(row(1, email=ANN, country_code="IT"), row(2, email=BOB, country_code="IT"))

    ann, bob = dry(program).summary["differences"]

    assert {each["property"]: marks(each) for each in ann["changes"]} == {
        "country": ("Wonderland", "Italy", "Switzerland", "by_people kept"),
        "zenovay_last_seen": (*last_seen(ann), ""),
        "zenovay_pageviews": ("77", "3", "3", "by_people"),
    }
    assert marks(bob["changes"][0]) == ("Switzerland", "Italy", "Switzerland", "")


def record_with(program: Program, address: str) -> str:
    held = program.sandbox.hubspot.contacts.items()
    return next(record for record, each in held if each.get("email") == address)


def marks(change: dict[str, Any]) -> tuple[str, str, str, str]:
    named = " ".join(name for name in ("by_people", "kept") if change[name])
    return change["old"], change["new"], change["last"], named


def last_seen(difference: dict[str, Any]) -> tuple[str, str, str]:
    (found,) = [each for each in difference["changes"] if each["property"] == "zenovay_last_seen"]
    return found["old"], found["new"], found["last"]


def test_who_was_refused_before_is_marked_and_who_still_waits_is_only_counted(program: Program) -> None:
    program.sandbox.hubspot.refused_addresses |= {ANN: "not welcome", BOB: "nor you"}
    rows = row(1, email=ANN), row(2, email=BOB)
    program.visitors(*rows)
    assert program.run().exit_code == 3
    program.replace_visitors({**rows[0], "pageviews": 9}, rows[1])

    ended = dry(program)

    (ann,) = ended.summary["differences"]
    assert (ann["key"], ann["action"]) == (ANN, "create")
    assert "not welcome" in ann["refused_before"]
    assert not any(change["by_people"] for change in ann["changes"])
    assert ended.summary["contacts"]["unchanged"] == 1
    lines = program("run", "--dry-run").stdout.splitlines()
    assert f"create {ANN} [was refused before: not welcome]" in lines
    assert BOB not in "".join(lines)


def told(program: Program, *options: str, **more: Any) -> list[str]:
    """The lines that a dry run leaves on a terminal, without its progress and colours."""
    code, shown = on_a_terminal(program, "run", "--dry-run", *options, **more)
    assert code == 0
    return plain(shown.rpartition("\x1b[2K")[2]).splitlines()


LONG = "Kingdom of " + "a very long name " * 30


def test_on_a_terminal_there_is_a_table_of_eighty_columns(program: Program) -> None:
    hubspot = program.sandbox.hubspot
    hubspot.seed({"email": ANN, "country": LONG})
    hubspot.seed({"email": BOB, "country": "\x1b[31mRed\u202e"})
    program.visitors(row(1, email=ANN), row(2, email=BOB), row(3), row(4))
    hubspot.seed({"zenovay_visitor_id": "v000004", "firstname": "X", "country": "Switzerland"})

    shown = told(program)

    table = shown[: shown.index(next(line for line in shown if line.startswith("Contacts:"))) + 1]
    assert [line for line in table if line and not line.startswith(" ")] == [
        "site_sandbox: incremental done: 4 rows read, 0 rejected.",
        "Would be created (1)",
        "Would be updated (3)",
        "Contacts: 1 create, 3 update. Values: 10 filled, 2 kept.",
    ]
    assert max(map(len, table)) <= 80
    head = next(line for line in table if "HubSpot now" in line)
    assert head.split() == ["property", "HubSpot", "now", "ours"]
    (ann,) = (line for line in table if "Kingdom" in line)
    assert ann.endswith("Switzerland           kept (protect)")
    assert "…" in ann
    assert any(r"\x1b[31mRed\u202e" in line for line in table)
    assert not {"\x1b", "\u202e"} & set("".join(table))
    assert any("Kingdom of a very long name a very long name" in line for line in told(program, columns=200))


def test_the_first_fifty_are_shown_and_the_rest_is_said(program: Program) -> None:
    program.visitors(*(row(number) for number in range(60)))

    by_default = program("run", "--dry-run").stdout.splitlines()
    few = program("run", "--dry-run", "--limit", "2").stdout.splitlines()
    everything = program("run", "--dry-run", "--limit", "0").stdout.splitlines()
    on_screen = told(program, "--limit", "3")

    shown = [
        {line.split()[1] for line in each if line.startswith("create ")}
        for each in (by_default, few, everything)
    ]
    assert [len(each) for each in shown] == [50, 2, 60]
    assert "10 more contacts are not shown: --limit 0 shows all." in by_default
    assert "58 more contacts are not shown: --limit 0 shows all." in few
    assert [line for line in everything if "not shown" in line] == []
    assert "57 more contacts are not shown: --limit 0 shows all." in on_screen
    assert few[-1] == everything[-1] == "Contacts: 60 create. Values: 240 filled."
    assert few[0] == f"{program.website}: incremental done: 60 rows read, 0 rejected."


def test_off_a_terminal_a_line_says_all_of_a_property(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "country": f"{LONG}\x07"})
    program.settings["SYNC_ANONYMOUS"] = "match"
    program.visitors(row(1, email=ANN), row(2))

    lines = program("run", "--dry-run").stdout.splitlines()

    assert rf"update {ANN} country: {LONG}\x07 -> Switzerland [by people] [kept (protect)]" in lines
    assert f"update {ANN} zenovay_pageviews: - -> 3" in lines
    assert "absent v000002" in lines


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--limit", "5"),
        ("run", "--limit", "0"),
        ("run", "--detailed-exitcode"),
        ("backfill", "--from", "2026-01-01", "--limit", "5"),
        ("backfill", "--from", "2026-01-01", "--detailed-exitcode"),
        ("run", "--dry-run", "--limit", "-1"),
        ("run", "--cron", "--detailed-exitcode"),
    ],
)
def test_options_of_a_dry_run_need_one(program: Program, arguments: tuple[str, ...]) -> None:
    ended = program(*arguments)

    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "--limit" in ended.stderr or "--detailed-exitcode" in ended.stderr


def detailed(program: Program, **settings: str) -> int:
    code = dry(program, "run", "--detailed-exitcode", **settings).exit_code
    assert program("run", "--dry-run", "--detailed-exitcode", **settings).exit_code == code
    return code


def test_the_detailed_exit_code_says_whether_anything_would_change(program: Program) -> None:
    assert detailed(program) == 0
    program.sandbox.hubspot.seed({"email": ANN, "country": "Italy"})
    program.visitors(row(1, email=ANN))
    assert detailed(program) == 10
    assert dry(program).exit_code == 0
    program.run()
    assert detailed(program) == 0
    program.replace_visitors(row(1, email=ANN, pageviews=9))
    assert detailed(program) == 10


def test_what_would_stay_as_people_typed_it_is_no_change(program: Program) -> None:
    program.settings["SYNC_FIELDS"] = "country"
    program.sandbox.hubspot.seed({"email": ANN, "country": "Italy"})
    program.sandbox.hubspot.seed({"email": BOB, "country": " Switzerland"})
    program.visitors(row(1, email=ANN), row(2, email=BOB))

    ended = dry(program, "run", "--detailed-exitcode")

    assert ended.exit_code == 0
    assert [each["action"] for each in ended.summary["differences"]] == ["keep", "unchanged"]
    assert (
        program("run", "--dry-run").stdout.splitlines()[-1]
        == "Contacts: 1 keep, 1 unchanged. Values: 1 kept."
    )


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"HUBSPOT_ACCESS_TOKEN": "revoked"}, 5),
        ({"SYNC_PAGEVIEWS_PROPERTY": "no_such_property"}, 2),
        ({"SYNC_MAX_CHANGED": "many"}, 2),
    ],
)
def test_a_failure_keeps_its_code(program: Program, settings: dict[str, str], code: int) -> None:
    program.visitors(row(1, email=ANN))
    assert program("run", "--dry-run", "--detailed-exitcode", **settings).exit_code == code


def test_an_outage_keeps_its_code(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.sandbox.hubspot.faults.add(Fault.rate_limited("DAILY"), path=READ, times=FOREVER)
    assert detailed(program) == 4


def test_rows_that_are_refused_hide_no_change(program: Program) -> None:
    """They would be refused in every dry run before the first run."""
    refused = {**row(2), "pageviews": -1}
    program.visitors(row(1, email=ANN), refused)
    assert detailed(program) == 10
    assert dry(program).exit_code == 3
    program.replace_visitors(refused)
    assert detailed(program) == 3


LINK = "zenovay_form_visitor_id"


def test_links_and_who_becomes_known_are_foreseen(program: Program) -> None:
    hubspot = program.sandbox.hubspot
    hubspot.schema.add(Definition(LINK, form_field=True))
    program.settings["SYNC_LINK_PROPERTY"] = LINK
    program.visitors(row(1), row(2), row(3), row(4, email=ANN))
    assert_that_the_run_does_so(program)
    hubspot.edit(record_with(program, ANN), **{LINK: "v000001", "country": "Oz"})
    hubspot.seed({"email": BOB, LINK: "v000002"})
    program.replace_visitors(
        *(row(number, minutes_ago=1, country_code="IT", pageviews=8) for number in (1, 2)),
        row(3, email="cleo@example.test", minutes_ago=1),
    )

    found = assert_that_the_run_does_so(program)

    assert {each["key"]: each["action"] for each in found} == {
        ANN: "update",
        record_with(program, BOB): "update",
        "cleo@example.test": "create",
    }


def test_a_state_in_postgresql_is_left_alone_too(program: Program, postgres_url: str) -> None:
    program.settings["SYNC_STATE_URL"] = postgres_url
    program.sandbox.hubspot.refused_addresses[ANN] = "no"
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    assert program.run().exit_code == 3
    program.replace_visitors(row(1, email=ANN, pageviews=9), row(2, email=BOB, pageviews=9))
    before = program("status", "--json").value

    ann, bob = dry(program).summary["differences"]

    assert (ann["action"], ann["refused_before"], bob["action"]) == ("create", "no", "update")
    after = program("status", "--json").value
    assert (after["contacts"], after["websites"][0]["watermark"]) == (
        before["contacts"],
        before["websites"][0]["watermark"],
    )


def test_merges_that_would_follow_are_announced(program: Program) -> None:
    program.settings["SYNC_MERGE"] = "anonymous"
    program.visitors(row(1))
    program.run()
    assert dry(program).summary["warnings"] == []
    program.visitors(row(1, email=ANN, minutes_ago=0))

    (warning,) = dry(program).summary["warnings"]

    assert "up to a contact that this program made" in warning
    assert warning in program("run", "--dry-run").stdout.splitlines()
    program.run()
    assert len(program.sandbox.hubspot.contacts) == 1
    assert dry(program).summary["warnings"] == []
