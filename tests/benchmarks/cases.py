"""The cases: what is run, in which order, on which servers."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from . import rows
from .field import EVERYBODY, FLOOR, PROGRAM, floor, peer, program, with_all_fields
from .measure import ContenderFailedError, Measured, measure
from .servers import World
from .serving import Counted, Serving, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .field import Contender

FIRST = "first run"
UNCHANGED = "unchanged rerun"
NEW = "rerun with 1 % new"
CHANGES = "run with 100 changes"
HELP = "--help"
SKIPPED = "skipped run"
NOTHING_YET = "no-op, no state yet"
NOTHING = "no-op, empty state"
SOURCE_ALONE = "source alone"
CRM_ALONE = "CRM alone"


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for on the command line."""

    rows: int
    sizes: tuple[int, ...]
    names: tuple[str, ...]
    latency_ms: float
    zenovay_per_minute: int
    hubspot_per_10_s: int
    concurrency: int
    cache: Path

    def others(self, *, skip_anonymous: bool = False) -> Iterator[Contender]:
        for name in EVERYBODY:
            if name in self.names and name not in {PROGRAM, FLOOR}:
                yield peer(name, self.cache, skip_anonymous=skip_anonymous)


@dataclass(frozen=True, slots=True)
class Sample:
    """One process in one phase of one case."""

    case: str
    phase: str
    contender: str
    measured: Measured
    counted: Counted


@dataclass(frozen=True, slots=True)
class Bench:
    """A contender with its folder on running servers."""

    case: str
    contender: Contender
    servers: Serving
    folder: Path

    def run(self, phase: str, *, contacts: int | None = None) -> Sample:
        """Measure one run. Raises ContenderFailedError unless HubSpot then holds ``contacts``."""
        environment = self.contender.environment(self.servers, self.folder)
        self.servers.counted()
        measured = measure(self.contender.run, folder=self.folder, environment=environment)
        counted = self.servers.counted()
        if contacts is not None and counted.contacts != contacts:
            name = self.contender.name
            raise ContenderFailedError(f"{name}, {phase}: HubSpot holds {counted.contacts} of {contacts}.")
        return Sample(self.case, phase, self.contender.name, measured, counted)

    def instead(self, *command: str) -> Bench:
        """The same contender, told to do something else."""
        return replace(self, contender=replace(self.contender, run=command))


@contextmanager
def bench(case: str, contender: Contender, world: World) -> Iterator[Bench]:
    with serving(world) as servers, TemporaryDirectory(prefix="benchmark-") as folder:
        yield Bench(case, contender, servers, Path(folder))


def throughput(plan: Plan) -> Iterator[Sample]:
    """Nobody waits for anything: what the work itself costs."""
    world = World(plan.rows)
    if FLOOR in plan.names:
        with bench("throughput", floor(plan.cache, contacts=plan.rows), world) as lowest:
            yield lowest.run(FIRST)
    if PROGRAM in plan.names:
        yield from _three_runs("throughput", program(plan.cache, concurrency=plan.concurrency), world)
    for contender in plan.others():
        yield from _three_runs("throughput", contender, world)


def _three_runs(case: str, contender: Contender, world: World) -> Iterator[Sample]:
    new = max(1, world.rows // 100)
    before, after = (rows.contacts(world.shape, count) for count in (world.rows, world.rows + new))
    with bench(case, contender, world) as opened:
        yield opened.run(FIRST, contacts=before)
        yield opened.run(UNCHANGED, contacts=before)
        opened.servers.arrive(new=new)
        yield opened.run(NEW, contacts=after)


def mixed(plan: Plan) -> Iterator[Sample]:
    """A list that spares nobody: oldest first, rows to leave out, and several visitors of one contact."""
    world = World(plan.rows, shape=rows.MIXED)
    if PROGRAM in plan.names:
        told = program(plan.cache, concurrency=plan.concurrency, skip_anonymous=True)
        yield from _three_runs("mixed", told, world)
    for contender in plan.others(skip_anonymous=True):
        yield from _three_runs("mixed", contender, world)


def fields(plan: Plan) -> Iterator[Sample]:
    """What it costs to sync every field instead of three. Says so where the program cannot."""
    if PROGRAM not in plan.names:
        return
    basic = program(plan.cache, concurrency=plan.concurrency)
    everything = with_all_fields(basic)
    if everything is None:
        print("NOT MEASURED: all fields; this program has no setting SYNC_FIELDS.", file=sys.stderr)
        return
    for contender in (basic, everything):
        yield from _three_runs("fields", contender, World(plan.rows))


def latency(plan: Plan) -> Iterator[Sample]:
    """Both sides take their time; who waits for both at once is done sooner."""
    world = World(plan.rows, latency_ms=plan.latency_ms)
    if FLOOR in plan.names:
        for phase, sides in ((SOURCE_ALONE, "source"), (CRM_ALONE, "crm")):
            lowest = floor(plan.cache, contacts=plan.rows, sides=sides, concurrency=plan.concurrency)
            with bench("latency", lowest, world) as opened:
                yield opened.run(phase)
    if PROGRAM in plan.names:
        with bench("latency", program(plan.cache, concurrency=plan.concurrency), world) as opened:
            yield opened.run(FIRST, contacts=plan.rows)
    for contender in plan.others():
        with bench("latency", contender, world) as opened:
            yield opened.run(FIRST, contacts=plan.rows)


def limits(plan: Plan) -> Iterator[Sample]:
    """Both sides count, and refuse what is too much."""
    world = World(
        plan.rows, zenovay_per_minute=plan.zenovay_per_minute, hubspot_per_10_s=plan.hubspot_per_10_s
    )
    if PROGRAM in plan.names:
        told = program(
            plan.cache,
            concurrency=plan.concurrency,
            zenovay_per_minute=plan.zenovay_per_minute,
            hubspot_per_10_s=plan.hubspot_per_10_s,
        )
        with bench("limits", told, world) as opened:
            yield opened.run(FIRST, contacts=plan.rows)
    for contender in plan.others():
        with bench("limits", contender, world) as opened:
            yield opened.run(FIRST, contacts=plan.rows)


def start(plan: Plan) -> Iterator[Sample]:
    """Nothing to do: what remains is the interpreter and its imports."""
    if PROGRAM in plan.names:
        contender = program(plan.cache, concurrency=plan.concurrency)
        with bench("start", contender, World(0)) as opened:
            yield opened.instead(contender.run[0], "--help").run(HELP)
            yield opened.run(NOTHING_YET)
            yield opened.run(NOTHING)
            yield opened.instead(*contender.run[:2]).run(SKIPPED)
    for contender in plan.others():
        with bench("start", contender, World(0)) as opened:
            yield opened.run(NOTHING_YET)
            yield opened.run(NOTHING)


def scale(plan: Plan) -> Iterator[Sample]:
    """The same with ever more rows, and a small run on each state that this leaves."""
    if PROGRAM in plan.names:
        for size in plan.sizes:
            contender = program(plan.cache, concurrency=plan.concurrency)
            with bench(f"scale, {size:,} rows", contender, World(size)) as opened:
                yield opened.run(FIRST, contacts=size)
                opened.servers.arrive(alone=True)
                yield opened.run(UNCHANGED, contacts=size)
                opened.servers.arrive(new=50, again=50, alone=True)
                yield opened.run(CHANGES, contacts=size + 50)


CASES: dict[str, Callable[[Plan], Iterator[Sample]]] = {
    "start": start,
    "throughput": throughput,
    "mixed": mixed,
    "fields": fields,
    "latency": latency,
    "limits": limits,
    "scale": scale,
}
