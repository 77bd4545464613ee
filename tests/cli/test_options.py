"""What every command takes: another file than ``.env``, and how much is logged."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from program import COMMAND, OURS, Ended, called, row
from storm import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from program import Program

ADDRESS = "ann.geheimnis@example.test"
KEY, TOKEN = "zv_geheimnis", "pat-geheimnis"


def logged(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def actions(said: str) -> list[str]:
    return [line["action"] for line in logged(said)]


@pytest.fixture
def files(program: Program) -> Path:
    """Two files of settings, of which only one is right, and a ``.env`` that nobody may read."""
    lines = [f"{name}='{text}'" for name, text in program.environment().items() if name.startswith(OURS)]
    (program.folder / "good.env").write_text("\n".join(lines))
    (program.folder / "bad.env").write_text("SYNC_LOOKBACK=fortnight\n")
    (program.folder / ".env").write_bytes(b"\xff")
    return program.folder


def call(folder: Path, *arguments: str, **settings: str) -> Ended:
    """A command with no setting of ours in its environment but those that are given."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
    return called(*arguments, environment=inherited | settings, folder=folder)


GOOD = ("--env-file", "good.env")
BAD = ("--env-file", "bad.env")


@pytest.mark.parametrize(
    "arguments",
    [
        (*GOOD, "run", "--now"),
        ("run", *GOOD, "--now"),
        ("run", "--now", "--env-file=good.env"),
        (*BAD, "run", "--now", *GOOD),
        ("run", *BAD, "--now", *GOOD),
        (*GOOD, "status"),
        ("status", *GOOD),
        ("check", *GOOD),
        ("setup", *GOOD),
        ("rejections", *GOOD),
        ("rejections", *GOOD, "list"),
        ("rejections", "list", *GOOD),
        (*BAD, "rejections", *BAD, "retry", *GOOD, "--all"),
        ("backfill", *GOOD, "--from", "2026-01-01", "--dry-run"),
        ("forget", *GOOD, "nobody@example.test"),
        ("schedule", *GOOD),
        ("report", *GOOD),
        ("live", *GOOD),
        ("resync", *GOOD, "--yes"),
        ("alert", *GOOD, "--visitors-above", "9"),
        ("help", *GOOD, "links"),
    ],
    ids=" ".join,
)
def test_every_command_reads_the_file_that_is_given_and_no_other(
    arguments: tuple[str, ...], program: Program, files: Path
) -> None:
    ended = call(files, *arguments)

    assert "settings" not in ended.stderr or "hint" in ended.stderr
    assert "UTF-8" not in ended.stderr
    assert ended.exit_code == 0, ended.stderr


def test_a_run_with_a_file_of_its_own_does_its_work(program: Program, files: Path) -> None:
    program.visitors(row(1))
    elsewhere = files / "elsewhere"
    elsewhere.mkdir()

    ended = call(elsewhere, "run", "--now", "--json", "--env-file", "../good.env")

    assert ended.exit_code == 0
    assert len(program.sandbox.hubspot.contacts) == 1


def test_the_environment_wins_over_that_file_too(files: Path) -> None:
    assert call(files, "status", *BAD, SYNC_LOOKBACK="1h").exit_code == 0
    assert f"SYNC_LOOKBACK must be a duration such as 4m50s, 1h or 30d ({files}/bad.env)." in (
        call(files, "status", *BAD).stderr
    )


@pytest.mark.parametrize("arguments", [("status",), ("run",), ("check",), ("schedule", "--install")])
@pytest.mark.parametrize("name", ["not there.env", ".env", "", "folder", "bytes\udcff"])
def test_a_file_that_cannot_be_had_is_named(tmp_path: Path, arguments: tuple[str, ...], name: str) -> None:
    (tmp_path / "folder").mkdir()

    ended = call(tmp_path, *arguments, "--env-file", name)

    assert ended.exit_code == 2
    said = ended.stdout + ended.stderr
    shown = name.encode(errors="backslashreplace").decode()
    wrong = "cannot be read: Is a directory" if name in {"", "folder"} else "which is not there"
    assert f"{tmp_path / shown}" in said.replace("\\\\", "\\")  # JSON writes a backslash twice
    assert wrong in said
    assert "Traceback" not in said


def test_a_home_in_the_name_is_found_where_no_shell_has_done_so(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("SYNC_LOOKBACK=fortnight\n")

    ended = call(tmp_path, "status", "--env-file=~/x.env", HOME=str(tmp_path))

    assert f"({tmp_path}/x.env)" in ended.stderr
    assert call(tmp_path, "status", "--env-file=~nobody-of-that-name/x").exit_code == 2


def test_what_cron_mails_of_a_file_that_is_gone_is_one_mail(program: Program, files: Path) -> None:
    command = ("--env-file", "gone.env", "run", "--cron")
    home = {"HOME": str(files)}

    first, second = call(files, *command, **home), call(files, *command, **home)

    assert (first.exit_code, second.exit_code) == (2, 2)
    assert f"--env-file names {files / 'gone.env'}, which is not there." in first.stdout
    assert (second.stdout, second.stderr) == ("", "")


def test_a_level_that_there_is_not_is_a_wrong_usage(program: Program) -> None:
    ended = program("run", "--log-level", "loud")

    assert ended.exit_code == 2
    assert "debug" in ended.stderr


def test_at_debug_each_request_is_a_line_that_shows_nobody(program: Program) -> None:
    program.settings |= {"ZENOVAY_API_KEY": KEY, "HUBSPOT_ACCESS_TOKEN": TOKEN}
    program.sandbox.zenovay.api_key, program.sandbox.hubspot.access_token = KEY, TOKEN
    program.sandbox.hubspot.faults.add(Fault.empty(503), path="/batch/upsert")
    program.visitors(row(1, email=ADDRESS), row(2))

    ended = program("--log-level", "debug", "run", "--now", "--json")

    assert ended.exit_code == 0
    lines = [line for line in logged(ended.stderr) if line["action"] == "http_request"]
    asked = ended.summary["requests"]
    counts = [sum(line["api"] == api for line in lines) for api in ("Zenovay", "HubSpot")]
    assert counts == [asked["zenovay"], asked["hubspot"]]
    assert {(line["level"], line["message"]) for line in lines} == {("debug", "request")}
    assert all(0 <= line["elapsed_s"] < 60 for line in lines)
    (page, *_) = (line for line in lines if line["api"] == "Zenovay")
    path, _, query = page["path"].partition("?")
    assert (page["method"], page["status"], page["attempt"]) == ("GET", 200, 1)
    assert path.endswith(f"/{program.website}/visitors")
    assert {"range", "limit"} <= set(query.split("&"))
    upserts = [line for line in lines if line["path"].endswith("/contacts/batch/upsert")]
    assert {(1, 503), (2, 200)} <= {(line["attempt"], line["status"]) for line in upserts}
    assert {"GET", "POST"} == {line["method"] for line in lines}
    for hidden in (ADDRESS, "geheimnis", "v000001", "v000002"):
        assert hidden not in ended.stderr


def test_what_no_answer_came_to_is_a_line_as_well(program: Program) -> None:
    ended = program("--log-level=debug", "check", ZENOVAY_BASE_URL="http://127.0.0.1:9/geheimnis")

    assert ended.exit_code == 4
    asked = [line for line in logged(ended.stderr) if line["action"] == "http_request"]
    lines = [line for line in asked if line["api"] == "Zenovay"]
    assert [line["attempt"] for line in lines] == list(range(1, len(lines) + 1))
    assert {line["status"] for line in lines} == {None}
    assert all("could not be reached" in line["why"] for line in lines)
    assert "geheimnis" not in ended.stderr


@pytest.mark.parametrize("level", [None, "info", "warning", "error"])
def test_what_is_below_the_level_is_not_logged(program: Program, level: str | None) -> None:
    program.sandbox.zenovay.faults.add(Fault.empty(503), path="/visitors")
    program.visitors(row(1))

    ended = program("run", "--now", "--json", *(["--log-level", level] if level else []))

    assert ended.exit_code == 0
    seen = {line["level"] for line in logged(ended.stderr)}
    assert seen == {None: {"info", "warning"}, "info": {"info", "warning"}, "warning": {"warning"}}.get(
        level, set()
    )


def test_the_log_of_cron_has_that_level(program: Program) -> None:
    program.visitors(row(1))

    ended = program("run", "--now", "--cron", "--log-level", "debug")

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "")
    text = (program.folder / "sync.log").read_text()
    assert {"http_request", "run_finished"} <= set(actions(text))


def on_a_terminal(program: Program, *arguments: str) -> str:
    ours, its = pty.openpty()
    environment = {**program.environment(), "TERM": "xterm"}
    with subprocess.Popen(
        [COMMAND, *arguments], stdin=its, stdout=its, stderr=its, env=environment, cwd=program.folder
    ) as process:
        os.close(its)
        shown = bytearray()
        with suppress(OSError):  # Linux: the other end was closed
            while piece := os.read(ours, 65536):
                shown += piece
        os.close(ours)
    assert process.returncode == 0
    return shown.decode()


@pytest.mark.parametrize(
    ("level", "shown"), [((), set()), (("--log-level", "debug"), {"debug: request", "info: run finished"})]
)
def test_a_terminal_shows_what_is_asked_for(program: Program, level: Sequence[str], shown: set[str]) -> None:
    said = on_a_terminal(program, "run", "--now", *level)

    assert {each for each in ("debug: request", "info: run finished") if each in said} == shown


UNKNOWN = {"SYNC_ANONYMUS": "geheimnis"}


@pytest.mark.parametrize("arguments", [("run", "--now"), ("status",), ("rejections",), ("check", "--json")])
def test_a_foreign_variable_in_the_environment_is_one_warning(
    program: Program, arguments: tuple[str, ...]
) -> None:
    program.visitors(row(1))

    ended = program(*arguments, **UNKNOWN)

    assert ended.exit_code == 0
    (line,) = [line for line in logged(ended.stderr) if line["action"] == "unknown_setting"]
    assert (line["level"], line["variable"], line["nearest"]) == (
        "warning",
        "SYNC_ANONYMUS",
        "SYNC_ANONYMOUS",
    )
    assert "geheimnis" not in ended.stdout + ended.stderr
    if "check" in arguments:
        (finding,) = [each for each in ended.value if each["check"] == "settings"]
        assert finding["ok"]
        assert "SYNC_ANONYMUS is not a setting of this program" in finding["saw"]


def test_cron_mails_nothing_of_a_foreign_variable(program: Program) -> None:
    program.visitors(row(1))

    ended = program("run", "--now", "--cron", **UNKNOWN)

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "")
    assert actions((program.folder / "sync.log").read_text()).count("unknown_setting") == 1


def test_without_these_options_nothing_more_is_imported() -> None:
    code = (
        "import sys\nfrom etl.cli.commands import program\n"
        "try:\n    program.main(['run', '--help'], standalone_mode=False)\nfinally:\n"
        "    print([name for name in ('dotenv', 'pydantic', 'etl.envfile')"
        " if name in sys.modules], file=sys.stderr)"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stderr == "[]\n"
