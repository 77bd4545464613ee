"""Pings over real HTTP: what arrives, what is tried twice, and that nothing ever raises or tells the URL."""

from __future__ import annotations

import logging
import re
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback, Served

from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.watch.ping import Ping, checked_ping_url, kept

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "0f1e2d3c-secret-key"
RID = "5c1f0f0e6f0b4c0e8a5b1d2c3e4f5a6b"
DASHED = "5c1f0f0e-6f0b-4c0e-8a5b-1d2c3e4f5a6b"
OK = Served(b"OK")


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Nothing that any logger says at any level may hold the key or the query."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    everything = " ".join(f"{each.getMessage()} {each.__dict__}" for each in caplog.get_records("call"))
    assert KEY not in everything
    assert "create=1" not in everything


def url(server: Loopback) -> str:
    return f"{server.url.partition('/api')[0]}/{KEY}"


def warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.__dict__ for record in caplog.records if record.levelno >= logging.WARNING]


def outcome(*script: Served, clock: FakeClock | None = None, timeout_s: float = 5.0) -> tuple[Loopback, bool]:
    with Loopback.scripted(script) as server:
        ping = Ping(url(server), clock=clock or FakeClock(), timeout_s=timeout_s)
        arrived = ping.success(RID, "done")
        ping.close()
    return server, arrived


def test_the_four_pings_stand_at_their_places() -> None:
    with Loopback(lambda _: OK) as server:
        ping = Ping(f"{url(server)}?create=1&tag=a%20b", clock=FakeClock())
        assert ping.start(RID)
        assert ping.log(RID, "half of it")
        assert ping.success(RID, "done, for 7 € and ann@example.test")
        assert ping.fail(DASHED, "")
        ping.close()
    assert [asked.path for asked in server.asked] == [
        f"/{KEY}/start",
        f"/{KEY}/log",
        f"/{KEY}",
        f"/{KEY}/fail",
    ]
    assert all(asked.method == "POST" for asked in server.asked)
    assert all(asked.params == {"create": "1", "tag": "a b", "rid": DASHED} for asked in server.asked)
    assert [asked.body.decode() for asked in server.asked] == [
        "",
        "half of it",
        "done, for 7 € and <address>",
        "",
    ]


def test_without_a_query_the_run_stands_alone() -> None:
    server, arrived = outcome(OK)
    assert arrived
    assert server.asked[0].params == {"rid": DASHED}


PASSING = [
    pytest.param(Served(status=500), id="500"),
    pytest.param(Served(b"<html>", status=502), id="502"),
    pytest.param(Served(status=429), id="429"),
    pytest.param(Served(status=429, headers={"Retry-After": "60"}), id="429 with a wait"),
    pytest.param(Served(raw=b""), id="closed"),
]


@pytest.mark.parametrize("answer", PASSING)
def test_what_may_pass_is_tried_twice(answer: Served, told: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    server, arrived = outcome(answer, OK, clock=clock)
    assert arrived
    assert sum(seconds for seconds, _ in clock.waits) < 1
    assert warnings(told) == []
    server, arrived = outcome(answer, answer)
    assert not arrived
    assert len(server.asked) == 2
    (line,) = warnings(told)
    assert line["action"] == "ping_failed"
    assert line["host"] in server.url
    assert line["host"] in line["why"]


LASTING = [
    (Served(b"<html>log in</html>"), "a page"),
    (Served(b"OK (not found)"), "knows no such check"),
    (Served(b"OK (rate limited)"), "too many"),
    (Served(b"invalid url format", status=400), "400: SYNC_PING_URL"),
    (Served(b"forbidden", status=403), "403: SYNC_PING_URL"),
    (Served(b"<html>firewall", status=403), "a firewall or proxy"),
    (Served(b"not found", status=404), "404: SYNC_PING_URL"),
    (Served(status=410), "410: SYNC_PING_URL"),
    (Served(status=407), "A proxy on the way"),
    (Served(status=301, headers={"Location": f"/{KEY}/"}), "another place on the same host"),
]


@pytest.mark.parametrize(("answer", "why"), LASTING)
def test_what_will_not_pass_is_tried_once(answer: Served, why: str, told: pytest.LogCaptureFixture) -> None:
    server, arrived = outcome(answer)
    assert not arrived
    assert len(server.asked) == 1
    (line,) = warnings(told)
    assert re.search(why, line["why"]), line["why"]


@pytest.mark.parametrize(
    "silence", [Served(raw=b"", hold=True), Served(raw=b"HTTP/1.1 200 OK\r\n\r\n", drip=b"O")]
)
def test_a_hang_is_bounded(silence: Served) -> None:
    started = time.monotonic()
    server, arrived = outcome(silence, silence, timeout_s=0.2)
    assert not arrived
    assert len(server.asked) == 2
    assert time.monotonic() - started < 5  # the silence has no end


def test_a_refused_connection_is_told_once(told: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        assert not Ping(f"http://{host}/{KEY}?create=1", clock=FakeClock()).start(RID)
    (line,) = warnings(told)
    assert (line["host"], line["why"]) == (host, f"{host} could not be reached (connection refused)")


def test_a_run_that_was_stopped_is_still_told_of() -> None:
    clock = SystemClock()
    clock.stop(15)
    with Loopback.scripted([OK, Served(status=500)]) as server:
        ping = Ping(url(server), clock=clock)
        assert ping.fail(RID, "stopped by a signal")
        assert not ping.fail(RID, "no second try")
        ping.close()


def test_nothing_raises(monkeypatch: pytest.MonkeyPatch, told: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("http_proxy", "ftp://proxy.example.test")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert not Ping(f"http://127.0.0.1:9/{KEY}", clock=FakeClock()).start(RID)
    assert not Ping(f"http://127.0.0.1:9/{KEY}", clock=FakeClock()).start("no UUID")
    assert [line["why"] for line in warnings(told)] == [
        "http_proxy names a kind of proxy that is unknown here.",
        "ValueError",
    ]


def test_a_long_body_is_cut_between_two_characters() -> None:
    assert kept("x" * 10_000) == b"x" * 10_000
    assert kept("x" * 9_999 + "€") == b"x" * 9_999
    assert kept("\ud800") == b"?"


@given(st.text(max_size=20).map(lambda text: text * 1000))
def test_a_body_is_never_too_long(text: str) -> None:
    body = kept(text)
    assert len(body) <= 10_000
    assert "@" not in body.decode()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://HC.example.test/a-b/", "https://hc.example.test/a-b"),
        ("https://hc.example.test/a?create=1", "https://hc.example.test/a?create=1"),
        ("https://hc.example.test/a/?x=%20&y=a@b?", "https://hc.example.test/a?x=%20&y=a@b?"),
        ("https://hc.example.test/a?", "https://hc.example.test/a"),
        ("http://127.0.0.1:8000/ping/a", "http://127.0.0.1:8000/ping/a"),
    ],
)
def test_urls_that_may_be_pinged(text: str, meant: str) -> None:
    assert checked_ping_url(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hc.example.test/a",
        f"http://hc.example.test/{KEY}",
        f"https://me:pw@hc.example.test/{KEY}",
        f"https://hc.example.test/{KEY}#part",
        f"https://hc.example.test/{KEY}?a=b#part",
        f"https://hc.example.test/{KEY}?a= b",
        f"https://hc.example.test/{KEY}?a=ä",
        f"https://hc.example.test/{KEY}?a=\n",
        "?create=1",
    ],
)
def test_urls_that_may_not_be_pinged(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a URL") as caught:
        checked_ping_url(text)
    assert KEY not in str(caught.value)
    with pytest.raises(SettingsError, match="SYNC_PING_URL must be a URL") as wrong:
        Ping(text, clock=FakeClock())
    assert KEY not in str(wrong.value)
