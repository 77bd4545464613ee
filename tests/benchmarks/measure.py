"""One process from its start to its end: how long it took, how much it worked, how large it grew."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """``cpu_s`` is user and system time, ``peak_mib`` the largest resident set."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class ContenderFailedError(Exception):
    """A contender ended with an exit code of failure, or did not do the work."""


def measure(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Measured:
    """Run ``command`` in ``folder`` and wait for its end; its output goes to a file there.

    The kernel counts the size of the process that forks into the peak of its child, so whoever calls this
    must stay smaller than what it measures. Raises ContenderFailedError.
    """
    with (folder / "output.txt").open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = (folder / "output.txt").read_text(errors="replace")[-2000:]
        raise ContenderFailedError(f"exit code {process.returncode} of {' '.join(command)}:\n{last}")
    return Measured(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _MAXRSS_UNIT / 2**20)
