"""The schedule on a real PostgreSQL: who is due, who runs, how it ended."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select, update

from etl.clock import SystemClock
from etl.fleet.database import open_fleet
from etl.fleet.outcome import Counts, Outcome
from etl.fleet.roll import Roll, Worker
from etl.fleet.roster import Name, Roster, Site
from etl.fleet.schedule import DIED, Schedule
from etl.fleet.slices import Range, Slices, slices_in_turn
from etl.fleet.tables import backfills, limits, portals, sites, workers
from etl.fleet.timing import A_MOMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY = timedelta(minutes=15)
ONE, TWO = Site("acme", "one", "agency", EVERY), Site("acme", "two", "agency", EVERY)
OTHER = Site("beta", "one", "agency", EVERY)
ROSTER = Roster.of([ONE, TWO, OTHER], {"agency": 30})
WORKER = 7


@pytest.fixture
def connection(postgres_url: str) -> Iterator[Connection]:
    with open_fleet(f"{postgres_url}?schema=shared", SystemClock()) as connection:
        with scheduling(connection) as schedule:
            schedule.enrol(ROSTER)
        yield connection


@contextmanager
def scheduling(connection: Connection) -> Iterator[Schedule]:
    with connection.begin():
        yield Schedule(connection)


def make_due(connection: Connection, *due: Site) -> None:
    with scheduling(connection) as schedule:
        for site in due:
            schedule._change(site.name, due_at=schedule.now - MINUTE)


def is_due(connection: Connection) -> list[str]:
    with scheduling(connection) as schedule:
        return [str(each.name) for each in schedule.due()]


def row(connection: Connection, site: Site) -> Any:
    c = sites.c
    with connection.begin():
        where = (c.portal == site.portal, c.website == site.website)
        return connection.execute(select(sites).where(*where)).one()


def portal(connection: Connection, name: str) -> Any:
    with connection.begin():
        return connection.execute(select(portals).where(portals.c.name == name)).one()


def ran(connection: Connection, site: Site, outcome: Outcome) -> Any:
    """The row of a site after a run that ended so."""
    with scheduling(connection) as schedule:
        started = schedule.begin(site, WORKER)
    assert started
    with scheduling(connection) as schedule:
        schedule.end(site, outcome, started=started, longest=EVERY, worker=WORKER)
    return row(connection, site)


def test_a_new_site_is_due_within_its_interval_and_keeps_its_time(connection: Connection) -> None:
    with scheduling(connection) as schedule:
        now = schedule.now
    first = row(connection, ONE).due_at
    with scheduling(connection) as schedule:
        schedule.enrol(ROSTER)

    assert now < first <= now + EVERY
    assert row(connection, ONE).due_at == first


def test_an_interval_that_was_shortened_holds_at_once(connection: Connection) -> None:
    with scheduling(connection) as schedule:
        schedule._change(ONE.name, due_at=schedule.now + EVERY)
        often = Site("acme", "one", "agency", MINUTE)
        schedule.enrol(Roster.of([often], {"agency": 30}))
        now = schedule.now

    assert row(connection, ONE).due_at <= now + MINUTE
    assert row(connection, ONE).every == 60


def test_the_oldest_comes_first_and_nothing_before_its_time(connection: Connection) -> None:
    assert is_due(connection) == []
    with scheduling(connection) as schedule:
        schedule._change(TWO.name, due_at=schedule.now - 2 * MINUTE)
    make_due(connection, ONE)

    assert is_due(connection) == ["acme/two", "acme/one"]


def test_a_paused_portal_is_not_due_and_a_run_that_was_queued_before_does_not_begin(
    connection: Connection,
) -> None:
    make_due(connection, ONE, OTHER)
    with scheduling(connection) as schedule:
        assert schedule.pause("acme")
        assert not schedule.pause("acme")

    assert is_due(connection) == ["beta/one"]
    with scheduling(connection) as schedule:
        assert schedule.begin(ONE, WORKER) is None
    assert row(connection, ONE).worker is None
    with scheduling(connection) as schedule:
        assert schedule.resume("acme")
        assert not schedule.resume("acme")
    assert is_due(connection) == ["acme/one", "beta/one"]


def test_a_run_that_is_done_is_written_down(connection: Connection) -> None:
    make_due(connection, ONE)
    with scheduling(connection) as schedule:
        watermark = schedule.now - timedelta(seconds=5)
    outcome = Outcome(0, run="abc", watermark=watermark, counts=Counts(2, 3))
    found = ran(connection, ONE, outcome)

    assert (found.exit_code, found.run, found.watermark, found.failures) == (0, "abc", watermark, 0)
    assert found.succeeded == found.started <= found.ended < found.due_at <= found.ended + EVERY
    assert (found.worker, found.running_since) == (None, None)
    assert (portal(connection, "acme").contacts_due, portal(connection, "acme").contacts_rejected) == (2, 3)
    assert is_due(connection) == []


def test_a_run_that_rested_is_no_success_and_no_failure(connection: Connection) -> None:
    ran(connection, ONE, Outcome(5, "refused", run="abc"))
    found = ran(connection, ONE, Outcome(0, "too soon", run="def", rested=True))

    assert (found.succeeded, found.run, found.failures) == (None, "abc", 1)
    assert (found.exit_code, found.reason, found.skipped) == (5, "refused", "too soon")
    assert ran(connection, ONE, Outcome(0)).skipped is None


def test_an_outage_leaves_the_whole_portal_alone_longer_each_time_and_no_other(
    connection: Connection,
) -> None:
    waits = []
    for _ in range(6):
        ran(connection, ONE, Outcome(4, "down"))
        found = portal(connection, "acme")
        waits.append((found.resumes_at - row(connection, ONE).ended) // MINUTE)
        with connection.begin():
            connection.execute(update(portals).values(resumes_at=None))

    assert waits == [1, 2, 4, 8, 15, 15]
    make_due(connection, ONE, TWO, OTHER)
    ran(connection, TWO, Outcome(4, "down"))
    make_due(connection, ONE, TWO)
    assert is_due(connection) == ["beta/one"]
    with scheduling(connection) as schedule:
        assert schedule.begin(ONE, WORKER) is None, "queued before it was known to be down"
    ran(connection, OTHER, Outcome(0))
    assert portal(connection, "acme").failures == 7


def test_a_portal_that_answers_again_is_as_others(connection: Connection) -> None:
    ran(connection, ONE, Outcome(4, "down"))
    with scheduling(connection) as schedule:
        schedule.hurry([TWO.name], at_once=False)
    with scheduling(connection) as schedule:
        assert [each.down for each in schedule.due()] == [True]
    ran(connection, TWO, Outcome(3))

    assert (portal(connection, "acme").failures, portal(connection, "acme").resumes_at) == (0, None)


def test_a_stop_of_the_key_is_waited_for_and_is_no_outage_of_the_portal(connection: Connection) -> None:
    with scheduling(connection) as schedule:
        until = schedule.now + timedelta(hours=7)
        row_of_key = {
            "name": "zenovay/agency",
            "stamps": [],
            "stopped_until": until,
            "stop_made": schedule.now,
        }
        connection.execute(insert(limits).values(row_of_key))
    found = ran(connection, ONE, Outcome(4, "spent"))

    assert until <= found.due_at < until + 5 * MINUTE
    assert portal(connection, "acme").resumes_at is None


def test_at_once_holds_for_one_run_also_if_it_is_asked_for_during_another(connection: Connection) -> None:
    with scheduling(connection) as schedule:
        started = schedule.begin(ONE, WORKER)
    with scheduling(connection) as schedule:
        schedule.hurry([ONE.name], at_once=True)
    with scheduling(connection) as schedule:
        assert started
        schedule.end(ONE, Outcome(0), started=started, longest=EVERY, worker=WORKER)

    assert is_due(connection) == ["acme/one"]
    with scheduling(connection) as schedule:
        again = schedule.begin(ONE, WORKER)
    assert again
    assert again.at_once
    assert not row(connection, ONE).at_once


@pytest.mark.parametrize("code", [7, 75, 130, 143])
def test_what_somebody_wants_at_once_is_wanted_until_it_was_tried(connection: Connection, code: int) -> None:
    with scheduling(connection) as schedule:
        schedule.hurry([ONE.name], at_once=True)

    assert ran(connection, ONE, Outcome(code)).at_once
    assert not ran(connection, ONE, Outcome(4)).at_once


def stop(connection: Connection, name: str, wait: timedelta) -> None:
    with scheduling(connection) as schedule:
        facts = {"stopped_until": schedule.now + wait, "stop_made": schedule.now}
        connection.execute(insert(limits).values(name=name, stamps=[], **facts))


def recalled(connection: Connection, roster: Roster) -> timedelta:
    """How long ONE has to wait after a tick."""
    with scheduling(connection) as schedule:
        schedule.recall(roster)
    with scheduling(connection) as schedule:
        wait: timedelta = row_now(connection, ONE).due_at - schedule.now
    return wait


def row_now(connection: Connection, site: Site) -> Any:
    where = (sites.c.portal == site.portal, sites.c.website == site.website)
    return connection.execute(select(sites).where(*where)).one()


def test_a_stop_that_was_lifted_is_not_waited_for(connection: Connection) -> None:
    stop(connection, "zenovay/agency", timedelta(days=20))
    ran(connection, ONE, Outcome(4, "spent"))

    assert recalled(connection, ROSTER) > timedelta(days=19)
    with connection.begin():
        connection.execute(update(limits).values(stopped_until=None, stop_made=None))
    assert recalled(connection, ROSTER) <= EVERY


def test_a_site_that_is_read_with_another_key_does_not_wait_for_the_first_one(connection: Connection) -> None:
    stop(connection, "zenovay/agency", timedelta(days=20))
    ran(connection, ONE, Outcome(4, "spent"))
    moved = Site(ONE.portal, ONE.website, "other", EVERY)

    assert recalled(connection, Roster.of([moved], {"other": 30})) <= EVERY


def test_what_a_clock_that_was_put_back_has_written_keeps_nothing_waiting(connection: Connection) -> None:
    with connection.begin():
        now = Schedule(connection).now
        ahead = Schedule(connection, now + timedelta(days=365))
        started = ahead.begin(ONE, WORKER)
        assert started
        ahead.end(ONE, Outcome(4, "down"), started=started, longest=EVERY, worker=WORKER)

    assert recalled(connection, ROSTER) <= EVERY
    assert portal(connection, "acme").resumes_at is None


def test_a_site_that_is_read_seldom_keeps_its_time(connection: Connection) -> None:
    seldom = Site(ONE.portal, ONE.website, ONE.key, timedelta(days=7))
    with scheduling(connection) as schedule:
        due = schedule.now + timedelta(days=6)
        schedule._change(seldom.name, due_at=due)
        schedule.recall(Roster.of([seldom], {"agency": 30}))

    assert row(connection, ONE).due_at == due


def test_at_once_outlives_the_worker_that_ran_it_and_not_the_run(connection: Connection) -> None:
    with scheduling(connection) as schedule:
        schedule.hurry([ONE.name], at_once=True)
        schedule.begin(ONE, WORKER)
        schedule.begin(TWO, WORKER)
    with scheduling(connection) as schedule:
        schedule.bereave([ONE.name, TWO.name])

    assert (row(connection, ONE).at_once, row(connection, TWO).at_once) == (True, False)
    ran(connection, ONE, Outcome(0))
    with scheduling(connection) as schedule:
        schedule.bereave([ONE.name])
    assert not row(connection, ONE).at_once


def test_what_a_dead_worker_ran_is_due_at_once_and_later_if_it_dies_of_it_again(
    connection: Connection,
) -> None:
    for expected in (0, 1, 2, 4):
        with scheduling(connection) as schedule:
            assert schedule.begin(ONE, WORKER)
        with scheduling(connection) as schedule:
            orphans = schedule.orphans([WORKER + 1])
            schedule.bereave(orphans)
            now = schedule.now
        assert orphans == [Name("acme", "one")]
        assert row(connection, ONE).due_at == now + expected * MINUTE
    assert (row(connection, ONE).exit_code, row(connection, ONE).reason) == (None, DIED)
    with scheduling(connection) as schedule:
        assert schedule.orphans([WORKER + 1]) == []


def test_what_a_dead_worker_ran_keeps_its_place_among_what_is_due(connection: Connection) -> None:
    make_due(connection, ONE)
    with scheduling(connection) as schedule:
        schedule.begin(ONE, WORKER)
        schedule._change(TWO.name, due_at=schedule.now)
    with scheduling(connection) as schedule:
        schedule.bereave(schedule.orphans([]))
    assert is_due(connection) == ["acme/one", "acme/two"]


def test_the_end_of_a_run_does_not_hide_that_another_worker_has_begun_one(connection: Connection) -> None:
    """As after a pause of the process: it was thought dead, and is not."""
    with scheduling(connection) as schedule:
        started = schedule.begin(ONE, WORKER)
    with scheduling(connection) as schedule:
        schedule.begin(ONE, WORKER + 1)
    with scheduling(connection) as schedule:
        assert started
        schedule.end(ONE, Outcome(0), started=started, longest=EVERY, worker=WORKER)

    assert row(connection, ONE).worker == WORKER + 1


def slices(connection: Connection) -> Any:
    with connection.begin():
        return connection.execute(select(backfills).order_by(backfills.c.id)).one()


def test_a_backfill_goes_on_slice_by_slice_to_its_end(connection: Connection) -> None:
    with scheduling(connection) as schedule:
        since, now = schedule.now - timedelta(days=30), schedule.now
        mine = Slices(connection, now)
        assert mine.ask("acme", "agency", since, None)
        assert not mine.ask("acme", "agency", since, None)
        (wanted,) = mine.due()
    for outcome in (Outcome(4, "spent", requests=20, rows=900), Outcome(0, requests=5, rows=80)):
        with scheduling(connection) as schedule:
            mine = Slices(connection, schedule.now)
            begun = mine.begin(wanted.number)
            assert begun
            assert replace(begun, requests=0) == wanted
            mine.end(begun, outcome)

    found = slices(connection)
    assert (found.requests, found.rows, found.exit_code, found.reason) == (25, 980, 0, None)
    assert found.ended_at
    with scheduling(connection) as schedule:
        assert Slices(connection, schedule.now).due() == []
        assert Slices(connection, schedule.now).begin(wanted.number) is None


def test_a_slice_whose_worker_was_taken_for_dead_changes_nothing_that_another_did(
    connection: Connection,
) -> None:
    with scheduling(connection) as schedule:
        mine = Slices(connection, schedule.now)
        mine.ask("acme", "agency", schedule.now - timedelta(days=3), None)
        (frozen,) = mine.due()
        mine.end(frozen, Outcome(4, "spent", requests=20, rows=900))
        mine.end(frozen, Outcome(4, "State database is away", requests=7))
        (last,) = mine.due()
        assert last.requests == 20
        mine.end(last, Outcome(0, requests=5))
        mine.end(last, Outcome(4, "State database is away"))

    found = slices(connection)
    assert (found.requests, found.exit_code, found.reason, found.ended_at is None) == (25, 0, None, False)


def test_a_backfill_with_a_key_that_nobody_declares_any_more_ends_after_an_hour(
    connection: Connection,
) -> None:
    with scheduling(connection) as schedule:
        mine = Slices(connection, schedule.now)
        for key in ("moved", "agency"):
            mine.ask("acme", key, schedule.now - timedelta(days=3), None)
        mine.give_up(ROSTER)
        assert [each.key for each in mine.due()] == ["moved", "agency"]
        later = Slices(connection, schedule.now + timedelta(hours=1, minutes=1))
        later.give_up(ROSTER)
        assert [each.key for each in later.due()] == ["agency"]
        ended = connection.execute(select(backfills).where(backfills.c.key == "moved")).one()
    assert (ended.exit_code, ended.reason) == (2, "Nothing of acme is read with the key moved any more.")


def test_slices_leave_half_of_a_key_s_minute_to_the_runs() -> None:
    roster = Roster.of(
        [Site("acme", "one", "slow", EVERY), Site("acme", "two", "fast", EVERY)], {"slow": 30, "fast": 120}
    )
    slow, fast = ([Range(number, "acme", key, NOW, None) for number in range(5)] for key in ("slow", "fast"))

    assert slices_in_turn([*slow, *fast], [], roster) == [slow[0], *fast[:3]]
    assert slices_in_turn([*slow, *fast], [slow[1], fast[0]], roster) == fast[1:3]
    assert slices_in_turn([Range(1, "acme", "moved", NOW, None)], [], roster) == []


def test_a_run_whose_worker_was_taken_for_dead_changes_nothing_that_another_did(
    connection: Connection,
) -> None:
    with scheduling(connection) as schedule:
        frozen = schedule.begin(ONE, WORKER)
        assert frozen
        schedule.bereave([ONE.name])
    ran(connection, ONE, Outcome(0, watermark=NOW))
    before = row(connection, ONE), portal(connection, "acme")
    late = Outcome(4, "away", watermark=NOW - EVERY)
    with scheduling(connection) as schedule:
        schedule.end(ONE, late, started=frozen, longest=EVERY, worker=WORKER)

    assert (row(connection, ONE), portal(connection, "acme")) == before
    with scheduling(connection) as schedule:
        other = schedule.begin(ONE, WORKER + 1)
    going = row(connection, ONE)
    with scheduling(connection) as schedule:
        schedule.end(ONE, late, started=frozen, longest=EVERY, worker=WORKER)
    assert other
    assert row(connection, ONE) == going


def test_what_is_due_in_a_moment_is_taken_along(connection: Connection) -> None:
    every_minute = Site("acme", "often", "agency", MINUTE)
    with scheduling(connection) as schedule:
        schedule.enrol(Roster.of([ONE, every_minute], {"agency": 30}))
        for site, seconds in ((ONE, 29), (TWO, 32), (every_minute, 14)):
            schedule._change(site.name, due_at=schedule.now + timedelta(seconds=seconds))
    assert set(is_due(connection)) == {"acme/one", "acme/often"}
    with scheduling(connection) as schedule:
        schedule._change(every_minute.name, due_at=schedule.now + timedelta(seconds=18))
    assert is_due(connection) == ["acme/one"]


def test_a_slice_that_was_queued_twice_does_not_begin_before_its_time(connection: Connection) -> None:
    with scheduling(connection) as schedule:
        mine = Slices(connection, schedule.now)
        mine.ask("acme", "agency", schedule.now - timedelta(days=3), None)
        (wanted,) = mine.due()
        mine.end(wanted, Outcome(4, "down"))

        assert mine.begin(wanted.number) is None


def test_a_backfill_does_not_wait_for_a_stop_that_was_lifted(connection: Connection) -> None:
    stop(connection, "zenovay/agency", timedelta(days=20))
    with scheduling(connection) as schedule:
        mine = Slices(connection, schedule.now)
        mine.ask("acme", "agency", schedule.now - timedelta(days=3), None)
        (wanted,) = mine.due()
        mine.end(wanted, Outcome(4, "spent"))
        mine.recall()
        assert mine.due() == []
        connection.execute(update(limits).values(stopped_until=None, stop_made=None))
        mine.recall()
        assert mine.due() == [wanted]


@pytest.mark.parametrize(
    ("outcome", "goes_on", "wait"),
    [
        (Outcome(4, "spent", requests=20), True, timedelta(0)),
        (Outcome(4, "down"), True, MINUTE),
        (Outcome(143), True, timedelta(0)),
        (Outcome(75), True, A_MOMENT),
        (Outcome(7), True, A_MOMENT),
        (Outcome(5, "refused"), False, None),
        (Outcome(2, "wrong"), False, None),
        (Outcome(3), False, None),
    ],
)
def test_a_slice_ends_a_backfill_or_says_when_it_goes_on(
    connection: Connection, outcome: Outcome, *, goes_on: bool, wait: timedelta | None
) -> None:
    with scheduling(connection) as schedule:
        now, mine = schedule.now, Slices(connection, schedule.now)
        mine.ask("acme", "agency", now - timedelta(days=3), now)
        (wanted,) = mine.due()
        mine.end(wanted, outcome)

    found = slices(connection)
    assert (found.ended_at is None) == goes_on
    if wait is not None:
        assert found.due_at == now + wait


def test_a_worker_that_is_gone_is_marked_once_and_forgotten_a_day_later(connection: Connection) -> None:
    who, other = Worker("host", 4711, "1.0"), Worker("host", 4712, "1.0")
    with scheduling(connection) as schedule:
        roll = Roll(connection, schedule.now)
        roll.sign_on(1, other, ROSTER)
        roll.sign_on(2, who, ROSTER)
    with scheduling(connection) as schedule:
        assert Roll(connection, schedule.now).call([2]) == ([other], [])
    with scheduling(connection) as schedule:
        assert Roll(connection, schedule.now).call([2]) == ([], [])
        later = Roll(connection, schedule.now + timedelta(days=2))
        assert later.call([2]) == ([], [])
        assert connection.execute(select(workers.c.id)).scalars().all() == [2]


def test_an_older_number_of_a_process_that_lives_is_not_told_as_a_dead_worker(connection: Connection) -> None:
    who = Worker("host", 4711, "1.0")
    with scheduling(connection) as schedule:
        roll = Roll(connection, schedule.now)
        for number in (1, 2):
            roll.sign_on(number, who, ROSTER)
        assert roll.call([2]) == ([], [])
        assert connection.execute(select(workers.c.id)).scalars().all() == [2]


def test_a_worker_that_was_only_silent_is_not_forgotten(connection: Connection) -> None:
    who = Worker("host", 4711, "1.0")
    with scheduling(connection) as schedule:
        roll = Roll(connection, schedule.now)
        roll.sign_on(1, who, ROSTER)
        assert roll.call([]) == ([who], [])
        assert roll.call([1]) == ([], [who])
        assert roll.call([1]) == ([], [])
        later = Roll(connection, schedule.now + timedelta(days=2))
        assert later.call([1]) == ([], [])
        assert connection.execute(select(workers.c.id)).scalars().all() == [1]
