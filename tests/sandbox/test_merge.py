"""The sandbox's merge against HubSpot's contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from contacts_api import change, entry

if TYPE_CHECKING:
    from contacts_api import ContactsApi
    from storm import StormyHubSpot

ANN, BO, CY = "ann@example.test", "bo@example.test", "cy@example.test"
LINK = "zenovay_visitor_id"


def test_the_primary_wins_and_the_other_fills_what_is_empty(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann = hubspot.seed({"email": ANN, "country": "Peru"})
    bo = hubspot.seed({"email": BO, "country": "Chile", "firstname": "Bo"})
    reply = api.merge(ann, bo)
    merged = reply.json()
    assert (reply.status_code, merged["id"] in {ann, bo}, merged["archived"]) == (200, False, False)
    assert merged["properties"]["hs_object_id"] == merged["id"]
    assert hubspot.snapshot() == {
        ANN: {"email": ANN, "country": "Peru", "firstname": "Bo", "hs_additional_emails": BO}
    }
    assert list(hubspot.contacts) == [merged["id"]]


def test_all_addresses_lead_to_the_merged_record(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    first = hubspot.merge(hubspot.seed({"email": ANN}), hubspot.seed({"email": BO}))
    merged = api.merge(hubspot.seed({"email": CY}), first).json()["id"]
    assert hubspot.snapshot()[CY]["hs_additional_emails"] == f"{ANN};{BO}"
    for address in (ANN, BO, CY):
        (result,) = api.upsert(entry(address, email=address, country="Peru")).json()["results"]
        assert (result["id"], result["new"], result["properties"]["email"]) == (merged, False, CY)


def test_a_primary_without_an_address_takes_that_of_the_other(
    api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    api.merge(hubspot.seed({"firstname": "Visitor"}), hubspot.seed({"email": BO}))
    assert hubspot.snapshot() == {BO: {"email": BO, "firstname": "Visitor"}}


def test_old_ids_go_on_answering_everywhere(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo, cy = (hubspot.seed({"email": address}) for address in (ANN, BO, CY))
    first = api.merge(ann, bo).json()["id"]
    merged = api.merge(cy, bo).json()["id"]
    for old in (ann, bo, first, cy):
        assert [each["id"] for each in api.read(old).json()["results"]] == [merged]
        assert [each["id"] for each in api.update(change(old)).json()["results"]] == [merged]
    assert [each["id"] for each in api.read(ann, bo, merged).json()["results"]] == [merged]
    assert api.merge(ann, bo).status_code == 400
    assert api.archive(ann).status_code == 204
    assert hubspot.contacts == {}
    for old in (ann, bo, first, cy, merged):
        assert api.archive(old).status_code == 204
        assert [each["id"] for each in api.read(old, archived=True).json()["results"]] == [merged]
    assert api.erase(bo).status_code == 204
    assert [api.archive(each).status_code for each in (ann, merged)] == [404, 404]


def test_histories_are_combined(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo = hubspot.seed({"email": ANN, "country": "Peru"}), hubspot.seed({"email": BO, "country": "Chile"})
    hubspot.edit(bo, country="Cuba")
    merged = api.merge(ann, bo).json()["id"]
    (result,) = api.read(merged, history=("country", "email")).json()["results"]
    country = result["propertiesWithHistory"]["country"]
    assert [each["value"] for each in country] == ["Peru", "Cuba", "Chile", "Peru"]
    assert country[0]["sourceType"] == "MERGE_OBJECTS"
    assert {each["value"] for each in result["propertiesWithHistory"]["email"]} == {ANN, BO}


def test_the_earlier_creation_counts(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    older, newer = hubspot.seed({"email": ANN}), hubspot.seed({"email": BO})
    created = hubspot.contacts[older]["createdate"]
    assert api.merge(newer, older).json()["createdAt"] == created


def test_the_unique_value_of_the_loser_may_still_find_the_record(
    api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    merged = hubspot.merge(hubspot.seed({"email": ANN, LINK: "v1"}), hubspot.seed({LINK: "v2"}))
    again = hubspot.merge(merged, hubspot.seed({"email": BO}))
    assert hubspot.contacts[again][LINK] == "v1"
    for value in ("v1", "v2"):
        assert [each["id"] for each in api.read(value, by=LINK).json()["results"]] == [again]
    (error,) = api.upsert(entry(CY, **{LINK: "v2"})).json()["errors"]
    assert "CONFLICTING_UNIQUE_VALUE" in error["message"]


def test_or_find_nobody(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.unique_survives_merge = False
    merged = hubspot.merge(hubspot.seed({"email": ANN, LINK: "v1"}), hubspot.seed({LINK: "v2"}))
    assert [each["id"] for each in api.read("v1", by=LINK).json()["results"]] == [merged]
    assert api.read("v2", by=LINK).json()["results"] == []
    assert api.upsert(entry(CY, **{LINK: "v2"})).json()["results"][0]["new"] is True


@pytest.mark.parametrize("survives", [True, False], ids=str)
def test_a_unique_value_that_the_primary_lacks_becomes_its_own(
    api: ContactsApi, hubspot: StormyHubSpot, *, survives: bool
) -> None:
    hubspot.unique_survives_merge = survives
    merged = hubspot.merge(hubspot.seed({"email": ANN}), hubspot.seed({LINK: "v2"}))
    assert hubspot.contacts[merged][LINK] == "v2"
    assert [each["id"] for each in api.read("v2", by=LINK).json()["results"]] == [merged]


def test_nobody_is_merged_with_itself_or_with_nobody(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo = hubspot.seed({"email": ANN}), hubspot.seed({"email": BO})
    assert [api.merge(ann, other).status_code for other in (ann, "999")] == [400, 404]
    assert api.merge("999", ann).json()["category"] == "OBJECT_NOT_FOUND"
    assert api.post("merge", {"primaryObjectId": ann}).status_code == 400
    hubspot.archive(bo)
    assert api.merge(ann, bo).status_code == 404


def test_a_record_takes_part_in_250_merges(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    merged = hubspot.seed({"email": ANN})
    for number in range(250):
        merged = hubspot.merge(merged, hubspot.seed({"firstname": f"P{number}"}))
    other = hubspot.seed({"email": BO})
    assert [api.merge(*pair).status_code for pair in ((merged, other), (other, merged))] == [400, 400]
    assert len(hubspot.contacts) == 2


def test_merging_needs_the_scope(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.scopes = {"crm.objects.contacts.read"}
    assert api.merge("501", "502").json()["category"] == "MISSING_SCOPES"
