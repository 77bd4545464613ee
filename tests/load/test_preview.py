"""Dry runs and the check of access: they look, and write nothing."""

from __future__ import annotations

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
from etl.models.verdict import Delivery, Outcome

if TYPE_CHECKING:
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


def preview(parcels: list[Parcel], answer: Any = holding) -> tuple[Delivery, HubSpotDouble]:
    with HubSpotDouble(answer) as double, client_of(double.url) as client:
        return Preview(client, WANTED, clock=FakeClock(), verified=True).deliver(parcels), double


def test_a_preview_looks_up_whom_it_does_not_know() -> None:
    parcels = [
        by_email(1, "ann@example.test"),
        by_email(2, "OLD@example.test"),
        by_visitor(3, "v-3"),
        by_visitor(4, "v-4"),
        by_email(5, "bob@example.test"),
        by_email(6, "known@example.test", known=True),
    ]
    delivery, double = preview(parcels)
    created, updated = Outcome.CREATED, Outcome.UPDATED
    assert [each.outcome for each in delivery.verdicts] == [
        updated,
        updated,
        updated,
        created,
        created,
        updated,
    ]
    assert delivery.stop is None
    assert {asked.path for asked in double.asked} == {READ}
    assert len(double.asked) == 2


def test_known_contacts_cost_no_request() -> None:
    delivery, double = preview([by_email(number, known=True) for number in range(100)])
    assert {each.outcome for each in delivery.verdicts} == {Outcome.UPDATED}
    assert double.asked == []


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


def test_a_preview_stops_where_the_run_would_stop() -> None:
    complaint = says({"message": "Property zenovay_visitor_id does not exist"}, status=400)
    delivery, _ = preview([by_visitor(3), by_visitor(4, known=True)], lambda _: complaint)
    assert isinstance(delivery.stop, SetupError)
    assert [each.outcome for each in delivery.verdicts] == [Outcome.DEFERRED, Outcome.UPDATED]

    def bare(asked: Asked) -> Answer:
        return Answer(status=404) if asked.method == "GET" else says({"results": []})

    with HubSpotDouble(bare) as double, client_of(double.url) as client:
        unprepared = Preview(client, WANTED, clock=FakeClock())
        assert isinstance(unprepared.deliver([by_email(1)]).stop, SetupError)
        assert not unprepared.verified


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
