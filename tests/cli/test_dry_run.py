"""``--dry-run``: what it says is what the run then does, and it writes nothing anywhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from program import row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from program import Ended, Program

ANN, BOB = "ann@example.test", "bob@example.test"
READS = ("batch/read", "/search")
NAMES = {"firstname", "lastname"}
PEOPLE = 250
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
    assert said["values"] == done["values"]
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


def assert_predicted(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]], differences: Sequence[dict[str, Any]]
) -> None:
    """HubSpot holds what it held, and the new values of the differences, and nothing else."""
    predicted = dict(before)
    made = []
    for each in differences:
        written = {change["property"]: change["new"] for change in each["changes"] if not change["kept"]}
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
    for one, other in ((14, 17), (20, 25), (30, 35), (44, 46)):
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
