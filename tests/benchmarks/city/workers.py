"""The workers of a fleet: each a process with a host name of its own, that may be killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND = Path(sys.executable).with_name("visitor-sync")
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Worker:
    """A running one. ``log`` is where its stderr goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def cpu_s(self) -> float:
        """What it and the processes it waited for have used of the CPU; 0 once it is gone."""
        with suppress(OSError):
            words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return sum(map(int, words[11:15])) / _TICKS
        return 0.0


@dataclass(slots=True)
class Workers:
    """``environment`` is what each gets; their logs go to ``folder``."""

    environment: Mapping[str, str]
    folder: Path
    concurrency: int = 4
    alive: list[Worker] = field(default_factory=list)
    spent_s: float = 0.0
    """CPU seconds of those that are gone."""
    _started: int = 0

    def start(self) -> Worker:
        self._started += 1
        name = f"worker-{self._started}"
        log = self.folder / f"{name}.log"
        command = [*_on_host(name), str(COMMAND), "fleet", "worker", "--concurrency", str(self.concurrency)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stderr=output,
                stdout=output,
            )
        worker = Worker(name, process, log)
        self.alive.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        """As a machine that loses its power."""
        self.spent_s += worker.cpu_s()
        worker.process.kill()
        worker.process.wait()
        self.alive.remove(worker)

    def cpu_s(self) -> float:
        return self.spent_s + sum(worker.cpu_s() for worker in self.alive)

    def stop(self) -> list[int]:
        """Ask all to end. Returns their exit codes; kills those that do not end within a minute."""
        for worker in self.alive:
            worker.process.send_signal(signal.SIGTERM)
        return [self._ended(worker) for worker in list(self.alive)]

    def _ended(self, worker: Worker) -> int:
        try:
            return worker.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill(worker)
            return -signal.SIGKILL
        finally:
            with suppress(ValueError):
                self.alive.remove(worker)


def _on_host(name: str) -> list[str]:
    """What gives a process a host name of its own, where that is allowed; it stays the same process."""
    unshare = shutil.which("unshare")
    script = 'hostname "$0" && exec "$@"'
    if unshare is None or subprocess.run([unshare, "-u", "true"], capture_output=True).returncode:  # noqa: PLW1510
        return []
    return [unshare, "-u", "sh", "-c", script, name]
