"""The sandbox's search against HubSpot's contract."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from contacts_api import ContactsApi, change, where

if TYPE_CHECKING:
    from fakes import FakeClock
    from storm import Storm, StormyHubSpot

LINK = "zenovay_visitor_id"


@pytest.fixture
def sandbox(clocked: Storm) -> Storm:
    clocked.hubspot.searches_per_second = None
    return clocked


def seeded(hubspot: StormyHubSpot, *contacts: dict[str, str]) -> list[str]:
    return [hubspot.seed(contact) for contact in contacts]


def restored(hubspot: StormyHubSpot, record_id: str) -> None:
    hubspot.archive(record_id)
    hubspot.restore(record_id)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (where("country", "EQ", "peru"), "a"),
        (where("country", "NEQ", "Peru"), "b"),
        (where("country", "IN", values=["Peru", "Chile"]), "ab"),
        (where("country", "NOT_IN", values=["Chile"]), "a"),
        (where("country", "HAS_PROPERTY"), "ab"),
        (where("country", "NOT_HAS_PROPERTY"), "c"),
        (where("zenovay_pageviews", "LT", "10"), "a"),
        (where("zenovay_pageviews", "LTE", "10"), "ab"),
        (where("zenovay_pageviews", "GT", "9.0"), "bc"),
        (where("zenovay_pageviews", "EQ", "9.0"), "a"),
        (where("zenovay_pageviews", "BETWEEN", "9", highValue="10"), "ab"),
        (where("hs_object_id", "GT", "501"), "bc"),
        (where("hs_object_id", "GTE", "502"), "bc"),
        (where("zenovay_last_seen", "GTE", "2026-01-02T00:00:00.000Z"), "bc"),
        (where("zenovay_last_seen", "GT", "1767312000000"), "c"),
        (where("zenovay_last_seen", "LT", "2026-01-02T01:00:00+01:00"), "a"),
        (where("zenovay_last_seen", "BETWEEN", "1767225600000", highValue="2026-01-02T00:00:00Z"), "ab"),
        (where("email", "CONTAINS_TOKEN", "*@example.test"), "ab"),
        (where("email", "CONTAINS_TOKEN", "CY"), "c"),
        (where("email", "NOT_CONTAINS_TOKEN", "example"), "c"),
    ],
    ids=str,
)
def test_conditions_compare_by_kind(
    api: ContactsApi, hubspot: StormyHubSpot, condition: dict[str, Any], found: str
) -> None:
    ids = seeded(
        hubspot,
        {
            "email": "ann@example.test",
            "country": "Peru",
            "zenovay_pageviews": "9",
            "zenovay_last_seen": "2026-01-01T00:00:00Z",
        },
        {
            "email": "bo@example.test",
            "country": "Chile",
            "zenovay_pageviews": "10",
            "zenovay_last_seen": "2026-01-02T00:00:00Z",
        },
        {
            "email": "cy@other.test",
            "zenovay_pageviews": "100",
            "zenovay_last_seen": "2026-01-02T00:00:00.001Z",
        },
    )
    assert api.found([condition]) == [ids["abc".index(letter)] for letter in found]


def test_groups_are_alternatives_and_filters_add_up(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    peru, chile = where("country", "EQ", "Peru"), where("country", "EQ", "Chile")
    ann, bo, _ = seeded(
        hubspot,
        {"firstname": "Ann", "country": "Peru"},
        {"firstname": "Bo", "country": "Chile"},
        {"firstname": "Cy", "country": "Peru"},
    )
    assert api.found([peru, where("firstname", "EQ", "Ann")], [chile]) == [ann, bo]
    assert api.found([peru, chile]) == []
    assert len(api.found()) == 3


def test_pages_go_on_until_the_end(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ids = seeded(hubspot, *({"firstname": f"P{number}"} for number in range(5)))
    first = api.search(limit=2).json()
    assert (first["total"], first["paging"]) == (5, {"next": {"after": "2"}})
    last = api.search(limit=2, after="4").json()
    assert [each["id"] for each in (*first["results"], *last["results"])] == [*ids[:2], ids[4]]
    assert "paging" not in last
    assert api.search(limit=2, after="9800").json()["results"] == []


def test_the_properties_asked_for_are_shown(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.seed({"email": "ann@example.test", "country": "Peru", "firstname": "Ann"})
    (asked,) = api.search(properties=["country"]).json()["results"]
    (usual,) = api.search().json()["results"]
    assert (asked["properties"]["country"], "firstname" in asked["properties"]) == ("Peru", False)
    assert (usual["properties"]["firstname"], "country" in usual["properties"]) == ("Ann", False)
    assert asked["properties"]["lastmodifieddate"] == asked["updatedAt"]


@pytest.mark.parametrize(
    ("sorts", "order"),
    [
        ([], "abc"),
        (["zenovay_pageviews"], "bac"),
        ([{"propertyName": "zenovay_pageviews", "direction": "DESCENDING"}], "abc"),
        ([{"propertyName": "hs_object_id", "direction": "DESCENDING"}], "cba"),
        ([{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}], "bca"),
    ],
    ids=str,
)
def test_results_are_sorted(
    api: ContactsApi, hubspot: StormyHubSpot, clock: FakeClock, sorts: list[Any], order: str
) -> None:
    ids = []
    for views in ({"zenovay_pageviews": "10"}, {"zenovay_pageviews": "9"}, {}):
        ids.append(hubspot.seed({"firstname": "P", **views}))
        clock.advance(0.5)
    hubspot.edit(ids[0], lastname="Q")
    assert api.found(sorts=sorts) == [ids["abc".index(letter)] for letter in order]


@pytest.mark.parametrize(
    "more",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "10"},
        {"after": "x"},
        {"after": 5},
        {"limit": 200, "after": "9801"},
        {"sorts": ["nonsense"]},
        {"sorts": ["email", "country"]},
        {"sorts": [{"propertyName": "email", "direction": "UP"}]},
        {"query": "ann"},
        {"properties": "email"},
        {"filterGroups": {}},
        {"filterGroups": [{"filters": "x"}]},
        {"filterGroups": [{"filters": ["x"]}]},
        {"filterGroups": [{"filters": [where("email", "HAS_PROPERTY")]}] * 6},
        {"filterGroups": [{"filters": [where("email", "HAS_PROPERTY")] * 7}]},
        {"filterGroups": [{"filters": [where("email", "HAS_PROPERTY")] * 5}] * 4},
        {"filterGroups": [{"filters": [where("email", "LIKE", "x")]}]},
        {"filterGroups": [{"filters": [where("email", "EQ")]}]},
        {"filterGroups": [{"filters": [where("email", "IN", "x")]}]},
        {"filterGroups": [{"filters": [where("email", "BETWEEN", "x")]}]},
        {"filterGroups": [{"filters": [where("createdate", "GT", "yesterday")]}]},
        {"filterGroups": [{"filters": [where("zenovay_pageviews", "GT", "many")]}]},
        {"filterGroups": [{"filters": [where("email", "EQ", "x" * 3000)]}]},
    ],
    ids=lambda more: str(more)[:60],
)
def test_what_cannot_be_searched_is_refused(api: ContactsApi, more: dict[str, Any]) -> None:
    reply = api.search(**more)
    assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR")


def test_an_unknown_property_is_named(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.schema.archive("zenovay_pageviews")
    for name in ("no_such_property", "zenovay_pageviews"):
        reply = api.search([where(name, "HAS_PROPERTY")])
        assert (reply.status_code, name in reply.json()["message"]) == (400, True)


def test_a_body_may_have_three_thousand_characters(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    frame = len(api.search([where("email", "EQ", "x")]).request.content) - 1
    assert api.search([where("email", "EQ", "x" * (3000 - frame))]).status_code == 200
    assert api.search([where("email", "EQ", "x" * (3001 - frame))]).status_code == 400
    assert [each.kind for each in hubspot.violations] == ["search_too_long", "bad_request"]


def test_archived_and_erased_contacts_do_not_show(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo, cy = seeded(hubspot, *({"email": f"{name}@example.test"} for name in ("ann", "bo", "cy")))
    hubspot.archive(ann)
    hubspot.erase(bo)
    assert api.found() == [cy]


def test_the_sixth_search_of_a_second_is_refused(
    api: ContactsApi, hubspot: StormyHubSpot, clock: FakeClock
) -> None:
    hubspot.searches_per_second = 5
    for _ in range(5):
        assert api.search().status_code == 200
    clock.advance(0.9)
    refused = api.search()
    assert (refused.status_code, refused.json()["policyName"]) == (429, "SECONDLY")
    assert "too_many_searches" in {each.kind for each in hubspot.violations}
    clock.advance(0.1)
    assert api.search().status_code == 200


def test_the_limit_can_be_lifted_but_not_what_the_storm_thinks_of_it(
    api: ContactsApi, hubspot: StormyHubSpot
) -> None:
    assert [api.search().status_code for _ in range(6)] == [200] * 6
    assert [each.kind for each in hubspot.violations] == ["too_many_searches"]


def test_the_index_is_at_once_up_to_date(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann = hubspot.seed({"firstname": "Ann"})
    api.update(change(ann, country="Peru"))
    assert api.found([where("country", "EQ", "Peru")]) == [ann]


def test_or_lags_behind(api: ContactsApi, hubspot: StormyHubSpot, clock: FakeClock) -> None:
    hubspot.index_lag_s = 10
    ann = hubspot.seed({"firstname": "Ann", "country": "Chile"})
    peru, chile = [where("country", "EQ", "Peru")], [where("country", "EQ", "Chile")]
    assert api.found() == []
    clock.advance(10)
    assert api.found(chile) == [ann]
    api.update(change(ann, country="Peru"))
    clock.advance(9)
    bo = hubspot.merge(ann, hubspot.seed({"firstname": "Bo"}))
    assert (api.found(peru), api.found(chile)) == ([], [ann])
    clock.advance(1)
    assert (api.found(peru), api.found(chile)) == ([ann], [])
    clock.advance(9)
    assert api.found(peru) == [bo]
    hubspot.archive(bo)
    assert api.found(peru) == [bo]
    clock.advance(10)
    assert api.found(peru) == []


def test_a_refused_batch_leaves_no_trace_in_the_index(
    api: ContactsApi, hubspot: StormyHubSpot, clock: FakeClock
) -> None:
    ann = hubspot.seed({"firstname": "Ann"})
    hubspot.index_lag_s = 10
    assert api.update(change(ann, trace=None, country="Peru"), change("999", trace=None)).status_code == 400
    clock.advance(1)
    assert api.search(properties=["country"]).json()["results"][0]["properties"].get("country") is None


def test_lastmodifieddate_moves_with_every_write(
    api: ContactsApi, hubspot: StormyHubSpot, clock: FakeClock
) -> None:
    ann, bo = hubspot.seed({"firstname": "Ann"}), hubspot.seed({"firstname": "Bo"})

    def moved() -> timedelta:
        (found,) = api.search([where("firstname", "EQ", "Ann")]).json()["results"]
        return clock.now() - datetime.fromisoformat(found["properties"]["lastmodifieddate"])

    for write in (
        lambda: api.update(change(ann, country="Peru")),
        lambda: api.update(change(ann, country="Peru")),
        lambda: hubspot.edit(ann, country="Chile"),
        lambda: restored(hubspot, ann),
        lambda: hubspot.merge(ann, bo),
    ):
        clock.advance(0.125)
        assert moved() > timedelta()
        write()
        assert moved() == timedelta()


def test_searching_needs_the_scope(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.scopes = {"crm.objects.contacts.write"}
    assert api.search().json()["category"] == "MISSING_SCOPES"
