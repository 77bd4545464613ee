"""Looks, dry runs and the check of access: they read, and write nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock
from hubspot_double import (
    READ,
    UPSERT,
    WANTED,
    Answer,
    Asked,
    HubSpotDouble,
    all_is_well,
    by_email,
    by_visitor,
    client_of,
    says,
)

from etl.errors import AccessRefusedError, ContractBrokenError, SetupError, UnavailableError
from etl.load.access import prove_read_access, prove_write_access
from etl.load.lookup import presence
from etl.load.preview import Preview
from etl.models.record import ShownContact
from etl.models.verdict import Outcome, Sight
from etl.pipeline.writing import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.models.contact import Parcel

HELD: dict[str, list[dict[str, Any]]] = {
    "email": [
        {"id": "501", "properties": {"email": "ann@example.test", "hs_additional_emails": "old@example.test"}}
    ],
    "zenovay_visitor_id": [{"id": "502", "properties": {"zenovay_visitor_id": "v-3", "email": None}}],
}


def holding(asked: Asked) -> Answer:
    """HubSpot with the contacts of HELD."""
    if asked.path != READ:
        return all_is_well(asked)
    ids = {each["id"] for each in asked.body["inputs"]}
    results = [
        each
        for each in HELD[asked.body["idProperty"]]
        if ids & set(";".join(filter(None, each["properties"].values())).split(";"))
    ]
    found = {
        value for each in results for value in ";".join(filter(None, each["properties"].values())).split(";")
    }
    missing = sorted(ids - found)
    errors = [
        {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": "Could not get some CONTACT objects, they may be deleted or not exist.",
            "context": {"ids": missing},
        }
    ]
    return says(
        {"results": results, **({"errors": errors} if missing else {})}, status=207 if missing else 200
    )


def look_for(parcels: list[Parcel], answer: Any = holding, **more: Any) -> tuple[Sight, HubSpotDouble]:
    with HubSpotDouble(answer) as double, client_of(double.url) as client:
        return Preview(client, WANTED, clock=FakeClock(), verified=True).look_for(parcels), double


def test_a_look_costs_one_request_and_says_who_is_there_and_what_they_hold() -> None:
    parcels = [
        by_email(1, "ann@example.test", asks=("country",)),
        by_email(2, "OLD@example.test", asks=("zenovay_pageviews",)),
        by_email(5, "bob@example.test"),
    ]
    sight, double = look_for(parcels)
    assert {number: shown.record for number, shown in sight.found.items()} == {1: "501", 2: "501"}
    assert sight.found[1].properties["email"] == "ann@example.test"
    assert (sight.missing, sight.stop) == (frozenset({5}), None)
    (asked,) = double.asked
    assert (asked.path, asked.body["idProperty"]) == (READ, "email")
    assert {"country", "zenovay_pageviews"} <= {*asked.body["properties"]}


def test_a_look_by_visitor_id_finds_what_holds_it() -> None:
    sight, _ = look_for([by_visitor(3, "v-3"), by_visitor(4, "v-4")])
    assert ({*sight.found}, {*sight.missing}) == ({3}, {4})


def test_records_that_were_merged_are_looked_for_one_by_one() -> None:
    """HubSpot answers an old id with the record that it is now, under its new id."""

    def merged(asked: Asked) -> Answer:
        now = {"701": "900", "702": "702"}
        ids = dict.fromkeys(now[each["id"]] for each in asked.body["inputs"])
        return says({"results": [{"id": each, "properties": {"country": each}} for each in ids]})

    parcels = [by_email(1, record="701"), by_email(2, record="702")]
    sight, double = look_for(parcels, merged)
    shown = {number: (each.record, each.properties["country"]) for number, each in sight.found.items()}
    assert shown == {1: ("900", "900"), 2: ("702", "702")}
    assert [len(each.body["inputs"]) for each in double.asked] == [2, 1]


def test_nobody_is_asked_for_nobody() -> None:
    sight, double = look_for([])
    assert (sight, double.asked) == (Sight({}), [])


def test_a_preview_writes_nothing_and_says_what_would_become_of_each() -> None:
    with HubSpotDouble(holding) as double, client_of(double.url) as client:
        preview = Preview(client, WANTED, clock=FakeClock(), verified=True)
        delivery = preview.deliver([by_email(1), by_email(2, record="501")])
    assert [each.outcome for each in delivery.verdicts] == [Outcome.CREATED, Outcome.UPDATED]
    assert double.asked == []


@contextmanager
def previewing(answer: Any = holding) -> Iterator[tuple[Preview, HubSpotDouble]]:
    with HubSpotDouble(answer) as double, client_of(double.url) as client:
        yield Preview(client, WANTED, clock=FakeClock(), verified=True), double


def asking(*parcels: Parcel) -> list[Parcel]:
    """The same, to be looked at in full."""
    return [each._replace(asks=tuple(each.properties), wanted=each.properties) for each in parcels]


def test_what_would_have_been_written_is_met_again_and_costs_no_write() -> None:
    new, old = asking(by_visitor(4, "v-4"), by_visitor(3, "v-3"))
    with previewing() as (preview, double):
        made = missing(new)
        held = old._replace(is_seen=True, record="502", properties={"country": "Spain"})
        (created,) = preview.deliver([made]).verdicts
        (updated,) = preview.deliver([held]).verdicts
        before = len(double.asked)
        by_key = preview.look_for([new])
        by_record = preview.look_for([new._replace(record=created.record)])
        again = preview.look_for([old])

    assert (created.outcome, updated.outcome) == (Outcome.CREATED, Outcome.UPDATED)
    assert by_key.found == by_record.found == {4: ShownContact(str(created.record), made.properties)}
    assert again.found[3].properties["country"] == "Spain"
    assert len(double.asked) - before == 1
    assert {asked.path for asked in double.asked} == {READ}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"results": [], "errors": [{"category": "OBJECT_NOT_FOUND"}]}, [1, 2]),
        ({"results": [], "errors": [{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["V-2"]}}]}, [2]),
        ({"results": [], "errors": [{"category": "OBJECT_NOT_FOUND"}, {"category": "OTHER"}]}, []),
        ({"results": [], "errors": [{"message": "contact not found", "context": {"ids": "v-1"}}]}, [1]),
        ({"results": [None, {"properties": 7}], "errors": "?"}, []),
        ({"results": []}, []),
    ],
)
def test_only_what_hubspot_says_is_missing_would_be_created(
    body: dict[str, Any], expected: list[int]
) -> None:
    assert sorted(presence([by_visitor(1), by_visitor(2)], body).missing) == expected


def test_a_look_stops_where_the_delivery_would_stop() -> None:
    complaint = says({"message": "Property zenovay_visitor_id does not exist"}, status=400)
    sight, _ = look_for([by_visitor(3), by_visitor(4)], lambda _: complaint)
    assert isinstance(sight.stop, SetupError)
    assert (sight.found, sight.missing) == ({}, frozenset())

    def bare(asked: Asked) -> Answer:
        return Answer(status=404) if asked.method == "GET" else says({"results": []})

    with HubSpotDouble(bare) as double, client_of(double.url) as client:
        unprepared = Preview(client, WANTED, clock=FakeClock())
        assert isinstance(unprepared.look_for([by_email(1)]).stop, SetupError)
        assert not unprepared.verified


def test_a_complaint_of_a_property_stops_a_preview() -> None:
    complaint = says({"message": "Property zenovay_visitor_id does not exist"}, status=400)
    with previewing(lambda _: complaint) as (preview, _):
        sight = preview.look_for(asking(by_visitor(3), by_visitor(4)))
    assert isinstance(sight.stop, SetupError)
    assert not sight.found
    assert not sight.missing


@pytest.mark.parametrize("answer", [says({"results": []}), says({"message": "inputs is empty"}, status=400)])
def test_an_upsert_of_nothing_proves_the_write_scope(answer: Answer) -> None:
    with HubSpotDouble(lambda _: answer) as double, client_of(double.url) as client:
        prove_write_access(client)
    assert [(each.path, each.body) for each in double.asked] == [(UPSERT, {"inputs": []})]


def test_reading_nobody_proves_the_read_scope() -> None:
    with HubSpotDouble(holding) as double, client_of(double.url) as client:
        prove_read_access(client)
    assert [each.path for each in double.asked] == [READ]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(status=401), AccessRefusedError),
        (Answer(status=403), AccessRefusedError),
        (Answer(status=404), ContractBrokenError),
        (Answer(status=503), UnavailableError),
    ],
)
def test_what_is_not_proved_is_raised(answer: Answer, error: type[Exception]) -> None:
    with HubSpotDouble(lambda _: answer) as double:
        for prove in (prove_read_access, prove_write_access):
            with client_of(double.url) as client, pytest.raises(error):
                prove(client)
