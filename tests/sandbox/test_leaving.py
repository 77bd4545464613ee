"""The sandbox's recycle bin and GDPR deletion against HubSpot's contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from contacts_api import change, entry

if TYPE_CHECKING:
    from contacts_api import ContactsApi
    from storm import StormyHubSpot

ANN, BO, CY = "ann@example.test", "bo@example.test", "cy@example.test"
LINK = "zenovay_visitor_id"


def test_an_archived_contact_is_in_the_recycle_bin_only(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo, cy = (hubspot.seed({"email": address}) for address in (ANN, BO, CY))
    assert (api.archive(ann).status_code, api.archive(ann).status_code) == (204, 204)
    assert api.archive_batch(bo, "999").status_code == 204
    assert list(hubspot.contacts) == [cy]
    assert api.read(ann, bo, cy).json()["errors"][0]["context"] == {"ids": [ann, bo]}
    binned = api.read(ann, bo, cy, archived=True, properties=("email",))
    assert binned.status_code == 207
    shown = {each["id"]: each for each in binned.json()["results"]}
    assert shown.keys() == {ann, bo}
    assert (shown[ann]["archived"], shown[ann]["properties"]["email"]) == (True, ANN)
    assert shown[ann]["archivedAt"] >= shown[ann]["createdAt"]
    assert [each["id"] for each in api.read(BO, by="email", archived=True).json()["results"]] == [bo]
    assert api.read(CY, by="email", archived=True).json()["results"] == []


def test_who_was_never_there_cannot_be_archived(api: ContactsApi) -> None:
    assert api.archive("999").json()["category"] == "OBJECT_NOT_FOUND"


@pytest.mark.parametrize("number", [100, 101])
def test_a_hundred_are_archived_at_once(api: ContactsApi, hubspot: StormyHubSpot, number: int) -> None:
    ids = [hubspot.seed({"firstname": f"P{each}"}) for each in range(number)]
    assert api.archive_batch(*ids).status_code == (204 if number <= 100 else 400)
    assert len(hubspot.contacts) == (0 if number <= 100 else 101)


def test_an_upsert_of_an_archived_contact_may_make_a_new_one(
    api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    old = hubspot.seed({"email": ANN, LINK: "v1"})
    hubspot.archive(old)
    (result,) = api.upsert(entry(ANN, **{LINK: "v1"})).json()["results"]
    assert (result["new"], result["id"] == old) == (True, False)


@pytest.mark.parametrize(
    "again", [entry(ANN), entry("v1", by=LINK, firstname="Ann"), entry(BO, **{LINK: "v1"})], ids=str
)
def test_or_conflict(api: ContactsApi, hubspot: StormyHubSpot, again: dict[str, object]) -> None:
    hubspot.archived_upsert = "conflict"
    old = hubspot.seed({"email": ANN, LINK: "v1"})
    hubspot.archive(old)
    reply = api.upsert(again, entry(CY))
    (error,) = reply.json()["errors"]
    assert (reply.status_code, error["category"], old in error["message"]) == (207, "CONFLICT", True)
    assert set(hubspot.snapshot()) == {CY}
    assert api.upsert({**again, "objectWriteTraceId": ""}).status_code == 409


def test_a_restored_contact_is_as_it_was(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann = hubspot.seed({"email": ANN, LINK: "v1", "country": "Peru"})
    hubspot.archive(ann)
    hubspot.restore(ann)
    (result,) = api.read("v1", by=LINK, history=("country",)).json()["results"]
    assert (result["id"], result["archived"]) == (ann, False)
    assert [each["value"] for each in result["propertiesWithHistory"]["country"]] == ["Peru"]
    assert hubspot.snapshot() == {ANN: {"email": ANN, LINK: "v1", "country": "Peru"}}


def test_a_restored_contact_leaves_others_what_they_took_up(hubspot: StormyHubSpot, api: ContactsApi) -> None:
    ann = hubspot.seed({"email": ANN, LINK: "v1"})
    hubspot.archive(ann)
    hubspot.seed({"email": BO, LINK: "v1"})
    hubspot.restore(ann)
    assert hubspot.snapshot() == {ANN: {"email": ANN}, BO: {"email": BO, LINK: "v1"}}
    assert len(api.read("v1", by=LINK).json()["results"]) == 1


def test_further_keys_of_a_restored_contact_stay_with_whom_they_went_to(
    hubspot: StormyHubSpot, api: ContactsApi
) -> None:
    merged = hubspot.merge(hubspot.seed({"email": ANN, LINK: "v1"}), hubspot.seed({"email": BO, LINK: "v2"}))
    hubspot.archive(merged)
    other = hubspot.seed({"email": BO, LINK: "v2"})
    hubspot.restore(merged)
    assert [each["id"] for each in api.read(BO, by="email").json()["results"]] == [other]
    assert [each["id"] for each in api.read("v2", by=LINK).json()["results"]] == [other]
    assert [each["id"] for each in api.read(ANN, by="email").json()["results"]] == [merged]


def test_an_erased_contact_is_gone_and_its_addresses_are_blocked(
    api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    ann = hubspot.seed({"email": ANN, "hs_additional_emails": BO, LINK: "v1"})
    assert api.erase(ann).status_code == 204
    assert hubspot.contacts == {}
    assert api.read(ann).json()["results"] == api.read(ann, archived=True).json()["results"] == []
    for address in (ANN, BO):
        (error,) = api.upsert(entry(address, firstname="Ann")).json()["errors"]
        assert error["category"] == "GDPR_DELETED"
    cy = hubspot.seed({"email": CY})
    assert api.update(change(cy, email=BO)).json()["errors"][0]["category"] == "GDPR_DELETED"
    assert api.upsert(entry("v1", by=LINK, firstname="Ann")).json()["results"][0]["new"] is True


def test_a_contact_is_erased_by_any_of_its_addresses(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.seed({"email": ANN, "hs_additional_emails": BO})
    assert api.erase(" Bo@example.test", by="email").status_code == 204
    assert (hubspot.contacts, hubspot.gdpr_deleted) == ({}, {ANN, BO})


def test_an_archived_contact_can_be_erased(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo = hubspot.seed({"email": ANN}), hubspot.seed({"email": BO})
    for contact_id in (ann, bo):
        hubspot.archive(contact_id)
    assert (api.erase(ann).status_code, api.erase(BO, by="email").status_code) == (204, 204)
    assert api.read(ann, bo, archived=True).json()["results"] == []
    assert hubspot.gdpr_deleted == {ANN, BO}


def test_an_unknown_address_is_blocked_and_an_unknown_id_is_told(
    api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    assert api.erase("Ann@example.test", by="email").status_code == 204
    assert hubspot.gdpr_deleted == {ANN}
    assert api.upsert(entry(ANN)).json()["errors"][0]["category"] == "GDPR_DELETED"
    assert [api.erase("999").status_code, api.erase("v9", by=LINK).status_code] == [404, 404]
    assert [api.erase("Peru", by="country").status_code, api.erase("").status_code] == [400, 400]


def test_a_merged_contact_is_erased_by_its_old_ids(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo = hubspot.seed({"email": ANN}), hubspot.seed({"email": BO})
    merged = hubspot.merge(ann, bo)
    assert [api.erase(each).status_code for each in (bo, ann, merged)] == [204, 404, 404]
    assert hubspot.gdpr_deleted == {ANN, BO}


def test_leaving_needs_the_scope(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.scopes = {"crm.objects.contacts.read"}
    for reply in (api.archive("501"), api.archive_batch("501"), api.erase("501")):
        assert reply.json()["category"] == "MISSING_SCOPES"
