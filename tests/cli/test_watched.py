"""Who is told of runs, and what: Slack, pings and metrics, from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from loopback import Loopback, Served
from program import Ended, Program, python_that_waits, row
from prometheus_client.parser import text_string_to_metric_families
from storm import FOREVER, Fault

from etl.watch.letters import WHAT_TO_DO

if TYPE_CHECKING:
    from pathlib import Path

    from etl.sandbox.team import Ping

DEAD = "http://127.0.0.1:9"
REVOKED = {"ZENOVAY_API_KEY": "zv_revoked"}
FEW_NEED = (
    "etl.watch.errands",
    "etl.watch.ping",
    "etl.watch.slack",
    "etl.watch.metrics",
    "etl.watch.channels",
)


@pytest.fixture
def told(program: Program) -> Program:
    """A program of whose runs the sandbox's team is told."""
    program.visitors(row(1))
    program.settings |= program.sandbox.watching_environment()
    program.settings |= {"SYNC_MIN_INTERVAL": "0s", "HOME": str(program.folder)}
    return program


def messages(program: Program) -> list[str]:
    return [message.text for message in program.sandbox.team.messages]


def kinds(program: Program) -> list[str]:
    return [ping.kind for ping in program.sandbox.team.pings]


def ends(program: Program) -> list[Ping]:
    return [ping for ping in program.sandbox.team.pings if ping.kind != "start"]


def without(program: Program, *names: str) -> Program:
    """The same installation, without these settings."""
    left = {name: text for name, text in program.settings.items() if name not in names}
    return replace(program, settings=left)


def actions(ended: Ended) -> list[str]:
    """What was logged on stderr, and what was printed there."""
    return [
        found[1] if (found := re.search(r'"action":"(\w+)"', line)) else line
        for line in ended.stderr.splitlines()
    ]


@pytest.mark.parametrize("options", [(), ("--cron",)], ids=["run", "run --cron"])
def test_what_begins_to_fail_is_told_once_and_so_is_its_end(told: Program, options: tuple[str, ...]) -> None:
    good = told("run", *options)
    failed = [told("run", *options, **REVOKED) for _ in range(3)]
    well = [told("run", *options) for _ in range(2)]

    assert [each.exit_code for each in (good, *failed, *well)] == [0, 5, 5, 5, 0, 0]
    first, second = messages(told)
    assert first.splitlines()[0].startswith(f"visitor-sync, {told.website}: ")
    assert "ZENOVAY_API_KEY" in first.splitlines()[0]
    assert first.splitlines()[1] == f"What to do: {WHAT_TO_DO[5]}"
    assert second.startswith(f"visitor-sync is well again: {told.website}. Since 20")
    if options:
        log = f"Log: {told.folder / 'sync.log'}\n"
        assert [each.stdout for each in (good, *failed, *well)] == [
            "",
            f"{first}\n{log}",
            "",
            "",
            f"{second}\n",
            "",
        ]

    pings = told.sandbox.team.pings
    assert kinds(told) == [
        kind for end in (*["success"], *["fail"] * 3, *["success"] * 2) for kind in ("start", end)
    ]
    rids = [ping.rid or "" for ping in pings]
    assert rids[::2] == rids[1::2]
    assert len({UUID(rid) for rid in rids}) == 6
    assert [ping.body.count("ZENOVAY_API_KEY") > 0 for ping in ends(told)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]
    assert "1 contacts created" in ends(told)[0].body


def test_what_is_printed_is_what_was_printed_before(told: Program) -> None:
    alone = without(told, *told.sandbox.watching_environment())
    for settings in ({}, REVOKED, {"SYNC_LOOKBACK": "fortnight"}):
        watched, unwatched = told("run", **settings), alone("run", **settings)
        assert watched.exit_code == unwatched.exit_code
        assert watched.stdout == unwatched.stdout
        assert actions(watched) == actions(unwatched)


def test_new_rejections_are_told_once_and_are_no_failure(told: Program) -> None:
    told.visitors({**row(2), "pageviews": -1})

    assert [told("run").exit_code for _ in range(3)] == [3, 0, 0]

    (message,) = messages(told)
    assert "newly rejected" in message
    assert WHAT_TO_DO[3] in message
    assert {ping.kind for ping in ends(told)} == {"success"}
    assert "1 rejected" in ends(told)[0].body


def test_a_month_that_will_not_last_is_told_once(told: Program) -> None:
    zenovay = told.sandbox.zenovay
    zenovay.requests_per_month, zenovay.month_used = 10_000, 9490
    zenovay.frozen_at = datetime(2026, 3, 20, 12, tzinfo=UTC)

    assert [told("run").exit_code for _ in range(7)] == [0] * 7

    (message,) = messages(told)
    assert message.count("will not last") == 1


def test_an_outage_is_told_once_it_lasts_and_so_is_its_end(told: Program) -> None:
    told("run")
    told.visitors(row(2, minutes_ago=0))
    faults = told.sandbox.hubspot.faults
    faults.add(Fault.rate_limited("DAILY"), path="/batch/upsert", times=FOREVER)

    assert told("run").exit_code == 4
    assert (messages(told), kinds(told)[-1]) == ([], "log")
    assert ends(told)[-1].body.count("midnight UTC") == 1

    assert [told("run", SYNC_STALE_AFTER="0s").exit_code for _ in range(2)] == [4, 4]
    (message,) = messages(told)
    assert message.startswith(f"visitor-sync, {told.website}: Nothing was synced since 20")
    assert [ping.kind for ping in ends(told)[-2:]] == ["fail", "fail"]

    faults.clear()
    assert told("run", "--now").exit_code == 0
    assert [text.partition(":")[0] for text in messages(told)[1:]] == ["visitor-sync is well again"]
    assert kinds(told)[-1] == "success"


def test_the_lock_of_another_run_is_no_failure(told: Program) -> None:
    told("run")
    hold = (
        "import sys\nfrom etl.clock import SystemClock\nfrom etl.state.store import Store, open_state\n"
        f"with open_state('sqlite:///{told.state_file}') as state:\n"
        "  with Store(state, clock=SystemClock()).locked():\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with python_that_waits(hold, said="held") as holder:
        assert told("run").exit_code == 75
        assert (messages(told), kinds(told)[-1]) == ([], "log")
        assert told("run", SYNC_STALE_AFTER="0s").exit_code == 75
        metrics = told.folder / "visitor_sync.prom"
        today = time.strftime("%Y-%m-%d", time.gmtime())
        assert told("backfill", "--from", today, SYNC_METRICS_FILE=str(metrics)).exit_code == 75
        holder.communicate()

    (message,) = messages(told)
    assert "holds the lock" in message
    assert kinds(told)[-1] == "fail"
    assert measured(metrics)["last_command_exit_code",] == 75


@pytest.mark.parametrize("option", ["--now", "--cron"])
def test_wrong_settings_are_told_to_whom_they_leave(told: Program, option: str) -> None:
    wrong = {"SYNC_LOOKBACK": "fortnight"}
    assert told("run", option, **wrong).exit_code == 2
    assert told("run", option, **wrong, SYNC_NOTIFY="slak").exit_code == 2

    (message,) = messages(told)
    assert message.startswith("visitor-sync: A setting is wrong:")
    assert "SYNC_LOOKBACK must be a duration" in message
    assert kinds(told) == ["start", "fail", "start", "fail"]
    assert "SYNC_NOTIFY must be a list" in ends(told)[1].body

    assert told("run", option).exit_code == 0
    assert messages(told)[1].startswith("visitor-sync is well again")


def test_with_wrong_settings_a_ping_that_fails_is_in_the_log_as_ever(told: Program) -> None:
    ended = told("run", SYNC_LOOKBACK="fortnight", SYNC_PING_URL=DEAD, SYNC_NOTIFY="slak")

    assert set(actions(ended)) == {"ping_failed", "error"}
    assert "SYNC_LOOKBACK" in ended.error["what"]


def test_a_run_that_is_stopped_says_so_and_leaves_at_once(told: Program) -> None:
    told.sandbox.zenovay.faults.add(Fault.hang(), path="/visitors")
    with told.start("run") as process:
        _until(lambda: told.sandbox.zenovay.requests and "start" in kinds(told))
        stopped = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert process.returncode == 143
    assert time.monotonic() - stopped < 5
    assert (kinds(told), messages(told)) == (["start", "log"], [])


def _until(is_so: Any) -> None:
    ends_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def test_a_run_with_nothing_to_do_yet_is_a_success(told: Program) -> None:
    told("run")
    ended = told("run", "--json", SYNC_MIN_INTERVAL="1h")

    assert ended.summary["status"] == "skipped"
    assert (kinds(told)[2:], messages(told)) == (["start", "success"], [])
    assert "SYNC_MIN_INTERVAL" in ends(told)[-1].body


def test_dry_runs_and_backfills_tell_nobody_and_a_backfill_is_measured(told: Program) -> None:
    file = told.folder / "visitor_sync.prom"
    told.settings["SYNC_METRICS_FILE"] = str(file)
    assert told("run", "--dry-run", **REVOKED).exit_code == 5
    assert not file.exists()

    assert told("backfill", "--from", time.strftime("%Y-%m-%d", time.gmtime()), **REVOKED).exit_code == 5
    assert measured(file)["last_command_exit_code",] == 5
    assert (messages(told), kinds(told)) == ([], [])


def test_no_address_and_no_secret_is_told(told: Program) -> None:
    said = f"Ask eve@example.test of {told.sandbox.zenovay.api_key}, or <!channel>."
    refusal = Fault.answer(401, {"success": False, "error": {"code": "REVOKED", "message": said}})
    told.sandbox.zenovay.faults.add(refusal, times=FOREVER)
    assert told("run").exit_code == 5
    assert told("run", SYNC_STATE_URL="sqlite:////dev/null/eve@example.test/x.db").exit_code == 7

    texts = [*messages(told), *(ping.body for ping in ends(told))]
    assert len(texts) == 4
    assert "<address>" in "".join(texts)
    assert "eve@" not in "".join(texts)
    assert "<!channel>" not in "".join(messages(told))
    for secret in (
        told.sandbox.zenovay.api_key,
        told.sandbox.hubspot.access_token,
        *told.sandbox.watching_environment().values(),
    ):
        assert secret == "slack" or secret not in "".join(texts)


BROKEN = {
    "dead": Served(),
    "error": Served(b"no", status=500),
    "silence": Served(raw=b"", hold=True),
    "drip": Served(raw=b"HTTP/1.1 200 OK\r\nX-Slow: ", drip=b"a"),
}


@pytest.mark.parametrize(
    ("command", "kinds_of_trouble"),
    [(("run",), ("dead", "error", "silence", "drip")), (("run", "--cron"), ("silence",))],
    ids=["run", "run --cron"],
)
def test_whoever_does_not_listen_fails_no_run_and_delays_it_by_ten_seconds_at_most(
    told: Program, command: tuple[str, ...], kinds_of_trouble: tuple[str, ...], tmp_path: Path
) -> None:
    """All kinds side by side: each with a state of its own, and with both Slack and pings out of order.

    So are the runs that they are compared with, which have the same load to bear.
    """

    def run(kind: str, *, watched: bool) -> tuple[Ended, float]:
        folder = tmp_path / f"{kind}-{watched}"
        folder.mkdir()
        installed = told if watched else without(told, *told.sandbox.watching_environment())
        mine = replace(installed, folder=folder, settings={**installed.settings, "HOME": str(folder)})
        with Loopback(lambda _: BROKEN[kind]) as server:
            url = DEAD if kind == "dead" else server.url
            hooks = {"SLACK_WEBHOOK_URL": f"{url}/slack", "SYNC_PING_URL": f"{url}/ping"} if watched else {}
            started = time.monotonic()
            with mine.start(*command, **REVOKED, **hooks) as process:
                said = process.communicate(timeout=100)
            return Ended(process.returncode, *said), time.monotonic() - started

    with ThreadPoolExecutor(len(kinds_of_trouble)) as threads:
        usual, found = (
            list(threads.map(partial(run, watched=watched), kinds_of_trouble)) for watched in (False, True)
        )

    longest_s = 10 + max(took_s for _, took_s in usual)
    for kind, (expected, _), (ended, took_s) in zip(kinds_of_trouble, usual, found, strict=True):
        assert ended.exit_code == expected.exit_code == 5, kind
        assert took_s < longest_s, kind
        assert _without_times_and_places(ended.stdout) == _without_times_and_places(expected.stdout), kind


def _without_times_and_places(text: str) -> str:
    return re.sub(r"20\S+|/\S+", "", text)


def test_a_message_that_did_not_arrive_comes_with_the_next_run_once(told: Program) -> None:
    told.sandbox.team.faults.add(Fault.answer(404, "no_service"), path="/slack", times=FOREVER)
    assert told("run", **REVOKED).exit_code == 5
    assert messages(told) == []

    told.sandbox.team.faults.clear()
    assert [told("run").exit_code for _ in range(2)] == [0, 0]

    assert [text.partition(":")[0].partition(",")[0] for text in messages(told)] == [
        "visitor-sync",
        "visitor-sync is well again",
    ]


def test_a_memory_that_cannot_be_kept_in_its_place_is_kept_elsewhere(told: Program) -> None:
    told("run")
    (memory,) = told.folder.glob("sync-*-notify.json")
    memory.unlink()
    memory.mkdir()

    assert [told("run", **REVOKED).exit_code for _ in range(3)] == [5, 5, 5]

    assert len(messages(told)) == 1


def measured(file: Path) -> dict[tuple[str, ...], float]:
    """The value of each sample by its name, less the prefix, and the values of its labels, website first."""
    return {
        (
            each.name.removeprefix("visitor_sync_"),
            *(text for _, text in sorted(each.labels.items())[::-1]),
        ): each.value
        for family in text_string_to_metric_families(file.read_text())
        for each in family.samples
    }


@pytest.fixture
def metered(told: Program) -> Program:
    """Writes metrics and tells nobody."""
    alone = without(told, *told.sandbox.watching_environment())
    alone.settings["SYNC_METRICS_FILE"] = str(told.folder / "visitor_sync.prom")
    return alone


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_the_metrics_say_what_the_run_and_status_say(metered: Program) -> None:
    file, site = metered.folder / "visitor_sync.prom", metered.website
    metered.visitors(row(2), {**row(3), "pageviews": -1})
    before = os.umask(0o077)
    try:
        summary = metered("run", "--json").summary
    finally:
        os.umask(before)
    status = metered("status", "--json").value
    (website,) = status["websites"]
    found = measured(file)

    assert file.stat().st_mode & 0o777 == 0o644
    for part, name in (
        ("rows", "last_run_rows"),
        ("contacts", "last_run_contacts"),
        ("requests", "last_run_requests"),
    ):
        assert {key[2]: value for key, value in found.items() if key[0] == name} == summary[part]
    assert found["last_run_exit_code", site] == found["last_command_exit_code",] == summary["exit_code"] == 3
    assert found["last_run_duration_seconds", site] == pytest.approx(summary["elapsed_s"], abs=0.001)
    assert found["watermark_timestamp_seconds", site] == pytest.approx(seconds(summary["watermark"]["after"]))
    assert found["watermark_timestamp_seconds", site] == pytest.approx(seconds(website["watermark"]))
    assert found["last_run_timestamp_seconds", site] == pytest.approx(seconds(website["runs"][0]["ended"]))
    assert found["last_success_timestamp_seconds", site] <= found["last_run_timestamp_seconds", site]
    for name, count in status["contacts"].items():
        assert found["contacts", name] == count
    assert found["requests_month_limit",] == 10_000
    assert found["last_command_timestamp_seconds",] == pytest.approx(time.time(), abs=30)

    failed = metered("run", "--json", **REVOKED).summary
    after = measured(file)
    assert after["last_run_exit_code", site] == after["last_command_exit_code",] == failed["exit_code"] == 5
    assert after["last_success_timestamp_seconds", site] == found["last_success_timestamp_seconds", site]
    assert after["watermark_timestamp_seconds", site] == found["watermark_timestamp_seconds", site]

    assert metered("run", SYNC_LOOKBACK="fortnight").exit_code == 2
    broken = measured(file)
    assert broken["last_command_exit_code",] == 2
    assert not any(site in key for key in broken)


@pytest.mark.parametrize("place", ["missing/visitor_sync.prom", ".", "state.db/visitor_sync.prom"])
def test_metrics_that_cannot_be_written_are_a_line_in_the_log(metered: Program, place: str) -> None:
    wrong = str(metered.folder / place)
    cron = metered("run", "--cron", SYNC_METRICS_FILE=wrong)
    by_hand = metered("run", SYNC_METRICS_FILE=wrong)

    assert (cron.exit_code, cron.stdout, cron.stderr) == (0, "", "")
    assert (metered.folder / "sync.log").read_text().count("metrics_failed") == 1
    assert (by_hand.exit_code, by_hand.stdout) == (0, "")
    assert actions(by_hand).count("metrics_failed") == 1
    assert not list(metered.folder.rglob("*.draft"))


def test_killed_at_any_instant_the_metrics_are_whole(metered: Program) -> None:
    file = metered.folder / "visitor_sync.prom"
    started = time.monotonic()
    assert metered("run").exit_code == 0
    took_s = time.monotonic() - started
    names = {key[0] for key in measured(file)}

    for part in range(6):
        with metered.start("run", "--now") as process:
            time.sleep(took_s * (0.7 + part * 0.06))
            process.kill()
        assert {key[0] for key in measured(file)} == names


def imported(program: Program, **settings: str) -> list[str]:
    """The modules that a run imports, in their order."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "etl", "run"],
        env=program.environment(settings),
        cwd=program.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        line.rpartition("|")[2].strip()
        for line in ended.stderr.splitlines()
        if line.startswith("import time")
    ]


def test_a_run_of_which_nobody_is_told_imports_nothing_for_that(told: Program) -> None:
    alone = without(told, *told.sandbox.watching_environment())
    ran, skipped = imported(alone), imported(alone, SYNC_MIN_INTERVAL="1h")
    quiet = imported(without(told, "SYNC_PING_URL"), SYNC_MIN_INTERVAL="1h")

    assert "httpx" in ran
    assert [name for name in (*FEW_NEED, "prometheus_client", "apprise") if name in {*ran, *skipped}] == []
    assert "httpx" not in skipped
    assert "httpx" not in quiet
