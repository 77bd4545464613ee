"""``visitor-sync alert``: said once when it begins and once when it ends, whatever happens in between."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from loopback import Loopback, Served, served
from mortal import Fate, lived
from program import OURS, row
from sqlalchemy import text
from storm import FOREVER, Fault

from etl.cli.alerting import poll
from etl.cli.beside import Beside
from etl.errors import UnavailableError
from etl.instants import microseconds
from etl.settings import load
from etl.state.database import connect
from etl.state.store import Store, open_state
from etl.watch.conditions import Condition
from etl.watch.slack import SETTING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loopback import Asked
    from program import Program

    from etl.errors import SyncError

ABOVE = ("alert", "--visitors-above", "1")
POLL = timedelta(minutes=5)


def told(program: Program) -> list[str]:
    """What the channel was told, of the website's visitors."""
    before = f"{program.website}: "
    return [message.text.removeprefix(before) for message in program.sandbox.team.messages]


def asked(program: Program) -> int:
    return sum("/analytics/" in each.path for each in program.sandbox.zenovay.requests)


@pytest.fixture
def watched(program: Program) -> Program:
    """With a channel to tell."""
    program.settings[SETTING] = program.sandbox.slack_url
    return program


def in_the_state(program: Program, change: str) -> None:
    with connect(f"sqlite:///{program.state_file}") as connection, connection.begin():
        connection.execute(text(change))


def a_while_passes(program: Program) -> None:
    """For what was read, and for whoever has begun to send a message."""
    in_the_state(program, "UPDATE readings SET at = at - 600000000")
    in_the_state(program, "UPDATE alerts SET judged = judged - 600000000")
    in_the_state(program, "UPDATE messages SET claimed = claimed - 600000000")


def test_a_dozen_polls_tell_it_twice(watched: Program) -> None:
    said, codes = [], set[int]()
    for number in range(12):
        if number in (3, 8):
            watched.replace_visitors(*([row(1), row(2)] if number == 3 else [row(1)]))
        ended = lived(watched, *ABOVE, "--json")
        codes.add(ended.exit_code)
        said.append((ended.value["holds"], ended.value["changed"]))

    assert codes == {0}
    assert [number for number, (_, changed) in enumerate(said) if changed] == [3, 8]
    assert [holds for holds, _ in said] == [False] * 3 + [True] * 5 + [False] * 4
    assert told(watched) == [
        "2 visitors in the last 24h, above 1.",
        "1 visitors in the last 24h, no longer above 1.",
    ]
    assert asked(watched) == 12


def test_conditions_share_a_reading_and_the_same_one_asks_anew(watched: Program) -> None:
    watched.visitors(row(1))
    assert lived(watched, "report").exit_code == 0
    for condition in (ABOVE, ("alert", "--visitors-below", "5"), ("alert", "--drop", "20%")):
        assert lived(watched, *condition).exit_code == 0
    assert asked(watched) == 1

    lived(watched, *ABOVE)
    lived(watched, "alert", "--visitors-below", "5")
    lived(watched, "report")

    assert asked(watched) == 2
    assert told(watched) == ["1 visitors in the last 24h, below 5."]


def test_without_a_channel_it_is_printed_once(program: Program) -> None:
    program.visitors(row(1), row(2))

    ended = [lived(program, *ABOVE) for _ in range(3)]

    first = f"{program.website}: 2 visitors in the last 24h, above 1.\n"
    assert [(each.exit_code, each.stdout, each.stderr) for each in ended] == [
        (0, first, ""),
        (0, "", ""),
        (0, "", ""),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give one of"),
        (("--visitors-above", "1", "--drop", "5"), "Give one of"),
        (("--visitors-above", "-1"), "-1"),
        (("--drop", "0"), "more than 0"),
        (("--drop", "nan"), "more than 0"),
        (("--drop", "101"), "at most 100"),
        (("--visitors-above", "1", "--range", "2h"), "2h"),
    ],
)
def test_a_condition_that_is_none_is_a_wrong_usage(
    program: Program, arguments: tuple[str, ...], words: str
) -> None:
    ended = lived(program, "alert", *arguments)

    assert (ended.exit_code, asked(program)) == (2, 0)
    assert words in ended.stderr


@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [
        (Fault.answer(400, b"invalid_payload"), 6),
        (Fault.answer(403, b"action_prohibited"), 5),
        (Fault.answer(404, b"channel_not_found"), 2),
        (Fault.answer(410, b"channel_is_archived"), 2),
        (Fault.answer(429, b"", headers={"Retry-After": "3600"}), 4),
        (Fault.answer(500, b"rollup_error"), 4),
    ],
    ids=["400", "403", "404", "410", "429", "500"],
)
def test_what_was_not_delivered_is_sent_by_the_next_poll_in_its_order(
    watched: Program, fault: Fault, exit_code: int
) -> None:
    watched.sandbox.team.faults.add(fault, times=FOREVER)
    watched.visitors(row(1), row(2))
    begun = lived(watched, *ABOVE)
    watched.replace_visitors(row(1))
    ended = lived(watched, *ABOVE)
    watched.sandbox.team.faults.clear()
    assert told(watched) == []

    well = [lived(watched, *ABOVE).exit_code for _ in range(2)]

    assert [begun.exit_code, ended.exit_code, *well] == [exit_code, exit_code, 0, 0]
    assert SETTING in begun.stderr
    assert ended.stderr == begun.stdout == ended.stdout == ""
    assert watched.sandbox.team.slack_secret not in begun.stderr
    assert told(watched) == [
        "2 visitors in the last 24h, above 1.",
        "1 visitors in the last 24h, no longer above 1.",
    ]


def test_cron_mails_a_trouble_once_and_its_end_and_no_outage(watched: Program) -> None:
    watched.visitors(row(1), row(2))
    watched.sandbox.zenovay.faults.add(Fault.answer(503, b""), times=FOREVER)
    outage = watched(*ABOVE)
    watched.sandbox.zenovay.faults.clear()
    revoked = [watched(*ABOVE, ZENOVAY_API_KEY="zv_revoked") for _ in range(2)]
    well = [watched(*ABOVE) for _ in range(2)]

    assert (outage.exit_code, outage.stdout + outage.stderr) == (4, "")
    assert [each.exit_code for each in revoked] == [5, 5]
    assert "ZENOVAY_API_KEY" in revoked[0].stderr
    assert revoked[1].stdout + revoked[1].stderr == ""
    assert [each.exit_code for each in well] == [0, 0]
    assert "well again" in well[0].stderr
    assert well[1].stderr == ""
    assert told(watched) == ["2 visitors in the last 24h, above 1."]


def test_settings_that_are_wrong_are_mailed_once(watched: Program) -> None:
    first, second = (watched(*ABOVE, ZENOVAY_PAGE_SIZE="none") for _ in range(2))

    assert (first.exit_code, second.exit_code) == (2, 2)
    assert "ZENOVAY_PAGE_SIZE" in first.stderr
    assert second.stderr == second.stdout == ""


def test_every_channel_is_told_and_one_that_fails_keeps_no_other(watched: Program) -> None:
    watched.visitors(row(1), row(2))
    heard: list[Asked] = []

    def answer(request: Asked) -> Served:
        heard.append(request)
        return Served(b"ok")

    with Loopback(answer) as other:
        secret = f"json{other.url.removeprefix('http').partition('/api')[0]}/t0psecret"
        watched.sandbox.team.faults.add(Fault.answer(404, b"no_service"))
        first = lived(watched, *ABOVE, SYNC_NOTIFY=f"slack {secret}")
        second = lived(watched, *ABOVE, SYNC_NOTIFY=f"slack {secret}")

    assert (first.exit_code, second.exit_code, len(heard)) == (2, 0, 1)
    assert told(watched) == ["2 visitors in the last 24h, above 1."]
    assert "t0psecret" not in first.stderr + first.stdout


@pytest.mark.slow
@pytest.mark.parametrize("channel", ["slack", "stdout"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_commit_it_tells_it_once_or_twice(
    program: Program, channel: str, *, after: bool
) -> None:
    if channel == "slack":
        program.settings[SETTING] = program.sandbox.slack_url
    assert lived(program, *ABOVE).exit_code == 0
    a_while_passes(program)
    made = program.state_file.read_bytes()
    program.visitors(row(1), row(2))
    told_twice = 0
    for commit in range(1, 30):
        for path in program.folder.glob("state.db*"):
            path.unlink()
        program.state_file.write_bytes(made)
        program.sandbox.team.messages.clear()
        first = lived(program, *ABOVE, fate=Fate(commit, after))
        if first.exit_code == 0:
            break
        assert first.exit_code == -signal.SIGKILL, first.stderr
        a_while_passes(program)

        again = lived(program, *ABOVE)

        assert again.exit_code == 0, again.stderr
        said = told(program) if channel == "slack" else (first.stdout + again.stdout).splitlines()
        assert len(said) in (1, 2), commit
        told_twice += len(said) == 2
    assert commit > 7
    assert told_twice == (0 if after else 1)


@dataclass
class Told:
    """A channel that notes when it was told what; ``fails`` says when it cannot be reached."""

    clock: FakeClock
    name: str = "slack"
    said: list[str] = field(default_factory=list)
    fails: Callable[[], bool] = lambda: False

    def send(self, text: str) -> None:
        if self.fails():
            raise UnavailableError("Slack is away.")
        self.said.append(text)


@dataclass
class Watch:
    """Polls of one condition in this process, with a clock of their own."""

    beside: Beside
    clock: FakeClock
    website: str
    server: Loopback
    visitors: int = 0

    def poll(self, condition: Condition, channel: Told) -> list[SyncError]:
        found, undelivered = poll(self.beside, condition, [self.website], [channel], self.clock)
        return [*(each.error for each in found if each.error), *undelivered]


@pytest.fixture
def watch(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    clock = FakeClock()
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    with Loopback(lambda _: served({"totalVisitors": made.visitors})) as server:
        for name, value in {
            "ZENOVAY_API_KEY": "zv_key",
            "ZENOVAY_WEBSITE_ID": "site_1",
            "ZENOVAY_BASE_URL": server.url,
            "HUBSPOT_ACCESS_TOKEN": "pat-token",
            "SYNC_STATE_URL": sqlite_url,
        }.items():
            monkeypatch.setenv(name, value)
        settings = load()
        with open_state(sqlite_url, clock) as connection:
            store = Store(connection, clock=clock, accounts={"zenovay": "z", "hubspot": "h"})
            store.make_ready()
            made = Watch(Beside(store, settings, clock, reserve=0.05), clock, "site_1", server)
            yield made


@pytest.mark.parametrize("outage", [range(0), range(95, 150)], ids=["calm", "Slack away"])
def test_a_day_of_polling_with_the_threshold_crossed_twice_gives_four_messages(
    watch: Watch, outage: range
) -> None:
    polls = 0
    channel = Told(watch.clock, fails=lambda: polls in outage)
    condition = Condition("above", 100, "24h")
    for polls in range(288):
        watch.visitors = 150 if polls in (*range(90, 140), *range(200, 230)) else 100
        failures = watch.poll(condition, channel)
        assert bool(failures) == (polls in outage and polls >= 140)
        watch.clock.advance(POLL.total_seconds())

    began, over = (
        "150 visitors in the last 24h, above 100.",
        "100 visitors in the last 24h, no longer above 100.",
    )
    assert channel.said == [f"site_1: {each}" for each in (began, over, began, over)]
    with watch.beside.store.reading() as state:
        quota = state.limits.quota("zenovay")
    assert quota
    assert quota.used == 288


def test_a_drop_is_measured_against_one_range_before(watch: Watch) -> None:
    channel, condition = Told(watch.clock), Condition("drop", 50, "24h")
    counts = [100] * 300 + [50] * 200 + [80] * 100
    for watch.visitors in counts:
        assert watch.poll(condition, channel) == []
        watch.clock.advance(POLL.total_seconds())

    assert [each.partition(", ")[2].split(" at ")[0] for each in channel.said] == [
        "a drop of 50 % from 100",
        "no longer a drop of 50 % from 100",
    ]


def test_the_month_begins_anew_without_a_run(watch: Watch) -> None:
    condition, channel = Condition("above", 5, "24h"), Told(watch.clock)
    for _ in range(3):
        watch.poll(condition, channel)
        watch.clock.advance(POLL.total_seconds())
    watch.clock.advance(timedelta(days=30).total_seconds())
    for _ in range(2):
        watch.poll(condition, channel)
        watch.clock.advance(POLL.total_seconds())

    with watch.beside.store.reading() as state:
        quota = state.limits.quota("zenovay")
    assert quota
    assert quota.used == 2
    assert quota.resets_at > watch.clock.now()


def test_a_request_waits_for_those_of_a_run_and_is_written_down_as_sent_when_it_is(watch: Watch) -> None:
    started = microseconds(watch.clock.now())
    with watch.beside.store.beside() as state:
        state.limits.remember_sent("zenovay", [started] * 30, stated=None)

    assert watch.poll(Condition("above", 5, "24h"), Told(watch.clock)) == []

    with watch.beside.store.reading() as state:
        stamps, uncounted = state.limits.beside("zenovay")
    assert (stamps, uncounted) == ([microseconds(watch.clock.now())], 1)
    assert 60e6 <= stamps[0] - started < 61e6


def test_each_repetition_leaves_room_for_what_was_sent_meanwhile(watch: Watch) -> None:
    started, sent = microseconds(watch.clock.now()), list[int]()

    def answer(_: Asked) -> Served:
        sent.append(microseconds(watch.clock.now()))
        return Served(status=503) if len(sent) == 1 else served({"totalVisitors": 3})

    def a_run_goes_on(seconds: float, why: str) -> None:
        if len(sent) == 1:
            with watch.beside.store.beside() as state:
                state.limits.remember_sent("zenovay", [started] * 29, stated=None)
        FakeClock.wait(watch.clock, seconds, why)

    watch.server.answer = answer
    watch.clock.wait = a_run_goes_on  # type: ignore[method-assign]  # of this one clock

    assert watch.poll(Condition("above", 5, "24h"), Told(watch.clock)) == []
    assert [(each - started) // 1_000_000 for each in sent] == [0, 60]
    with watch.beside.store.reading() as state:
        assert state.limits.beside("zenovay")[1] == 2
