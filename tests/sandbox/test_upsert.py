"""The sandbox's batch/upsert against HubSpot's contract."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from contacts_api import entry
from storm import Storm

from etl.sandbox.hubspot_schema import FLAG_OPTIONS, Definition

UPSERT = "/crm/objects/2026-03/contacts/batch/upsert"
ANN = "ann@example.test"


@pytest.fixture
def sandbox(sandbox: Storm) -> Storm:
    sandbox.hubspot.install_properties()
    return sandbox


def upsert(client: httpx.Client, *inputs: Any, path: str = UPSERT) -> httpx.Response:
    return client.post(path, json={"inputs": list(inputs)})


@pytest.mark.parametrize("path", [UPSERT, "/crm/v3/objects/contacts/batch/upsert"])
def test_it_creates_then_updates(sandbox: Storm, client: httpx.Client, path: str) -> None:
    first = upsert(client, entry(ANN, country="France", zenovay_pageviews="17"), path=path)
    second = upsert(client, entry(ANN, country="", zenovay_pageviews="18"), path=path)
    assert (first.status_code, second.status_code) == (200, 200)
    created, updated = first.json()["results"][0], second.json()["results"][0]
    assert (created["new"], updated["new"]) == (True, False)
    assert created["id"] == updated["id"]
    assert created["properties"]["email"] == ANN
    assert created["objectWriteTraceId"] == f"trace of {ANN}"
    assert not {"errors", "numErrors"} & first.json().keys()
    assert sandbox.hubspot.snapshot() == {ANN: {"email": ANN, "zenovay_pageviews": "18"}}


def test_an_omitted_property_stays_and_an_empty_one_is_cleared(sandbox: Storm, client: httpx.Client) -> None:
    sandbox.hubspot.seed({"email": ANN, "country": "Peru", "firstname": "Ann"})
    upsert(client, entry(ANN, country=""))
    assert sandbox.hubspot.snapshot()[ANN] == {"email": ANN, "firstname": "Ann"}


def test_addresses_are_kept_trimmed_and_in_lower_case(sandbox: Storm, client: httpx.Client) -> None:
    upsert(client, entry("  Ann@Example.TEST "))
    assert upsert(client, entry(ANN)).json()["results"][0]["new"] is False
    assert list(sandbox.hubspot.snapshot()) == [ANN]


def test_contacts_are_found_by_a_custom_unique_property(sandbox: Storm, client: httpx.Client) -> None:
    visitor = entry("v1", by="zenovay_visitor_id", firstname="Visitor")
    assert [upsert(client, visitor).json()["results"][0]["new"] for _ in range(2)] == [True, False]
    assert sandbox.hubspot.snapshot() == {"v1": {"zenovay_visitor_id": "v1", "firstname": "Visitor"}}
    assert sandbox.hubspot.contact(visitor_id="v1") == sandbox.hubspot.contacts["501"]


def test_without_id_property_the_id_is_hubspots(sandbox: Storm, client: httpx.Client) -> None:
    known = sandbox.hubspot.seed({"email": ANN})
    inputs = [
        {"id": contact_id, "objectWriteTraceId": contact_id, "properties": {"country": "Peru"}}
        for contact_id in (known, "999")
    ]
    reply = upsert(client, *inputs).json()
    assert [result["id"] for result in reply["results"]] == [known]
    assert [error["category"] for error in reply["errors"]] == ["OBJECT_NOT_FOUND"]


def test_secondary_addresses_lead_to_their_owner(sandbox: Storm, client: httpx.Client) -> None:
    owner = sandbox.hubspot.seed({"email": ANN, "hs_additional_emails": "a@old.test;Ann@Older.test"})
    result = upsert(client, entry("ann@older.test", email="ann@older.test", country="Peru")).json()[
        "results"
    ][0]
    assert (result["id"], result["new"], result["properties"]["email"]) == (owner, False, ANN)
    assert sandbox.hubspot.snapshot()[ANN]["country"] == "Peru"


@pytest.mark.parametrize(
    "inputs",
    [
        [entry(f"p{number}@example.test") for number in range(101)],
        [entry(ANN), entry(" ANN@example.test", trace="other")],
        [entry("v1", by="zenovay_visitor_id"), entry("v1", by="zenovay_visitor_id", trace="other")],
        [entry(ANN, country=None)],
        [entry(ANN, zenovay_pageviews=17)],
        [entry(ANN, by="country")],
        [entry(ANN, by="nonsense")],
        [{"idProperty": "email", "properties": {}}],
        [{"id": ANN, "idProperty": "email"}],
        [{"id": 17, "idProperty": "email", "properties": {}}],
        [{"id": " ", "idProperty": "email", "properties": {}}],
        [{**entry(ANN), "objectWriteTraceId": 5}],
        ["text"],
        [],
    ],
    ids=lambda inputs: str(inputs)[:60],
)
def test_a_malformed_batch_is_refused_whole(sandbox: Storm, client: httpx.Client, inputs: list[Any]) -> None:
    reply = upsert(client, entry("good@example.test"), *inputs) if inputs else upsert(client)
    assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR")
    assert sandbox.hubspot.contacts == {}


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b'{"inputs":{}}', b'{"inputs":"\xff"}'])
def test_a_body_that_is_no_batch_is_refused(client: httpx.Client, body: bytes) -> None:
    assert client.post(UPSERT, content=body).status_code == 400


def test_a_wrong_wrapper_is_a_silent_no_op() -> None:
    """Which goes against the published document, and happens."""
    with Storm() as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.hubspot.access_token}"}
        reply = httpx.post(sandbox.url + UPSERT, json={"records": [entry(ANN)]}, headers=headers)
        assert (reply.status_code, reply.json()["results"]) == (200, [])
        assert sandbox.hubspot.contacts == {}


BAD_VALUES = [
    ({"nonsense": "1"}, "PROPERTY_DOESNT_EXIST", "nonsense"),
    ({"hs_object_id": "1"}, "READ_ONLY_VALUE", "hs_object_id"),
    ({"zenovay_pageviews": "many"}, "INVALID_DOUBLE", "zenovay_pageviews"),
    ({"zenovay_pageviews": "1e3"}, "INVALID_DOUBLE", "zenovay_pageviews"),
    ({"zenovay_pageviews": "nan"}, "INVALID_DOUBLE", "zenovay_pageviews"),
    ({"zenovay_last_seen": "yesterday"}, "INVALID_LONG", "zenovay_last_seen"),
    ({"zenovay_last_seen": "2026-10-05"}, "INVALID_LONG", "zenovay_last_seen"),
    ({"zenovay_last_seen": "2026-10-05T09:30:00"}, "INVALID_LONG", "zenovay_last_seen"),
    ({"email": "not an address"}, "INVALID_EMAIL", "email"),
    ({"country": "x" * 65_537}, "PROPERTY_VALUE_TOO_LONG", "country"),
]


@pytest.mark.parametrize(("properties", "error", "name"), BAD_VALUES)
def test_a_bad_value_refuses_its_row_alone(
    sandbox: Storm, client: httpx.Client, properties: dict[str, str], error: str, name: str
) -> None:
    reply = upsert(client, entry(ANN, **properties), entry("bo@example.test", country="Peru"))
    assert reply.status_code == 207
    body = reply.json()
    assert (len(body["results"]), body["numErrors"], len(body["errors"])) == (1, 1, 1)
    refused = body["errors"][0]
    assert refused["context"] == {"objectWriteTraceId": [f"trace of {ANN}"]}
    prefix, _, listed = refused["message"].partition(": ")
    assert prefix == "Property values were not valid"
    details = json.loads(listed)
    assert [(detail["isValid"], detail["error"], detail["name"]) for detail in details] == [
        (False, error, name)
    ]
    assert list(sandbox.hubspot.snapshot()) == ["bo@example.test"]


def test_a_bool_takes_its_two_words_only(sandbox: Storm, client: httpx.Client) -> None:
    sandbox.hubspot.schema.add(Definition("engaged", "bool", "booleancheckbox", options=FLAG_OPTIONS))
    for value in ("True", "1", "yes", "true "):
        assert "INVALID_OPTION" in upsert(client, entry(ANN, engaged=value)).json()["errors"][0]["message"]
    for value, kept in (("true", "true"), ("false", "false"), ("", None)):
        assert upsert(client, entry(ANN, engaged=value)).status_code == 200
        assert sandbox.hubspot.snapshot()[ANN].get("engaged") == kept


@pytest.mark.parametrize("address", ["a", "a@b", "a b@c.test", "a@b..test", f"{'a' * 250}@b.test", "@b.test"])
def test_a_new_contact_needs_a_valid_address(client: httpx.Client, address: str) -> None:
    assert "INVALID_EMAIL" in upsert(client, entry(address)).json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-10-05T09:30:00.000Z", "2026-10-05T09:30:00Z"),
        ("2026-10-05T09:30:00.120Z", "2026-10-05T09:30:00.120Z"),
        ("2026-10-05T11:30:00+02:00", "2026-10-05T09:30:00Z"),
        ("1791192600000", "2026-10-05T09:30:00Z"),
        ("", None),
    ],
)
def test_datetimes_are_kept_in_one_form(
    sandbox: Storm, client: httpx.Client, given: str, kept: str | None
) -> None:
    assert upsert(client, entry(ANN, zenovay_last_seen=given)).status_code == 200
    assert sandbox.hubspot.snapshot()[ANN].get("zenovay_last_seen") == kept


@pytest.mark.parametrize("traces", [(None, None), ("1", None), ("1", "1")])
def test_one_bad_row_without_unique_trace_ids_refuses_the_batch(
    sandbox: Storm, client: httpx.Client, traces: tuple[str | None, str | None]
) -> None:
    good, bad = entry("bo@example.test", trace=traces[0]), entry(ANN, trace=traces[1], zenovay_pageviews="x")
    reply = upsert(client, good, bad)
    assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR")
    assert "Property values were not valid" in reply.json()["message"]
    assert sandbox.hubspot.contacts == {}
    assert upsert(client, good).status_code == 200


def test_a_refused_batch_leaves_known_contacts_as_they_were(sandbox: Storm, client: httpx.Client) -> None:
    sandbox.hubspot.seed({"email": ANN, "country": "Peru"})
    before = sandbox.hubspot.contacts
    bad = entry("bo@example.test", trace=None, nonsense="1")
    assert upsert(client, entry(ANN, trace=None, country="Chile"), bad).status_code == 400
    assert sandbox.hubspot.contacts == before
    assert upsert(client, entry(ANN)).json()["results"][0]["new"] is False


def test_a_new_contact_needs_an_address_or_a_name(sandbox: Storm, client: httpx.Client) -> None:
    nameless = entry("v1", by="zenovay_visitor_id", country="Peru")
    refused = upsert(client, nameless).json()["errors"][0]
    assert refused["category"] == "VALIDATION_ERROR"
    assert all(name in refused["message"] for name in ("email", "firstname", "lastname"))
    sandbox.hubspot.nameless_allowed = True
    assert upsert(client, nameless).status_code == 200


def test_a_known_contact_needs_no_name(sandbox: Storm, client: httpx.Client) -> None:
    sandbox.hubspot.seed({"zenovay_visitor_id": "v1"})
    assert upsert(client, entry("v1", by="zenovay_visitor_id", country="Peru")).status_code == 200


@pytest.mark.parametrize(
    ("refused", "category", "part"),
    [
        (entry("bo@example.test", email=ANN), "CONFLICT", "Existing ID: 501"),
        (entry("bo@example.test", zenovay_visitor_id="v1"), "VALIDATION_ERROR", "CONFLICTING_UNIQUE_VALUE"),
    ],
)
def test_values_of_another_contact_conflict(
    sandbox: Storm, client: httpx.Client, refused: dict[str, Any], category: str, part: str
) -> None:
    sandbox.hubspot.seed({"email": ANN, "zenovay_visitor_id": "v1"})
    good = entry("cy@example.test")
    body = upsert(client, good, refused).json()
    assert (len(body["results"]), body["errors"][0]["category"]) == (1, category)
    assert part in body["errors"][0]["message"]
    whole = upsert(client, entry("dee@example.test", trace=None), refused)
    assert (whole.status_code, whole.json()["category"]) == (409, category)
    assert "dee@example.test" not in sandbox.hubspot.snapshot()


def test_a_deleted_contact_gives_its_values_back(sandbox: Storm, client: httpx.Client) -> None:
    upsert(client, entry(ANN))
    sandbox.hubspot.delete("501")
    result = upsert(client, entry(ANN)).json()["results"][0]
    assert (result["new"], result["id"]) == (True, "502")


def test_addresses_can_be_refused_for_ever(sandbox: Storm, client: httpx.Client) -> None:
    sandbox.hubspot.gdpr_deleted = {ANN}
    for _ in range(2):
        body = upsert(client, entry("Ann@Example.test"), entry("bo@example.test")).json()
        assert [error["category"] for error in body["errors"]] == ["GDPR_DELETED"]
        assert len(body["results"]) == 1


def test_results_come_in_another_order(client: httpx.Client) -> None:
    names = [f"p{number:02}@example.test" for number in range(30)]
    results = upsert(client, *(entry(name) for name in names)).json()["results"]
    seen = [result["properties"]["email"] for result in results]
    assert seen != names
    assert sorted(seen) == names


def test_an_upsert_of_nothing_still_needs_the_scope(sandbox: Storm, client: httpx.Client) -> None:
    assert upsert(client).status_code == 400
    sandbox.hubspot.scopes = {"crm.objects.contacts.read"}
    refused = upsert(client)
    assert (refused.status_code, refused.json()["category"]) == (403, "MISSING_SCOPES")
    required = refused.json()["errors"][0]["context"]["requiredGranularScopes"]
    assert required == ["crm.objects.contacts.write"]


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic abc"])
def test_the_token_is_needed(sandbox: Storm, token: str) -> None:
    headers = {"Authorization": token} if token else {}
    reply = httpx.post(sandbox.url + UPSERT, json={"inputs": [entry(ANN)]}, headers=headers)
    assert (reply.status_code, reply.json()["category"]) == (401, "INVALID_AUTHENTICATION")


@pytest.mark.parametrize(
    "path",
    [
        "/crm/objects/2025-09/contacts/batch/upsert",
        "/crm/objects/v3/contacts/batch/upsert",
        "/crm/2026-03/objects/contacts/batch/upsert",
        "/crm/v4/objects/contacts/batch/upsert",
    ],
)
def test_wrong_paths_and_versions_are_unknown(client: httpx.Client, path: str) -> None:
    assert upsert(client, entry(ANN), path=path).status_code == 404


def test_the_next_version_asks_for_required_properties(sandbox: Storm, client: httpx.Client) -> None:
    sandbox.hubspot.required_properties = {"company"}
    path = "/crm/objects/2026-09/contacts/batch/upsert"
    body = upsert(client, entry(ANN), path=path).json()
    assert body["errors"][0]["category"] == "MISSING_REQUIRED_PROPERTY"
    assert upsert(client, entry(ANN, company="Acme"), path=path).status_code == 200
