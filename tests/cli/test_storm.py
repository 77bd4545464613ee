"""``visitor-sync`` in bad weather: whatever becomes of one answer, the CRM ends as it would on a good day."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from program import row
from storm import Delivery, Fault

if TYPE_CHECKING:
    from program import Program

VISITORS, UPSERT = "/visitors", "/batch/upsert"
FAULTS = {
    "HTML instead of JSON": Fault.html(),
    "HTML of a gateway": Fault.html(503),
    "nothing": Fault.empty(),
    "no content": Fault.empty(204),
    "success: false": Fault.unsuccessful(),
    "neither rows nor results": Fault.without_rows(),
    "a reset": Fault.reset(),
    "a close": Fault.closed(),
    "half an answer": Fault.truncated(),
    "an answer drop by drop": Fault.drip(40, every_s=0.005),
    "a gateway that gives up after the work": Fault.answer(502, "<html>Bad gateway</html>", carried_out=True),
    "a reset after the work": Fault.lost_reply(),
    "a close after the work": Fault.lost_reply(Delivery.CLOSED),
}
MOODS: list[tuple[str, Any]] = [
    ("echo_trace_ids", False),
    ("nulls", True),
    ("error_context", "string"),
    ("error_context", "absent"),
]


@pytest.mark.parametrize("name", FAULTS)
def test_one_bad_answer_of_each_side_costs_another_try_and_nothing_else(program: Program, name: str) -> None:
    hubspot = program.sandbox.hubspot
    program.visitors(*(row(number) for number in range(3)))
    program.sandbox.zenovay.faults.add(FAULTS[name], path=VISITORS)
    hubspot.faults.add(FAULTS[name], path=UPSERT)

    ended = program.run()

    assert (ended.exit_code, ended.summary["watermark"]["after"] is None) == (0, False)
    assert set(hubspot.snapshot()) == {"v000000", "v000001", "v000002"}
    assert hubspot.violations == []


@pytest.mark.parametrize(("mood", "value"), MOODS)
def test_every_form_of_a_verdict_is_understood(program: Program, mood: str, value: Any) -> None:
    hubspot = program.sandbox.hubspot
    setattr(hubspot, mood, value)
    hubspot.refused_addresses["ann@example.test"] = "Not welcome"
    program.visitors(*(row(number) for number in range(3)), row(3, email="ann@example.test"))

    ended = program.run()

    contacts = ended.summary["contacts"]
    assert (ended.exit_code, contacts["created"], contacts["rejected"]) == (3, 3, 1)
    assert [each["key"] for each in program("rejections", "--json").value] == ["ann@example.test"]
    sent = hubspot.upserted_inputs
    assert program.run().exit_code == 0
    assert hubspot.upserted_inputs == sent


def test_verdicts_on_nobody_leave_everybody_due(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.zenovay.faults.add(Fault.not_utf8(), path=VISITORS)
    program.sandbox.hubspot.faults.add(Fault.not_utf8(), path=UPSERT)

    assert [program.run().exit_code for _ in range(2)] == [4, 0]

    assert set(program.sandbox.hubspot.snapshot()) == {"v000001"}


def test_what_has_no_verdict_stays_due(program: Program) -> None:
    hubspot = program.sandbox.hubspot
    hubspot.results_dropped = 1
    program.visitors(*(row(number) for number in range(3)))
    short = program.run()
    assert (short.exit_code, short.summary["contacts"]["deferred"]) == (4, 1)

    hubspot.results_dropped = 0
    whole = program.run()

    assert (whole.exit_code, whole.summary["contacts"]["updated"]) == (0, 1)
    assert program("status", "--json").value["contacts"] == {
        "confirmed": 3,
        "due": 0,
        "rejected": 0,
        "absent": 0,
        "gone": 0,
    }


def test_a_request_whose_sender_is_killed_amid_it_is_none(program: Program) -> None:
    server = urlsplit(program.sandbox.url)
    hubspot = program.sandbox.hubspot
    head = f"POST /crm/objects/2026-03/contacts{UPSERT} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n"
    for body in ('{"inputs": [', '{"inputs": []}'.ljust(50)):
        with socket.create_connection((server.hostname, server.port)) as client:
            client.sendall((head + body).encode())
            client.shutdown(socket.SHUT_WR)
            client.settimeout(10)
            while client.recv(1 << 16):
                pass

    assert hubspot.upserts == [{"inputs": []}]
