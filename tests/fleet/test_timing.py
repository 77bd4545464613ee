"""When a site is due again, and whose turn it is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from etl.fleet.outcome import Outcome
from etl.fleet.roster import Name, Roster, Site
from etl.fleet.timing import A_MOMENT, AHEAD, Due, Turn, due_again, have_their_turn, on_grid, pause

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY = timedelta(minutes=15)
SITE = Site("acme", "site-1", "agency", EVERY)


def sites(count: int, *, portal: str = "acme", key: str = "agency") -> list[Site]:
    return [Site(portal, f"site-{number}", key, EVERY) for number in range(count)]


def test_a_thousand_sites_come_spread() -> None:
    firsts = [on_grid(site, NOW) for site in sites(1000)]

    assert all(NOW < first <= NOW + EVERY for first in firsts)
    by_minute = Counter((first - NOW) // MINUTE for first in firsts)
    assert len(by_minute) == 15
    assert max(by_minute.values()) < 120


def test_a_site_has_one_grid_whoever_looks_and_whenever() -> None:
    first = on_grid(SITE, NOW)

    assert on_grid(SITE, first - timedelta(microseconds=1)) == first
    assert on_grid(SITE, first) == first + EVERY
    assert on_grid(SITE, first + 1000 * EVERY - MINUTE) == first + 1000 * EVERY


@pytest.mark.parametrize("code", [0, 1, 2, 3, 5, 6])
@pytest.mark.parametrize("late", [timedelta(seconds=1), MINUTE, 7 * MINUTE])
def test_what_a_retry_cannot_mend_is_due_at_its_next_time(code: int, late: timedelta) -> None:
    due = on_grid(SITE, NOW)
    turn = Turn(due + late, now=due + late + MINUTE)

    assert due_again(SITE, Outcome(code), turn) == due + EVERY


@pytest.mark.parametrize("early", [timedelta(seconds=1), AHEAD])
def test_a_run_that_began_a_little_early_is_that_of_its_time(early: timedelta) -> None:
    due = on_grid(SITE, NOW)

    assert due_again(SITE, Outcome(0), Turn(due - early, now=due, due=due)) == due + EVERY


@pytest.mark.parametrize("early", [AHEAD + timedelta(seconds=1), EVERY - timedelta(seconds=1)])
@pytest.mark.parametrize("outcome", [Outcome(0), Outcome(0, rested=True), Outcome(5)])
def test_a_run_before_its_time_leaves_that_as_it_is(outcome: Outcome, early: timedelta) -> None:
    """Such as the second of two that were queued at once."""
    due = on_grid(SITE, NOW)

    assert due_again(SITE, outcome, Turn(due - early, now=due, due=due)) == due


def test_a_time_that_lies_too_far_ahead_is_not_kept() -> None:
    turn = Turn(NOW, now=NOW, due=on_grid(SITE, NOW) + 100 * EVERY)
    assert due_again(SITE, Outcome(0), turn) <= NOW + 2 * EVERY


def test_a_site_that_was_not_read_for_a_day_does_not_catch_up_on_each_time() -> None:
    due = on_grid(SITE, NOW)
    started = due + 96 * EVERY + MINUTE
    turn = Turn(started, now=started + MINUTE)

    assert due_again(SITE, Outcome(0), turn) == due + 97 * EVERY


@pytest.mark.parametrize(
    ("code", "failures", "until", "wait"),
    [
        (130, 0, None, 0 * MINUTE),
        (143, 3, None, 0 * MINUTE),
        (75, 5, None, A_MOMENT),
        (7, 5, None, A_MOMENT),
        (4, 0, None, MINUTE),
        (4, 1, None, 2 * MINUTE),
        (4, 2, None, 4 * MINUTE),
        (4, 4, None, EVERY),
        (4, 4000, None, EVERY),
        (4, 0, NOW - MINUTE, MINUTE),
    ],
)
def test_what_passes_by_is_tried_again_before_that(
    code: int, failures: int, until: datetime | None, wait: timedelta
) -> None:
    turn = Turn(NOW - MINUTE, now=NOW, failures=failures, until=until)

    assert due_again(SITE, Outcome(code), turn) == NOW + wait


def test_after_a_stop_the_sites_of_a_key_come_spread() -> None:
    until = NOW + timedelta(hours=5)
    turn = Turn(NOW, now=NOW, until=until)
    dues = {due_again(site, Outcome(4), turn) for site in sites(100)}

    assert all(until + AHEAD <= due < until + AHEAD + 5 * MINUTE for due in dues)
    assert len(dues) > 50


def test_a_pause_grows_to_its_longest() -> None:
    assert [pause(number, EVERY) // MINUTE for number in range(1, 7)] == [1, 2, 4, 8, 15, 15]


def turns(*due: Due, live: set[Name], roster: Roster) -> list[str]:
    return [str(site.name) for site in have_their_turn(due, live, roster)]


def test_what_waits_or_runs_is_not_queued_again_and_what_is_not_declared_never() -> None:
    roster = Roster.of(sites(3), {"agency": 30})
    due = [Due(site.name) for site in sites(4)]

    assert turns(*due, live={Name("acme", "site-1")}, roster=roster) == ["acme/site-0", "acme/site-2"]


def test_a_key_with_too_many_sites_leaves_room_for_others() -> None:
    many, few = sites(50), sites(2, portal="beta", key="other")
    roster = Roster.of([*many, *few], {"agency": 30, "other": 30})
    live = {site.name for site in many[:25]}

    queued = turns(*(Due(site.name) for site in [*many, *few]), live=live, roster=roster)

    assert queued == [*(f"acme/site-{number}" for number in range(25, 30)), "beta/site-0", "beta/site-1"]


def test_a_portal_that_was_down_gets_one_try() -> None:
    roster = Roster.of(sites(5), {"agency": 30})
    due = [Due(site.name, down=True) for site in sites(5)]

    assert turns(*due, live=set(), roster=roster) == ["acme/site-0"]
    assert turns(*due, live={Name("acme", "site-4")}, roster=roster) == []


def test_a_portal_that_is_slow_keeps_no_other_of_its_key_waiting() -> None:
    slow, other = sites(60), sites(3, portal="beta")
    roster = Roster.of([*slow, *other], {"agency": 30})
    due = [Due(site.name) for site in [*slow, *other]]
    first = turns(*due, live=set(), roster=roster)
    live = {site.name for site in slow[:30]}

    assert len(first) == 30
    assert first[-3:] == [str(site.name) for site in other]
    assert turns(*due, live=live, roster=roster) == [str(site.name) for site in other]
    assert turns(*due[:60], live=live, roster=roster) == []
