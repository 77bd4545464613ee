"""A contact is a record: what becomes of people who are known, changed, merged, gone, or nobody at all."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from program import row

if TYPE_CHECKING:
    from program import Ended, Program

ANN = "ann@example.test"
BOB = "bob@example.test"
MATCH = {"SYNC_KNOWN": "match", "SYNC_ANONYMOUS": "match"}


def of(program: Program, **properties: str) -> dict[str, str]:
    """The one contact with these values."""
    found = [
        each
        for each in program.sandbox.hubspot.contacts.values()
        if all(each.get(name) == text for name, text in properties.items())
    ]
    assert len(found) == 1, found
    return found[0]


def counts(ended: Ended) -> dict[str, int]:
    """What became of contacts, but for what did not happen."""
    return {
        name: count
        for name, count in ended.summary["contacts"].items()
        if count and name not in {"touched", "carried_over"}
    }


def paths(program: Program) -> list[str]:
    return [each.path.rpartition("/contacts/")[2] for each in program.sandbox.hubspot.requests]


def views(program: Program, record: str) -> str | None:
    return program.sandbox.hubspot.contacts[record].get("zenovay_pageviews")


def test_a_confirmed_contact_is_updated_by_its_record(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2))
    assert counts(program.run()) == {"created": 2}
    program.visitors(row(1, email=ANN, pageviews=8, minutes_ago=1), row(2, pageviews=7, minutes_ago=1))
    before = len(program.sandbox.hubspot.requests)
    assert counts(program.run()) == {"updated": 2}
    assert paths(program)[before:] == ["batch/update"]
    assert of(program, email=ANN)["zenovay_pageviews"] == "8"


@pytest.mark.parametrize("to", [{"email": BOB}, {"email": BOB, "hs_additional_emails": ANN}])
def test_an_address_that_a_person_changes_makes_no_second_record(
    program: Program, to: dict[str, str]
) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    (record,) = program.sandbox.hubspot.contacts
    program.sandbox.hubspot.edit(record, **to)
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=1))
    assert counts(program.run()) == {"updated": 1}
    assert list(program.sandbox.hubspot.contacts) == [record]
    assert views(program, record) == "9"
    assert program.sandbox.hubspot.contacts[record]["email"] == BOB


@pytest.mark.parametrize("first", [ANN, BOB])
def test_contacts_that_are_merged_in_hubspot_are_one_with_one_sum(program: Program, first: str) -> None:
    program.visitors(row(1, email=ANN, pageviews=5), row(2, email=BOB, pageviews=7))
    program.run()
    hubspot = program.sandbox.hubspot
    ann, bob = (str(of(program, email=each)["hs_object_id"]) for each in (ANN, BOB))
    merged = hubspot.merge(ann, bob)
    number = 1 if first == ANN else 2
    program.visitors(row(number, email=first, pageviews=10, minutes_ago=0.5))
    assert program.run().exit_code == 0
    assert list(hubspot.contacts) == [merged]
    assert views(program, merged) == ("17" if first == ANN else "15")
    before = len(hubspot.requests)
    assert counts(program.run()) == {"unchanged": 1}
    assert len(hubspot.requests) == before
    program.visitors(row(3, email=BOB, pageviews=100))
    assert counts(program.run()) == {"updated": 1}
    assert views(program, merged) == ("117" if first == ANN else "115")


def test_two_addresses_of_one_record_are_one_contact_and_one_sum(program: Program) -> None:
    record = program.sandbox.hubspot.seed({"email": ANN, "hs_additional_emails": BOB})
    program.visitors(row(1, email=ANN, pageviews=5), row(2, email=BOB, pageviews=7))
    ended = program.run()
    assert ended.exit_code == 0
    assert ended.summary["contacts"]["touched"] == 1
    assert list(program.sandbox.hubspot.contacts) == [record]
    assert views(program, record) == "12"


@pytest.mark.parametrize("erased", ["archive", "erase"])
@pytest.mark.parametrize("kind", ["known", "anonymous"])
def test_a_record_that_is_gone_is_told_and_not_made_again(program: Program, kind: str, erased: str) -> None:
    facts: dict[str, Any] = {"email": ANN} if kind == "known" else {}
    program.visitors(row(1, **facts))
    program.run()
    (record,) = program.sandbox.hubspot.contacts
    getattr(program.sandbox.hubspot, erased)(record)
    assert counts(program.run()) == {"unchanged": 1}
    program.visitors(row(1, pageviews=9, minutes_ago=0.5, **facts))
    ended = program.run()
    assert program.sandbox.hubspot.contacts == {}
    assert counts(ended) == {"rejected": 1}
    assert ended.exit_code == 3
    assert any("not there any more" in each for each in ended.summary["warnings"])
    counted = program("status", "--json").value["contacts"]
    assert (counted["confirmed"], counted["gone"]) == (0, 1)
    assert [each["code"] for each in program("rejections", "--json").value] == ["GONE"]
    program.visitors(row(1, pageviews=10, minutes_ago=0.2, **facts))
    again = program.run()
    assert (again.exit_code, counts(again)) == (0, {"unchanged": 1})
    assert program.sandbox.hubspot.contacts == {}


def test_a_record_that_is_gone_is_made_again_where_that_is_wanted(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2))
    program.run()
    for record in list(program.sandbox.hubspot.contacts):
        program.sandbox.hubspot.delete(record)
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0.5))
    ended = program.run(SYNC_RECREATE="always")
    assert (ended.exit_code, counts(ended)) == (0, {"unchanged": 1, "created": 1})
    assert of(program, email=ANN)["zenovay_pageviews"] == "9"


def test_what_was_left_gone_is_made_again_once_that_is_wanted(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    program.sandbox.hubspot.delete(next(iter(program.sandbox.hubspot.contacts)))
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0.5))
    assert program.run().exit_code == 3
    assert counts(program.run(SYNC_RECREATE="always")) == {"created": 1}
    counted = program("status", "--json").value["contacts"]
    assert (counted["confirmed"], counted["gone"]) == (1, 0)
    assert program("rejections", "--json").value == []


def test_who_was_made_anew_by_hand_is_found(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    hubspot = program.sandbox.hubspot
    hubspot.delete(next(iter(hubspot.contacts)))
    record = hubspot.seed({"email": ANN})
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0.5))
    assert counts(program.run()) == {"updated": 1}
    assert list(hubspot.contacts) == [record]
    assert views(program, record) == "9"


def test_thousands_of_deleted_strangers_stop_no_run(program: Program) -> None:
    program.visitors(*(row(number, minutes_ago=5) for number in range(150)))
    program.run()
    for record in list(program.sandbox.hubspot.contacts):
        program.sandbox.hubspot.delete(record)
    again = (row(number, pageviews=9, minutes_ago=4) for number in range(150))
    program.replace_visitors(*again, row(200, email=ANN, minutes_ago=4))
    ended = program.run()
    assert counts(ended) == {"rejected": 150, "created": 1}
    assert of(program, email=ANN)


def test_matching_never_creates(program: Program) -> None:
    program.settings |= MATCH
    hubspot = program.sandbox.hubspot
    ann = hubspot.seed({"email": ANN})
    stray = hubspot.seed({"firstname": "X", "zenovay_visitor_id": "v000003"})
    program.visitors(row(1, email=ANN), row(2, email=BOB), row(3), row(4))
    ended = program.run()
    assert (ended.exit_code, counts(ended)) == (0, {"updated": 2, "absent": 2})
    assert {*hubspot.contacts} == {ann, stray}
    assert (views(program, ann), views(program, stray)) == ("3", "3")
    assert program("status", "--json").value["contacts"]["absent"] == 2
    assert counts(program.run()) == {"unchanged": 4}
    assert hubspot.creating_calls == 0


def test_matching_costs_two_calls_a_hundred(program: Program) -> None:
    program.settings |= MATCH
    hubspot = program.sandbox.hubspot
    for number in range(200):
        hubspot.seed({"email": f"p{number}@example.test"})
    program.visitors(*(row(number, email=f"p{number}@example.test") for number in range(200)))
    assert counts(program.run()) == {"updated": 200}
    calls = Counter(path for path in paths(program) if path.startswith("batch/"))
    assert calls == {"batch/read": 2, "batch/update": 2}


def test_who_is_absent_is_looked_for_when_something_changes(program: Program) -> None:
    program.settings |= MATCH
    hubspot = program.sandbox.hubspot
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    assert counts(program.run()) == {"absent": 2}
    ann, bob = hubspot.seed({"email": ANN}), hubspot.seed({"email": BOB})
    assert counts(program.run()) == {"unchanged": 2}
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0.5))
    assert counts(program.run()) == {"unchanged": 1, "updated": 1}
    assert (views(program, ann), views(program, bob)) == ("9", None)
    assert counts(program.run(SYNC_RECHECK="0s")) == {"unchanged": 1, "updated": 1}
    assert views(program, bob) == "3"


def test_who_was_absent_is_made_once_that_is_allowed(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2))
    assert counts(program.run(**MATCH)) == {"absent": 2}
    assert counts(program.run(SYNC_ANONYMOUS="match")) == {"created": 1, "unchanged": 1}
    assert counts(program.run()) == {"created": 1, "unchanged": 1}


def test_two_addresses_that_match_one_record_are_one_contact(program: Program) -> None:
    program.settings |= MATCH
    record = program.sandbox.hubspot.seed({"email": ANN, "hs_additional_emails": BOB})
    program.visitors(row(1, email=ANN, pageviews=5), row(2, email=BOB, pageviews=7))
    ended = program.run()
    assert ended.exit_code == 0
    assert ended.summary["contacts"]["touched"] == 1
    assert views(program, record) == "12"


def test_a_dry_run_says_who_is_absent_and_writes_nothing(program: Program) -> None:
    program.settings |= MATCH
    program.sandbox.hubspot.seed({"email": ANN})
    program.visitors(row(1, email=ANN), row(2))
    dry = program("run", "--dry-run", "--json")
    assert counts(dry) == {"updated": 1, "absent": 1}
    assert {path for path in paths(program) if path.startswith("batch/")} == {"batch/read"}


def test_skipping_strangers_still_syncs_known_ones(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2))
    ended = program.run(SYNC_ANONYMOUS="skip", SYNC_KNOWN="match")
    assert (counts(ended), ended.summary["rows"]["anonymous"]) == ({"absent": 1}, 1)


@pytest.mark.parametrize("version", ["2026-03", "2026-09", "v3"])
def test_every_version_of_the_api_knows_records(program: Program, version: str) -> None:
    program.settings["HUBSPOT_API_VERSION"] = version
    program.visitors(row(1, email=ANN))
    assert counts(program.run()) == {"created": 1}
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0.5))
    assert counts(program.run()) == {"updated": 1}


def test_a_rule_of_the_portal_that_refuses_a_value_is_a_rejection(program: Program) -> None:
    program.settings["HUBSPOT_API_VERSION"] = "2026-09"
    program.sandbox.hubspot.validation_rules = {"country": "Liechtenstein"}
    program.visitors(row(1, email=ANN), row(2, email=BOB, country_code="LI"))
    ended = program.run()
    assert (ended.exit_code, counts(ended)) == (3, {"created": 1, "rejected": 1})
    (listed,) = program("rejections", "--json").value
    assert listed["key"] == ANN
    assert "country" in listed["reason"]


def test_many_strangers_are_told_of_once(program: Program) -> None:
    program.replace_visitors(*(row(number, minutes_ago=number % 50 + 1) for number in range(1001)))
    first = program.run()
    assert counts(first) == {"created": 1001}
    told = [each for each in first.summary["warnings"] if "without an address" in each]
    assert len(told) == 1
    assert all(word in told[0] for word in ("a day", "arketing contacts", "match", "skip"))
    program.replace_visitors(*(row(number, minutes_ago=number % 50 + 1) for number in range(2000, 3001)))
    assert not [each for each in program.run().summary["warnings"] if "without an address" in each]


def test_check_warns_of_strangers_that_cost_money(program: Program) -> None:
    program.sandbox.hubspot.marketing_contacts = True
    program.visitors(row(1))
    program.run()
    said = {each["check"]: each for each in program("check", "--json").value}
    assert "marketing contact" in said["strangers"]["saw"]
    assert "1 visitors without an address" in said["strangers"]["saw"]
    program.settings["SYNC_ANONYMOUS"] = "skip"
    said = {each["check"]: each for each in program("check", "--json").value}
    assert "SYNC_ANONYMOUS=skip" in said["strangers"]["saw"]
