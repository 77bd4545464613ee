"""The sandbox's properties, batch/read and account description against HubSpot's contract."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openapi import OpenApiObserver
from storm import Exchange, Fault, Storm

READ = "/crm/objects/2026-03/contacts/batch/read"
ANN = "ann@example.test"


@pytest.fixture(params=["/crm/properties/2026-03/contacts", "/crm/v3/properties/contacts"])
def base(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def wanted(name: str = "zenovay_visitor_id", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "label": "Zenovay visitor id",
        "type": "string",
        "fieldType": "text",
        "groupName": "contactinformation",
        **changes,
    }


def option(value: str, order: int = 0) -> dict[str, Any]:
    return {"value": value, "label": value.title(), "displayOrder": order, "hidden": False}


def read(client: httpx.Client, *ids: str, by: str | None = "email", properties: tuple[str, ...] = ()) -> Any:
    body = {
        "inputs": [{"id": each} for each in ids],
        "properties": list(properties),
        "propertiesWithHistory": [],
    }
    return client.post(READ, json={**body, "idProperty": by} if by else body)


def test_a_property_is_made_once(client: httpx.Client, base: str) -> None:
    assert client.get(f"{base}/zenovay_visitor_id").status_code == 404
    made = client.post(base, json=wanted(hasUniqueValue=True))
    assert (made.status_code, made.json()["hasUniqueValue"]) == (201, True)
    assert client.get(f"{base}/zenovay_visitor_id").json() == made.json()
    again = client.post(base, json=wanted())
    assert (again.status_code, again.json()["category"]) == (409, "OBJECT_ALREADY_EXISTS")
    listed = [each["name"] for each in client.get(base).json()["results"]]
    assert {"email", "country", "zenovay_visitor_id"} <= set(listed)


def test_a_group_is_made_once_and_must_exist(client: httpx.Client, base: str) -> None:
    assert client.post(base, json=wanted(groupName="zenovay")).status_code == 400
    group = {"name": "zenovay", "label": "Zenovay"}
    assert client.post(f"{base}/groups", json=group).status_code == 201
    assert client.post(f"{base}/groups", json=group).json()["category"] == "OBJECT_ALREADY_EXISTS"
    assert "zenovay" in {each["name"] for each in client.get(f"{base}/groups").json()["results"]}
    assert client.post(base, json=wanted(groupName="zenovay")).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Upper"},
        {"name": ""},
        {"type": "text"},
        {"fieldType": "number"},
        {"label": None},
        {"hasUniqueValue": "yes"},
        {"type": "bool", "fieldType": "booleancheckbox"},
        {"type": "bool", "fieldType": "booleancheckbox", "options": [option("true")]},
        {"type": "bool", "fieldType": "booleancheckbox", "options": [option("yes"), option("no")]},
        {"type": "enumeration", "fieldType": "select"},
        {"options": ["true", "false"]},
    ],
)
def test_a_bad_definition_is_refused(client: httpx.Client, base: str, changes: dict[str, Any]) -> None:
    assert client.post(base, json={**wanted(), **changes}).status_code == 400


def test_a_bool_has_its_two_options(client: httpx.Client, base: str) -> None:
    options = [option("false", 1), option("true", 0)]
    made = client.post(
        base, json=wanted("engaged", type="bool", fieldType="booleancheckbox", options=options)
    )
    assert (made.status_code, made.json()["type"]) == (201, "bool")
    assert client.get(f"{base}/engaged").json()["options"] == [option("true", 0), option("false", 1)]


def test_at_most_ten_unique_properties(client: httpx.Client, base: str) -> None:
    codes = [client.post(base, json=wanted(f"key_{n}", hasUniqueValue=True)).status_code for n in range(11)]
    assert codes == [201] * 10 + [400]


def test_standard_properties_say_what_they_are(client: httpx.Client, base: str) -> None:
    email, created = (client.get(f"{base}/{name}").json() for name in ("email", "createdate"))
    assert (email["hasUniqueValue"], email["hubspotDefined"]) == (True, True)
    assert email["modificationMetadata"]["readOnlyValue"] is False
    assert created["modificationMetadata"]["readOnlyValue"] is True


def test_a_property_says_whether_forms_may_ask_for_it(client: httpx.Client, base: str) -> None:
    made = {
        "by_default": client.post(base, json=wanted("by_default")),
        "on": client.post(base, json=wanted("on", formField=True)),
        "off": client.post(base, json=wanted("off", formField=False)),
    }
    assert {name: reply.json()["formField"] for name, reply in made.items()} == {
        "by_default": False,
        "on": True,
        "off": False,
    }
    assert client.get(f"{base}/on").json()["formField"] is True
    assert client.post(base, json=wanted("other", formField="yes")).status_code == 400
    standard = [client.get(f"{base}/{name}").json() for name in ("firstname", "hs_marketable_status")]
    assert [each["formField"] for each in standard] == [True, False]
    assert standard[1]["modificationMetadata"]["readOnlyValue"] is True


def test_an_archived_property_is_shown_on_demand_only(
    sandbox: Storm, client: httpx.Client, base: str
) -> None:
    sandbox.hubspot.install_properties()
    sandbox.hubspot.schema.archive("zenovay_pageviews")
    assert client.get(f"{base}/zenovay_pageviews").status_code == 404
    assert client.get(f"{base}/zenovay_pageviews", params={"archived": "true"}).json()["archived"] is True
    assert client.post(base, json=wanted("zenovay_pageviews")).status_code == 409


def test_installed_properties_are_those_the_program_needs(
    sandbox: Storm, client: httpx.Client, base: str
) -> None:
    sandbox.hubspot.install_properties()
    names = ("country", "zenovay_last_seen", "zenovay_pageviews", "zenovay_visitor_id")
    seen = [client.get(f"{base}/{name}").json() for name in names]
    assert [(each["type"], each["fieldType"], each["hasUniqueValue"]) for each in seen] == [
        ("string", "text", False),
        ("datetime", "date", False),
        ("number", "number", False),
        ("string", "text", True),
    ]


def test_making_properties_needs_its_own_scope(sandbox: Storm, client: httpx.Client, base: str) -> None:
    sandbox.hubspot.scopes = {"crm.objects.contacts.read"}
    assert client.get(f"{base}/email").status_code == 200
    for reply in (client.post(base, json=wanted()), client.post(f"{base}/groups", json={})):
        assert (reply.status_code, reply.json()["category"]) == (403, "MISSING_SCOPES")
    sandbox.hubspot.scopes = set()
    assert client.get(f"{base}/email").status_code == 403


def test_contacts_are_read_by_any_unique_value(sandbox: Storm, client: httpx.Client) -> None:
    sandbox.hubspot.install_properties()
    known = sandbox.hubspot.seed({"email": ANN, "country": "Peru", "zenovay_visitor_id": "v1"})
    for value, by in ((" ANN@example.test", "email"), ("v1", "zenovay_visitor_id"), (known, None)):
        reply = read(client, value, by=by, properties=("country", "lastname"))
        assert reply.status_code == 200
        found = reply.json()["results"][0]
        assert (found["id"], found["properties"]["country"]) == (known, "Peru")
        assert "lastname" not in found["properties"]


def test_unknown_contacts_are_one_error_of_a_207(sandbox: Storm, client: httpx.Client) -> None:
    sandbox.hubspot.seed({"email": ANN})
    reply = read(client, "x@example.test", ANN, "y@example.test")
    body = reply.json()
    assert (reply.status_code, len(body["results"]), body["numErrors"]) == (207, 1, 1)
    assert body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert body["errors"][0]["context"] == {"ids": ["x@example.test", "y@example.test"]}


def test_reads_have_their_limits(sandbox: Storm, client: httpx.Client) -> None:
    assert read(client, *(str(number) for number in range(101))).status_code == 400
    assert read(client, ANN, by="country").status_code == 400
    assert client.post(READ, json={"inputs": [{"id": 5}]}).status_code == 400
    assert client.post(READ, content=b"nonsense").status_code == 400
    sandbox.hubspot.scopes = {"crm.objects.contacts.write"}
    assert read(client, ANN).status_code == 403


def test_the_account_describes_itself_if_the_token_may_ask(sandbox: Storm, client: httpx.Client) -> None:
    assert client.get("/account-info/v3/details").json()["portalId"] == sandbox.hubspot.portal_id
    assert client.get("/account-info/v4/details").status_code == 404
    sandbox.hubspot.scopes.discard("oauth")
    assert client.get("/account-info/v3/details").json()["category"] == "MISSING_SCOPES"


def test_observers_see_each_exchange_and_what_was_deliberate() -> None:
    seen: list[Exchange] = []
    with Storm(observers=[seen.append]) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.hubspot.access_token}"}
        with httpx.Client(base_url=sandbox.url, headers=headers) as client:
            client.get("/crm/v3/properties/contacts/email", params={"archived": "false"})
            sandbox.hubspot.faults.add(Fault.html())
            client.get("/crm/v3/properties/contacts/email")
            sandbox.hubspot.faults.add(Fault.drip(50, every_s=0.001))
            client.get("/crm/v3/properties/contacts/email")
            sandbox.hubspot.seed({"email": ANN})
            sandbox.hubspot.nulls = True
            read(client, ANN)
    assert [exchange.deliberate for exchange in seen] == [False, True, False, True]
    assert (seen[0].method, seen[0].query, seen[0].status) == ("GET", "archived=false", 200)
    assert seen[3].request_body.startswith(b"{")
    assert seen[0].response_body.startswith(b"{")


def test_the_documents_find_what_is_not_as_published() -> None:
    observer = OpenApiObserver()
    with Storm(observers=[observer]) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.hubspot.access_token}"}
        with httpx.Client(base_url=sandbox.url, headers=headers) as client:
            read(client, ANN)
            assert (observer.checked, observer.problems) == (1, [])
            client.post(READ, json={"inputs": [{"id": ANN}], "idProperty": "email"})
            client.post(READ, json={"inputs": [], "properties": [], "propertiesWithHistory": [], "x": 1})
    assert len(observer.problems) == 2
    exchange = Exchange(
        "GET", "/crm/v3/properties/contacts/x", "", {}, b"", 404, {}, b"not JSON", deliberate=False
    )
    observer(exchange)
    assert len(observer.problems) == 3
