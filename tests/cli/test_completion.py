"""``completion``: what the shells themselves make of the scripts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from program import COMMAND

from etl.cli.commands import program

if TYPE_CHECKING:
    from pathlib import Path

ASK = """
source "$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$(($# - 2))
complete -p visitor-sync
_visitor_sync_completion visitor-sync
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str) -> str:
    printed = subprocess.run([COMMAND, "completion", shell], capture_output=True, text=True, check=True)
    assert printed.stderr == ""
    return printed.stdout


def shell_or_skip(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"NO {shell.upper()}: what it makes of its script was not tried")
    return found


def modern_bash() -> str:
    bash = shell_or_skip("bash")
    said = subprocess.run([bash, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)\.(\d+)", said)
    if version is None or tuple(map(int, version.groups())) < (4, 4):
        pytest.skip("NO BASH 4.4: what it makes of its script was not tried")
    return bash


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_can_read_its_script(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "completion"
    file.write_text(script(shell))
    assert "_VISITOR_SYNC_COMPLETE" in file.read_text()

    subprocess.run([shell_or_skip(shell), "-n", file], check=True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ([""], set(program.commands)),
        (["ba"], {"backfill"}),
        (["rejections", "re"], {"retry"}),
        (["status", "--we"], {"--website"}),
        (["completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes_our_commands_and_options(typed: list[str], offered: set[str], tmp_path: Path) -> None:
    file = tmp_path / "completion"
    file.write_text(script("bash"))
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"

    asked = subprocess.run(
        [modern_bash(), "--norc", "-c", ASK, "ask", file, "visitor-sync", *typed],
        env={**os.environ, "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    registered, *found = asked.stdout.splitlines()
    assert "-F _visitor_sync_completion visitor-sync" in registered
    assert set(found) == offered
    assert asked.stderr == ""


def test_another_shell_is_a_wrong_argument() -> None:
    asked = subprocess.run([COMMAND, "completion", "ksh"], capture_output=True, text=True, check=False)

    assert asked.returncode == 2
    assert "bash" in asked.stderr
