"""The installed command as a user has it: a subprocess, an environment, a state file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warm import warm_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from storm import Storm

COMMAND = Path(sys.executable).with_name("visitor-sync")
OURS = ("ZENOVAY_", "HUBSPOT_", "SYNC_")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def value(self) -> Any:
        """The one JSON value on stdout."""
        (line,) = self.stdout.splitlines()
        return json.loads(line)

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Those that stderr tells of; all that it says are lines of JSON."""
        return [line for line in map(json.loads, self.stderr.splitlines()) if line["action"] == "error"]

    @property
    def error(self) -> dict[str, Any]:
        (only,) = self.errors
        return only

    @property
    def summaries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        (only,) = self.summaries
        balance(only)
        return only


def balance(summary: dict[str, Any]) -> None:
    """The first promise."""
    rows, contacts = summary["rows"], summary["contacts"]
    assert rows["read"] == sum(
        rows[name] for name in ("accepted", "out_of_window", "anonymous", "opted_out", "rejected", "excluded")
    )
    assert contacts["touched"] + contacts["carried_over"] == sum(
        contacts[name]
        for name in ("unchanged", "created", "updated", "rejected", "deferred", "absent", "kept")
    )


def news(summary: dict[str, Any]) -> list[str]:
    """The warnings, but for that of the first run into a state."""
    return [warning for warning in summary["warnings"] if not warning.startswith("This state is new")]


def called(*arguments: str, environment: Mapping[str, str], folder: Path) -> Ended:
    """``visitor-sync`` from its start to its end; see ``warm`` for what kind of start that is."""
    command = [str(COMMAND), *arguments]
    if warm := warm_for(environment):
        return Ended(*warm(command, environment=environment, folder=folder))
    return cold(*command, environment=environment, folder=folder)


def cold(*command: str, environment: Mapping[str, str], folder: Path, patience_s: float = 100) -> Ended:
    """Any ``command``, as a process of its own, from its start to its end."""
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience_s,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Installed:
    """``visitor-sync`` called in a ``folder``, in an environment that each kind says."""

    folder: Path

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        raise NotImplementedError

    def start(
        self, *arguments: str, stdout: Any = subprocess.PIPE, stderr: Any = subprocess.PIPE, **settings: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, *arguments],
            env=self.environment(settings),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def __call__(self, *arguments: str, **settings: str) -> Ended:
        """As ``called``."""
        return called(*arguments, environment=self.environment(settings), folder=self.folder)


@dataclass
class Program(Installed):
    """``visitor-sync`` against a sandbox, with a state of its own."""

    sandbox: Storm
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def state_file(self) -> Path:
        return self.folder / "state.db"

    @property
    def website(self) -> str:
        return self.sandbox.environment()["ZENOVAY_WEBSITE_ID"]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        own = {
            "SYNC_STATE_URL": f"sqlite:///{self.state_file}",
            "ZENOVAY_REQUESTS_PER_MINUTE": "1000",
            "HUBSPOT_REQUESTS_PER_10_SECONDS": "1000",
        }
        return inherited | self.sandbox.environment() | own | self.settings | dict(extra or {})

    def run(self, *arguments: str, **settings: str) -> Ended:
        """``run --now --json``."""
        return self("run", "--now", "--json", *arguments, **settings)

    def visitors(self, *rows: dict[str, Any]) -> None:
        """Add rows to the website."""
        self.sandbox.zenovay.add_rows(self.website, list(rows))

    def replace_visitors(self, *rows: dict[str, Any]) -> None:
        self.sandbox.zenovay.websites[self.website] = list(rows)


@contextmanager
def python_that_waits(code: str, *arguments: str, said: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, once its ``code`` has ``said`` so; it waits until its stdin is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == f"{said}\n"
        yield process


def row(number: int, *, minutes_ago: float | None = None, **facts: Any) -> dict[str, Any]:
    """A valid row; the larger the number, the longer ago."""
    seen = datetime.now(UTC) - timedelta(minutes=number + 1 if minutes_ago is None else minutes_ago)
    return {
        "id": f"v{number:06d}",
        "country_code": "CH",
        "last_seen": seen.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "pageviews": 3,
        **facts,
    }
