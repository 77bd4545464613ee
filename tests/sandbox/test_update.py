"""The sandbox's batch/update against HubSpot's contract."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from contacts_api import change, entry

if TYPE_CHECKING:
    from contacts_api import ContactsApi
    from storm import StormyHubSpot

ANN, BO = "ann@example.test", "bo@example.test"


def test_records_are_updated_by_their_ids(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann = hubspot.seed({"email": ANN, "country": "Peru", "firstname": "Ann"})
    reply = api.update(change(ann, country="", zenovay_pageviews="3"))
    (result,) = reply.json()["results"]
    assert (reply.status_code, result["id"], result["objectWriteTraceId"]) == (200, ann, f"trace of {ann}")
    assert "new" not in result
    assert hubspot.snapshot() == {ANN: {"email": ANN, "firstname": "Ann", "zenovay_pageviews": "3"}}


@pytest.mark.parametrize("how", ["never", "deleted", "archived", "erased"])
def test_who_is_not_there_is_an_error_of_that_row(api: ContactsApi, hubspot: StormyHubSpot, how: str) -> None:
    ann, bo = hubspot.seed({"email": ANN}), hubspot.seed({"email": BO})
    gone = {"never": "999", "deleted": ann, "archived": ann, "erased": ann}[how]
    {
        "never": lambda _: None,
        "deleted": hubspot.delete,
        "archived": hubspot.archive,
        "erased": hubspot.erase,
    }[how](ann)
    before = len(hubspot.contacts)
    reply = api.update(change(gone, country="Peru"), change(bo, country="Chile"))
    body = reply.json()
    assert (reply.status_code, [each["id"] for each in body["results"]]) == (207, [bo])
    (error,) = body["errors"]
    assert error["category"] == "OBJECT_NOT_FOUND"
    assert error["context"] == {"ids": [gone], "objectWriteTraceId": [f"trace of {gone}"]}
    assert (len(hubspot.contacts), hubspot.snapshot()[BO]["country"]) == (before, "Chile")


def test_who_is_not_there_refuses_a_batch_without_traces(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    bo = hubspot.seed({"email": BO})
    reply = api.update(change(bo, trace=None, country="Chile"), change("999", trace=None))
    assert (reply.status_code, reply.json()["category"]) == (400, "OBJECT_NOT_FOUND")
    assert "country" not in hubspot.snapshot()[BO]


@pytest.mark.parametrize(
    "inputs",
    [
        [{**change("501"), "idProperty": "email"}],
        [{**change("501"), "idProperty": "zenovay_visitor_id"}],
        [change("501"), change(" 501 ", trace="other")],
        [change("501", country=None)],
        [change(str(number)) for number in range(101)],
        [{"properties": {}}],
        [],
    ],
    ids=lambda inputs: str(inputs)[:60],
)
def test_a_malformed_update_is_refused_whole(
    api: ContactsApi, hubspot: StormyHubSpot, inputs: list[Any]
) -> None:
    hubspot.seed({"email": ANN, "zenovay_visitor_id": "v1"})
    bo = hubspot.seed({"email": BO})
    reply = api.update(change(bo, country="Chile"), *inputs) if inputs else api.update()
    assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR")
    assert "country" not in hubspot.snapshot()[BO]


def test_values_are_judged_as_in_an_upsert(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.seed({"email": BO, "zenovay_visitor_id": "v1"})
    ann = hubspot.seed({"email": ANN})
    hubspot.gdpr_deleted = {"cy@example.test"}
    for properties, category, part in (
        ({"zenovay_pageviews": "x"}, "VALIDATION_ERROR", "INVALID_DOUBLE"),
        ({"email": BO}, "CONFLICT", "Existing ID: 501"),
        ({"zenovay_visitor_id": "v1"}, "VALIDATION_ERROR", "CONFLICTING_UNIQUE_VALUE"),
        ({"email": "cy@example.test"}, "GDPR_DELETED", "cy@example.test"),
    ):
        (error,) = api.update(change(ann, **properties)).json()["errors"]
        assert (error["category"], part in error["message"]) == (category, True)
    assert hubspot.snapshot()[ANN] == {"email": ANN}


def test_a_merged_id_writes_to_the_merged_record(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    merged = hubspot.merge(hubspot.seed({"email": ANN}), hubspot.seed({"email": BO}))
    (result,) = api.update(change("502", country="Peru")).json()["results"]
    assert (result["id"], result["objectWriteTraceId"]) == (merged, "trace of 502")
    assert hubspot.contacts[merged]["country"] == "Peru"


def test_two_ids_of_one_record_may_be_written_one_after_another(
    api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    merged = hubspot.merge(hubspot.seed({"email": ANN}), hubspot.seed({"email": BO}))
    reply = api.update(change("501", country="Peru"), change("502", country="Chile"))
    assert [each["id"] for each in reply.json()["results"]] == [merged, merged]
    assert hubspot.contacts[merged]["country"] == "Chile"


def test_or_refuse_the_batch(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.merged_twice = "refused"
    merged = hubspot.merge(hubspot.seed({"email": ANN}), hubspot.seed({"email": BO}))
    reply = api.update(change("501", country="Peru"), change(merged, country="Chile"))
    assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR")
    assert "country" not in hubspot.contacts[merged]
    assert api.update(change("501", country="Peru")).status_code == 200


def test_updating_needs_the_scope(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.scopes = {"crm.objects.contacts.read"}
    assert api.update(change("501")).json()["category"] == "MISSING_SCOPES"


def test_validation_rules_bind_the_new_version_only(
    api: ContactsApi, strict_api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    hubspot.validation_rules = {"country": "[A-Z]{2}"}
    ann = hubspot.seed({"email": ANN})
    assert api.update(change(ann, country="Peru")).status_code == 200
    for refused in (
        strict_api.update(change(ann, country="Chile")),
        strict_api.upsert(entry(ANN, country="Chile")),
    ):
        (error,) = refused.json()["errors"]
        prefix, _, listed = error["message"].partition(": ")
        assert (error["category"], prefix) == ("VALIDATION_ERROR", "Property values were not valid")
        (detail,) = json.loads(listed)
        assert (detail["name"], detail["error"]) == ("country", "PROPERTY_VALIDATION_RULE_VIOLATED")
        assert "[A-Z]{2}" in detail["message"]
    assert hubspot.snapshot()[ANN]["country"] == "Peru"
    assert strict_api.update(change(ann, trace=None, country="Chile")).status_code == 400
    assert strict_api.update(change(ann, country="CL")).status_code == 200
    assert strict_api.update(change(ann, country="")).status_code == 200


@pytest.mark.parametrize("status", [None, "true"])
def test_new_contacts_may_count_as_marketing_contacts(
    api: ContactsApi, hubspot: StormyHubSpot, status: str | None
) -> None:
    hubspot.marketing_contacts = status is not None
    hubspot.seed({"email": BO})
    api.upsert(entry(ANN), entry(BO))
    held = [contact.get("hs_marketable_status") for contact in hubspot.contacts.values()]
    assert sorted(held, key=str) == sorted([None, status], key=str)
    refused = api.upsert(entry(ANN, hs_marketable_status="false")).json()["errors"][0]
    assert "READ_ONLY_VALUE" in refused["message"]
