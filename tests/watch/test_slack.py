"""Posting to Slack over real HTTP: what is sent, what is repeated, and that the webhook stays a secret."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from datetime import timedelta
from traceback import format_exception
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock
from loopback import Loopback, Served

from etl.errors import (
    AccessRefusedError,
    ContractBrokenError,
    SettingsError,
    SyncError,
    UnavailableError,
)
from etl.retry import Patience
from etl.watch.slack import MOST_BLOCKS, Slack, escaped, fitting, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/services/T0SECRET1/B0SECRET2/xYz0secret3"
PARTS = ("T0SECRET1", "B0SECRET2", "xYz0secret3")
OK = Served(b"ok")
PAGE = b"<!DOCTYPE html><html>Please log in, " + PATH.encode() + b"</html>"


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Nothing that any logger says at any level may hold a part of the webhook."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    everything = " ".join(f"{each.getMessage()} {each.__dict__}" for each in caplog.get_records("call"))
    assert not [part for part in PARTS if part in everything]


def posted(url: str, *, clock: FakeClock | None = None, **limits: Any) -> SyncError | None:
    """The error of one post, which may not tell of the webhook, nor may what it comes from."""
    slack = Slack(url, clock=clock or FakeClock(), **limits)
    error = None
    try:
        slack.post("all is well")
    except SyncError as exc:
        error = exc
    slack.close()
    assert error is None or "SLACK_WEBHOOK_URL" in str(error)
    assert not [part for part in PARTS if error and part in "".join(format_exception(error))]
    return error


def outcome(
    *script: Served, clock: FakeClock | None = None, **limits: Any
) -> tuple[Loopback, SyncError | None]:
    with Loopback.scripted(script) as server:
        return server, posted(hook(server), clock=clock, **limits)


def hook(server: Loopback) -> str:
    return server.url.partition("/api")[0] + PATH


def test_a_message_is_posted_as_json() -> None:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "*well* €"}}
    with Loopback.scripted([OK, OK]) as server:
        slack = Slack(hook(server), clock=FakeClock())
        slack.post("all is well", [block])
        slack.post("all is still well")
        slack.close()
    first, second = server.asked
    assert (first.method, first.path, first.params) == ("POST", PATH, {})
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["User-Agent"].startswith("visitor-sync/")
    assert json.loads(first.body) == {"text": "all is well", "blocks": [block]}
    assert json.loads(second.body) == {"text": "all is still well"}


LASTING = [
    (Served(b"invalid_payload", status=400), ContractBrokenError, "400 .invalid_payload."),
    (Served(b"invalid_token", status=401), AccessRefusedError, "invalid_token.*may not post"),
    (Served(b"action_prohibited", status=403), AccessRefusedError, "action_prohibited.*administrator"),
    (Served(b"no_service", status=404), SettingsError, "no_service.*Make a new webhook"),
    (Served(b"channel_not_found", status=404), SettingsError, "channel_not_found.*Make a new webhook"),
    (Served(b"channel_is_archived", status=410), SettingsError, "channel_is_archived.*Make a new webhook"),
    (Served(b"", status=404), SettingsError, "an empty body.*Make a new webhook"),
    (Served(PATH.encode(), status=405), ContractBrokenError, "405 .<secret>."),
    (
        Served(b"T0SECRET1 \xff ann@example.test", status=418),
        ContractBrokenError,
        "<secret> \ufffd <address>",
    ),
    (Served(PAGE), ContractBrokenError, "a page .HTML.*not posted"),
    (Served(PAGE, status=400), ContractBrokenError, "400 .HTML."),
    (Served(PAGE, status=403), AccessRefusedError, "a firewall or proxy in between"),
    (Served(PAGE, status=404), SettingsError, "404 .HTML."),
    (Served(status=302, headers={"Location": PATH}), ContractBrokenError, "another place on the same host"),
    (
        Served(status=307, headers={"Location": f"https://login.example.test{PATH}"}),
        ContractBrokenError,
        r"a redirect to login\.example\.test",
    ),
]


@pytest.mark.parametrize(("answer", "kind", "words"), LASTING)
def test_what_will_not_pass_is_said_at_once(answer: Served, kind: type[SyncError], words: str) -> None:
    server, error = outcome(answer)
    assert type(error) is kind
    assert re.search(words, str(error)), error
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [(Served(PAGE, status=407), "A proxy on the way"), (Served(PAGE, status=511), "asks for a login")],
)
def test_a_network_that_wants_a_login_is_named(answer: Served, words: str) -> None:
    with Loopback.scripted([answer]) as server:
        slack = Slack(hook(server), clock=FakeClock())
        with pytest.raises(AccessRefusedError, match=words):
            slack.post("all is well")
        slack.close()
    assert len(server.asked) == 1


PASSING = [
    pytest.param(Served(b"rate_limited", status=429), id="429"),
    pytest.param(Served(b"rate_limited", status=429, headers={"Retry-After": "soon"}), id="429, no wait"),
    pytest.param(Served(b"rollup_error", status=500), id="500"),
    pytest.param(Served(PAGE, status=503), id="503"),
    pytest.param(Served(status=408), id="408"),
    pytest.param(Served(raw=b""), id="closed"),
    pytest.param(Served(raw=b"220 smtp.example.test\r\n"), id="no HTTP"),
]


@pytest.mark.parametrize("answer", PASSING)
def test_what_may_pass_is_tried_three_times(answer: Served) -> None:
    clock = FakeClock()
    server, error = outcome(answer, answer, answer, clock=clock)
    assert type(error) is UnavailableError
    assert "after 3 attempts" in str(error)
    assert len(server.asked) == 3
    assert len(clock.waits) == 2
    server, error = outcome(answer, OK)
    assert error is None
    assert len(server.asked) == 2


def test_a_wait_that_slack_asks_for_is_obeyed_up_to_half_a_minute() -> None:
    clock = FakeClock()
    limited = Served(b"rate_limited", status=429, headers={"Retry-After": "30"})
    server, error = outcome(limited, OK, clock=clock)
    assert error is None
    assert [seconds for seconds, _ in clock.waits] == [30]
    assert len(server.asked) == 2


def test_a_longer_wait_ends_the_attempts_at_once() -> None:
    clock = FakeClock()
    limited = Served(b"rate_limited", status=429, headers={"Retry-After": "31"})
    server, error = outcome(limited, clock=clock)
    assert isinstance(error, UnavailableError)
    assert error.until == NOW + timedelta(seconds=31)
    assert (len(server.asked), clock.waits) == (1, [])


def test_attempts_end_after_twenty_seconds() -> None:
    clock = FakeClock()

    def slow(_: object) -> Served:
        clock.advance(21)
        return Served(status=500)

    with Loopback(slow) as server:
        assert type(posted(hook(server), clock=clock)) is UnavailableError
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "silence",
    [
        Served(raw=b"", hold=True),
        Served(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", hold=True),
        Served(raw=b"HTTP/1.1 200 OK\r\n\r\n", drip=b"o"),
    ],
    ids=["nothing", "no body", "drip"],
)
def test_a_hang_is_bounded(silence: Served) -> None:
    started = time.monotonic()
    server, error = outcome(silence, silence, patience=Patience(attempts=2), deadline_s=0.2)
    assert type(error) is UnavailableError
    assert len(server.asked) == 2
    assert time.monotonic() - started < 5  # the silence has no end


def test_a_refused_connection_is_an_outage() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = posted(f"http://127.0.0.1:{taken.getsockname()[1]}{PATH}")
    assert type(error) is UnavailableError
    assert "connection refused" in str(error)


def test_the_log_of_a_retry_names_the_host_alone(told: pytest.LogCaptureFixture) -> None:
    server, _ = outcome(Served(status=500), OK)
    (line,) = [record.__dict__ for record in told.records if record.name == "etl.retry"]
    assert (line["action"], line["where"]) == ("retry", "Slack")
    assert hook(server).removesuffix(PATH).removeprefix("http://") in line["why"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://hooks.slack.com{PATH}",
        f"https://me:pw@hooks.slack.com{PATH}",
        f"https://hooks.slack.com{PATH}?a=b",
        f"hooks.slack.com{PATH}",
        f"https://hooks.slack.com{PATH} ",
    ],
)
def test_a_webhook_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="SLACK_WEBHOOK_URL must be") as caught:
        Slack(url, clock=FakeClock())
    assert not [part for part in PARTS if part in "".join(format_exception(caught.value))]


def test_values_are_escaped() -> None:
    assert escaped("<!channel> a&b <https://x|y>") == "&lt;!channel&gt; a&amp;b &lt;https://x|y&gt;"
    assert escaped(7) == "7"


def test_a_cut_leaves_no_half_of_an_entity() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
    for longest in range(2, 12):
        cut = shortened("&amp;&lt;&gt;", longest)
        assert len(cut) <= longest
        assert re.fullmatch(r"(&amp;)?(&lt;)?…", cut)


def test_a_message_too_long_is_cut_to_what_slack_takes() -> None:
    long = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}
    blocks: list[dict[str, Any]] = [long, *({"type": "divider"} for _ in range(59))]
    with Loopback.scripted([OK]) as server:
        slack = Slack(hook(server), clock=FakeClock())
        slack.post("x" * 50_000, blocks)
        slack.close()
    sent = json.loads(server.asked[0].body)
    assert len(sent["text"]) == 40_000
    assert len(sent["blocks"]) == MOST_BLOCKS
    assert sent["blocks"][0]["text"] == {"type": "mrkdwn", "text": "x" * 2999 + "…"}
    assert sent["blocks"][-1]["elements"][0]["text"] == "_11 more parts are left out._"
    assert len(blocks[0]["text"]["text"]) == 3001


def test_fifty_blocks_are_left_as_they_are() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "section", "fields": []},
        *({"type": "divider"} for _ in range(49)),
    ]
    assert fitting(blocks) == blocks


def test_half_of_a_surrogate_pair_does_not_end_the_post() -> None:
    with Loopback.scripted([OK]) as server:
        slack = Slack(hook(server), clock=FakeClock())
        slack.post("\ud800")
        slack.close()
    assert len(server.asked) == 1
