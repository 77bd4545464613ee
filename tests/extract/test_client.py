"""The client over real HTTP: what it asks, what it waits for, and what it says when it gives up."""

from __future__ import annotations

import gzip
import logging
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pytest
from fakes import NOW, FakeClock
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, Served, served

from etl.errors import (
    AccessRefusedError,
    ContractBrokenError,
    SettingsError,
    SyncError,
    UnavailableError,
)
from etl.extract.account import usage, websites
from etl.extract.budget import Budget
from etl.extract.client import ZenovayClient
from etl.extract.payload import UnreadableBodyError
from etl.extract.statuses import refusal
from etl.network.reply import Reply
from etl.pace import Pace
from etl.retry import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.extract.client import Answer

KEY = "zv_0123456789abcdef"
PATH = "/analytics/w1/visitors"
FINE = served({"data": []})


class Caller:
    """A client on a loopback server, with a clock of its own."""

    def __init__(self, url: str, *, key: str = KEY, **limits: Any) -> None:
        self.clock = FakeClock()
        self.pace = Pace(limit=30, window_s=60, clock=self.clock, name="Zenovay")
        self.budget = Budget(clock=self.clock, limit=10_000)
        self.client = ZenovayClient(
            base_url=url, api_key=key, clock=self.clock, pace=self.pace, budget=self.budget, **limits
        )

    def get(self, **params: str) -> Answer[Any]:
        return self.client.get(PATH, params, readable=lambda body: body)

    @property
    def waited_s(self) -> list[float]:
        return [seconds for seconds, _ in self.clock.waits]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert KEY not in caplog.text


def outcome(*script: Served, key: str = KEY, **limits: Any) -> tuple[Caller, Answer[Any] | SyncError]:
    """What the client returns or raises when the server follows ``script``."""
    with Loopback.scripted(script) as server, Caller(server.url, key=key, **limits) as caller:
        try:
            return caller, caller.get()
        except SyncError as error:
            return caller, error


def failure(*script: Served, **limits: Any) -> SyncError:
    _, error = outcome(*script, **limits)
    assert isinstance(error, SyncError), error
    assert KEY not in str(error)
    return error


def error_body(code: str, message: str = "no", **extra: Any) -> dict[str, Any]:
    return {"success": False, "error": {"code": code, "message": message, **extra}}


def test_a_request_carries_the_key_in_a_header_and_nowhere_else(quiet: pytest.LogCaptureFixture) -> None:
    with Loopback.scripted([FINE]) as server, Caller(server.url + "/") as caller:
        answer = caller.get(range="24h", limit="5")
    (asked,) = server.asked
    assert asked.path == f"/api/external/v1{PATH}"
    assert asked.params == {"range": "24h", "limit": "5"}
    assert asked.headers["X-API-Key"] == KEY
    assert asked.headers["Accept"] == "application/json"
    assert asked.headers["User-Agent"].startswith("visitor-sync/0.")
    assert (answer.value, answer.date, answer.asked_at) == ({"data": []}, None, NOW)
    assert caller.client.requests == 1


def test_the_date_header_is_the_clock_of_the_server() -> None:
    _, answer = outcome(served({}, headers={"Date": "Sat, 07 Feb 2026 11:59:30 GMT"}))
    assert not isinstance(answer, SyncError)
    assert answer.date == NOW - timedelta(seconds=30)


def test_a_compressed_body_is_read() -> None:
    _, answer = outcome(Served(gzip.compress(b'{"data":[7]}'), headers={"Content-Encoding": "gzip"}))
    assert not isinstance(answer, SyncError)
    assert answer.value == {"data": [7]}


PASSING = [
    pytest.param(Served(status=status), id=f"status {status}")
    for status in (408, 500, 502, 503, 504, 521, 522, 523, 524)
] + [
    pytest.param(Served(b"<html>sorry</html>", status=503), id="HTML with 503"),
    pytest.param(served(error_body("RATE_LIMIT_EXCEEDED"), status=429), id="429"),
    pytest.param(served({"error": {"code": "rate_limit_exceeded"}}, status=429), id="429 in small letters"),
    pytest.param(Served(b"error code: 1015", status=429), id="429 of a proxy"),
    pytest.param(Served(b"<html>sorry</html>"), id="HTML with 200"),
    pytest.param(Served(b""), id="nothing"),
    pytest.param(Served(raw=b""), id="closed connection"),
    pytest.param(Served(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), id="cut body"),
    pytest.param(Served(raw=b"220 smtp.example.com ESMTP\r\n"), id="not HTTP"),
    pytest.param(Served(b"no gzip", headers={"Content-Encoding": "gzip"}), id="broken compression"),
]


@pytest.mark.parametrize("trouble", PASSING)
def test_trouble_that_passes_costs_another_request_and_no_error(
    trouble: Served, quiet: pytest.LogCaptureFixture
) -> None:
    caller, answer = outcome(trouble, trouble, FINE)
    assert not isinstance(answer, SyncError), answer
    assert answer.value == {"data": []}
    assert caller.client.requests == 3
    assert len(caller.clock.waits) == 2


@pytest.mark.parametrize(
    ("body", "saw"),
    [
        (b"<html>sorry</html>", "HTML with status 200"),
        (b"\n", "an empty body with status 200"),
        (b"OK", "text that is not JSON with status 200"),
    ],
)
def test_an_answer_that_is_steadily_malformed_breaks_the_contract(body: bytes, saw: str) -> None:
    error = failure(*[Served(body)] * 6)
    assert isinstance(error, ContractBrokenError)
    assert error.what == f"Zenovay {PATH}: {saw}, 6 times in a row."


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (b'{"data":[', 9),
        (b'{"data":["\xc3\xa9\xc3\xa9",}', 16),
        (b"[" * 100_000, 100_000),
        (b'{"data":[1] 2}', 12),
    ],
)
def test_json_that_cannot_be_read_is_asked_for_twice_and_its_place_is_told(body: bytes, offset: int) -> None:
    with Loopback(lambda _: Served(body)) as server, Caller(server.url) as caller:
        with pytest.raises(ContractBrokenError) as error:
            caller.get()
        assert caller.client.requests == 2
    what = f"JSON that cannot be read at byte {offset} with status 200, 2 times in a row."
    assert error.value.what == f"Zenovay {PATH}: {what}"


def test_json_that_is_cut_elsewhere_each_time_is_asked_for_again() -> None:
    cut = [Served(b'{"data":[' + b"1," * number) for number in range(2)]
    _, answer = outcome(*cut, FINE)
    assert not isinstance(answer, SyncError), answer


def test_a_body_that_the_reader_refuses_breaks_the_contract() -> None:
    def refuse(_: Any) -> None:
        raise UnreadableBodyError("an object with the keys a and no rows")

    with Loopback(lambda _: FINE) as server, Caller(server.url) as caller:
        with pytest.raises(ContractBrokenError, match="keys a and no rows, 6 times"):
            caller.client.get(PATH, {}, readable=refuse)
        assert caller.client.requests == 6


def test_a_malformed_answer_among_outages_is_an_outage() -> None:
    error = failure(*[Served(b"<html>")] * 5, Served(status=502))
    assert isinstance(error, UnavailableError)
    assert "status 502" in error.what


def test_a_server_that_is_not_there_is_an_outage() -> None:
    with Loopback.scripted([]) as server:
        url = server.url
    with Caller(url) as caller, pytest.raises(UnavailableError, match="could not be reached") as caught:
        caller.get()
    assert caller.client.requests == 6
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("host", ["nowhere.invalid", "xn--0.invalid", "-.invalid"])
def test_a_host_that_does_not_resolve_is_named(host: str) -> None:
    with Caller(f"https://{host}") as caller, pytest.raises(UnavailableError) as caught:
        caller.get()
    assert f"the host name {host} (ZENOVAY_BASE_URL) could not be resolved" in caught.value.what
    assert "ZENOVAY_BASE_URL" in (caught.value.fix or "")


BODY_OF = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (BODY_OF + "Content-Length: 9999\r\n\r\n{", " "),
        (BODY_OF + "\r\n{", " "),
        (BODY_OF + "Transfer-Encoding: chunked\r\n\r\n", "0"),
        (BODY_OF + "X-Endless: ", "a"),
        ("HTTP/1.1 ", " "),
    ],
    ids=["body", "body without length", "chunk size", "headers", "status line"],
)
def test_a_drip_does_not_hold_the_program(start: str, drip: str) -> None:
    script = Served(raw=start.encode(), drip=drip.encode())
    error = failure(script, patience=Patience(attempts=1), deadline_s=0.2)
    assert isinstance(error, UnavailableError)
    assert "no whole answer within 0.2 s" in error.what


def test_silence_ends_with_the_read_timeout() -> None:
    silence = Served(raw=BODY_OF.encode() + b"Content-Length: 9\r\n\r\n", hold=True)
    error = failure(silence, patience=Patience(attempts=1), timeout_s=(1.0, 0.1))
    assert isinstance(error, UnavailableError)
    assert "no answer in time" in error.what


def test_closing_ends_a_request_in_flight() -> None:
    started = threading.Event()

    def answer(_: Any) -> Served:
        started.set()
        return Served(raw=BODY_OF.encode() + b"Content-Length: 9\r\n\r\n{", drip=b" ")

    raised: list[Exception] = []
    with Loopback(answer) as server, Caller(server.url, patience=Patience(attempts=1)) as caller:

        def ask() -> None:
            try:
                caller.get()
            except UnavailableError as error:
                raised.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert started.wait(5)
        caller.client.close()
        thread.join(5)
        assert not thread.is_alive()
    assert len(raised) == 1


def test_a_body_without_end_is_cut_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl.network.reply.LARGEST_BODY", 2**20)
    error = failure(Served(b" " * (2**20 + 1)), patience=Patience(attempts=1))
    assert isinstance(error, ContractBrokenError)
    assert "more than 1 MiB" in error.what


@pytest.mark.parametrize(
    ("answer", "kind", "told", "fix"),
    [
        (
            served(error_body("UNAUTHORIZED"), status=401),
            AccessRefusedError,
            "status 401 (UNAUTHORIZED: no)",
            "ZENOVAY_API_KEY",
        ),
        (
            served(error_body("FORBIDDEN"), status=403),
            AccessRefusedError,
            "belongs to another team",
            "key of the team",
        ),
        (
            served({"error": "needs a paid plan", "code": "API_PAID_PLAN_REQUIRED"}, status=403),
            AccessRefusedError,
            "no API access: status 403 (API_PAID_PLAN_REQUIRED: needs a paid plan)",
            "Upgrade",
        ),
        (Served(b"<html>", status=403), AccessRefusedError, "status 403 (HTML)", "firewall"),
        (served(error_body("NOT_FOUND"), status=404), SettingsError, PATH, "ZENOVAY_WEBSITE_ID"),
        (Served(b"<html>", status=404), SettingsError, "status 404 (HTML)", "ZENOVAY_BASE_URL"),
        (
            served({"error": {"code": "bad_request", "message": "no", "status": 400}}, status=400),
            ContractBrokenError,
            "status 400 (BAD_REQUEST: no)",
            "ZENOVAY_PAGING",
        ),
        (served(error_body("INVALID"), status=422), ContractBrokenError, "status 422", "ZENOVAY_PAGING"),
        (Served(status=418), ContractBrokenError, "status 418 (an empty body)", "ZENOVAY_BASE_URL"),
        (
            Served(status=301, headers={"Location": "/elsewhere"}),
            ContractBrokenError,
            "status 301",
            "ZENOVAY_BASE_URL",
        ),
    ],
)
def test_what_would_happen_again_is_not_tried_again(
    answer: Served, kind: type[SyncError], told: str, fix: str
) -> None:
    caller, error = outcome(answer)
    assert type(error) is kind
    assert told in error.what
    assert fix in (error.fix or "")
    assert caller.client.requests == 1
    assert caller.waited_s == []


def test_a_tracking_code_in_the_place_of_the_key_is_named() -> None:
    error = failure(Served(status=401), key="ZV_0123")
    assert error.fix is not None
    assert "tracking code" in error.fix


def test_an_error_repeats_neither_the_key_nor_an_address() -> None:
    message = f"key {KEY} of anna@example.com is unknown"
    assert (
        "key <secret> of <address> is unknown" in failure(served(error_body("NO", message), status=401)).what
    )


LIMITED = "RATE_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (
            served(
                error_body(LIMITED, "Try again in 9 seconds", retry_after=8),
                status=429,
                headers={"Retry-After": "7"},
            ),
            7,
        ),
        (served(error_body(LIMITED, "Try again in 9 seconds", retry_after=8), status=429), 8),
        (
            served(
                error_body(LIMITED, "Try again in 17 seconds."), status=429, headers={"Retry-After": "soon"}
            ),
            17,
        ),
        (served({"error": "wait 3s", "code": LIMITED}, status=429), 3),
        (
            served(
                error_body(LIMITED),
                status=429,
                headers={
                    "Retry-After": "Sat, 07 Feb 2026 10:00:40 GMT",
                    "Date": "Sat, 07 Feb 2026 10:00:00 GMT",
                },
            ),
            40,
        ),
        (
            served(error_body(LIMITED), status=429, headers={"Retry-After": "Sat, 07 Feb 2026 12:00:30 GMT"}),
            30,
        ),
        (served(error_body("UNAVAILABLE"), status=503, headers={"Retry-After": "11"}), 11),
    ],
)
def test_a_wait_that_is_asked_for_is_kept(answer: Served, seconds: float) -> None:
    caller, result = outcome(answer, FINE)
    assert not isinstance(result, SyncError)
    assert caller.waited_s == [seconds]


def test_no_wait_wins_over_what_the_body_says() -> None:
    body = error_body(LIMITED, "Try again in 9 seconds", retry_after=8)
    caller, result = outcome(served(body, status=429, headers={"Retry-After": "0"}), FINE)
    assert not isinstance(result, SyncError)
    (waited,) = caller.waited_s
    assert 0.5 <= waited <= 1


@pytest.mark.parametrize("header", ["-5", "nan", "inf", "9" * 400, "", "true"])
def test_a_senseless_wait_is_none(header: str) -> None:
    caller, result = outcome(served(error_body(LIMITED), status=429, headers={"Retry-After": header}), FINE)
    assert not isinstance(result, SyncError)
    assert len(caller.waited_s) == 1
    assert caller.waited_s[0] <= 1


@pytest.mark.parametrize(
    "stated", ["3601", "604800", "1770465600", "1770465600000", "Thu, 01 Jan 2099 00:00:00 GMT"]
)
@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_wait_that_cannot_be_meant_is_none(status: int, stated: str) -> None:
    answer = served(error_body(LIMITED), status=status, headers={"Retry-After": stated})
    caller, error = outcome(*[answer] * 6)
    assert isinstance(error, UnavailableError)
    assert error.until is None
    assert caller.client.requests == 6
    assert sum(caller.waited_s) < 60


def test_another_way_to_state_the_wait_stands_in_for_one_that_cannot_be_meant() -> None:
    body = error_body(LIMITED, retry_after=8)
    caller, result = outcome(served(body, status=429, headers={"Retry-After": "1770465600"}), FINE)
    assert not isinstance(result, SyncError)
    assert caller.waited_s == [8]


def test_a_stated_daily_limit_may_last_for_a_day() -> None:
    answer = served(error_body("DAILY_LIMIT_EXCEEDED"), status=429, headers={"Retry-After": "40000"})
    error = failure(answer)
    assert isinstance(error, UnavailableError)
    assert (error.until, error.kind) == (NOW + timedelta(seconds=40_000), "daily")
    assert error.said_by == "Zenovay's Retry-After"
    assert "by Zenovay's Retry-After" in error.what


def test_a_429_holds_back_every_request_of_the_key() -> None:
    script = [served({}, status=429, headers={"Retry-After": "20"}), FINE]
    with Loopback.scripted(script) as server, Caller(server.url, patience=Patience(attempts=1)) as caller:
        with pytest.raises(UnavailableError):
            caller.get()
        caller.get()
        assert caller.waited_s == [20]


def test_a_wait_too_long_ends_the_run_and_leaves_the_pace_alone() -> None:
    script = [served({}, status=429, headers={"Retry-After": "3600"}), FINE]
    with Loopback.scripted(script) as server, Caller(server.url) as caller:
        with pytest.raises(UnavailableError, match="asks to wait until 2026-02-07T13:00:00Z") as caught:
            caller.get()
        assert caught.value.until == NOW + timedelta(hours=1)
        caller.get()
        assert caller.waited_s == []


@pytest.mark.parametrize(
    ("reset", "until"),
    [
        ("2026-02-20T00:00:00.000Z", datetime(2026, 2, 20, tzinfo=UTC)),
        ("2026-02-20T02:00:00+02:00", datetime(2026, 2, 20, tzinfo=UTC)),
        (None, datetime(2026, 3, 1, tzinfo=UTC)),
        ("soon", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-02-07T11:59:59Z", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-10T12:00:00Z", datetime(2026, 3, 10, 12, tzinfo=UTC)),
        ("2026-03-11T00:00:00Z", datetime(2026, 3, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("code", ["MONTHLY_LIMIT_EXCEEDED", "monthly_limit_exceeded"])
def test_a_spent_month_ends_the_run_at_once(code: str, reset: str | None, until: datetime) -> None:
    headers = {"X-Usage-Reset": reset} if reset else {}
    caller, error = outcome(served(error_body(code), status=429, headers=headers))
    assert isinstance(error, UnavailableError)
    assert error.until == until
    assert error.kind == "monthly"
    assert (error.said_by == "Zenovay's X-Usage-Reset") is (until != datetime(2026, 3, 1, tzinfo=UTC))
    assert f"{until:%Y-%m-%dT%H:%M:%SZ}" in error.what
    assert caller.client.requests == 1


def test_the_limit_in_the_headers_wins() -> None:
    with (
        Loopback(lambda _: served({}, headers={"X-RateLimit-Limit": "2"})) as server,
        Caller(server.url) as caller,
    ):
        caller.get()
        caller.get()
        assert caller.waited_s == []
        caller.get()
        assert sum(caller.waited_s) == pytest.approx(60, abs=1)
    with (
        Loopback(lambda _: served({}, headers={"X-RateLimit-Limit": "60"})) as server,
        Caller(server.url) as caller,
    ):
        for _ in range(60):
            caller.get()
        assert caller.waited_s == []


RESET = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 20)}


def test_after_the_last_request_of_a_minute_the_reset_is_waited_for() -> None:
    with Loopback(lambda _: served({}, headers=RESET)) as server, Caller(server.url) as caller:
        caller.get()
        caller.get()
        assert caller.waited_s == [20]


@pytest.mark.parametrize(
    "headers",
    [
        RESET | {"X-RateLimit-Remaining": "1"},
        RESET | {"X-RateLimit-Reset": str(int(NOW.timestamp()) + 61)},
        RESET | {"X-RateLimit-Reset": str(int(NOW.timestamp()) - 1)},
        RESET | {"X-RateLimit-Reset": "soon"},
        RESET | {"X-RateLimit-Reset": "9" * 5000},
        {"X-RateLimit-Remaining": "0"},
        {"X-RateLimit-Limit": "0"},
        {"X-RateLimit-Limit": "-1"},
        {"X-RateLimit-Limit": "\u00b2"},
        {"X-RateLimit-Limit": "60;w=1"},
        {"X-RateLimit-Limit": "99999999999"},
        {"Date": "yesterday"},
        {"Date": "Fri, 31 Dec 9999 23:59:59 -1200"},
    ],
)
def test_garbage_in_the_headers_changes_nothing(headers: dict[str, str]) -> None:
    with Loopback(lambda _: served({}, headers=headers)) as server, Caller(server.url) as caller:
        for _ in range(3):
            caller.get()
        assert caller.waited_s == []


@pytest.mark.parametrize(
    "url", ["", "api.zenovay.com", "ftp://example.com", "http://", "http://a:b", "http://a\x00"]
)
def test_a_base_url_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="ZENOVAY_BASE_URL"):
        Caller(url)


@pytest.mark.parametrize("key", ["", "zv_ä", "zv_1\n", "zv 1"])
def test_a_key_that_no_header_can_carry_is_a_wrong_setting(key: str) -> None:
    with pytest.raises(SettingsError, match="ZENOVAY_API_KEY"):
        Caller("http://127.0.0.1:1", key=key)


def test_the_account_is_read_at_its_own_paths() -> None:
    def answer(asked: Any) -> Served:
        body = (
            {"websites": [{"id": "w1"}]}
            if asked.path.endswith("/websites")
            else {"usage": {"monthly_limit": 9}}
        )
        return served({"success": True, "data": body})

    with Loopback(answer) as server, Caller(server.url) as caller:
        assert [site.id for site in websites(caller.client)] == ["w1"]
        assert usage(caller.client).limit == 9
    assert [asked.path.rpartition("/")[2] for asked in server.asked] == ["websites", "usage"]


@given(
    status=st.integers(300, 599),
    body=st.binary(max_size=50) | st.sampled_from([b"{}", b"[]", b'{"error":7}', b'{"error":{"code":7}}']),
    retry_after=st.text(max_size=30) | st.floats().map(str),
    reset=st.text(max_size=30) | st.datetimes().map(str),
)
def test_any_refusal_is_an_error_of_ours(status: int, body: bytes, retry_after: str, reset: str) -> None:
    reply = Reply(status, {"retry-after": retry_after, "x-usage-reset": reset, "date": reset}, body)
    error = refusal(reply, path=PATH, api_key=KEY, now=NOW)
    assert isinstance(error, Exception)


ADDRESS = "ann@example.test"
PAGE = f"<html>{KEY} {ADDRESS} may not pass</html>".encode()
ELSEWHERE = {"Location": f"https://login.example.test/{KEY}?mail={ADDRESS}"}
STRANGERS = [
    (Served(PAGE, status=403), AccessRefusedError, "a firewall or proxy in between"),
    (Served(b"error code: 1020", status=403), AccessRefusedError, "a firewall or proxy in between"),
    (Served(PAGE, status=407), AccessRefusedError, "A proxy on the way .* HTTPS_PROXY"),
    (Served(PAGE, status=511), AccessRefusedError, "asks for a login .*511"),
    (
        Served(PAGE, status=302, headers=ELSEWHERE),
        ContractBrokenError,
        r"to login\.example\.test\. .*_BASE_URL",
    ),
]


@pytest.mark.parametrize(("answer", "kind", "told"), STRANGERS)
def test_who_else_answers_is_named_and_not_asked_again(
    answer: Served, kind: type[SyncError], told: str
) -> None:
    caller, error = outcome(answer)
    assert type(error) is kind
    assert re.search(told, str(error)), error
    assert "ZENOVAY_API_KEY" not in str(error)
    assert KEY not in str(error)
    assert ADDRESS not in str(error)
    assert caller.client.requests == 1
