"""A running city, seen from outside: what is ordered there, and its books."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .books import HUBSPOT, ZENOVAY, read_books
from .faults import Fault
from .zenovay import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .books import Books
    from .faults import Trouble
    from .plan import CityPlan

ROOT = Path(__file__).parents[3]


class City:
    """Its process is started with it."""

    def __init__(self, plan: CityPlan, process: subprocess.Popen[str]) -> None:
        self.plan = plan
        self._process = process
        ports = self._told(plan.written())
        self.zenovay_url = f"http://127.0.0.1:{ports[ZENOVAY]}{PREFIX}"
        self.hubspot_url = f"http://127.0.0.1:{ports[HUBSPOT]}"

    def environment(self) -> dict[str, str]:
        """Where its two sides are, for a program whose settings say the rest."""
        return {"ZENOVAY_BASE_URL": self.zenovay_url, "HUBSPOT_BASE_URL": self.hubspot_url}

    def begin(self, trouble: Trouble, who: str, seconds: float = 1e9) -> None:
        """Let a portal or a key be in trouble, for so long or until it is mended."""
        self._order(fault=asdict(Fault(who, trouble, seconds)))

    def mend(self, who: str) -> None:
        self._order(mend=who)

    def fall_quiet(self) -> None:
        """No visitor comes any more."""
        self._order(quiet=True)

    def expect(self, processes: Sequence[int]) -> None:
        """Say who is likely to send requests, which saves the city a search."""
        self._order(processes=list(processes))

    def books(self, since: int = 0) -> Books:
        """Everything so far; of the requests those after the first ``since``."""
        return read_books(self._order(since=since))

    def _order(self, **order: Any) -> dict[str, Any]:
        return self._told(json.dumps(order))

    def _told(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said


@contextmanager
def open_city(plan: CityPlan) -> Iterator[City]:
    package = __package__ if __package__ != "benchmarks.city" else f"tests.{__package__}"
    command = [sys.executable, "-m", f"{package}.serving"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield City(plan, process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
