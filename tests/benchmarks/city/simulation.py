"""A fleet at work in a city for some minutes: workers die, portals are in trouble, all is counted."""

from __future__ import annotations

import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .declared import settle
from .findings import BEGINNING, lost
from .opened import open_city
from .tables import database_of_its_own, look_into
from .workers import COMMAND, Worker, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from .books import Books
    from .faults import Trouble
    from .opened import City
    from .plan import CityPlan
    from .tables import Tables

_LOOK_S = 0.5
_COMMANDS_AT_ONCE = 6
_LONGEST_END_S = 240.0
_TROUBLES: tuple[Trouble, ...] = ("down", "slow", "revoked", "gone")


@dataclass(frozen=True, slots=True)
class Script:
    """What is to happen. For ``minutes`` there is trouble, then for ``quiet_minutes`` no visitor comes.

    Between them, workers that were started last have ``settle_s`` for what they do but once.
    """

    plan: CityPlan
    workers: int = 4
    concurrency: int = 4
    minutes: float = 8.0
    settle_s: float = 30.0
    quiet_minutes: float = 4.0
    kill_every_s: float = 60.0
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Death:
    """When a worker was killed, and the ``portal/website`` whose run that cut short."""

    at: float
    cut: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """What the workers used of the CPU while so many runs began."""

    seconds: float
    cpu_s: float
    runs: int


@dataclass(frozen=True, slots=True)
class Course:
    """What happened. ``troubled`` are the portals that were made trouble for, ``calm`` is when that ended."""

    script: Script
    begun: float
    calm: float
    ended: float
    troubled: tuple[str, ...]
    deaths: tuple[Death, ...]
    busy: Phase
    quiet: Phase
    connections: int
    permits: int
    exit_codes: tuple[int, ...]
    books: Books


@dataclass(slots=True)
class Stage:
    """Where a script is played."""

    script: Script
    city: City
    tables: Tables
    workers: Workers
    begun: float = field(default_factory=time.time)
    deaths: list[Death] = field(default_factory=list)
    connections: int = 0
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.script.seed)

    def command(self, *arguments: str) -> None:
        """Run one of ``fleet``. Raises RuntimeError with what it said if it failed."""
        run_fleet(arguments, self.workers.environment)

    def start_worker(self) -> None:
        self.workers.start()
        self.city.expect([worker.process.pid for worker in self.workers.alive])

    def kill_one(self) -> None:
        self._kill(self._chance.choice(self.workers.alive))

    def kill_busy(self, portals: Collection[str]) -> bool:
        """Kill a worker that runs something of these portals; whether there was one."""
        for worker in self.workers.alive:
            running = self.tables.running(worker.process.pid)
            if any(name.partition("/")[0] in portals for name in running):
                self._kill(worker)
                return True
        return False

    def _kill(self, worker: Worker) -> None:
        self.workers.kill(worker)
        died = time.time()
        self.deaths.append(Death(died, tuple(self.tables.cut(worker.process.pid))))

    def play(self, until: float, *, deadly: bool = False) -> Phase:
        """Let the fleet work until then. ``deadly``: now and then a worker dies, and is replaced."""
        started, cpu_s = time.time(), self.workers.cpu_s()
        dies, returns = self._next_death(started) if deadly else (until, until)
        while (now := time.time()) < until:
            self.connections = max(self.connections, self.tables.connections())
            if now >= dies and len(self.workers.alive) == self.script.workers:
                self.kill_one()
            if now >= returns:
                self.start_worker()
                dies, returns = self._next_death(now)
            time.sleep(_LOOK_S)
        while len(self.workers.alive) < self.script.workers:
            self.start_worker()
        runs = sum(each.what == BEGINNING and each.arrived >= started for each in self.city.books().requests)
        return Phase(time.time() - started, self.workers.cpu_s() - cpu_s, runs)

    def _next_death(self, now: float) -> tuple[float, float]:
        """When a worker dies next, and when another is there instead."""
        dies = now + self._chance.uniform(0.5, 1.5) * self.script.kill_every_s
        return dies, dies + self._chance.uniform(5, 20)

    def begin_troubles(self) -> tuple[str, ...]:
        """A tenth of the portals, one of each kind at least, and one that is paused. Returns their names."""
        names = [portal.name for portal in self.script.plan.portals]
        chosen = self._chance.sample(names, min(len(names) // 2, max(len(_TROUBLES), len(names) // 10)))
        for number, name in enumerate(chosen):
            self.city.begin(_TROUBLES[number % len(_TROUBLES)], name)
        paused = next(name for name in names if name not in chosen)
        self.command("pause", paused)
        return paused, *chosen

    def end_troubles(self, troubled: tuple[str, ...]) -> None:
        paused, *others = troubled
        self.command("resume", paused)
        for name in others:
            self.city.mend(name)

    def settle(self, portals: Sequence[str], *, within_s: float) -> bool:
        """Have all websites of these read once more, and wait until all that was told is delivered.

        Returns whether that is so in time.
        """
        plan, seen = self.script.plan, len(self.city.books().requests)
        with ThreadPoolExecutor(_COMMANDS_AT_ONCE) as threads:
            list(threads.map(lambda portal: self.command("run", portal, "--now"), portals))
        unread = {site.website for site in plan.sites if site.portal in portals}
        end = time.time() + within_s
        while time.time() < end:
            books = self.city.books(since=seen)
            seen += len(books.requests)
            unread -= {each.website for each in books.requests if each.what == BEGINNING}
            if not unread and not lost(books, plan):
                return True
            time.sleep(_LOOK_S)
        return False


def run_fleet(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    ended = subprocess.run(
        [COMMAND, "fleet", *arguments], env=environment, check=False, capture_output=True, text=True
    )
    if ended.returncode:
        raise RuntimeError(f"fleet {' '.join(arguments)}: exit code {ended.returncode}\n{ended.stderr}")


def simulate(script: Script, folder: Path, say: Callable[[str], None]) -> Course:
    """Play ``script`` on a database of its own; tell how far it is. Logs go to ``folder``."""
    with staged(script, folder) as stage:
        for _ in range(script.workers):
            stage.start_worker()
        say("the first runs")
        stage.play(stage.begun + 60)
        troubled = stage.begin_troubles()
        say("trouble")
        busy = stage.play(time.time() + script.minutes * 60, deadly=True)
        stage.end_troubles(troubled)
        say("quiet")
        calm = time.time()
        stage.city.fall_quiet()
        stage.play(calm + script.settle_s)
        quiet = stage.play(time.time() + script.quiet_minutes * 60)
        ended = time.time()
        say("the end")
        if not stage.settle(troubled, within_s=_LONGEST_END_S):
            say(f"not delivered: {' '.join(lost(stage.city.books(), script.plan)) or 'some are not read'}")
        return Course(
            script=script,
            begun=stage.begun,
            calm=calm,
            ended=ended,
            troubled=troubled,
            deaths=tuple(stage.deaths),
            busy=busy,
            quiet=quiet,
            connections=stage.connections,
            permits=stage.tables.permits(),
            exit_codes=tuple(stage.workers.stop()),
            books=stage.city.books(),
        )


@contextmanager
def staged(script: Script, folder: Path) -> Iterator[Stage]:
    """A city, a database that ``fleet init`` has prepared, and nobody at work yet."""
    with ExitStack() as stack:
        url = stack.enter_context(database_of_its_own())
        city = stack.enter_context(open_city(script.plan))
        workers = Workers(settle(city, folder, state_url=url), folder, script.concurrency)
        stack.callback(workers.stop)
        run_fleet(["init"], workers.environment)
        tables = stack.enter_context(look_into(url))
        yield Stage(script, city, tables, workers)
