"""A fleet as its operator has it: a declaration, secrets in the environment, workers, and its commands."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from hasty import start_worker
from program import OURS, Ended, called
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from storm import Storm

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

EVERY = "24h"
"""So long that no site is due by itself within a test."""
PATIENCE_S = 90.0
"""For what takes a second or two, on a machine that is busy."""


@dataclass
class FleetWorker:
    """``fleet worker``, as a process."""

    process: ForkServerProcess
    log: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, action: str, **facts: Any) -> list[dict[str, Any]]:
        """The lines of its log with this action and these facts."""
        wanted = facts | {"action": action}
        return [line for line in self.lines if all(line.get(name) == fact for name, fact in wanted.items())]

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    def strike(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self, patience_s: float = PATIENCE_S) -> int:
        """Its exit code, negative after a signal."""
        self.process.join(patience_s)
        assert self.process.exitcode is not None
        return self.process.exitcode


@dataclass
class Fleet:
    """Portals with a sandbox each, whose websites are read with a key of that sandbox."""

    url: str
    folder: Path
    portals: dict[str, Storm]
    sites: dict[str, list[str]]
    every: str = EVERY
    settings: dict[str, str] = field(default_factory=dict)
    workers: list[FleetWorker] = field(default_factory=list)

    def __enter__(self) -> Self:
        for number, (name, sandbox) in enumerate(self.portals.items()):
            sandbox.hubspot.access_token = f"pat-eu1-{name}"
            sandbox.zenovay.api_key = f"zv_{name}"
            sandbox.hubspot.portal_id = 1000 + number
            for website in self.sites[name]:
                sandbox.zenovay.websites.setdefault(website, [])
            sandbox.hubspot.install_properties()
            sandbox.__enter__()
        self.declare()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()
        for sandbox in self.portals.values():
            sandbox.__exit__()

    def declare(self, *portals: str) -> None:
        """Write the configuration file, of all or these portals, and that of workers in a hurry."""
        (self.folder / "visitor-sync.toml").write_text(self._declared(portals, EVERY))
        (self.folder / "hasty.toml").write_text(self._declared(portals, self.every))

    def _declared(self, portals: Sequence[str], every: str) -> str:
        lines: list[str] = []
        for name in portals or self.portals:
            sandbox = self.portals[name]
            lines += [
                "[[keys]]",
                f'name = "{name}"',
                f'key_env = "{name.upper()}_KEY"',
                f'base_url = "{sandbox.zenovay_url}"',
                "requests_per_minute = 1000",
                "[[portals]]",
                f'name = "{name}"',
                f'token_env = "{name.upper()}_TOKEN"',
                f'base_url = "{sandbox.hubspot_url}"',
                "requests_per_10_seconds = 1000",
            ]
            for website in self.sites[name]:
                site = {"website": website, "portal": name, "key": name, "every": every}
                lines += ["[[sites]]", *(f'{word} = "{text}"' for word, text in site.items())]
        return "\n".join(lines) + "\n"

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        secrets = {
            f"{name.upper()}_{kind}": value
            for name, sandbox in self.portals.items()
            for kind, value in (("KEY", sandbox.zenovay.api_key), ("TOKEN", f"pat-eu1-{name}"))
        }
        return inherited | secrets | {"SYNC_STATE_URL": self.url, "SYNC_LOG_FORMAT": "json"} | self.settings

    def __call__(self, *arguments: str) -> Ended:
        return called("fleet", *arguments, environment=self.environment(), folder=self.folder)

    def start(self, *arguments: str) -> FleetWorker:
        """A worker, in a hurry, that takes jobs already."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        log.touch()
        environment = self.environment() | {"SYNC_CONFIG": "hasty.toml"}
        process = start_worker(*arguments, environment=environment, folder=self.folder, log=log)
        worker = FleetWorker(process, log)
        self.workers.append(worker)
        soon(lambda: not process.is_alive() or self.is_signed_on(worker.pid))
        return worker

    def is_signed_on(self, pid: int) -> bool:
        return pid in self.asked("SELECT pid FROM workers")

    def asked(self, question: str) -> list[Any]:
        """The first column of what the shared tables answer."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text("SET search_path = visitor_sync"))
            return list(connection.execute(text(question)).scalars())

    def told(self, statement: str) -> None:
        """Have the shared tables changed."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL search_path = visitor_sync"))
            connection.execute(text(statement))

    @property
    def status(self) -> dict[str, Any]:
        told = self("status", "--json")
        assert told.exit_code == 0, told.stderr
        return dict(told.value)

    def portal(self, name: str) -> dict[str, Any]:
        (found,) = [each for each in self.status["portals"] if each["portal"] == name]
        return dict(found)

    def site(self, portal: str, website: str) -> dict[str, Any]:
        (found,) = [each for each in self.portal(portal)["sites"] if each["website"] == website]
        return dict(found)


@contextmanager
def fleet_of(url: str, folder: Path, sites: Mapping[str, list[str]]) -> Iterator[Fleet]:
    """A fleet that is declared, and whose tables are made."""
    portals = {name: Storm() for name in sites}
    with Fleet(url, folder, portals, dict(sites)) as fleet:
        made = fleet("init")
        assert made.exit_code == 0, made.stderr
        yield fleet


def soon(happened: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait for it, a bounded while."""
    deadline = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
