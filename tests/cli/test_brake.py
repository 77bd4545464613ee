"""A mapping gone wrong must not repaint a CRM: ``SYNC_MAX_CHANGED``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from program import row

if TYPE_CHECKING:
    from program import Ended, Program

OTHERS, NEW = range(500, 520), range(600, 605)


def of(number: int) -> str:
    return f"p{number}@example.test"


def person(number: int, country: str = "CH", **facts: Any) -> dict[str, Any]:
    facts = {"minutes_ago": 5, "country_code": country, **facts}
    return row(number, email=of(number), **facts)


def countries(program: Program) -> Counter[str | None]:
    return Counter(each.get("country") for each in program.sandbox.hubspot.contacts.values())


def painted(program: Program, people: int = 120) -> None:
    """A portal of which a new mapping wants another country for ``people``, and new page views of some."""
    program.visitors(*map(person, range(people)), *map(person, OTHERS))
    assert program.run().exit_code == 0
    program.replace_visitors(
        *(person(number, "IT", minutes_ago=4) for number in range(people)),
        *(person(number, pageviews=9) for number in OTHERS),
        *map(person, NEW),
    )


def assert_stopped(ended: Ended, *, changed: int, contacts: int) -> None:
    assert ended.exit_code == 3
    summary = ended.summary
    assert summary["status"] == "partial"
    for part in (f"{changed} of the {contacts} contacts", f"country on {changed}", "SYNC_MAX_CHANGED"):
        assert part in summary["reason"]
    assert summary["contacts"]["deferred"] == changed
    assert summary["values"]["replaced"] == 0


@pytest.mark.parametrize(
    "settings", [{}, {"ZENOVAY_PAGE_SIZE": "50", "HUBSPOT_CONCURRENCY": "1"}], ids=["pages", "small pages"]
)
def test_a_run_that_would_repaint_most_stops_before_the_first(
    program: Program, settings: dict[str, str]
) -> None:
    program.settings |= settings
    painted(program)
    hubspot = program.sandbox.hubspot

    ended = program.run()

    assert_stopped(ended, changed=120, contacts=140)
    assert countries(program) == {"Switzerland": 145}
    views = Counter(each["zenovay_pageviews"] for each in hubspot.contacts.values())
    assert views == {"9": 20, "3": 125}
    assert ended.summary["contacts"] | {"updated": 20, "created": 5} == ended.summary["contacts"]
    assert program("status", "--json").value["contacts"]["due"] == 120


def test_it_goes_on_once_that_is_allowed_and_sends_nothing_twice(program: Program) -> None:
    painted(program)
    hubspot = program.sandbox.hubspot
    sent = hubspot.updated_inputs + hubspot.upserted_inputs
    program.run()
    assert hubspot.updated_inputs + hubspot.upserted_inputs == sent + 25
    again = program.run()
    assert_stopped(again, changed=120, contacts=120)
    assert hubspot.updated_inputs + hubspot.upserted_inputs == sent + 25

    ended = program.run(SYNC_MAX_CHANGED="100%")

    assert ended.exit_code == 0
    assert hubspot.updated_inputs + hubspot.upserted_inputs == sent + 145
    assert ended.summary["values"]["replaced"] == ended.summary["contacts"]["updated"] == 120
    assert countries(program) == {"Italy": 120, "Switzerland": 25}
    assert program.run().summary["requests"]["hubspot"] == 0


def test_what_waits_behind_it_is_not_taken_for_somebody_else_s(program: Program) -> None:
    painted(program)
    program.run()
    program.visitors(*(person(number, "FR", minutes_ago=0) for number in range(120)))
    assert_stopped(program.run(), changed=120, contacts=120)
    assert program.run(SYNC_MAX_CHANGED="100%").exit_code == 0
    assert countries(program)["France"] == 120


def test_a_dry_run_stops_as_the_run_does_and_shows_what_it_stops_before(program: Program) -> None:
    painted(program)

    ended = program("run", "--dry-run", "--detailed-exitcode", "--json")

    assert_stopped(ended, changed=120, contacts=140)
    actions = Counter(each["action"] for each in ended.summary["differences"])
    assert actions == {"deferred": 120, "update": 20, "create": 5}
    held_back = [each for each in ended.summary["differences"] if each["action"] == "deferred"]
    assert {(change["old"], change["new"]) for each in held_back for change in each["changes"][:1]} == {
        ("Switzerland", "Italy")
    }
    assert {change["by_people"] for each in held_back for change in each["changes"]} == {False}
    assert all("SYNC_MAX_CHANGED" in each["reason"] for each in held_back)
    done = program.run()
    for name in ("contacts", "values", "reason", "status"):
        assert done.summary[name] == ended.summary[name]
    lines = program("run", "--dry-run", "--limit", "0").stdout.splitlines()
    assert f"deferred {of(7)} country: Switzerland -> Italy" in lines


def test_of_few_contacts_no_share_is_taken(program: Program) -> None:
    program.visitors(*map(person, range(99)))
    program.run()
    program.replace_visitors(*(person(number, "IT", minutes_ago=4) for number in range(99)))
    assert program.run().exit_code == 0
    assert countries(program) == {"Italy": 99}


@pytest.mark.parametrize(("changed", "exit_code"), [(30, 0), (31, 3)])
def test_the_share_itself_is_allowed(program: Program, changed: int, exit_code: int) -> None:
    program.visitors(*map(person, range(100)))
    program.run()
    program.replace_visitors(
        *(person(number, "IT" if number < changed else "CH", minutes_ago=4) for number in range(100))
    )
    ended = program.run()
    assert ended.exit_code == exit_code
    assert countries(program)["Italy"] == (changed if exit_code == 0 else 0)


def test_another_share_may_be_set(program: Program) -> None:
    painted(program)
    assert program.run(SYNC_MAX_CHANGED="0.86").exit_code == 0
    program.visitors(person(0, "FR", minutes_ago=0))
    assert program.run(SYNC_MAX_CHANGED="0%").exit_code == 0, "of one contact no share is taken"
    ended = program.run(SYNC_MAX_CHANGED="much")
    assert (ended.exit_code, "SYNC_MAX_CHANGED" in ended.stderr) == (2, True)


@pytest.mark.parametrize("policy", ["protect", "overwrite", "fill_empty"])
def test_first_fills_and_what_stays_do_not_count_and_what_people_typed_does(
    program: Program, policy: str
) -> None:
    for number in range(150):
        program.sandbox.hubspot.seed({"email": of(number), **({"country": "Oz"} if number < 120 else {})})
    program.visitors(*map(person, range(150)))

    ended = program.run(SYNC_COUNTRY_WRITE=policy)

    if policy == "overwrite":
        assert_stopped(ended, changed=120, contacts=150)
    assert ended.exit_code == (3 if policy == "overwrite" else 0)
    assert countries(program) == {"Oz": 120, "Switzerland": 30}


def test_properties_of_our_own_do_not_count(program: Program) -> None:
    program.visitors(*map(person, range(150)))
    program.run()
    hubspot = program.sandbox.hubspot
    for record in hubspot.contacts:
        hubspot.edit(record, zenovay_pageviews="77")
    program.replace_visitors(*(person(number, pageviews=9) for number in range(150)))
    assert program.run().exit_code == 0
    assert {each["zenovay_pageviews"] for each in hubspot.contacts.values()} == {"9"}


def test_a_portal_of_its_own_that_is_filled_for_the_first_time_does_not_count(program: Program) -> None:
    program.visitors(*map(person, range(150)))
    assert program.run(SYNC_MAX_CHANGED="0%").exit_code == 0
    assert program("resync", "--yes").exit_code == 0
    assert program.run(SYNC_MAX_CHANGED="0%").exit_code == 0
    assert countries(program) == {"Switzerland": 150}
