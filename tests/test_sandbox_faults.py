"""What a fault does to one request, seen from the client's end of the connection."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from etl.sandbox import Fault, Sandbox
from etl.sandbox.faults import FOREVER, Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

UPSERT = "/crm/objects/2026-03/contacts/batch/upsert"
GONE = (httpx.RemoteProtocolError, httpx.ReadError)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {sandbox.hubspot.access_token}"}
    with httpx.Client(base_url=sandbox.hubspot_url, headers=headers, timeout=5) as client:
        yield client


def upsert(client: httpx.Client, address: str = "ann@example.test", **options: Any) -> httpx.Response:
    entry = {
        "id": address,
        "idProperty": "email",
        "objectWriteTraceId": "1",
        "properties": {"country": "Peru"},
    }
    return client.post(UPSERT, json={"inputs": [entry]}, **options)


@pytest.mark.parametrize("status", [401, 403, 409, 413, 423, 429, 477, 500, 502, 503, 504, 521, 524])
def test_any_status_with_any_headers_and_body(sandbox: Sandbox, client: httpx.Client, status: int) -> None:
    fault = Fault.answer(status, {"category": "ANY"}, headers={"retry-after": "7"})
    sandbox.hubspot.faults.add(fault)
    reply = upsert(client)
    assert (reply.status_code, reply.json(), reply.headers["retry-after"]) == (
        status,
        {"category": "ANY"},
        "7",
    )
    assert sandbox.hubspot.contacts == {}
    assert upsert(client).status_code == 200
    assert [entry.status for entry in sandbox.hubspot.requests] == [status, 200]


@pytest.mark.parametrize(
    ("fault", "status", "start"),
    [
        (Fault.html(), 200, b"<!doctype html>"),
        (Fault.html(503), 503, b"<!doctype html>"),
        (Fault.empty(), 200, b""),
        (Fault.empty(204), 204, b""),
        (Fault.not_utf8(), 200, b'{"results":["\xff'),
        (Fault.unsuccessful(), 200, b'{"success":false'),
        (Fault.without_rows(), 200, b'{"success":true'),
        (Fault.rate_limited("DAILY"), 429, b'{"status":"error"'),
        (Fault.answer(200, "[]", headers={"content-type": "application/json"}), 200, b"[]"),
    ],
)
def test_answers_that_break_the_contract(
    sandbox: Sandbox, client: httpx.Client, fault: Fault, status: int, start: bytes
) -> None:
    sandbox.hubspot.faults.add(fault)
    reply = upsert(client)
    assert reply.status_code == status
    assert reply.content.startswith(start)
    assert bool(reply.content) == bool(start)
    assert sandbox.hubspot.contacts == {}


@pytest.mark.parametrize(
    ("fault", "written"),
    [
        (Fault.reset(), 0),
        (Fault.closed(), 0),
        (Fault.truncated(), 1),
        (Fault.lost_reply(), 1),
        (Fault.lost_reply(Delivery.CLOSED), 1),
    ],
)
def test_connections_that_break(sandbox: Sandbox, client: httpx.Client, fault: Fault, written: int) -> None:
    sandbox.hubspot.faults.add(fault)
    with pytest.raises(GONE):
        upsert(client)
    assert len(sandbox.hubspot.contacts) == written
    assert upsert(client).json()["results"][0]["new"] is (written == 0)
    assert [entry.status for entry in sandbox.hubspot.requests][1:] == [200]


def test_a_reset_is_not_a_polite_close(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.hubspot.faults.add(Fault.reset())
    with pytest.raises(httpx.ReadError):
        upsert(client)
    sandbox.hubspot.faults.add(Fault.closed())
    with pytest.raises(httpx.RemoteProtocolError):
        upsert(client)


@pytest.mark.parametrize(("fault", "written"), [(Fault.hang(), 0), (Fault.lost_reply(Delivery.HANG), 1)])
def test_answers_that_never_come(sandbox: Sandbox, client: httpx.Client, fault: Fault, written: int) -> None:
    sandbox.hubspot.faults.add(fault)
    with pytest.raises(httpx.ReadTimeout):
        upsert(client, timeout=0.2)
    assert len(sandbox.hubspot.contacts) == written
    assert sandbox.hubspot.requests[0].status is None
    assert upsert(client).status_code == 200
    assert not sandbox.hubspot.violations


def test_half_a_body_is_framed_and_unreadable(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.hubspot.faults.add(Fault.half_body())
    reply = upsert(client)
    assert (reply.status_code, len(sandbox.hubspot.contacts)) == (200, 1)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        reply.json()


@pytest.mark.parametrize("head", [False, True])
def test_a_drip_arrives_in_the_end(
    sandbox: Sandbox,
    client: httpx.Client,
    head: bool,  # noqa: FBT001
) -> None:
    sandbox.hubspot.faults.add(Fault.drip(100, every_s=0.01, head=head))
    reply = upsert(client)
    assert reply.json()["results"][0]["properties"]["country"] == "Peru"
    assert reply.elapsed.total_seconds() > 0.03


@pytest.mark.parametrize("head", [False, True])
def test_a_drip_outlasts_a_read_timeout(
    sandbox: Sandbox,
    client: httpx.Client,
    head: bool,  # noqa: FBT001
) -> None:
    sandbox.hubspot.faults.add(Fault.drip(1, every_s=0.5, head=head))
    with pytest.raises(httpx.ReadTimeout):
        upsert(client, timeout=0.2)


def test_an_answer_after_the_work_was_done(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.hubspot.faults.add(Fault.answer(502, "<html>Bad gateway</html>", carried_out=True))
    assert upsert(client).status_code == 502
    assert len(sandbox.hubspot.contacts) == 1


def test_latency_and_slowness(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.hubspot.faults.add(Fault.slow(0.1))
    assert upsert(client).elapsed.total_seconds() >= 0.1
    sandbox.hubspot.latency_s = 0.05
    assert upsert(client).elapsed.total_seconds() >= 0.05


def test_rules_choose_their_requests(sandbox: Sandbox, client: httpx.Client) -> None:
    faults = sandbox.hubspot.faults
    faults.add(Fault.empty(500), times=2, path="/batch/upsert", when=lambda number: number != 2)
    faults.add(Fault.empty(503), times=FOREVER, path="/properties/", method="GET")
    seen = [upsert(client).status_code for _ in range(4)]
    assert seen == [500, 200, 500, 200]
    assert [client.get("/crm/properties/2026-03/contacts/email").status_code for _ in range(2)] == [503, 503]
    assert (faults.pending, faults.struck) == (1, 4)
    faults.clear()
    assert client.get("/crm/properties/2026-03/contacts/email").status_code == 200


def test_faults_of_one_side_leave_the_other_alone(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.zenovay.faults.add(Fault.empty(500), times=FOREVER)
    assert upsert(client).status_code == 200
    headers = {"X-API-Key": sandbox.zenovay.api_key}
    assert httpx.get(f"{sandbox.zenovay_url}/usage", headers=headers).status_code == 500


def test_a_request_that_a_fault_strikes_counts_against_the_quota(sandbox: Sandbox) -> None:
    sandbox.zenovay.faults.add(Fault.html(502))
    headers = {"X-API-Key": sandbox.zenovay.api_key}
    httpx.get(f"{sandbox.zenovay_url}/usage", headers=headers)
    assert sandbox.zenovay.month_used == 1


def test_stopping_waits_for_nobody(recwarn: pytest.WarningsRecorder) -> None:
    began = threading.Event()
    failures: list[Exception] = []

    def ask(url: str, headers: dict[str, str]) -> None:
        began.set()
        try:
            httpx.get(f"{url}/crm/properties/2026-03/contacts", headers=headers, timeout=30)
        except httpx.HTTPError as exc:
            failures.append(exc)

    with Sandbox() as sandbox:
        sandbox.hubspot.latency_s = 60
        sandbox.hubspot.faults.add(Fault.hang(), times=3)
        headers = {"Authorization": f"Bearer {sandbox.hubspot.access_token}"}
        threads = [threading.Thread(target=ask, args=(sandbox.url, headers)) for _ in range(3)]
        for thread in threads:
            thread.start()
        began.wait(5)
        while len(sandbox.hubspot.requests) < 3:
            time.sleep(0.01)
        started = time.monotonic()
    assert time.monotonic() - started < 1
    for thread in threads:
        thread.join(5)
    assert len(failures) == 3
    assert not recwarn.list
