"""What the sandbox's batch/read tells of earlier values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from contacts_api import ContactsApi, change, entry
from fakes import NOW, FakeClock

if TYPE_CHECKING:
    from storm import Storm, StormyHubSpot

ANN = "ann@example.test"


@pytest.fixture
def sandbox(clocked: Storm) -> Storm:
    return clocked


def history(api: ContactsApi, record_id: str, name: str) -> list[dict[str, Any]]:
    (result,) = api.read(record_id, history=(name,)).json()["results"]
    listed: list[dict[str, Any]] = result["propertiesWithHistory"][name]
    return listed


def test_every_value_is_told_with_its_time_and_its_source(
    api: ContactsApi, hubspot: StormyHubSpot, clock: FakeClock
) -> None:
    (created,) = api.upsert(entry(ANN, country="Peru")).json()["results"]
    clock.advance(1.25)
    hubspot.edit(created["id"], country="Chile")
    clock.advance(1)
    api.update(change(created["id"], country=""))

    told = history(api, created["id"], "country")

    assert [(each["value"], each["sourceType"]) for each in told] == [
        ("", "API"),
        ("Chile", "CRM_UI"),
        ("Peru", "API"),
    ]
    whole = f"{NOW:%Y-%m-%dT%H:%M:}"
    assert [each["timestamp"] for each in told] == [f"{whole}02.250Z", f"{whole}01.250Z", f"{whole}00Z"]
    assert all(each["sourceId"] for each in told)


def test_a_value_written_again_is_told_once(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann = hubspot.seed({"email": ANN, "country": "Peru"})
    api.update(change(ann, country="Peru", city="Lima"))
    assert [each["value"] for each in history(api, ann, "country")] == ["Peru"]
    assert history(api, ann, "lastname") == []


def test_a_refused_batch_leaves_no_history(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann = hubspot.seed({"email": ANN, "country": "Peru"})
    assert api.update(change(ann, trace=None, country="Chile"), change("999", trace=None)).status_code == 400
    assert [each["value"] for each in history(api, ann, "country")] == ["Peru"]


def test_a_merged_id_shows_the_new_one(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo = hubspot.seed({"email": ANN}), hubspot.seed({"country": "Peru", "firstname": "Bo"})
    merged = hubspot.merge(ann, bo)
    (result,) = api.read(bo, history=("country",), properties=("country",)).json()["results"]
    assert (result["id"], result["properties"]["country"]) == (merged, "Peru")


def test_histories_of_fifty_can_be_asked_for(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ids = [hubspot.seed({"firstname": f"P{number}"}) for number in range(51)]
    assert api.read(*ids[:50], history=("firstname",)).status_code == 200
    assert api.read(*ids).status_code == 200
    assert api.read(*ids, history=("firstname",)).status_code == 400
    assert [each.kind for each in hubspot.violations] == ["batch_too_large", "bad_request"]


def test_without_history_none_is_shown(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    (result,) = api.read(hubspot.seed({"email": ANN})).json()["results"]
    assert "propertiesWithHistory" not in result
