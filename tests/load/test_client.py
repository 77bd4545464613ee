"""The HTTP side of HubSpot, over real connections: what is repeated, what ends, and what is said about it."""

from __future__ import annotations

import gzip
import json
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock
from hubspot_double import TOKEN, UPSERT, Answer, Asked, HubSpotDouble, client_of, says

from etl.clock import SystemClock
from etl.errors import (
    AccessRefusedError,
    ContractBrokenError,
    InterruptedRunError,
    SettingsError,
    SyncError,
    UnavailableError,
)
from etl.load.client import HubSpotClient
from etl.load.portal import read_portal
from etl.load.statuses import results_of
from etl.retry import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OK = says({"results": []})
ONE_TRY = Patience(attempts=1)


def scripted(*answers: Answer) -> Callable[[Asked], Answer]:
    """``answers`` in their order, and the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def upsert(client: HubSpotClient, **more: Any) -> dict[str, Any]:
    return client.send(
        "POST", UPSERT, body={"inputs": []}, read=results_of, where="HubSpot batch/upsert", **more
    )


def outcome(answers: Iterable[Answer], clock: FakeClock, patience: Patience = ONE_TRY) -> SyncError:
    with (
        HubSpotDouble(scripted(*answers)) as double,
        client_of(double.url, clock=clock, patience=patience) as client,
    ):
        with pytest.raises(SyncError) as caught:
            upsert(client)
        return caught.value


def test_a_request_carries_the_token_and_json() -> None:
    with HubSpotDouble(scripted(OK)) as double, client_of(double.url + "/") as client:
        assert upsert(client) == {"results": []}
        assert client.requests == 1
    asked = double.asked[0]
    assert (asked.method, asked.path, asked.body) == ("POST", UPSERT, {"inputs": []})
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["user-agent"].startswith("hubspot-api-client-python")


def test_the_version_decides_the_paths() -> None:
    with client_of("http://127.0.0.1:1", api_version="v3") as client:
        assert client.contacts_path == "/crm/v3/objects/contacts"
        assert client.properties_path == "/crm/v3/properties/contacts"
    with client_of("http://127.0.0.1:1", api_version="2026-09") as client:
        assert client.contacts_path == "/crm/objects/2026-09/contacts"
        assert client.properties_path == "/crm/properties/2026-09/contacts"


BROKEN = {
    "reset": Answer(raw=b"", after="reset"),
    "closed without a word": Answer(raw=b"", after="close"),
    "not http": Answer(raw=b"SSH-2.0-OpenSSH_9.6\r\n", after="close"),
    "truncated": Answer(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"results": [', after="close"),
    "reset in the body": Answer(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"resu', after="reset"),
    "truncated chunks": Answer(
        raw=b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"results"', after="close"
    ),
    "cut without a length": Answer(raw=b'HTTP/1.1 200 OK\r\n\r\n{"results": [', after="close"),
    "html": Answer(body=b"<html>maintenance</html>", headers={"Content-Type": "text/html"}),
    "not utf-8": Answer(body=b'{"results": "\xff\xfe"}'),
    "no results": says({"status": "COMPLETE"}),
    "results of another shape": says({"results": {}}),
    "a list": says([]),
    "empty 200": Answer(),
    "202": Answer(status=202),
    "204": Answer(status=204),
    "not gzip": Answer(body=b"plain", headers={"Content-Encoding": "gzip"}),
    "500": says({"message": "x"}, status=500),
    "502 html": Answer(status=502, body=b"<html>\xff</html>"),
    "503": Answer(status=503),
    "504": Answer(status=504),
    "521": Answer(status=521),
    "524": Answer(status=524),
    "408": Answer(status=408),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_is_asked_for_again(answer: Answer) -> None:
    clock = FakeClock()
    with HubSpotDouble(scripted(answer, OK)) as double, client_of(double.url, clock=clock) as client:
        assert upsert(client) == {"results": []}
        assert client.requests == 2
    assert len(clock.waits) == 1


def test_an_outage_ends_after_six_attempts() -> None:
    clock = FakeClock()
    error = outcome([Answer(status=503)], clock, Patience())
    assert isinstance(error, UnavailableError)
    assert len(clock.waits) == 5


@pytest.mark.parametrize("kind", ["html", "204", "no results"])
def test_a_steadily_unreadable_answer_breaks_the_contract(kind: str) -> None:
    assert isinstance(outcome([BROKEN[kind]], FakeClock(), Patience()), ContractBrokenError)


def test_an_unreadable_answer_that_comes_and_goes_is_an_outage() -> None:
    answers = [BROKEN["html"], Answer(status=503)]
    assert isinstance(outcome(answers, FakeClock(), Patience()), UnavailableError)


@pytest.mark.parametrize(
    "start",
    [
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Pad: ",
        'HTTP/1.1 500 Oops\r\nContent-Length: 9999\r\n\r\n{"results": [',
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1",
        'HTTP/1.1 200 OK\r\n\r\n{"results": [',
    ],
)
def test_an_answer_that_drips_ends_at_its_deadline(start: str) -> None:
    drip = Answer(raw=start.encode(), after="drip")
    clock = SystemClock()
    with (
        HubSpotDouble(scripted(drip)) as double,
        client_of(double.url, clock=clock, patience=ONE_TRY, deadline_s=0.1) as client,
        pytest.raises(UnavailableError, match=r"no whole answer within 0\.1 s"),
    ):
        upsert(client)


def test_silence_ends_at_the_timeout() -> None:
    with (
        HubSpotDouble(scripted(Answer(raw=b"", after="hang"))) as double,
        client_of(double.url, patience=ONE_TRY, timeout_s=(1.0, 0.05)) as client,
    ):
        with pytest.raises(UnavailableError, match="gave no answer in time"):
            upsert(client)
        double.closing.set()


@pytest.mark.parametrize(
    ("url", "error", "match"),
    [
        ("http://127.0.0.1:1", UnavailableError, "could not be reached"),
        ("https://nowhere.invalid", UnavailableError, r"nowhere\.invalid .* could not be resolved"),
        ("https://xn--0.invalid", UnavailableError, r"xn--0\.invalid .* could not be resolved"),
        ("https://-.invalid", UnavailableError, r"-\.invalid .* could not be resolved"),
        ("https://", SettingsError, "HUBSPOT_BASE_URL"),
        ("gopher://hubspot.test", SettingsError, "HUBSPOT_BASE_URL"),
        ("http://hubspot.test", SettingsError, "HUBSPOT_BASE_URL .* in clear"),
        ("api.hubapi.com", SettingsError, "HUBSPOT_BASE_URL"),
    ],
)
def test_where_nobody_answers(url: str, error: type[SyncError], match: str) -> None:
    with pytest.raises(error, match=match), client_of(url, patience=ONE_TRY) as client:
        upsert(client)


def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(json.dumps({"results": []}).encode())
    answer = Answer(body=body, headers={"Content-Encoding": "gzip"})
    with HubSpotDouble(scripted(answer)) as double, client_of(double.url) as client:
        assert upsert(client) == {"results": []}


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        (
            says({"category": "EXPIRED_AUTHENTICATION"}, status=401),
            AccessRefusedError,
            "HUBSPOT_ACCESS_TOKEN",
        ),
        (Answer(status=401, body=b"\xff\xfe"), AccessRefusedError, "HUBSPOT_ACCESS_TOKEN"),
        (Answer(status=403, body=b"<html>"), AccessRefusedError, "a firewall or proxy in between"),
        (Answer(status=403), AccessRefusedError, r"crm\.objects\.contacts\.write"),
        (
            says(
                {
                    "errors": [
                        {"context": {"requiredGranularScopes": ["crm.objects.contacts.sensitive.write"]}}
                    ]
                },
                status=403,
            ),
            AccessRefusedError,
            r"crm\.objects\.contacts\.sensitive\.write",
        ),
        (Answer(status=404), ContractBrokenError, "HUBSPOT_BASE_URL and HUBSPOT_API_VERSION"),
        (Answer(status=405), ContractBrokenError, "405"),
        (Answer(status=422), ContractBrokenError, "422"),
        (Answer(status=304), ContractBrokenError, "304"),
    ],
)
def test_a_refusal_is_not_repeated(answer: Answer, error: type[SyncError], match: str) -> None:
    clock = FakeClock()
    with HubSpotDouble(scripted(answer)) as double, client_of(double.url, clock=clock) as client:
        with pytest.raises(error, match=match):
            upsert(client)
        assert client.requests == 1
    assert clock.waits == []


def test_the_token_does_not_follow_a_redirect() -> None:
    with HubSpotDouble(scripted(OK)) as other:
        answer = Answer(status=307, headers={"Location": other.url + UPSERT})
        assert isinstance(outcome([answer], FakeClock()), ContractBrokenError)
        assert other.asked == []


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (says({"policyName": "SECONDLY"}, status=429), 1.0),
        (says({"policyName": "TEN_SECONDLY_ROLLING"}, status=429), 10.0),
        (says({"policyName": "whatever"}, status=429), 10.0),
        (Answer(status=429, body=b"slow down"), 10.0),
        (says({"policyName": "SECONDLY"}, status=429, Retry_After="7"), 7.0),
        (says({}, status=429, Retry_After="Sat, 07 Feb 2026 12:00:30 GMT"), 30.0),
        (says({}, status=429, Retry_After="Sat, 07 Feb 2026 11:00:30 GMT"), 10.0),
        (says({}, status=429, Retry_After="soon"), 10.0),
        (says({}, status=429, Retry_After="-5"), 10.0),
        (says({}, status=423), 2.0),
        (says({}, status=503, Retry_After="9"), 9.0),
    ],
)
def test_a_wait_is_as_long_as_hubspot_asks(answer: Answer, seconds: float) -> None:
    clock = FakeClock()
    with HubSpotDouble(scripted(answer, OK)) as double, client_of(double.url, clock=clock) as client:
        upsert(client)
    assert [waited for waited, _ in clock.waits] == [seconds]


@pytest.mark.parametrize(
    ("status", "policy"), [(423, ""), (429, "TEN_SECONDLY_ROLLING"), (429, ""), (503, "")]
)
def test_no_wait_is_no_longer_than_our_own_and_no_hammering(status: int, policy: str) -> None:
    clock = FakeClock()
    answer = says({"policyName": policy}, status=status, Retry_After="0")
    with HubSpotDouble(scripted(*[answer] * 6)) as double, client_of(double.url, clock=clock) as client:
        with pytest.raises(UnavailableError) as caught:
            upsert(client)
        assert client.requests == 6
    assert caught.value.until is None
    waits = [waited for waited, _ in clock.waits]
    assert all(0.5 * 2**n <= waited <= 0.5 * 2**n + 0.5 for n, waited in enumerate(waits))
    assert len(waits) == 5


MIDNIGHT = NOW.replace(hour=0) + timedelta(days=1)


@pytest.mark.parametrize(
    ("answer", "until"),
    [
        (says({"policyName": "DAILY"}, status=429), MIDNIGHT),
        (says({"policyName": "DAILY"}, status=429, Retry_After="0"), MIDNIGHT),
        (says({"policyName": "DAILY"}, status=429, Retry_After="60"), NOW + timedelta(minutes=1)),
        (says({}, status=429, X_HubSpot_RateLimit_Daily_Remaining="0"), NOW + timedelta(hours=1)),
        (says({"policyName": "DAILY"}, status=429, Retry_After="86400"), NOW + timedelta(days=1)),
        (
            says({"policyName": "DAILY"}, status=429, Retry_After="86401"),
            NOW.replace(hour=0) + timedelta(days=1),
        ),
        (
            says({"policyName": "DAILY"}, status=429, Retry_After="Thu, 01 Jan 2099 00:00:00 GMT"),
            NOW.replace(hour=0) + timedelta(days=1),
        ),
        (says({}, status=503, Retry_After="1800"), NOW + timedelta(minutes=30)),
        (says({"policyName": "SECONDLY"}, status=429, Retry_After="3600"), NOW + timedelta(hours=1)),
        (Answer(status=477), NOW + timedelta(hours=24)),
        (says({}, status=477, Retry_After="1800"), NOW + timedelta(minutes=30)),
        (says({}, status=477, Retry_After="1770465600"), NOW + timedelta(hours=24)),
    ],
)
def test_a_long_wait_ends_the_run_for_every_thread(answer: Answer, until: Any) -> None:
    clock = FakeClock()
    with HubSpotDouble(scripted(answer)) as double, client_of(double.url, clock=clock) as client:
        for _ in range(2):
            with pytest.raises(UnavailableError) as caught:
                upsert(client)
            assert caught.value.until == until
        assert client.requests == 1
    assert clock.waits == []


NO_WAITS = ["3601", "99999999", "1770465600", "1770465600000", "Thu, 01 Jan 2099 00:00:00 GMT", "-1", "1e9"]


@pytest.mark.parametrize("stated", NO_WAITS)
@pytest.mark.parametrize(
    ("status", "body"),
    [(503, {}), (500, {}), (423, {}), (429, {}), (429, {"policyName": "SECONDLY"})],
)
def test_a_wait_that_cannot_be_meant_is_none(status: int, body: dict[str, str], stated: str) -> None:
    clock = FakeClock()
    answer = says(body, status=status, Retry_After=stated)
    with HubSpotDouble(scripted(*[answer] * 6)) as double, client_of(double.url, clock=clock) as client:
        with pytest.raises(UnavailableError) as caught:
            upsert(client)
        assert client.requests == 6
    assert caught.value.until is None
    assert sum(waited for waited, _ in clock.waits) < 120


@pytest.mark.parametrize(
    ("answer", "kind", "said_by"),
    [
        (says({"policyName": "DAILY"}, status=429), "daily", "our own reckoning: midnight UTC"),
        (says({"policyName": "DAILY"}, status=429, Retry_After="7200"), "daily", "HubSpot's Retry-After"),
        (says({}, status=429, Retry_After="1800"), "wait", "HubSpot's Retry-After"),
        (says({}, status=503, Retry_After="1800"), "wait", "HubSpot's Retry-After"),
        (says({}, status=477), "move", "HubSpot's 477"),
        (says({}, status=429, X_HubSpot_RateLimit_Daily_Remaining="0"), "wait", "HubSpot's X-HubSpot-"),
    ],
)
def test_a_stop_says_who_asked_for_it(answer: Answer, kind: str, said_by: str) -> None:
    error = outcome([answer], FakeClock())
    assert isinstance(error, UnavailableError)
    assert error.kind == kind
    assert (error.said_by or "").startswith(said_by)
    assert said_by in error.what


def test_a_rate_limit_holds_back_the_next_request_once() -> None:
    clock = FakeClock()
    limited = says({"policyName": "TEN_SECONDLY_ROLLING"}, status=429)
    with HubSpotDouble(scripted(limited, OK)) as double, client_of(double.url, clock=clock) as client:
        upsert(client)
        upsert(client)
    assert sum(waited for waited, _ in clock.waits) == pytest.approx(10.0)


def test_a_stricter_limit_in_the_headers_is_kept() -> None:
    clock = FakeClock()
    strict = says(
        {"results": []},
        X_HubSpot_RateLimit_Max="2",
        X_HubSpot_RateLimit_Interval_Milliseconds="10000",
        X_HubSpot_RateLimit_Daily_Remaining="0",
    )
    with HubSpotDouble(scripted(strict)) as double, client_of(double.url, clock=clock) as client:
        for _ in range(3):
            upsert(client)
    assert 10.0 <= sum(waited for waited, _ in clock.waits) < 10.1


@pytest.mark.parametrize("limit", ["", "0", "-1", "many", "²", "9" * 400])
def test_rubbish_in_the_headers_is_ignored(limit: str) -> None:
    clock = FakeClock()
    head = [
        "HTTP/1.1 200 OK",
        f"X-HubSpot-RateLimit-Max: {limit}",
        "X-HubSpot-RateLimit-Interval-Milliseconds: 10000",
        "Retry-After: ?",
        "Content-Length: 14",
    ]
    raw = "\r\n".join([*head, "", '{"results":[]}']).encode()
    with HubSpotDouble(scripted(Answer(raw=raw))) as double, client_of(double.url, clock=clock) as client:
        for _ in range(4):
            upsert(client)
    assert clock.waits == []


def test_one_request_given_up_ends_it_for_all_threads() -> None:
    with HubSpotDouble(scripted(Answer(status=500))) as double, client_of(double.url) as client:
        together = threading.Barrier(4)

        def attempt(_: int) -> SyncError:
            together.wait()
            with pytest.raises(SyncError) as caught:
                upsert(client)
            return caught.value

        with ThreadPoolExecutor(4) as pool:
            errors = list(pool.map(attempt, range(4)))
        assert {type(error) for error in errors} == {UnavailableError}
        assert 6 <= client.requests <= 24
        before = client.requests
        with pytest.raises(UnavailableError, match="after 6 attempts"):
            upsert(client)
        assert client.requests == before


def test_outages_that_pass_are_waited_out_each_time() -> None:
    answers = [*[Answer(status=500)] * 5, OK] * 4
    with HubSpotDouble(scripted(*answers)) as double, client_of(double.url) as client:
        for _ in range(4):
            upsert(client)
        assert client.requests == 24


def test_answers_that_stay_unreadable_break_the_contract_once() -> None:
    with HubSpotDouble(scripted(Answer(status=204))) as double, client_of(double.url) as client:
        for _ in range(2):
            with pytest.raises(ContractBrokenError, match="6 times in a row"):
                upsert(client)
        assert client.requests == 6


def test_a_signal_ends_the_waiting() -> None:
    clock = SystemClock()
    clock.stop(15)
    with HubSpotDouble(scripted(Answer(status=500))) as double, client_of(double.url, clock=clock) as client:
        with pytest.raises(InterruptedRunError):
            upsert(client)
        assert client.requests == 1


@pytest.mark.parametrize("token", ["pat\n", "pät", "a\x00b"])
def test_a_token_that_no_header_can_hold_is_a_wrong_setting(token: str) -> None:
    with pytest.raises(SettingsError, match="HUBSPOT_ACCESS_TOKEN"):
        HubSpotClient(
            access_token=token,
            base_url="http://127.0.0.1:1",
            api_version="v3",
            clock=FakeClock(),
            pace=None,  # type: ignore[arg-type]
        )


def test_no_error_and_no_log_holds_an_address_or_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    leak = {
        "message": f"ann@example.test {TOKEN}",
        "correlationId": "ann@example.test",
        "policyName": "ann@example.test",
        "category": f"ann@example.test {TOKEN}",
        "errors": [{"context": {"requiredGranularScopes": ["ann@example.test"]}}],
    }
    for status in (400, 401, 403, 404, 408, 418, 423, 429, 477, 500, 503):
        error = outcome([says(leak, status=status)], FakeClock())
        assert "ann@" not in str(error)
        assert TOKEN not in str(error)
    for record in caplog.records:
        assert "ann@" not in str(record.__dict__)
        assert TOKEN not in str(record.__dict__)


def test_the_official_client_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, etl.load.delivery, etl.load.access; sys.exit('hubspot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_time_that_the_import_takes_does_not_count_as_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    imported = HubSpotClient._import_official_client

    def slowly(self: HubSpotClient) -> Any:
        clock.advance(5.0)
        return imported(self)

    monkeypatch.setattr(HubSpotClient, "_import_official_client", slowly)
    with HubSpotDouble(scripted(OK)) as double, client_of(double.url, clock=clock, limit=1) as client:
        upsert(client)
        upsert(client)
    assert sum(waited for waited, _ in clock.waits) == pytest.approx(10.0, abs=0.1)


ADDRESS = "ann@example.test"
PAGE = f"<html>{TOKEN} {ADDRESS} may not pass</html>".encode()
ELSEWHERE = {"Location": f"https://login.example.test/{TOKEN}?mail={ADDRESS}"}
STRANGERS = [
    (Answer(403, PAGE), AccessRefusedError, "a firewall or proxy in between"),
    (Answer(403, b"error code: 1020"), AccessRefusedError, "a firewall or proxy in between"),
    (Answer(407, PAGE), AccessRefusedError, "A proxy on the way .* HTTPS_PROXY"),
    (Answer(511, PAGE), AccessRefusedError, "asks for a login .*511"),
    (Answer(302, PAGE, ELSEWHERE), ContractBrokenError, r"to login\.example\.test\. .*_BASE_URL"),
]


@pytest.mark.parametrize(("answer", "kind", "told"), STRANGERS)
@pytest.mark.parametrize("ask", [upsert, read_portal])
def test_who_else_answers_is_named_and_not_asked_again(
    ask: Callable[[HubSpotClient], Any],
    answer: Answer,
    kind: type[SyncError],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with HubSpotDouble(scripted(answer)) as double, client_of(double.url) as client:
        with pytest.raises(kind, match=told) as caught:
            ask(client)
        assert client.requests == 1
    for secret in ("scope", TOKEN, ADDRESS):
        assert secret not in f"{caught.value} {caplog.text}"
