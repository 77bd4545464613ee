"""The company's page: a form, Zenovay's script, and what a submission does to the CRM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from contacts_api import ContactsApi
    from storm import Storm, StormyHubSpot

ANN, BO = "ann@example.test", "bo@example.test"
LINK = "zenovay_visitor_id"
"""A unique property, which a form should not ask for."""


def send(sandbox: Storm, **values: str) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/form", data=values)


def test_the_page_has_the_form_the_script_and_the_snippet(sandbox: Storm) -> None:
    sandbox.hubspot.form_snippet = "<script>{say('hello')}</script>"
    page = httpx.get(f"{sandbox.url}/form")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for part in (
        '<form method=post action="/form">',
        "name=email",
        "name=firstname",
        '<input type=hidden name="zenovay_form_visitor_id" value="">',
        'src="/zenovay.js"',
        "zenovay.q=zenovay.q||[]",
        "<script>{say('hello')}</script></body>",
    ):
        assert part in page.text
    renamed = httpx.get(f"{sandbox.url}/form", params={"property": 'a"b'}).text
    assert '<input type=hidden name="a&quot;b" value="">' in renamed
    assert "zenovay_form_visitor_id" not in renamed


@pytest.mark.parametrize(("delay_s", "stated"), [(0.0, "0.0"), (1.5, "1500.0")])
def test_the_script_says_when_it_will_be_ready(sandbox: Storm, delay_s: float, stated: str) -> None:
    sandbox.zenovay.visitor_id_delay_s = delay_s
    script = httpx.get(f"{sandbox.url}/zenovay.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert f"ready = true; }}, {stated});" in script.text


def test_a_submission_makes_a_contact_and_then_changes_it(
    sandbox: Storm, api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    assert "Thank you" in send(sandbox, email=" Ann@Example.test", firstname="Ann", country="Peru").text
    send(sandbox, email=ANN, firstname="", country="Chile", hs_object_id="7", nonsense="x")
    assert hubspot.snapshot() == {ANN: {"email": ANN, "firstname": "Ann", "country": "Chile"}}
    assert hubspot.form_submissions == 2
    (result,) = api.read(ANN, by="email", history=("country",)).json()["results"]
    told = result["propertiesWithHistory"]["country"]
    assert [(each["value"], each["sourceType"]) for each in told] == [("Chile", "FORM"), ("Peru", "FORM")]


def test_a_secondary_address_leads_to_its_owner(sandbox: Storm, hubspot: StormyHubSpot) -> None:
    hubspot.seed({"email": ANN, "hs_additional_emails": BO})
    send(sandbox, email=BO, firstname="Ann")
    assert hubspot.snapshot() == {ANN: {"email": ANN, "hs_additional_emails": BO, "firstname": "Ann"}}


@pytest.mark.parametrize("values", [{}, {"email": ""}, {"email": "nonsense"}, {"email": BO}], ids=str)
def test_without_a_good_address_nothing_is_written(
    sandbox: Storm, hubspot: StormyHubSpot, values: dict[str, str]
) -> None:
    hubspot.gdpr_deleted = {BO}
    assert send(sandbox, firstname="Bo", **values).status_code == 400
    assert (hubspot.contacts, hubspot.form_submissions) == ({}, 1)


@pytest.mark.usefixtures("api")
def test_a_unique_value_of_another_contact_is_dropped(sandbox: Storm, hubspot: StormyHubSpot) -> None:
    hubspot.seed({"firstname": "Visitor", LINK: "v1"})
    assert send(sandbox, email=ANN, firstname="Ann", **{LINK: "v1"}).status_code == 200
    assert hubspot.snapshot()[ANN] == {"email": ANN, "firstname": "Ann"}
    send(sandbox, email=ANN, **{LINK: "v2"})
    assert hubspot.snapshot()[ANN][LINK] == "v2"


@pytest.mark.usefixtures("api")
def test_or_refuses_the_submission(sandbox: Storm, hubspot: StormyHubSpot) -> None:
    hubspot.form_conflict = "refused"
    hubspot.seed({"firstname": "Visitor", LINK: "v1"})
    assert send(sandbox, email=ANN, firstname="Ann", **{LINK: "v1"}).status_code == 400
    assert ANN not in hubspot.snapshot()
    assert send(sandbox, email=ANN, firstname="Ann", **{LINK: "v2"}).status_code == 200
    assert hubspot.form_submissions == 2


def test_people_fill_it_in_without_a_browser_too(hubspot: StormyHubSpot) -> None:
    ann = hubspot.submit({"email": ANN, "firstname": "Ann"})
    assert ann in hubspot.contacts
    assert hubspot.submit({"firstname": "Ann"}) is None


def test_what_browsers_ask_for_is_none_of_the_programs_requests(
    sandbox: Storm, hubspot: StormyHubSpot
) -> None:
    httpx.get(f"{sandbox.url}/form")
    httpx.get(f"{sandbox.url}/zenovay.js")
    send(sandbox, email=ANN)
    assert (hubspot.requests, sandbox.zenovay.requests, hubspot.violations) == ([], [], [])
