"""The engine in the schema of the shared tables: its own tables, its queue, and what the dead leave in it."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import UniqueViolation
from procrastinate.schema import SchemaManager
from sqlalchemy import text

from etl.clock import SystemClock
from etl.errors import StateError
from etl.fleet import engine
from etl.fleet.database import SCHEMA, open_fleet, prove_current
from etl.fleet.engine import Engine, Order, install, prove_installed, queue
from etl.fleet.queues import Queues
from etl.fleet.reaping import end_jobs
from etl.fleet.roster import Name
from etl.state.failures import NewerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sqlalchemy import Connection

SITE = Name("acme", "site-1")
ORDER = Order("acme", "main", site=SITE)


class Idle:
    """Duties that nobody calls."""

    async def tick(self) -> None: ...

    async def run(self, name: Name, *, worker: int | None) -> None: ...

    async def backfill(self, number: int) -> None: ...


@pytest.fixture
def url(postgres_url: str) -> str:
    return f"{postgres_url}?schema=shared"


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    with open_fleet(url, SystemClock()) as connection, connection.begin():
        yield connection


@pytest.fixture
def made(url: str) -> str:
    make(url)
    return url


def make(url: str) -> str:
    with open_fleet(url, SystemClock()) as connection:
        return install(connection)


def definition(connection: Connection) -> set[Any]:
    """The engine's tables and functions, as the database has them."""
    columns = text(
        "SELECT table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns"
        " WHERE table_schema = 'shared' AND table_name LIKE 'procrastinate%'"
    )
    functions = text(
        "SELECT proname, pg_get_function_identity_arguments(oid) FROM pg_proc"
        " WHERE pronamespace = 'shared'::regnamespace"
    )
    indexes = text(
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE schemaname = 'shared' AND tablename LIKE 'procrastinate%'"
    )
    return {tuple(row) for question in (columns, functions, indexes) for row in connection.execute(question)}


def test_its_tables_stand_beside_the_shared_ones_and_nowhere_else(url: str) -> None:
    with transaction(url) as connection, pytest.raises(StateError, match=r"not there yet.*fleet init"):
        prove_installed(connection)
    assert [make(url), make(url)] == ["made", "were there"]
    with transaction(url) as connection:
        prove_installed(connection)
        found = connection.execute(
            text("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'procrastinate%'")
        )
        assert found.scalars().all() == ["shared"]


def test_older_tables_are_upgraded_by_its_own_migrations_and_are_then_as_new_ones(url: str) -> None:
    scripts = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    old = [script for script in scripts if script.name < "03.02"]
    make(url)
    with transaction(url) as connection:
        new = definition(connection)
    with transaction(url) as connection:
        raw: Any = connection.connection.driver_connection
        raw.execute("DROP SCHEMA shared CASCADE; CREATE SCHEMA shared")
    for script in old:
        with transaction(url) as connection:
            raw = connection.connection.driver_connection
            raw.execute(script.read_text())
    with transaction(url) as connection:
        connection.execute(engine._NOTE, {"name": engine._FACT, "value": old[-1].name})
        with pytest.raises(StateError, match=r"older version.*fleet init"):
            prove_installed(connection)
    assert make(url) == "upgraded"
    with transaction(url) as connection:
        prove_installed(connection)
        assert definition(connection) == new


def test_tables_of_a_newer_engine_are_left_alone(made: str) -> None:
    with transaction(made) as connection:
        connection.execute(engine._NOTE, {"name": engine._FACT, "value": "99.00.00_01_pre_other.sql"})
    with pytest.raises(NewerError, match="newer visitor-sync"):
        make(made)
    with transaction(made) as connection, pytest.raises(NewerError, match="newer visitor-sync"):
        prove_installed(connection)


def test_shared_tables_of_a_newer_version_are_refused(made: str) -> None:
    with transaction(made) as connection:
        prove_current(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(NewerError, match="9999"):
            prove_current(connection)
    with pytest.raises(NewerError, match="9999"), transaction(made):
        pass
    assert SCHEMA != "9999"


def test_what_is_queued_is_not_queued_again(made: str) -> None:
    assert queue(made, [ORDER, Order("acme", "main", site=Name("acme", "site-2"), soon=True)]) == 2
    assert queue(made, [ORDER, Order("acme", "main", site=Name("acme", "site-3"))]) == 1

    async def defer(found: Engine) -> None:
        more = [Order("acme", "main", site=Name("acme", f"site-{number}")) for number in range(1, 6)]
        assert await found.defer([*more, Order("acme", "main", backfill=3)]) == 3
        assert await found.defer([]) == 0
        assert await found.live() == {*(f"acme/site-{number}" for number in range(1, 6)), "backfill:3"}

    served(made, defer)


def test_a_queue_without_tables_is_told_of(url: str) -> None:
    with pytest.raises(StateError, match="fleet init"):
        queue(url, [ORDER])


def served(url: str, do: Callable[[Engine], Awaitable[None]]) -> None:
    async def serve() -> None:
        found = Engine(url, Idle(), Queues({("acme", "main")}, 1))
        async with found.opened():
            await do(found)

    asyncio.run(serve())


def killed_amid_its_job(url: str) -> None:
    """A job runs, its worker is silent for a minute, and the same site waits in the queue."""
    queue(url, [ORDER])
    with transaction(url) as connection:
        (worker,) = connection.execute(text("SELECT worker_id FROM procrastinate_register_worker_v1()")).one()
        connection.execute(text("SELECT procrastinate_fetch_job_v2(NULL, :id)"), {"id": worker})
        silent = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'"
        connection.execute(text(silent))
    queue(url, [ORDER])
    assert statuses(url) == ["doing", "todo"]


def statuses(url: str) -> list[str]:
    with transaction(url) as connection:
        found = connection.execute(text("SELECT status FROM procrastinate_jobs ORDER BY id"))
        return list(found.scalars())


def test_the_way_that_the_engine_s_documents_show_leaves_the_site_stuck(made: str) -> None:
    """Should this fail, the engine has mended it, and the reaper may use it."""
    killed_amid_its_job(made)

    async def retry() -> None:
        app = App(connector=PsycopgConnector(kwargs=engine._arguments(made)))
        async with app.open_async():
            (stalled,) = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=30)
            with pytest.raises(UniqueViolation):
                await app.job_manager.retry_job(stalled)

    asyncio.run(retry())
    assert statuses(made) == ["doing", "todo"]


def test_the_reaper_ends_the_job_of_a_dead_worker_so_that_the_waiting_one_can_run(made: str) -> None:
    killed_amid_its_job(made)
    with transaction(made) as connection:
        (other,) = connection.execute(text("SELECT worker_id FROM procrastinate_register_worker_v1()")).one()
    assert fetched(made, other) is None, "the lock of the portal is taken"

    served(made, end_jobs)

    assert statuses(made) == ["failed", "todo"]
    assert fetched(made, other) == {"portal": "acme", "website": "site-1"}


def fetched(url: str, worker: int) -> Any:
    """What the engine gives to this worker."""
    with transaction(url) as connection:
        question = text("SELECT args FROM procrastinate_fetch_job_v2(NULL, :id)")
        return connection.execute(question, {"id": worker}).scalar()


def test_two_reapers_do_not_disturb_each_other(made: str) -> None:
    killed_amid_its_job(made)

    async def both(found: Engine) -> None:
        (dead,) = await found.dead()
        assert dead.site == SITE
        assert await found.fail(dead.number)
        assert not await found.fail(dead.number)

    served(made, both)


def test_a_worker_need_not_wait_for_the_minute_to_learn_of_a_death(
    made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its periodic tick is a year away."""
    monkeypatch.setattr(engine, "EACH_MINUTE", "0 0 1 1 *")
    monkeypatch.setattr(engine, "HEARTBEAT_S", 0.2)
    seen: list[list[str]] = []
    ends = time.monotonic() + 30

    class Reaper(Idle):
        async def tick(self) -> None:
            await end_jobs(found)
            seen.append(statuses(made))

    found = Engine(made, Reaper(), Queues({("acme", "main")}, 1))

    async def work() -> None:
        async with found.opened():
            await found.work(
                concurrency=1, on_start=began, stopping=lambda: bool(seen) or time.monotonic() > ends
            )

    async def began(_: int) -> bool:
        return True

    killed_amid_its_job(made)
    asyncio.run(work())
    assert seen[0][0] == "failed"
    assert statuses(made) == ["failed"], "and then the worker did what waited"


def test_a_worker_takes_nothing_of_other_portals_and_nothing_for_a_while_of_one_that_it_left(
    made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LEFT_S", 1.5)
    taken: list[tuple[str, float]] = []
    ends = time.monotonic() + 30

    class Leaver(Idle):
        async def run(self, name: Name, *, worker: int | None) -> None:  # noqa: ARG002 -- as it is declared
            taken.append((str(name), time.monotonic()))
            found.leave(name.portal)
            await found.defer([mine])

    found, mine, other = (
        Engine(made, Leaver(), Queues({("acme", "main")}, 1)),
        ORDER,
        Order("beta", "main", site=Name("beta", "b1"), soon=True),
    )

    async def work() -> None:
        async with found.opened():
            await found.work(
                concurrency=1, on_start=_noted, stopping=lambda: len(taken) > 1 or time.monotonic() > ends
            )

    queue(made, [other, mine])
    asyncio.run(work())
    (first, at), (second, later) = taken
    assert first == second == str(mine.site)
    assert later - at >= 1.5
    with transaction(made) as connection:
        assert str(other.site) in engine.waiting(connection)


def test_a_worker_that_could_not_be_signed_on_is_so_later(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "HEARTBEAT_S", 0.2)
    tried: list[int] = []
    ends = time.monotonic() + 30
    found = Engine(made, Idle(), Queues({("acme", "main")}, 1))

    async def known_at_the_third_try(number: int) -> bool:
        tried.append(number)
        return len(tried) == 3

    async def work() -> None:
        looks = 0

        def stopping() -> bool:
            nonlocal looks
            looks += len(tried) >= 3
            return looks > 2 or time.monotonic() > ends

        async with found.opened():
            await found.work(concurrency=1, on_start=known_at_the_third_try, stopping=stopping)

    asyncio.run(work())
    assert len(tried) == 3
    assert len({*tried}) == 1


def test_old_jobs_are_deleted(made: str) -> None:
    killed_amid_its_job(made)
    served(made, end_jobs)
    with transaction(made) as connection:
        connection.execute(text("UPDATE procrastinate_events SET at = now() - interval '3 hours'"))

    async def clean(found: Engine) -> None:
        await found.clean()

    served(made, clean)
    assert statuses(made) == ["todo"]
    with transaction(made) as connection:
        assert connection.execute(text("SELECT count(*) FROM procrastinate_events")).scalar() == 1


def test_it_ends_where_the_clock_of_its_machine_is_put_back_as_no_tick_would_come_until_then(
    made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = iter([7200.0] * 3 + [0.0] * 100)
    monkeypatch.setattr(engine, "_ahead", lambda: next(ahead))

    async def work(stopping: Callable[[], bool]) -> bool:
        began = Engine(made, Idle(), Queues({("acme", "main")}, 1))
        async with began.opened():
            return await began.work(concurrency=1, on_start=_noted, stopping=stopping)

    assert asyncio.run(asyncio.wait_for(work(lambda: False), 60)) is True
    assert asyncio.run(asyncio.wait_for(work(lambda: True), 60)) is False


async def _noted(_number: int) -> bool:
    return True


def test_the_server_gives_up_the_engine_s_connections_of_a_machine_that_is_gone(made: str) -> None:
    with psycopg.connect(**engine._arguments(made)) as connection:
        found = {
            name: connection.execute(f"SHOW {name}").fetchone()
            for name in ("statement_timeout", "tcp_user_timeout", "tcp_keepalives_idle")
        }
    assert found == {
        "statement_timeout": ("15s",),
        "tcp_user_timeout": ("60000",),
        "tcp_keepalives_idle": ("15",),
    }


def test_the_options_of_the_url_reach_the_engine() -> None:
    found = engine._arguments(
        "postgresql+psycopg://ann@host:6543/base?schema=shared&sslmode=require&options=-c%20work_mem%3D8MB"
    )

    assert found["options"].startswith("-c work_mem=8MB -c statement_timeout=15s ")
    assert found["options"].endswith(" -c search_path=shared")
    assert (found["host"], found["port"], found["dbname"], found["sslmode"]) == (
        "host",
        6543,
        "base",
        "require",
    )
