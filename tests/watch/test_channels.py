"""The channels of alerts: who is named, who is told, and that no URL is shown when that fails."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from traceback import format_exception
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from loopback import Loopback, Served

from etl.errors import SettingsError, SyncError, UnavailableError
from etl.watch import channels
from etl.watch.channels import AppriseChannel, Channel, SlackChannel, parse_notify
from etl.watch.slack import Slack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's
TOKEN = "t0psecret"
OK = Served(b"ok")


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Nothing that any logger says at any level may hold the token."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert TOKEN not in " ".join(
        f"{each.getMessage()} {each.__dict__}" for each in caplog.get_records("call")
    )


def url(server: Loopback) -> str:
    return f"json{server.url.removeprefix('http').partition('/api')[0]}/{TOKEN}"


def error_of(channel: Channel) -> SyncError:
    with pytest.raises(SyncError) as caught:
        channel.send("all is well")
    assert TOKEN not in "".join(format_exception(caught.value))
    return caught.value


def test_slack_is_told_plain_text() -> None:
    with Loopback.scripted([OK]) as server:
        slack = Slack(server.url, clock=FakeClock())
        channel: Channel = SlackChannel(slack)
        channel.send("w1 <!channel> & co")
        slack.close()
    assert json.loads(server.asked[0].body) == {"text": "w1 &lt;!channel&gt; &amp; co"}
    assert channel.name == "slack"


def test_apprise_is_told_under_our_name() -> None:
    with Loopback(lambda _: OK) as server:
        channel: Channel = AppriseChannel([url(server), url(server) + "/2"])
        channel.send("w1 <is> *late*")
    assert sorted(asked.path for asked in server.asked) == [f"/{TOKEN}", f"/{TOKEN}/2"]
    for asked in server.asked:
        said = json.loads(asked.body)
        assert (said["title"], said["message"]) == ("visitor-sync", "w1 <is> *late*")


@pytest.mark.parametrize("answer", [Served(status=500), Served(TOKEN.encode(), status=404), Served(raw=b"")])
def test_who_does_not_take_a_message_is_named_by_kind(answer: Served) -> None:
    with Loopback(lambda asked: OK if asked.path.endswith("2") else answer) as server:
        error = error_of(AppriseChannel([url(server), url(server) + "/2"]))
    assert type(error) is UnavailableError
    assert str(error).startswith("json:// of SYNC_NOTIFY did not take the message. Check the URL")
    assert len(server.asked) == 2


def test_a_refused_connection_is_not_reached() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        channel = AppriseChannel([f"json://127.0.0.1:{taken.getsockname()[1]}/{TOKEN}"])
        assert "did not take the message" in str(error_of(channel))


@pytest.mark.parametrize(
    "silence", [Served(raw=b"", hold=True), Served(raw=b"HTTP/1.1 200 OK\r\n\r\n", drip=b"o")]
)
def test_a_hang_is_bounded(silence: Served) -> None:
    with Loopback(lambda _: silence) as server:
        channel = AppriseChannel([url(server)] * 2, timeout_s=0.3)
        channel.check()
        started = time.monotonic()
        error = error_of(channel)
        assert time.monotonic() - started < 5  # the silence has no end
    assert "json://, json:// of SYNC_NOTIFY gave no answer in time." in str(error)


def test_a_plugin_that_raises_is_one_that_did_not_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> bool:
        raise RuntimeError(TOKEN)

    monkeypatch.setattr(channels, "_service", lambda _url: broken)
    assert "did not take" in str(error_of(AppriseChannel([f"json://127.0.0.1/{TOKEN}"])))


@pytest.mark.parametrize("wrong", [f"nonsense://{TOKEN}", f"https://example.test/{TOKEN}", "discord://x"])
def test_what_apprise_does_not_know_is_a_wrong_setting(wrong: str) -> None:
    channel = AppriseChannel([f"json://127.0.0.1/{TOKEN}", wrong])
    with pytest.raises(SettingsError, match="A URL in SYNC_NOTIFY"):
        channel.check()
    assert type(error_of(channel)) is SettingsError


def test_without_the_extra_its_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"SYNC_NOTIFY names .*--inexact --extra notify"):
        AppriseChannel([f"json://127.0.0.1/{TOKEN}"])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", ()),
        (" , ,\n", ()),
        ("slack", ("slack",)),
        ("Slack, slack", ("slack",)),
        ("slack,ntfy://topic", ("slack", "ntfy://topic")),
        ("ntfy://topic slack", ("ntfy://topic", "slack")),
        ("ntfy://topic,slack", ("ntfy://topic", "slack")),
        ("ntfy://topic,\n  slack,", ("ntfy://topic", "slack")),
        ("mailtos://u:p@h?to=a,b json://h/x", ("mailtos://u:p@h?to=a,b", "json://h/x")),
        ("mailtos://u:p@h?to=a,b,json://h/x", ("mailtos://u:p@h?to=a,b", "json://h/x")),
        ("ntfy://a,slackers,b", ("ntfy://a,slackers,b",)),
        ("slack://T/B/X,,Json+v1.0://h", ("slack://T/B/X", "Json+v1.0://h")),
        ("dbus://", ("dbus://",)),
        ("ntfy://a ntfy://b ntfy://a", ("ntfy://a", "ntfy://b")),
    ],
)
def test_who_is_named(text: str, meant: tuple[str, ...]) -> None:
    assert parse_notify(text) == meant


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"slak,json://h/{TOKEN}", 1),
        (f"json://h/{TOKEN} mail", 2),
        (f"slack {TOKEN}", 2),
        ("://x", 1),
        ("slack;ntfy://topic", 1),
        ("7up://x", 1),
        ("ntfy://\x00", 1),
    ],
)
def test_what_names_nobody(text: str, place: int) -> None:
    with pytest.raises(ValueError, match=rf"^must be a list .*entry {place} is neither") as caught:
        parse_notify(text)
    assert not re.search(rf"{TOKEN}|slak|mail", str(caught.value))
