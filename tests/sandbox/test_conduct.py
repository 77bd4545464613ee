"""What the storm notes of a client's conduct, and how its moods change the answers of all writes."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from contacts_api import OBJECTS, change, entry
from storm import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contacts_api import ContactsApi
    from storm import Storm, StormyHubSpot

ANN, BO, CY = "ann@example.test", "bo@example.test", "cy@example.test"


def kinds(hubspot: StormyHubSpot) -> list[str]:
    return [each.kind for each in hubspot.violations]


@contextmanager
def at_work(api: ContactsApi, hubspot: StormyHubSpot, record_id: str) -> Iterator[None]:
    """While an update of the record is in progress."""
    hubspot.latency_s = 0.4
    update = threading.Thread(target=lambda: api.update(change(record_id)))
    update.start()
    while not hubspot.busy:
        time.sleep(0.005)
    time.sleep(0.05)
    yield
    update.join()


def test_requests_are_counted_by_verb_and_path(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann = hubspot.seed({"email": ANN})
    api.update(change(ann))
    api.update(change(ann), change("999"))
    api.archive(ann)
    assert hubspot.counted[("POST", f"{api.objects}/batch/update")] == 2
    assert hubspot.counted[("DELETE", f"{api.objects}/{ann}")] == 1
    assert (hubspot.updated_inputs, hubspot.upserts, hubspot.creating_calls) == (3, [], 0)


def test_calls_that_can_create_are_counted(sandbox: Storm, api: ContactsApi, hubspot: StormyHubSpot) -> None:
    api.upsert(entry(ANN))
    hubspot.faults.add(Fault.reset())
    with pytest.raises(httpx.HTTPError):
        api.upsert(entry(ANN))
    api.post("batch/create", {"inputs": [{"properties": {}}]})
    api.client.post(api.objects, json={"properties": {"email": BO}})
    assert hubspot.creating_calls == 4
    api.upsert()
    api.client.post("/crm/properties/2026-03/contacts", json={})
    api.client.get(api.objects)
    api.read(ANN, by="email")
    api.merge("501", "502")
    assert hubspot.creating_calls == 4


@pytest.mark.parametrize(
    "ask",
    [
        lambda api: api.update(*(change(str(number)) for number in range(101))),
        lambda api: api.upsert(*(entry(f"p{number}@example.test") for number in range(101))),
        lambda api: api.read(*(str(number) for number in range(101))),
        lambda api: api.read(*(str(number) for number in range(51)), history=("email",)),
        lambda api: api.archive_batch(*(str(number) for number in range(101))),
    ],
    ids=["update", "upsert", "read", "history", "archive"],
)
def test_batches_that_are_too_large_are_noted(
    api: ContactsApi, hubspot: StormyHubSpot, ask: Callable[[ContactsApi], Any]
) -> None:
    assert ask(api).status_code == 400
    assert kinds(hubspot) == ["batch_too_large", "bad_request"]


@pytest.mark.parametrize("traces", [(None, None), ("1", "1")])
def test_updates_without_unique_traces_are_noted(
    api: ContactsApi, hubspot: StormyHubSpot, traces: tuple[str | None, str | None]
) -> None:
    ids = [hubspot.seed({"email": address}) for address in (ANN, BO)]
    inputs = [change(each, trace=trace) for each, trace in zip(ids, traces, strict=True)]
    assert api.update(*inputs).status_code == 200
    assert kinds(hubspot) == ["missing_trace_id"]


WRITES: dict[str, Callable[[ContactsApi], Any]] = {
    "update": lambda api: api.update(change("501")),
    "update by the other id": lambda api: api.update(change("502")),
    "upsert": lambda api: api.upsert(entry(BO)),
    "merge": lambda api: api.merge("503", "504"),
    "archive": lambda api: api.archive("502"),
    "archive in a batch": lambda api: api.archive_batch("503"),
    "erase": lambda api: api.erase("501"),
}


@pytest.mark.parametrize("write", WRITES)
def test_one_record_in_two_requests_at_once_is_noted(
    api: ContactsApi, hubspot: StormyHubSpot, write: str
) -> None:
    hubspot.merge(hubspot.seed({"email": ANN}), hubspot.seed({"email": BO}))
    hubspot.seed({"email": CY})
    with at_work(api, hubspot, "501"):
        hubspot.latency_s = 0
        WRITES[write](api)
    assert kinds(hubspot) == ["same_contact_twice"]


def test_other_records_and_reads_are_free(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    ann, bo = hubspot.seed({"email": ANN}), hubspot.seed({"email": BO})
    with at_work(api, hubspot, ann):
        hubspot.latency_s = 0
        api.update(change(bo))
        api.read(ann)
        api.search()
        assert hubspot.busy
    assert kinds(hubspot) == []


@pytest.mark.parametrize("path", ["batch/update", "batch/upsert"])
def test_results_go_missing_and_traces_are_not_echoed(
    api: ContactsApi, hubspot: StormyHubSpot, path: str
) -> None:
    ids = [hubspot.seed({"email": address}) for address in (ANN, BO)]
    hubspot.results_dropped = 1
    hubspot.echo_trace_ids = False
    inputs = [change(each, country="Peru") for each in ids]
    (result,) = api.post(path, {"inputs": inputs}).json()["results"]
    assert "objectWriteTraceId" not in result
    assert [each["country"] for each in hubspot.contacts.values()] == ["Peru", "Peru"]


def test_values_may_be_null(api: ContactsApi, hubspot: StormyHubSpot) -> None:
    hubspot.nulls = True
    ann, bo = hubspot.seed({"email": ANN}), hubspot.seed({"email": BO})
    shown = [
        api.update(change(ann)).json()["results"][0],
        api.search(limit=1).json()["results"][0],
        api.merge(ann, bo).json(),
    ]
    assert [each["properties"]["city"] for each in shown] == [None] * 3


@pytest.mark.parametrize(
    ("form", "context"),
    [
        ("list", {"ids": ["999"], "objectWriteTraceId": ["t"]}),
        ("string", {"ids": "999", "objectWriteTraceId": "t"}),
        ("absent", None),
    ],
)
def test_errors_name_their_row_in_many_ways(
    api: ContactsApi, hubspot: StormyHubSpot, form: str, context: dict[str, Any] | None
) -> None:
    hubspot.error_context = form
    (error,) = api.update(change("999", trace="t")).json()["errors"]
    assert error.get("context") == context


@pytest.mark.parametrize("path", ["batch/update", "search", "merge"])
def test_faults_strike_every_endpoint(api: ContactsApi, hubspot: StormyHubSpot, path: str) -> None:
    for address in (ANN, BO):
        hubspot.seed({"email": address})
    bodies: dict[str, Any] = {
        "batch/update": {"inputs": [change("501", country="Peru")]},
        "search": {"filterGroups": [], "sorts": [], "limit": 10, "after": "0", "properties": []},
        "merge": {"primaryObjectId": "501", "objectIdToMerge": "502"},
    }
    hubspot.faults.add(Fault.html(502), path=path)
    assert api.post(path, bodies[path]).status_code == 502
    assert set(hubspot.contacts) == {"501", "502"}
    hubspot.faults.add(Fault.lost_reply(), path=path)
    with pytest.raises(httpx.HTTPError):
        api.post(path, bodies[path])
    assert (set(hubspot.contacts) == {"503"}) is (path == "merge")


def test_both_families_of_paths_are_watched(hubspot: StormyHubSpot, client: httpx.Client) -> None:
    for objects in OBJECTS:
        client.post(f"{objects}/batch/update", json={"inputs": [change("501", trace=None)]})
    assert kinds(hubspot).count("missing_trace_id") == 2
