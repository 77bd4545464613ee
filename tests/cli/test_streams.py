"""stdout and stderr that are closed, full, or read by nobody."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, row

if TYPE_CHECKING:
    from program import Program

LOST = 4
BROKEN_PIPE = 141
ELSEWHERE = [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full"]


def shell(program: Program, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", script.replace("visitor-sync", str(COMMAND))],
        env=program.environment(),
        cwd=program.folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("redirected", ELSEWHERE)
@pytest.mark.parametrize("options", ["--now", "--now --json", "--now --cron"])
def test_a_run_that_is_done_is_done(program: Program, redirected: str, options: str) -> None:
    program.visitors(row(1))

    ended = shell(program, f"visitor-sync run {options} {redirected}")

    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr
    assert "Logging error" not in ended.stderr
    assert len(program.sandbox.hubspot.contacts) == 1
    assert program("status", "--json").value["websites"][0]["runs"][0]["status"] == "done"


@pytest.mark.parametrize(
    "command",
    ["status", "status --json", "rejections", "check", "check --json", "run --dry-run --json", "--help"],
)
def test_an_answer_that_cannot_be_written_is_no_success_and_no_bug(program: Program, command: str) -> None:
    ended = shell(program, f"visitor-sync {command} >/dev/full")

    assert ended.returncode == LOST
    assert "The output could not be written: No space left on device." in ended.stderr


@pytest.mark.parametrize("command", ["status", "rejections --json", "check", "run --now --json", "--help"])
def test_a_broken_pipe_ends_without_a_word(program: Program, command: str) -> None:
    program.visitors(row(1))

    ended = shell(program, f"visitor-sync {command} 2>errors | true; echo ${{PIPESTATUS[0]}}")

    assert ended.stdout == f"{BROKEN_PIPE}\n"
    assert "rror:" not in (program.folder / "errors").read_text()
    assert "Traceback" not in (program.folder / "errors").read_text()


def test_a_failure_keeps_its_code(program: Program) -> None:
    script = "HUBSPOT_ACCESS_TOKEN=revoked visitor-sync run --json >/dev/full"

    assert shell(program, script).returncode == 5


def test_a_closed_stream_is_not_taken_for_the_state(program: Program) -> None:
    """The next file that is opened gets its number, and with it what is printed."""
    program.visitors(*(row(number) for number in range(300)))

    assert shell(program, "visitor-sync run --json >&- 2>&-").returncode == 0

    assert program.state_file.read_bytes().startswith(b"SQLite format 3\0")
    assert program("check").exit_code == 0


def test_a_text_that_the_encoding_lacks_is_printed_nevertheless(program: Program) -> None:
    script = "PYTHONIOENCODING=ascii ZENOVAY_WEBSITE_ID=größe visitor-sync run --now"

    assert shell(program, script).returncode == 2
