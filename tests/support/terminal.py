"""A command as a person starts it: on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from program import COMMAND

if TYPE_CHECKING:
    from agency import Agency
    from program import Program


def on_a_terminal(
    program: Program | Agency, *arguments: str, columns: int = 80, **settings: str
) -> tuple[int, str]:
    """The exit code, and what was shown, colours included."""
    ours, its = pty.openpty()
    environment = program.environment({"TERM": "xterm", "COLUMNS": str(columns), "LINES": "40", **settings})
    with subprocess.Popen(
        [COMMAND, *arguments], stdin=its, stdout=its, stderr=its, env=environment, cwd=program.folder
    ) as process:
        os.close(its)
        shown = b""
        with suppress(OSError):  # Linux: the other end was closed
            while piece := os.read(ours, 65536):
                shown += piece
    os.close(ours)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def plain(shown: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)
