"""What the log may hold of a request."""

from __future__ import annotations

import logging

import pytest
from fakes import FakeClock

from etl.network.reply import Reply
from etl.network.trace import Trace, without_ids
from etl.retry import TransientError

UPSERT = "/crm/objects/2026-03/contacts/batch/upsert"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (UPSERT, UPSERT),
        ("/crm/v3/objects/contacts/gdpr-delete", "/crm/v3/objects/contacts/gdpr-delete"),
        ("/crm/properties/2026-03/contacts/zenovay_last_seen", None),
        ("/crm/v3/objects/contacts/512", "/crm/v3/objects/contacts/<id>"),
        ("/contacts/ann%40example.test", "/contacts/<id>"),
        ("/contacts/ann@example.test?idProperty=email&x", "/contacts/<id>?idProperty&x"),
        ("/visitors/3f2a-77", "/visitors/<id>"),
        ("/visitors/Abc?", "/visitors/<id>"),
        ("/contacts/2026-03-1", "/contacts/<id>"),
        ("", ""),
    ],
)
def test_ids_and_what_is_asked_for_are_left_out(path: str, shown: str | None) -> None:
    assert without_ids(path) == (path if shown is None else shown)


def test_each_attempt_is_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock = FakeClock()
    trace = Trace("HubSpot", "POST", UPSERT, clock=clock)

    def slow() -> Reply:
        clock.wait(1.25, "")
        return Reply(207, {}, b"")

    def broken() -> Reply:
        raise TransientError("the connection broke off")

    with pytest.raises(TransientError):
        trace.of(broken)
    assert trace.of(slow).status == 207

    told = ("action", "api", "method", "path", "status", "elapsed_s", "attempt")
    assert [[vars(line)[name] for name in told] for line in caplog.records] == [
        ["http_request", "HubSpot", "POST", UPSERT, None, 0.0, 1],
        ["http_request", "HubSpot", "POST", UPSERT, 207, 1.25, 2],
    ]
    assert vars(caplog.records[0])["why"] == "the connection broke off"


def test_above_debug_nothing_is_made_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def shown(_path: str) -> str:
        raise AssertionError

    trace = Trace("HubSpot", "POST", UPSERT, clock=FakeClock(), shown=shown)

    assert trace.of(lambda: Reply(200, {}, b"")).ok
    assert caplog.records == []
