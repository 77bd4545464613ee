"""A worker: takes jobs from the engine, does them in threads, and writes down how they ended."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from etl.errors import SyncError
from etl.fleet.desk import Desk
from etl.fleet.engine import GONE_WRONG, Engine, Order, living, slice_lock
from etl.fleet.outcome import Outcome
from etl.fleet.queues import Queues
from etl.fleet.reaping import end_jobs, free_sites
from etl.fleet.roll import Roll
from etl.fleet.roster import Roster
from etl.fleet.slices import Slices, slices_in_turn
from etl.fleet.timing import have_their_turn
from etl.state.failures import LostError, NewerError
from etl.state.urls import parse_url, place

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from etl.clock import SystemClock
    from etl.fleet import roll
    from etl.fleet.outcome import Work
    from etl.fleet.roster import Name, Site
    from etl.fleet.schedule import Schedule, Started
    from etl.fleet.slices import Range

log = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE_S = 60.0
"""A database that is away for longer ends the worker; whoever started it starts it again."""

_PAUSE_S = 2.0
_TRIES = 3
_SPARE_THREADS = 2
"""For the tick, and for what is written beside the jobs."""

_BUG = Outcome(SyncError.exit_code, "A bug in this program ended it; the log of the worker has its place.")


class Worker:
    """Works until a signal stops ``clock``. ``who`` it is stands in the shared tables as long as it works."""

    def __init__(
        self, url: str, roster: Roster, work: Work, *, clock: SystemClock, concurrency: int, who: roll.Worker
    ) -> None:
        self._url = url
        self._roster = roster
        self._work = work
        self._clock = clock
        self._concurrency = concurrency
        self._who = who
        self._desk = Desk(url)
        self._threads = ThreadPoolExecutor(concurrency + _SPARE_THREADS, "job")
        self._engine = self._new_engine()
        self._number: int | None = None
        self._started: datetime | None = None
        self._failure: SyncError | None = None

    def _new_engine(self) -> Engine:
        pairs = {(site.portal, site.key) for site in self._roster.sites.values()}
        return Engine(self._url, self, Queues(pairs, self._concurrency))

    def serve(self) -> None:
        """Work. Raises NewerError where a newer version has been here, LostError where the server is away."""
        try:
            asyncio.run(self._serve())
        finally:
            self._threads.shutdown(wait=False)
            self._desk.close()
        if self._failure:
            raise self._failure

    async def _serve(self) -> None:
        lost: float | None = None
        while not self._stopping():
            put_back = await self._work_once()
            if self._stopping():
                return
            if put_back:
                log.warning("the clock was put back", extra={"action": "clock_put_back"})
                continue
            now = self._clock.monotonic()
            lost = now if lost is None or self._number is not None else lost
            if now - lost > PATIENCE_S:
                self._leave(self._away())
            log.warning("the fleet was lost; this worker signs on anew", extra={"action": "fleet_lost"})
            await asyncio.sleep(_PAUSE_S)

    async def _work_once(self) -> bool:
        """Until there is a reason to stop, the database is away, or (returned) the clock was put back."""
        self._engine, self._number = self._new_engine(), None
        try:
            async with self._engine.opened():
                return await self._engine.work(
                    concurrency=self._concurrency, on_start=self._sign_on, stopping=self._stopping
                )
        except GONE_WRONG:
            return False
        finally:
            await self._in_thread(self._sign_off)

    def _stopping(self) -> bool:
        return self._failure is not None or self._clock.interruption() is not None

    def _leave(self, failure: SyncError) -> None:
        """Take no more jobs; those that run go on to their ends."""
        self._failure = self._failure or failure

    def _away(self) -> LostError:
        return LostError(
            f"The database of the fleet at {place(parse_url(self._url))} is away.",
            fix="Nothing is lost; start the worker again once it is back.",
        )

    async def _in_thread(self, do: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, do)

    async def _sign_on(self, number: int) -> bool:
        self._number = number
        return await self._in_thread(lambda: self._note(lambda roll: self._enter(roll, number)))

    def _enter(self, roll: Roll, number: int) -> None:
        """One that lost its database is no newer for that."""
        self._started = roll.sign_on(number, self._who, self._roster, started=self._started)

    def _sign_off(self) -> None:
        number = self._number
        if number is not None:
            self._note(lambda roll: roll.sign_off(number))

    def _note(self, change: Callable[[Roll], None]) -> bool:
        """Have it written down. Returns whether it was."""
        try:
            with self._desk.transaction() as schedule:
                change(Roll(schedule.connection, schedule.now))
        except SyncError as exc:
            self._trouble({"action": "worker_not_recorded"}, exc)
            return False
        return True

    def _trouble(self, action: dict[str, str], exc: Exception) -> None:
        if isinstance(exc, NewerError):
            self._leave(exc)
        what = str(exc) if isinstance(exc, SyncError) else type(exc).__name__
        log.warning("the shared tables could not be used", extra=action | {"why": what})

    async def tick(self) -> None:
        """Free what dead workers held, and queue what is due."""
        try:
            await end_jobs(self._engine)
            live = await self._engine.live()
            runs, slices = await self._in_thread(lambda: self._decide(live))
            queued = await self._engine.defer(runs)
            queued += await self._engine.defer(slices)  # one that waits already is not to slow down the runs
        except (SyncError, *GONE_WRONG) as exc:
            self._trouble({"action": "tick_failed"}, exc)
            return
        log.info("looked for what is due", extra={"action": "tick", "queued": queued, "live": len(live)})

    def _decide(self, live: set[str]) -> tuple[list[Order], list[Order]]:
        """The runs and the slices that are to be queued; before all others what a dead worker was at."""
        with self._desk.transaction() as schedule:
            schedule.take_turns()
            bereaved, declared = free_sites(schedule)
            roster = Roster.union([self._roster, *declared])
            schedule.enrol(roster)
            schedule.recall(roster)
            names = {name for name in roster.sites if str(name) in live}
            sites = have_their_turn(schedule.due(), names, roster)
            slices = Slices(schedule.connection, schedule.now)
            slices.recall()
            slices.give_up(roster)
            due = slices.due()
            going = [each for each in due if slice_lock(each.number) in live]
            ranges = slices_in_turn(due, going, roster)
        return (
            [Order(site.portal, site.key, site=site.name, soon=site.name in bereaved) for site in sites],
            [Order(each.portal, each.key, backfill=each.number) for each in ranges],
        )

    async def run(self, name: Name, *, worker: int | None) -> None:
        """One run of one site."""
        site = self._roster.sites.get(name)
        if site is None:
            facts = {"action": "job_left", "portal_name": name.portal, "website": name.website}
            log.info("this worker's declaration has no such site", extra=facts)
            await self._hand_on(name)
        elif not self._stopping():
            await self._in_thread(lambda: self._run(site, worker))

    async def _hand_on(self, name: Name) -> None:
        """Leave the portal to others for a while, and have one that declares the site take it."""
        self._engine.leave(name.portal)
        with suppress(SyncError, *GONE_WRONG):  # the tick finds it as well
            if site := (await self._in_thread(self._others)).sites.get(name):
                await self._engine.defer([Order(site.portal, site.key, site=name, soon=True)])

    def _others(self) -> Roster:
        """What all that live declare."""
        with self._desk.transaction() as schedule:
            return Roster.union(Roll(schedule.connection, schedule.now).declared(living(schedule.connection)))

    def _run(self, site: Site, worker: int | None) -> None:
        started = self._begin(site, worker)
        if started is None:
            return
        facts = {"portal_name": site.portal, "website": site.website}
        log.info("a job begins", extra={"action": "job_started", **facts})
        outcome = self._guarded(
            lambda: self._work.run(site, at_once=started.at_once, counts=not started.is_counted)
        )
        self._record(
            lambda schedule: schedule.end(
                site, outcome, started=started, longest=self._roster.longest(site.portal), worker=worker
            )
        )
        told: dict[str, Any] = {"exit_code": outcome.exit_code, "run": outcome.run, "rested": outcome.rested}
        told |= {"reason": outcome.reason} if outcome.reason else {}
        log.info("a job ended", extra={"action": "job_finished", **facts, **told})

    def _begin(self, site: Site, worker: int | None) -> Started | None:
        try:
            with self._desk.transaction() as schedule:
                return schedule.begin(site, worker)
        except SyncError as exc:
            self._trouble({"action": "job_not_begun"}, exc)
            return None

    def _guarded(self, do: Callable[[], Outcome]) -> Outcome:
        """How it ended; where it says that a newer version has been at the state, this worker leaves."""
        try:
            outcome = do()
        except Exception as exc:  # noqa: BLE001 -- it promises to raise nothing; a site must not hang on that
            facts = {"action": "unexpected", "error": type(exc).__name__}
            log.error("a job ended with an error", extra=facts)  # noqa: TRY400 -- its values stay out of the log
            return _BUG
        if outcome.is_newer:
            self._leave(NewerError(outcome.reason or "", fix="Upgrade this program."))
        return outcome

    def _record(self, write: Callable[[Schedule], object]) -> None:
        """Have it written down, in a few tries; if that fails, the next tick finds it as a dead worker's."""
        for again in reversed(range(_TRIES)):
            try:
                with self._desk.transaction() as schedule:
                    write(schedule)
            except SyncError as exc:
                if again and not isinstance(exc, NewerError):
                    continue
                self._trouble({"action": "job_not_recorded"}, exc)
            return

    async def backfill(self, number: int) -> None:
        """One slice of a range."""
        if not self._stopping():
            await self._in_thread(lambda: self._slice(number))

    def _slice(self, number: int) -> None:
        if (wanted := self._wanted(number)) is None:
            return
        facts = {"portal_name": wanted.portal, "key": wanted.key}
        log.info("a slice of a backfill begins", extra={"action": "slice_started", **facts})
        outcome = self._guarded(
            lambda: self._work.backfill(wanted.portal, wanted.key, since=wanted.since, until=wanted.until)
        )
        self._record(lambda schedule: Slices(schedule.connection, schedule.now).end(wanted, outcome))
        told: dict[str, Any] = {"exit_code": outcome.exit_code, "requests": outcome.requests}
        told |= {"reason": outcome.reason} if outcome.reason else {}
        log.info("a slice of a backfill ended", extra={"action": "slice_finished", **facts, **told})

    def _wanted(self, number: int) -> Range | None:
        try:
            with self._desk.transaction() as schedule:
                return Slices(schedule.connection, schedule.now).begin(number)
        except SyncError as exc:
            self._trouble({"action": "job_not_begun"}, exc)
            return None
