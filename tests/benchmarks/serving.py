"""The servers, seen from the benchmark: started, asked what they counted, ended."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .servers import order_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .servers import World

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Counted:
    """What the servers saw. ``cpu_s`` is their own; ``contacts`` are all that HubSpot holds."""

    zenovay: int
    zenovay_refused: int
    hubspot: int
    hubspot_refused: int
    contacts: int
    cpu_s: float


class Serving:
    """A running pair of servers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        ports = self._read()
        self.zenovay_url = f"http://127.0.0.1:{ports['zenovay']}"
        self.hubspot_url = f"http://127.0.0.1:{ports['hubspot']}"

    def counted(self) -> Counted:
        """The counts since the last order."""
        return self._order({})

    def arrive(self, *, new: int = 0, again: int = 0, alone: bool = False) -> None:
        """Let visitors come, now. ``alone``: and let all earlier rows be gone."""
        self._order({"new": new, "again": again, "forget": alone})

    def _order(self, order: dict[str, Any]) -> Counted:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        said = self._read()
        return Counted(
            zenovay=said["zenovay"]["requests"],
            zenovay_refused=said["zenovay"]["refused"],
            hubspot=said["hubspot"]["requests"],
            hubspot_refused=said["hubspot"]["refused"],
            contacts=said["contacts"],
            cpu_s=said["cpu_s"],
        )

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said


@contextmanager
def serving(world: World) -> Iterator[Serving]:
    """Both servers in one process of their own."""
    command = [sys.executable, "-m", "tests.benchmarks.servers", order_for(world)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Serving(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
