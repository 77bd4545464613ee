"""What stderr and ``--json`` say where something goes wrong: objects for programs, sentences for people."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from program import row
from situations import wait_for_lock
from storm import FOREVER, Fault
from terminal import on_a_terminal

if TYPE_CHECKING:
    from program import Ended, Program

JSON_COMMANDS = [
    ("run",),
    ("backfill", "--from", "2020-01-01"),
    ("check",),
    ("status",),
    ("live",),
    ("forget", "x"),
    ("rejections",),
    ("rejections", "list"),
    ("rejections", "retry", "nobody"),
    ("report",),
    ("alert", "--visitors-above", "1"),
]
SUMMARY = {"run", "kind", "website", "dry_run", "status", "exit_code", "reason", "window", "rows", "contacts"}


@pytest.mark.parametrize("command", JSON_COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"SYNC_LOOKBACK": "fortnight"}, ()),
        ({"SYNC_STATE_URL": "sqlite:////proc/none/state.db"}, ()),
        ({}, ("--fast",)),
    ],
    ids=["settings", "state", "usage"],
)
def test_json_is_printed_whatever_happens(
    program: Program, command: tuple[str, ...], settings: dict[str, str], options: tuple[str, ...]
) -> None:
    ended = program(*command, "--json", *options, **settings)

    if ended.exit_code == 0:
        assert command != ("run",)  # the others may need neither
        return
    found = ended.value
    if command == ("check",) and not options:
        assert not all(each["ok"] for each in found)
        return
    assert (found["status"], found["exit_code"]) == ("failed", ended.exit_code)
    assert found["error"].keys() == {"what", "fix"}
    assert found["reason"]
    assert found.keys() >= SUMMARY or command[0] not in {"run", "backfill"}
    assert (ended.error["action"], ended.error["exit_code"]) == ("error", ended.exit_code)
    assert ended.error["what"] == found["error"]["what"]


def test_a_run_that_found_the_lock_taken_prints_a_summary_of_nothing(program: Program) -> None:
    program.visitors(row(1))
    program.sandbox.zenovay.faults.add(Fault.hang(), path="/visitors")
    with program.start("run", "--now") as first:
        wait_for_lock(program)
        second = program.run()
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=30)

    summary = second.summary
    assert (second.exit_code, summary["exit_code"], summary["status"]) == (75, 75, "failed")
    assert (summary["run"], summary["website"], summary["kind"]) == (None, None, "incremental")
    assert "Another run holds the lock" in summary["reason"]


def test_a_run_that_has_failed_is_printed_once(program: Program) -> None:
    ended = program.run(HUBSPOT_ACCESS_TOKEN="revoked")

    assert (ended.exit_code, ended.summary["exit_code"]) == (5, 5)


def with_status(program: Program, body: str) -> subprocess.CompletedProcess[str]:
    """``status --json`` where ``body`` stands in its place."""
    script = (
        "import sys, threading, warnings, etl.cli, etl.cli.state_reports as reports\n"
        "def broken(): raise ZeroDivisionError('ann@example.test')\n"
        f"def show_status(**_):\n    {body}\n    print('{{}}')\n    return 0\n"
        "reports.show_status = show_status\n"
        "sys.argv = ['visitor-sync', 'status', '--json']\n"
        "etl.cli.main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        env=program.environment({"PYTHONPATH": os.pathsep.join(sys.path)}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_python_itself_would_print_is_an_object_as_well(program: Program) -> None:
    thread = "thread = threading.Thread(target=broken); thread.start(); thread.join()"
    done = with_status(program, f"{thread}; warnings.warn('take care', UserWarning)")

    assert (done.returncode, done.stdout) == (0, "{}\n")
    told = json.loads(done.stderr)
    assert (told["action"], told["error"]) == ("unexpected", "ZeroDivisionError")
    assert "ann@" not in done.stderr


def test_a_bug_is_told_by_its_place_to_programs_as_well(program: Program) -> None:
    done = with_status(program, "broken()")

    assert done.returncode == 1
    assert "ZeroDivisionError" in json.loads(done.stdout)["reason"]
    assert json.loads(done.stderr)["exit_code"] == 1
    assert "ann@" not in done.stdout + done.stderr


def lines(ended: Ended) -> list[dict[str, Any]]:
    """What stderr says: nothing but objects."""
    return [json.loads(line) for line in ended.stderr.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "settings", "level"),
    [
        (("run", "--now"), {"HUBSPOT_ACCESS_TOKEN": "revoked"}, "error"),
        (("run",), {"SYNC_LOOKBACK": "fortnight"}, "error"),
        (("status",), {"SYNC_LOOKBACK": "fortnight"}, "error"),
        (("sttus",), {}, "error"),
        ((), {}, "error"),
        (("schedule",), {}, "info"),
    ],
    ids=["run", "settings", "status", "usage", "nothing", "hint"],
)
def test_off_a_terminal_every_line_of_stderr_is_an_object(
    program: Program, arguments: tuple[str, ...], settings: dict[str, str], level: str
) -> None:
    ended = program(*arguments, **settings)

    (*_, last) = lines(ended)
    assert {"at", "level", "message", "action", "what"} <= last.keys()
    assert last["level"] == level


def test_the_text_format_stays_text_also_before_the_settings_are_read(program: Program) -> None:
    usage = program("status", "--fast", SYNC_LOG_FORMAT="text")
    settings = program("run", SYNC_LOG_FORMAT="text", SYNC_LOOKBACK="fortnight")

    assert "Error: No such option" in usage.stderr
    assert settings.stderr.startswith("error: A setting is wrong:\n  SYNC_LOOKBACK must be")


def test_a_terminal_gets_sentences_and_json_where_it_is_asked_for(program: Program) -> None:
    _, said = on_a_terminal(program, "run", "--now", HUBSPOT_ACCESS_TOKEN="revoked")
    _, asked_for = on_a_terminal(program, "run", SYNC_LOOKBACK="fortnight", SYNC_LOG_FORMAT="json")

    assert f"error: {program.website}: " in said
    assert '"action"' not in said
    assert json.loads(asked_for)["action"] == "error"


def test_mail_of_cron_stays_text(program: Program) -> None:
    ended = program("run", "--cron", SYNC_LOOKBACK="fortnight")

    assert (ended.exit_code, ended.stderr) == (2, "")
    assert "SYNC_LOOKBACK must be" in ended.stdout
    assert not ended.stdout.startswith("{")


def test_a_failure_of_everybody_is_told_once_for_each_website(program: Program) -> None:
    program.sandbox.zenovay.faults.add(Fault.answer(403, {"error": "no"}), times=FOREVER)

    ended = program("run", "--now", ZENOVAY_WEBSITE_ID=f"{program.website},shop")

    assert [each["website"] for each in ended.errors] == [program.website, "shop"]
