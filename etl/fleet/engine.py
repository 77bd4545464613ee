"""The engine: procrastinate's queue, in the schema of the shared tables. The only module that knows it.

It retries nothing: what is to be done again is due again in the schedule. A job of a site has the site as its
``queueing_lock``, so that it waits once, and the portal as its ``lock``, so that one of a portal runs.
"""

from __future__ import annotations

import asyncio
import logging
import re
import select
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import psycopg
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.schema import SchemaManager
from procrastinate.worker import Worker
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text

from etl.errors import StateError
from etl.fleet.database import ALONE, newer
from etl.fleet.queues import queue_of
from etl.fleet.roster import Name
from etl.state.database import unhurried
from etl.state.failures import translated
from etl.state.postgres import CLIENT, SERVER
from etl.state.urls import SCHEMA, parse_url, place, schema_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from sqlalchemy import URL, Connection

    from etl.fleet.queues import Queues

log = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
STALE_S = 30.0
"""A worker that was silent for so long is dead: three heartbeats."""

EACH_MINUTE = "* * * * *"
_EACH_HOUR = "17 * * * *"
_FIRST_LOOK_S = 0.1
_LOOK_S = 1.0
"""How often a worker looks whether it is to stop; until it has begun to work, it looks more often."""

_POLL_S = 1.0
"""Nobody tells a worker that the lock of a waiting job is free: it looks."""

_LEFT_S = 10.0
"""A portal that a worker does not know wholly is left to others for so long; they look far more often."""

_PUT_BACK_S = 45.0
"""A clock that lost less than that leaves out no more than a tick."""

_PATIENCE_S = 10.0
_POOL: dict[str, Any] = {"min_size": 1, "max_size": 3, "timeout": _PATIENCE_S}
_SERVER = {"statement_timeout": "15s", **SERVER}
_RUN, _BACKFILL, _TICK, _CLEAN = "run", "backfill", "tick", "clean"
_URGENT, _SOON, _USUAL, _SPARE = 100, 50, 10, 0
_KEPT_HOURS = 1

_FACT = "engine_schema"
_VERSION = re.compile(r"\d\d\.\d\d\.\d\d_\d\d_\w+\.sql")

GONE_WRONG = (ConnectorException, psycopg.Error)
"""What the engine raises where its database is away."""


class Order(NamedTuple):
    """A job to be queued: a run of ``site``, or a slice of ``backfill``, with this ``key``.

    ``soon``: before all others.
    """

    portal: str
    key: str
    site: Name | None = None
    backfill: int | None = None
    soon: bool = False


class Dead(NamedTuple):
    """A job that is said to run, and whose worker is dead."""

    number: int
    site: Name | None


class Duties(Protocol):
    """What a worker is called for. Nothing of it raises."""

    async def tick(self) -> None:
        """See to it that what is due is done; each minute, and where a worker has died amid a job."""
        ...

    async def run(self, name: Name, *, worker: int | None) -> None: ...

    async def backfill(self, number: int) -> None: ...


class _Pool(AsyncConnectionPool[Any]):
    """Connections whose first one is not waited for longer than for any other."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"check": _not_closed})

    async def open(self, wait: bool = False, timeout: float = _PATIENCE_S) -> None:  # noqa: FBT001, FBT002, ASYNC109 -- as it is declared there
        await super().open(wait=wait, timeout=timeout)


async def _not_closed(connection: psycopg.AsyncConnection[Any]) -> None:
    """Ask the server only where it may have closed this idle connection: then there is something to read."""
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    if look.poll(0):
        await AsyncConnectionPool.check_connection(connection)


class Engine:
    """The queue, for a worker; to be used between ``opened``."""

    def __init__(self, url: str, duties: Duties, queues: Queues) -> None:
        self._queues = queues
        self._app = App(connector=PsycopgConnector(pool_factory=_Pool, kwargs=_arguments(url), **_POOL))
        self._jobs = self._app.job_manager
        self._duties = duties
        self._doing: set[int | None] = set()
        self._missing: set[int] = set()
        self._ticks: set[int | None] = set()
        self._register(duties)

    def _register(self, duties: Duties) -> None:
        app = self._app

        @app.periodic(cron=EACH_MINUTE, queueing_lock=_TICK, priority=_URGENT)
        @app.task(name=_TICK)
        async def tick(timestamp: int) -> None:  # noqa: ARG001 -- the engine passes it
            await duties.tick()

        @app.periodic(cron=_EACH_HOUR, queueing_lock=_CLEAN, priority=_URGENT)
        @app.task(name=_CLEAN)
        async def clean(timestamp: int) -> None:  # noqa: ARG001 -- likewise
            await self.clean()

        @app.task(name=_RUN, pass_context=True)
        async def run(context: Any, portal: str, website: str) -> None:
            await duties.run(Name(portal, website), worker=context.job.worker_id)

        @app.task(name=_BACKFILL)
        async def backfill(number: int) -> None:
            await duties.backfill(number)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        async with self._app.open_async():
            yield

    async def work(
        self, *, concurrency: int, on_start: Callable[[int], Awaitable[bool]], stopping: Callable[[], bool]
    ) -> bool:
        """Do what is queued until ``stopping`` says so, and until what runs then has ended.

        Returns before that, or raises GONE_WRONG, where the database was lost. A worker that waits for its
        last jobs goes on showing that it is alive. Returned is whether this machine's clock was put back: the
        engine would wait until it shows again what it has shown, and is to be begun anew.
        """
        worker = Worker(
            app=self._app,
            queues=self._queues.open,
            concurrency=concurrency,
            install_signal_handlers=False,
            fetch_job_polling_interval=_POLL_S,
            listen_notify=False,
            delete_jobs="successful",
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=STALE_S,
            worker_middleware=[self._noted],
        )
        running = asyncio.create_task(worker.run())  # type: ignore[no-untyped-call]  # it has no annotations
        number, is_known, looked, shown = None, False, time.monotonic(), _ahead()
        while not (await asyncio.wait({running}, timeout=_LOOK_S if number else _FIRST_LOOK_S))[0]:
            if number is None and worker.worker_id is not None:
                number = worker.worker_id
                is_known = await on_start(number)
            if stopping() or _ahead() < shown - _PUT_BACK_S:
                worker.stop()  # type: ignore[no-untyped-call]  # likewise
            if number is not None and time.monotonic() - looked >= HEARTBEAT_S:
                looked = time.monotonic()
                is_known = is_known or await on_start(number)
                with suppress(*GONE_WRONG):
                    await self._look_after(number, stopping=stopping())
        await running
        return _ahead() < shown - _PUT_BACK_S

    async def _noted(self, call: Callable[[], Awaitable[Any]], context: Any, _worker: Worker) -> Any:
        """A job, which is noted as long as it is done."""
        job: Job = context.job
        self._queues.take(job.queue)
        self._doing.add(job.id)
        try:
            return await call()
        finally:
            self._queues.release(job.queue)
            self._doing.discard(job.id)

    async def _look_after(self, number: int, *, stopping: bool) -> None:
        """End what this worker is said to do, and does not, and see whether a tick is needed.

        It is where another worker has died amid a job, and where a tick waits since all places are taken.

        One that is ``stopping`` shows that it is alive, for the engine does not any more. The engine writes
        the end of a job down once. Where that fails, the job would hold its portal as long as this worker
        lives; one that is missed at two looks is no longer on its way.
        """
        if stopping:
            await self._jobs.update_heartbeat(number)
        elif await self.dead() or await self._tick_waits():
            await self._duties.tick()
        said = {
            job.id for job in await self._jobs.list_jobs_async(status="doing", worker_id=number) if job.id
        }
        missing = said - self._doing
        for job in missing & self._missing:
            if await self.fail(job):
                log.warning("a job was over, and still held its portal", extra={"action": "job_let_go"})
        self._missing = missing

    async def _tick_waits(self) -> bool:
        """Whether one does that did so at the last look: most are taken within a second."""
        found = {job.id for job in await self._jobs.list_jobs_async(status="todo", task=_TICK)}
        before, self._ticks = self._ticks, found
        return not found.isdisjoint(before)

    def leave(self, portal: str) -> None:
        """Take nothing of this portal for a while, so that another worker does."""
        self._queues.leave(portal)
        asyncio.get_running_loop().call_later(_LEFT_S, self._queues.back, portal)

    async def live(self) -> set[str]:
        """Which runs and slices are queued or running, by their queueing locks."""
        found = [
            *await self._jobs.list_jobs_async(status="todo"),
            *await self._jobs.list_jobs_async(status="doing"),
        ]
        return {job.queueing_lock for job in found if job.queueing_lock} - {_TICK, _CLEAN}

    async def dead(self) -> list[Dead]:
        """The jobs of workers that are dead."""
        found = await self._jobs.get_stalled_jobs(seconds_since_heartbeat=STALE_S)
        return [Dead(job.id, _site(job)) for job in found if job.id is not None]

    async def fail(self, number: int) -> bool:
        """End a job of a dead worker as failed; its lock is free then. Returns whether nobody else has.

        Not ``retry_job``: that would queue it, and fails where the same site is queued already.
        """
        try:
            await self._jobs.finish_job_by_id_async(number, status=Status.FAILED, delete_job=False)
        except ConnectorException as exc:
            if isinstance(exc.__cause__, psycopg.errors.RaiseException):
                return False
            raise
        return True

    async def defer(self, orders: Sequence[Order]) -> int:
        """Queue these; what is queued already is passed over. Returns how many are new."""
        jobs = [_job(self._app, order) for order in orders]
        if not jobs:
            return 0
        try:
            return len(await self._jobs.batch_defer_jobs_async(jobs))
        except AlreadyEnqueued:
            pass
        queued = 0
        for job in jobs:
            with suppress(AlreadyEnqueued):
                await self._jobs.defer_job_async(job)
                queued += 1
        return queued

    async def clean(self) -> None:
        """Delete what is over; what succeeded is deleted at once."""
        await self._jobs.delete_old_jobs(
            _KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
        )


def _ahead() -> float:
    """How far this machine's clock is ahead of one that never steps."""
    return time.time() - time.monotonic()


def queue(url: str, orders: Sequence[Order]) -> int:
    """Queue these, from outside of a worker. Returns how many were not queued already. Raises StateError."""
    app = App(connector=SyncPsycopgConnector(kwargs=_arguments(url), **_POOL))
    queued = 0
    try:
        with app.open():
            for order in orders:
                with suppress(AlreadyEnqueued):
                    app.job_manager.defer_job(_job(app, order))
                    queued += 1
    except GONE_WRONG as exc:
        raise StateError(
            f"The queue at {place(parse_url(url))} cannot be used.", fix="Run visitor-sync fleet init."
        ) from exc
    return queued


def slice_lock(backfill: int) -> str:
    """The queueing lock of a slice of this backfill."""
    return f"{_BACKFILL}:{backfill}"


def _job(app: App, order: Order) -> Job:
    priority = _SOON if order.soon else _SPARE if order.site is None else _USUAL
    if order.site is None:
        task, lock, facts = _BACKFILL, slice_lock(order.backfill or 0), {"number": order.backfill}
    else:
        task, lock, facts = _RUN, str(order.site), order.site._asdict()
    made = app.configure_task(
        task,
        queue=queue_of(order.portal, order.key),
        lock=order.portal,
        queueing_lock=lock,
        priority=priority,
    )
    return made.make_new_job(**facts)


def _site(job: Job) -> Name | None:
    facts: dict[str, Any] = job.task_kwargs
    return Name(**facts) if job.task_name == _RUN else None


def living(connection: Connection) -> dict[int, float]:
    """The engine's workers that are alive, and for how many seconds each was silent."""
    rows = connection.execute(_LIVING, {"stale": STALE_S})
    return {number: float(silent) for number, silent in rows}


_LIVING = text(
    "SELECT id, extract(epoch FROM now() - last_heartbeat) FROM procrastinate_workers"
    " WHERE last_heartbeat > now() - make_interval(secs => :stale)"
)
_WAITING = text(
    "SELECT queueing_lock FROM procrastinate_jobs WHERE status = 'todo' AND queueing_lock IS NOT NULL"
)


def waiting(connection: Connection) -> set[str]:
    """What is queued and not running yet, by its queueing lock."""
    return set(connection.execute(_WAITING).scalars())


def install(connection: Connection) -> str:
    """Make the engine's tables beside the shared ones, or upgrade them, outside of a transaction.

    Each of its migrations has a transaction of its own: some use what the one before must have committed.
    Returns what was done, as the end of a sentence. Raises NewerError where a newer version has been here.
    """
    done = "were there"
    while step := _step(connection):
        done = step
    return done


def _step(connection: Connection) -> str | None:
    """Go on by one transaction; None where there is nothing to do. Two that begin at once take turns."""
    with translated(connection.engine.url), connection.begin(), unhurried(connection):
        connection.execute(ALONE)
        found, raw = noted_version(connection), _raw(connection)
        if found is None:
            raw.execute(SchemaManager.get_schema())
            connection.execute(_NOTE, {"name": _FACT, "value": version()})
            return "made"
        if found > version():
            raise newer(connection, f"engine {found}")
        script = next((each for each in _scripts() if each.name > found), None)
        if script is None:
            return None
        raw.execute(script.read_text())
        connection.execute(_NOTE, {"name": _FACT, "value": script.name})
        return "upgraded"


def _raw(connection: Connection) -> Any:
    return connection.connection.driver_connection


_NOTE = text(
    "INSERT INTO facts (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value"
)


def prove_installed(connection: Connection) -> None:
    """Raise StateError unless the engine's tables are there, and of this version."""
    found = noted_version(connection)
    if found == version():
        return
    where = place(connection.engine.url)
    if found and found > version():
        raise newer(connection, f"engine {found}")
    what = "are of an older version" if found else "are not there yet"
    raise StateError(
        f"The engine's tables at {where} {what}.", fix="Run visitor-sync fleet init, then start this again."
    )


def noted_version(connection: Connection) -> str | None:
    return connection.execute(text("SELECT value FROM facts WHERE name = :name"), {"name": _FACT}).scalar()


def version() -> str:
    """The engine's last migration, by which its tables are known."""
    return _scripts()[-1].name


def _scripts() -> list[Path]:
    folder = Path(SchemaManager.get_migrations_path())
    return sorted(path for path in folder.iterdir() if _VERSION.fullmatch(path.name))


def _arguments(url: str) -> dict[str, Any]:
    """What psycopg is to be called with, so that the URL's schema is the only one that is looked into.

    Whatever the engine asks is one statement, and needs no transaction around it.
    """
    parsed: URL = parse_url(url)
    _, arguments = parsed.get_dialect()().create_connect_args(parsed.difference_update_query([SCHEMA]))
    schema = schema_of(parsed)
    ours = _SERVER | ({"search_path": schema} if schema else {})
    options = [arguments.pop("options", ""), *(f"-c {name}={value}" for name, value in ours.items())]
    return {**CLIENT, **arguments, "autocommit": True, "options": " ".join(options).lstrip()}
