"""Links that HubSpot's forms make: the facts of a visitor go to the record that carries its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from program import row
from storm import Fault

if TYPE_CHECKING:
    from program import Ended, Program

ANN = "ann@example.test"
BOB = "bob@example.test"
LINK = "zenovay_form_visitor_id"
MERGE = "/crm/objects/2026-03/contacts/merge"


@pytest.fixture
def linked(program: Program) -> Program:
    """With the property that the form fills."""
    program.settings["SYNC_LINK_PROPERTY"] = LINK
    assert program("setup").exit_code == 0
    return program


def v(number: int) -> str:
    return f"v{number:06d}"


def seen(program: Program, record: str) -> str | None:
    return program.sandbox.hubspot.contacts[record].get("zenovay_pageviews")


def searches(program: Program) -> int:
    return sum(each.path.endswith("/search") for each in program.sandbox.hubspot.requests)


def requests(program: Program, ended: Ended) -> int:
    hubspot: int = ended.summary["requests"]["hubspot"]
    return hubspot


def test_setup_makes_the_property_of_the_form(linked: Program) -> None:
    definition = linked.sandbox.hubspot.schema.definitions[LINK]
    assert (definition.type, definition.unique, definition.form_field) == ("string", False, True)


def test_a_run_needs_the_property(program: Program) -> None:
    ended = program.run(SYNC_LINK_PROPERTY=LINK)
    assert ended.exit_code == 2
    assert LINK in ended.stderr
    assert "setup" in ended.stderr


@pytest.mark.parametrize("mode", ["upsert", "match", "skip"])
def test_the_facts_of_a_visitor_go_to_the_record_that_carries_its_id(linked: Program, mode: str) -> None:
    linked.settings["SYNC_ANONYMOUS"] = mode
    ann = linked.sandbox.hubspot.seed({"email": ANN, LINK: v(1)})
    linked.visitors(row(1, pageviews=6))
    ended = linked.run()
    assert ended.exit_code == 0
    assert list(linked.sandbox.hubspot.contacts) == [ann]
    assert seen(linked, ann) == "6"
    assert linked.sandbox.hubspot.contacts[ann]["country"] == "Switzerland"


@pytest.mark.parametrize("mode", ["match", "skip"])
def test_facts_from_before_the_form_was_sent_go_there_too(linked: Program, mode: str) -> None:
    linked.settings["SYNC_ANONYMOUS"] = mode
    linked.visitors(row(1, pageviews=6))
    linked.run()
    ann = linked.sandbox.hubspot.seed({"email": ANN, LINK: v(1)})
    linked.replace_visitors()
    linked.run()
    assert seen(linked, ann) == "6"


def test_one_person_on_three_devices_is_one_record(linked: Program) -> None:
    hubspot = linked.sandbox.hubspot
    ann = hubspot.seed({"email": ANN})
    for number in (1, 2, 3):
        hubspot.edit(ann, **{LINK: v(number)})
    linked.visitors(
        row(1, pageviews=1), row(2, pageviews=2), row(3, pageviews=4), row(4, email=ANN, pageviews=8)
    )
    assert linked.run().exit_code == 0
    assert list(hubspot.contacts) == [ann]
    assert seen(linked, ann) == "15"


def test_of_two_people_on_one_browser_the_newer_link_wins(linked: Program) -> None:
    hubspot = linked.sandbox.hubspot
    ann = hubspot.seed({"email": ANN, LINK: v(1)})
    linked.visitors(row(1, pageviews=2))
    linked.run()
    bob = hubspot.seed({"email": BOB, LINK: v(1)})
    linked.visitors(row(1, pageviews=5, minutes_ago=0.5))
    linked.run()
    assert (seen(linked, ann), seen(linked, bob)) == ("2", "5")
    linked.run()
    assert (seen(linked, ann), seen(linked, bob)) == ("2", "5")


def test_a_link_that_is_taken_away_counts_no_more(linked: Program) -> None:
    hubspot = linked.sandbox.hubspot
    linked.settings["SYNC_ANONYMOUS"] = "match"
    ann = hubspot.seed({"email": ANN, LINK: v(1)})
    linked.visitors(row(1, pageviews=2), row(2, email=ANN, pageviews=1))
    linked.run()
    assert seen(linked, ann) == "3"
    hubspot.edit(ann, **{LINK: ""})
    linked.run()
    assert seen(linked, ann) == "1"
    linked.visitors(row(1, pageviews=50, minutes_ago=0.5))
    linked.run()
    assert seen(linked, ann) == "1"
    hubspot.edit(ann, **{LINK: v(1)})
    linked.run()
    assert seen(linked, ann) == "51"


def test_one_request_where_nothing_changed(linked: Program) -> None:
    linked.sandbox.hubspot.seed({"email": ANN, LINK: v(1)})
    linked.visitors(row(1))
    linked.run()
    linked.run()
    assert requests(linked, linked.run()) == 1


@pytest.mark.parametrize("said", ["null", "undefined", " ", "x" * 600])
def test_words_for_nothing_link_nobody(linked: Program, said: str) -> None:
    linked.sandbox.hubspot.seed({"email": ANN, LINK: said})
    linked.visitors(row(1, id=said if said.strip() else "v1"))
    assert linked.run().exit_code in {0, 3}
    assert seen(linked, next(iter(linked.sandbox.hubspot.contacts))) is None


def test_an_index_that_lags_loses_no_link(linked: Program) -> None:
    hubspot = linked.sandbox.hubspot
    linked.settings["SYNC_ANONYMOUS"] = "match"
    hubspot.index_lag_s = 3.0
    linked.visitors(row(1, pageviews=6), row(2, pageviews=4))
    early = hubspot.seed({"email": ANN, LINK: v(1)})
    linked.run()
    hubspot.index_lag_s = 0.0
    late = hubspot.seed({"email": BOB, LINK: v(2)})
    linked.run()
    assert (seen(linked, early), seen(linked, late)) == ("6", "4")


@pytest.mark.slow
def test_more_changes_than_a_query_gives_and_many_at_one_instant_lose_none(linked: Program) -> None:
    hubspot = linked.sandbox.hubspot
    linked.settings |= {"SYNC_ANONYMOUS": "skip"}
    records = [hubspot.seed({"email": f"p{number}@example.test", LINK: v(number)}) for number in range(450)]
    with hubspot.lock:
        stamp = hubspot.store.by_id[records[0]]["lastmodifieddate"]
        for record in records[:420]:
            hubspot.store.by_id[record]["lastmodifieddate"] = stamp
    linked.replace_visitors(*(row(number, minutes_ago=5) for number in range(450)))
    assert linked.run().summary["contacts"]["updated"] == 450
    assert all(seen(linked, record) == "3" for record in records)


def test_a_link_follows_its_record_through_a_merge(linked: Program) -> None:
    hubspot = linked.sandbox.hubspot
    linked.settings["SYNC_ANONYMOUS"] = "match"
    ann, bob = hubspot.seed({"email": ANN}), hubspot.seed({"email": BOB, LINK: v(2)})
    linked.visitors(row(1, email=ANN, pageviews=5), row(2, pageviews=7))
    linked.run()
    assert (seen(linked, ann), seen(linked, bob)) == ("5", "7")
    merged = hubspot.merge(ann, bob)
    linked.run()
    assert seen(linked, merged) == "12"
    linked.visitors(row(2, pageviews=20, minutes_ago=0.5))
    linked.run()
    assert list(hubspot.contacts) == [merged]
    assert seen(linked, merged) == "25"


def test_where_links_cannot_be_read_nothing_is_sent(linked: Program) -> None:
    linked.visitors(row(1))
    linked.sandbox.hubspot.scopes.discard("crm.objects.contacts.read")
    ended = linked.run()
    assert ended.exit_code == 5
    assert ended.summary["rows"]["accepted"] == 1
    assert linked.sandbox.hubspot.contacts == {}
    linked.sandbox.hubspot.scopes.add("crm.objects.contacts.read")
    assert linked.run().summary["contacts"]["created"] == 1


def test_several_websites_ask_for_links_once(linked: Program) -> None:
    linked.sandbox.zenovay.websites["site_b"] = [row(2)]
    linked.visitors(row(1))
    ann = linked.sandbox.hubspot.seed({"email": ANN, LINK: v(2)})
    before = searches(linked)
    ended = linked.run(ZENOVAY_WEBSITE_ID=f"{linked.website},site_b")
    assert ended.exit_code == 0
    assert searches(linked) == before + 1
    assert seen(linked, ann) == "3"


@pytest.mark.parametrize("how", ["link", "address"])
def test_a_visitor_who_becomes_known_leaves_its_stranger_alone(linked: Program, how: str) -> None:
    hubspot = linked.sandbox.hubspot
    linked.visitors(row(1, pageviews=2))
    linked.run()
    (stranger,) = hubspot.contacts
    ann = hubspot.seed({"email": ANN, **({LINK: v(1)} if how == "link" else {})})
    facts: dict[str, Any] = {"email": ANN} if how == "address" else {}
    linked.visitors(row(1, pageviews=9, minutes_ago=0.5, **facts))
    assert linked.run().exit_code == 0
    assert {*hubspot.contacts} == {stranger, ann}
    assert (seen(linked, stranger), seen(linked, ann)) == ("2", "9")


@pytest.mark.parametrize("how", ["link", "address"])
def test_a_stranger_is_merged_where_that_is_wanted(linked: Program, how: str) -> None:
    linked.settings["SYNC_MERGE"] = "anonymous"
    hubspot = linked.sandbox.hubspot
    linked.visitors(row(1, pageviews=2))
    linked.run()
    ann = hubspot.seed({"email": ANN, **({LINK: v(1)} if how == "link" else {})})
    facts: dict[str, Any] = {"email": ANN} if how == "address" else {}
    linked.visitors(row(1, pageviews=9, minutes_ago=0.5, **facts))
    assert linked.run().exit_code == 0
    (record,) = hubspot.contacts
    assert record != ann
    assert (seen(linked, record), hubspot.contacts[record]["email"]) == ("9", ANN)
    assert "firstname" not in hubspot.contacts[record]
    linked.visitors(row(1, pageviews=10, minutes_ago=0.3, **facts))
    assert linked.run().exit_code == 0
    assert seen(linked, record) == "10"
    assert hubspot.creating_calls == 1


def test_what_somebody_gave_an_address_is_never_merged(linked: Program) -> None:
    linked.settings["SYNC_MERGE"] = "anonymous"
    hubspot = linked.sandbox.hubspot
    linked.visitors(row(1, pageviews=2))
    linked.run()
    (stranger,) = hubspot.contacts
    hubspot.edit(stranger, email=BOB)
    ann = hubspot.seed({"email": ANN, LINK: v(1)})
    linked.run()
    assert {*hubspot.contacts} == {stranger, ann}


def test_a_merge_that_hubspot_refuses_is_not_asked_for_again(linked: Program) -> None:
    linked.settings["SYNC_MERGE"] = "anonymous"
    hubspot = linked.sandbox.hubspot
    linked.visitors(row(1, pageviews=2))
    linked.run()
    hubspot.seed({"email": ANN, LINK: v(1)})
    hubspot.faults.add(Fault.answer(400, {"category": "VALIDATION_ERROR"}), path=MERGE)
    assert linked.run().exit_code == 0
    assert linked.run().exit_code == 0
    assert len(hubspot.contacts) == 2
    assert sum(each.path.endswith("/merge") for each in hubspot.requests) == 1
