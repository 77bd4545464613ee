"""``status``, ``rejections`` and the lock, from outside."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from program import row
from situations import wait_for_lock

if TYPE_CHECKING:
    import subprocess

    from program import Program


def test_status_of_a_fresh_machine_is_empty_and_makes_no_file(program: Program) -> None:
    ended = program("status", "--json")

    assert ended.exit_code == 0
    assert ended.value == {
        "state": str(program.state_file),
        "websites": [],
        "contacts": {"confirmed": 0, "due": 0, "rejected": 0, "absent": 0, "gone": 0},
        "lock": None,
        "portal": None,
        "stops": [],
    }
    assert list(program.folder.iterdir()) == []


def test_status_tells_watermark_runs_and_contacts(program: Program) -> None:
    program.visitors(row(1, email="a@example.test"), row(2, email="b@example.test"))
    program.sandbox.hubspot.refused_addresses["b@example.test"] = "no"
    ran = program.run().summary

    status = program("status", "--json").value

    assert status["contacts"] == {"confirmed": 1, "due": 0, "rejected": 1, "absent": 0, "gone": 0}
    (website,) = status["websites"]
    assert website["website"] == program.website
    assert website["watermark"] == ran["watermark"]["after"]
    assert [run["status"] for run in website["runs"]] == ["partial"]
    assert status["lock"] is None
    assert "1 confirmed, 0 due, 1 rejected" in program("status").stdout


def test_a_second_run_is_told_who_holds_the_lock(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.zenovay.latency_s = 30
    first = program.start("run", "--now")
    holder = wait_for_lock(program)

    second = program.run()

    assert holder["pid"] == first.pid
    assert second.exit_code == 75
    assert str(first.pid) in second.stderr
    assert second.value["reason"].startswith("Another run holds the lock")
    stop(first)


def test_the_lock_of_a_killed_run_is_taken_over(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.zenovay.latency_s = 30
    first = program.start("run", "--now")
    wait_for_lock(program)
    stop(first)

    program.sandbox.zenovay.latency_s = 0
    ended = program.run()

    assert ended.exit_code == 0
    assert len(program.sandbox.hubspot.contacts) == 1
    assert "taken over" in ended.stderr


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_retrying_an_unknown_key_is_an_error(program: Program) -> None:
    program.visitors(row(1))
    program.run()

    ended = program("rejections", "retry", "nobody@example.test")

    assert ended.exit_code == 2
    assert "nobody@" not in ended.stderr
