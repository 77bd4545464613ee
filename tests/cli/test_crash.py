"""Killed or stopped at any instant: what is lost (nothing), what is sent twice, and who may go on."""

from __future__ import annotations

import random
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from mortal import Fate, Mortal, lived
from program import COMMAND, row
from situations import until, wait_for_lock

from etl.clock import SystemClock
from etl.state.store import read_state

if TYPE_CHECKING:
    from program import Program

ROWS = 230
STARTS = range(0, 10 * ROWS, ROWS)
BATCH = 100
RUN = ("run", "--now", "--json")


def backfill() -> tuple[str, ...]:
    return ("backfill", "--from", (datetime.now(UTC) - timedelta(days=2)).date().isoformat(), "--json")


def small_steps(program: Program, *, concurrency: int) -> None:
    """Several pages, and batches that can be in flight."""
    program.settings |= {"ZENOVAY_PAGE_SIZE": "60", "HUBSPOT_CONCURRENCY": str(concurrency)}


def afresh(program: Program) -> None:
    """No state, and an empty CRM."""
    for path in program.folder.iterdir():
        path.unlink()
    for contact_id in program.sandbox.hubspot.contacts:
        program.sandbox.hubspot.delete(contact_id)
    program.sandbox.hubspot.requests.clear()


def watermark(program: Program) -> datetime | None:
    """Where the watermark stands; every row behind it is in the state."""
    with read_state(f"sqlite:///{program.state_file}", SystemClock()) as state:
        if state is None or (reached := state.runs.watermark(program.website)) is None:
            return None
        website = state.runs.known_website(program.website)
        assert website
        behind = [
            each["id"]
            for each in program.sandbox.zenovay.websites[program.website]
            if datetime.fromisoformat(each["last_seen"]) <= reached
        ]
        assert set(state.visitors.known(website.id, set(behind))) == set(behind)
        return reached


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("command", [RUN, backfill()], ids=["run", "backfill"])
def test_killed_at_any_commit_it_loses_nothing(
    program: Program, command: tuple[str, ...], *, after: bool
) -> None:
    small_steps(program, concurrency=1)
    program.visitors(*(row(number) for number in range(ROWS)))
    assert lived(program, *command).exit_code == 0
    undisturbed = program.sandbox.hubspot.snapshot()
    assert len(undisturbed) == ROWS

    for commit in count(1):
        afresh(program)
        first = lived(program, *command, fate=Fate(commit, after))
        reached = watermark(program)
        if first.exit_code == 0:
            break
        assert first.exit_code == -signal.SIGKILL, first.stderr

        again = lived(program, *command)

        assert again.exit_code == 0, again.stderr
        assert again.summary["contacts"]["deferred"] == 0
        assert program.sandbox.hubspot.snapshot() == undisturbed
        assert program.sandbox.hubspot.upserted_inputs <= ROWS + BATCH
        assert (reached is None) or command == RUN
    assert commit > 12


@pytest.mark.slow
@pytest.mark.parametrize("command", [RUN, backfill()], ids=["run", "backfill"])
def test_killed_again_and_again_at_random_instants_it_loses_nothing(
    program: Program, command: tuple[str, ...]
) -> None:
    small_steps(program, concurrency=2)
    program.sandbox.hubspot.latency_s = 0.2
    dice, kills, reached = random.Random(11), 0, None
    arrivals = [[row(number, minutes_ago=0) for number in range(first, first + ROWS)] for first in STARTS]
    if command != RUN:  # gone on with, a backfill ends when it was first begun
        arrivals = [[each for rows in arrivals for each in rows]] + [[]] * (len(STARTS) - 1)

    for rows in arrivals:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        program.visitors(*({**each, "last_seen": now} for each in rows))
        with Mortal(program, *command) as mortal:
            kills += mortal.kill_after(dice.uniform(0.1, 0.9))
        before, reached = reached, watermark(program)
        assert before is None or (reached and before <= reached)
    last = lived(program, *command)

    assert last.exit_code == 0, last.stderr
    assert last.summary["contacts"]["deferred"] == 0
    visitors = len(STARTS) * ROWS
    assert len(program.sandbox.hubspot.snapshot()) == visitors
    assert program.sandbox.hubspot.upserted_inputs <= visitors + kills * 2 * BATCH
    assert program.sandbox.hubspot.violations == []
    assert kills > 3


def test_the_installed_command_goes_on_where_it_was_killed(program: Program) -> None:
    program.settings["HUBSPOT_CONCURRENCY"] = "1"
    program.visitors(*(row(number) for number in range(ROWS)))
    program.sandbox.hubspot.latency_s = 0.3
    first = program.start(*RUN)
    until(lambda: program.sandbox.hubspot.upserted_inputs > BATCH)
    first.kill()
    first.communicate()
    program.sandbox.hubspot.latency_s = 0

    again = program.run()

    assert again.exit_code == 0
    assert "taken over" in again.stderr
    assert len(program.sandbox.hubspot.snapshot()) == ROWS
    assert program.sandbox.hubspot.upserted_inputs <= ROWS + BATCH
    assert [each["status"] for each in program("status", "--json").value["websites"][0]["runs"]] == [
        "done",
        None,
    ]


def test_a_second_run_says_who_holds_the_lock_and_since_when_and_so_does_status(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.zenovay.latency_s = 30
    first = program.start(*RUN)
    holder: dict[str, Any] = wait_for_lock(program)

    for arguments in (RUN, backfill(), ("rejections", "retry")):
        second = program(*arguments)
        assert second.exit_code == 75
        assert f"process {first.pid} on {holder['host']}" in second.stderr
        assert holder["since"][:19] in second.stderr
        assert ("--json" in arguments) == bool(second.stdout)
    assert holder["pid"] == first.pid
    assert f"process {first.pid} on {holder['host']} since {holder['since'][:19]}" in program("status").stdout
    first.kill()
    first.communicate()


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
def test_a_run_that_is_paused_keeps_the_lock_and_goes_on(
    program: Program, place: str, request: pytest.FixtureRequest
) -> None:
    if place == "postgres":
        program.settings["SYNC_STATE_URL"] = request.getfixturevalue("postgres_url")
    program.settings["HUBSPOT_CONCURRENCY"] = "1"
    program.visitors(*(row(number) for number in range(3 * ROWS)))
    program.sandbox.hubspot.latency_s = 0.3
    with Mortal(program, *RUN) as first:
        until(lambda: bool(program.sandbox.hubspot.busy))
        first.strike(signal.SIGSTOP)
        until(first.is_stopped)
        refused = [lived(program, *command) for command in (RUN, backfill(), ("rejections", "retry"))]
        holder = program("status", "--json").value["lock"]
        first.strike(signal.SIGCONT)
        ended = first.end()

    assert [each.exit_code for each in refused] == [75, 75, 75]
    assert all(f"process {first.pid} on" in each.stderr for each in refused)
    assert holder["pid"] == first.pid
    assert ended.exit_code == 0, ended.stderr
    assert len(program.sandbox.hubspot.snapshot()) == 3 * ROWS
    assert program.sandbox.hubspot.upserted_inputs == 3 * ROWS
    assert program("status", "--json").value["lock"] is None
    assert program.run().summary["requests"]["hubspot"] == 0


IN_A_CONTAINER = ("unshare", "--pid", "--mount", "--uts", "--fork", "--mount-proc", "--kill-child")


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
def test_two_containers_with_one_host_name_and_one_process_number_exclude_each_other(
    program: Program, place: str, request: pytest.FixtureRequest
) -> None:
    if subprocess.run([*IN_A_CONTAINER, "true"], check=False).returncode:
        pytest.skip("MAY NOT MAKE NAMESPACES: the lock was not tested between containers")
    if place == "postgres":
        program.settings["SYNC_STATE_URL"] = request.getfixturevalue("postgres_url")
    program.settings["HUBSPOT_CONCURRENCY"] = "1"
    program.visitors(row(ROWS))
    assert program.run().exit_code == 0
    program.visitors(*(row(number, minutes_ago=0) for number in range(ROWS)))
    program.sandbox.hubspot.latency_s = 10
    first = contained(program)
    until(lambda: bool(program.sandbox.hubspot.busy))
    holder = wait_for_lock(program)
    program.sandbox.hubspot.latency_s = 0

    others = [contained(program) for _ in range(2)]
    refused = [each.communicate()[1] for each in others]
    assert program.sandbox.hubspot.busy
    first.communicate()

    assert (holder["host"], holder["pid"]) == ("container", 1)
    assert [each.returncode for each in others] == [75, 75]
    assert all("process 1 on container, since" in said for said in refused)
    assert first.returncode == 0
    assert program.sandbox.hubspot.upserted_inputs == ROWS + 1
    assert program.sandbox.hubspot.violations == []


def contained(program: Program) -> subprocess.Popen[str]:
    command = f"hostname container && exec {COMMAND} {' '.join(RUN)}"
    return subprocess.Popen(
        [*IN_A_CONTAINER, "sh", "-c", command],
        env=program.environment(),
        cwd=program.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_that_was_stopped_amid_a_commit_keeps_the_others_out_and_goes_on(program: Program) -> None:
    small_steps(program, concurrency=2)
    program.visitors(*(row(number) for number in range(ROWS)))
    with Mortal(program, *RUN, fate=Fate(9, strike=signal.SIGSTOP)) as first:
        until(first.is_stopped)
        refused = lived(program, *RUN)
        first.strike(signal.SIGCONT)
        ended = first.end()

    assert refused.exit_code == 75, refused.stderr
    assert f"process {first.pid} on" in refused.stderr
    assert ended.exit_code == 0, ended.stderr
    assert len(program.sandbox.hubspot.snapshot()) == ROWS
