"""A worker among others that declare something else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from etl.clock import SystemClock
from etl.fleet.database import open_fleet
from etl.fleet.engine import install
from etl.fleet.reaping import free_sites
from etl.fleet.roll import Roll
from etl.fleet.roll import Worker as Who
from etl.fleet.roster import Name, Roster, Site
from etl.fleet.schedule import Schedule
from etl.fleet.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from etl.fleet.engine import Order
    from etl.fleet.outcome import Outcome

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
GAMMA, DELTA = Site("gamma", "c1", "old", HOUR), Site("delta", "d1", "new", MINUTE)
OLD = Roster.of([GAMMA], {"old": 30})
NEW = Roster.of([Site("gamma", "c1", "old", MINUTE), DELTA], {"old": 30, "new": 30})
NOBODY_S = Name("omega", "o1")


class Idle:
    """Work that nobody does."""

    def run(self, site: Site, *, at_once: bool, counts: bool) -> Outcome:
        raise NotImplementedError

    def backfill(self, portal: str, key: str, **window: Any) -> Outcome:
        raise NotImplementedError


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    with open_fleet(f"{postgres_url}?schema=shared", SystemClock()) as connection:
        install(connection)
        yield connection


@pytest.fixture
def older(connection: Connection, postgres_url: str) -> Iterator[Worker]:
    sign_on(connection, OLD)
    worker = Worker(
        f"{postgres_url}?schema=shared",
        OLD,
        Idle(),
        clock=SystemClock(),
        concurrency=1,
        who=Who("host", 1, "1.0"),
    )
    yield worker
    worker._desk.close()


def sign_on(connection: Connection, declares: Roster) -> int:
    """A worker that is alive for the next half a minute."""
    with connection.begin():
        number = connection.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"))
        roll = Roll(connection, Schedule(connection).now)
        roll.sign_on(found := int(number.scalar_one()), Who("host", found, "1.0"), declares)
    return found


def make_due(connection: Connection) -> None:
    with connection.begin():
        connection.execute(text("UPDATE sites SET due_at = 0"))


def queued(worker: Worker) -> set[str]:
    runs: list[Order] = worker._decide(set())[0]
    return {str(order.site) for order in runs}


def test_a_tick_queues_what_any_living_worker_declares(connection: Connection, older: Worker) -> None:
    newer = sign_on(connection, NEW)
    queued(older)  # the look that takes them up
    make_due(connection)

    assert queued(older) == {"gamma/c1", "delta/d1"}
    with connection.begin():
        intervals = connection.execute(text("SELECT every FROM sites")).scalars().all()
        connection.execute(text("DELETE FROM procrastinate_workers WHERE id = :id"), {"id": newer})
    assert intervals == [60, 60], "the newest one's word"
    make_due(connection)
    assert queued(older) == {"gamma/c1"}, "nobody who lives declares delta"


def test_what_a_dead_worker_was_at_is_queued_before_all_others(connection: Connection, older: Worker) -> None:
    dead = sign_on(connection, NEW)
    queued(older)
    with connection.begin():
        roster = Roster.union([OLD, NEW])
        schedule = Schedule(connection)
        schedule.begin(roster.sites[GAMMA.name], dead)
        connection.execute(text("UPDATE sites SET due_at = 0"))
        silent = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour' WHERE id = :id"
        connection.execute(text(silent), {"id": dead})
    sign_on(connection, NEW)

    runs = older._decide(set())[0]

    assert {str(order.site): order.soon for order in runs} == {"gamma/c1": True, "delta/d1": False}


def test_of_two_that_decide_at_once_the_second_sees_what_the_first_did(
    connection: Connection, older: Worker
) -> None:
    dead = sign_on(connection, OLD)
    queued(older)
    with connection.begin():
        Schedule(connection).begin(GAMMA, dead)
        connection.execute(text("DELETE FROM procrastinate_workers"))
    sign_on(connection, OLD)

    with ThreadPoolExecutor() as threads:
        with connection.begin():
            Schedule(connection).take_turns()
            second = threads.submit(queued, older)
            first = free_sites(Schedule(connection))[0]
            assert not second.done()
        assert (first, second.result()) == ([GAMMA.name], {"gamma/c1"})
    with connection.begin():
        assert connection.execute(text("SELECT failures FROM sites")).scalars().all() == [1]


def test_a_job_is_left_to_whoever_lives_and_declares_its_site(connection: Connection, older: Worker) -> None:
    assert DELTA.name not in older._others().sites
    sign_on(connection, NEW)

    assert DELTA.name in older._others().sites
    assert older._others().has("delta", "new")
    assert NOBODY_S not in older._others().sites


def test_a_worker_that_signs_on_again_is_no_newer_for_that(connection: Connection, older: Worker) -> None:
    with connection.begin():
        roll = Roll(connection, Schedule(connection).now)
        older._enter(roll, 100)
    newer = sign_on(connection, NEW)
    with connection.begin():
        roll = Roll(connection, Schedule(connection).now)
        older._enter(roll, 101)

        assert roll.declared([newer, 101]) == [OLD, NEW]
