"""Permits from rows that several processes share: the same on both databases, and never too many."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from fakes import NOW
from hammering import CONTEXT, SHORT, hammer, spawned
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from etl.clock import SystemClock
from etl.errors import StateError
from etl.fleet import database, grants
from etl.fleet.database import REVISIONS, open_fleet
from etl.fleet.grants import HUBSPOT, SECOND, ZENOVAY, Learnt, Rule, Standing, Wish
from etl.fleet.limits import SharedRows, stopped
from etl.fleet.tables import metadata
from etl.instants import microseconds
from etl.models.stop import MONTHLY, Stop
from etl.state.failures import LostError

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE = 60 * SECOND
DAY = 24 * 3600 * SECOND


@contextmanager
def opened(url: str) -> Iterator[SharedRows]:
    rows = SharedRows(url)
    try:
        yield rows
    finally:
        rows.close()


def standing(now: int, **facts: Any) -> Standing:
    """A row of this month."""
    return Standing(now, period_ends=ZENOVAY.end_of_period(now), **facts)


def placed(rows: SharedRows, name: str, **facts: Any) -> Standing:
    """A row with these facts; instants are seconds from its now."""

    def made(row: Standing) -> Standing:
        instants = {
            key: row.now + round(facts[key] * SECOND)
            for key in ("paused_until", "stopped_until", "stop_made", "period_ends")
            if key in facts
        }
        stamps = tuple(row.now + round(each * SECOND) for each in facts.get("stamps", ()))
        ends = {"period_ends": ZENOVAY.end_of_period(row.now)}
        return replace(row, **(facts | ends | instants | {"stamps": stamps}))

    return rows.change(name, made, SystemClock())


CASES: dict[str, tuple[dict[str, Any], Wish, tuple[int, str | None]]] = {
    "an empty row gives all": ({}, Wish(5, 30), (5, None)),
    "as many as are free": ({"stamps": [-1.0] * 28}, Wish(5, 30), (2, None)),
    "none where the window is full": ({"stamps": [-1.0] * 30}, Wish(5, 30), (0, "window")),
    "what has left the window does not count": ({"stamps": [-62.3] * 30}, Wish(5, 30), (5, None)),
    "what may still arrive within the window counts": ({"stamps": [-61.0] * 30}, Wish(5, 30), (0, "window")),
    "a stated limit that is lower": ({"stated": 3, "stamps": [-1.0]}, Wish(5, 30), (2, None)),
    "a stated limit that is higher": ({"stated": 40, "stamps": [-1.0] * 30}, Wish(5, 30), (5, None)),
    "stamps of a clock that was put back": ({"stamps": [9000.0] * 30}, Wish(5, 30), (0, "window")),
    "a pause": ({"paused_until": 7.0}, Wish(5, 30), (0, "pause")),
    "a pause that is over": ({"paused_until": -0.1}, Wish(5, 30), (5, None)),
    "a stop": ({"stopped_until": 900.0, "stop_made": -5.0}, Wish(5, 30), (0, "stop")),
    "a stop for who insists": (
        {"stopped_until": 900.0, "stop_made": -5.0},
        Wish(5, 30, insists=True),
        (5, None),
    ),
    "a stop that is made later": ({"stopped_until": 900.0, "stop_made": 5.0}, Wish(5, 30), (5, None)),
    "what is left of the month": ({"used": 98, "stamps": [-100.0]}, Wish(5, 30, most=100), (2, None)),
    "the API's word of the month": ({"used": 98, "period_limit": 99}, Wish(5, 30, most=500), (1, None)),
    "the reserve": ({"used": 94}, Wish(5, 30, most=100, reserve=0.05), (1, None)),
    "only the reserve": ({"used": 95}, Wish(5, 30, most=100, reserve=0.05), (0, "period")),
    "a spent month": ({"used": 100, "stamps": [-3000.0]}, Wish(5, 30, most=100), (0, "period")),
    "once an hour one is tried": ({"used": 100, "stamps": [-3601.0]}, Wish(5, 30, most=100), (1, None)),
    "who tries gets one": ({"used": 100, "stamps": [-5.0]}, Wish(5, 30, most=100, tries=True), (1, None)),
    "a month that is over": ({"used": 100, "period_ends": -1.0}, Wish(5, 30, most=100), (5, None)),
    "a month that cannot be": ({"used": 100, "period_ends": 33 * 86400.0}, Wish(5, 30, most=100), (5, None)),
    "the API's clock is ahead": (
        {"used": 100, "period_ends": 600.0, "ahead": 700 * SECOND},
        Wish(5, 30, most=100),
        (5, None),
    ),
}


def test_what_a_row_gives(state_url: str) -> None:
    with opened(state_url) as rows:
        for name, (facts, wish, expected) in CASES.items():
            before = placed(rows, name, **facts)
            grant = rows.take(name, ZENOVAY, wish, SystemClock())
            assert (grant.granted, grant.why) == expected, name
            after = rows.look(name, SystemClock())
            turns = "is over" in name or "cannot be" in name or "ahead" in name
            assert after.used == (0 if turns else before.used) + grant.granted, name
            assert after.stamps.count(grant.standing.now) >= grant.granted, name
            assert after.period_ends is not None
            assert after.period_ends > after.now + after.ahead, name


_AGES = st.integers(-100 * SECOND, 90 * SECOND)
_ROWS = st.fixed_dictionaries(
    {
        "stamps": st.lists(_AGES, max_size=8).map(tuple),
        "stated": st.none() | st.integers(1, 10),
        "used": st.integers(0, 12),
        "period_limit": st.none() | st.integers(1, 12),
        "period_ends": st.none() | st.integers(-DAY, 40 * DAY),
        "ahead": st.sampled_from([0, -MINUTE, 3 * DAY]),
        "paused_until": st.none() | st.integers(-MINUTE, 200 * SECOND),
        "stopped_until": st.none() | st.integers(-MINUTE, MINUTE),
        "stop_made": st.none() | st.integers(-MINUTE, MINUTE),
    }
)
_INSTANTS = ("period_ends", "paused_until", "stopped_until", "stop_made")
_WISHES = st.builds(
    Wish,
    st.integers(1, 5),
    st.integers(1, 10),
    most=st.none() | st.integers(1, 12),
    reserve=st.sampled_from([0.0, 0.05, 0.29, 0.5]),
    tries=st.booleans(),
    insists=st.booleans(),
)


def test_the_statement_of_postgresql_decides_as_the_arithmetic_does(postgres_url: str) -> None:
    clock = SystemClock()
    with opened(postgres_url) as rows:

        @given(_ROWS, _WISHES, st.sampled_from([ZENOVAY, HUBSPOT, SHORT]))
        @settings(max_examples=300)
        def held_equal(facts: dict[str, Any], wish: Wish, rule: Rule) -> None:
            def made(row: Standing) -> Standing:
                instants = {key: row.now + facts[key] for key in _INSTANTS if facts[key] is not None}
                stamps = tuple(row.now + age for age in facts["stamps"])
                return replace(row, **(facts | instants | {"stamps": stamps}))

            placed_row = rows.change("row", made, clock)
            grant = rows.take("row", rule, wish, clock)
            expected = grants.decide(replace(placed_row, now=grant.standing.now), rule, wish)
            after = rows.look("row", clock)
            assert (grant.granted, grant.limit, grant.why, grant.retry) == (
                expected.granted,
                expected.limit,
                expected.why,
                expected.retry,
            )
            assert replace(after, now=0) == replace(expected.standing, now=0)
            assert replace(grant.standing, stamps=after.stamps) == replace(after, now=grant.standing.now)

        held_equal()


def test_a_full_window_says_when_there_is_room_again() -> None:
    now = microseconds(NOW)
    row = standing(now, stamps=tuple(now - age * SECOND for age in (50, 40, 30)))
    grant = grants.decide(row, ZENOVAY, Wish(5, 2))
    assert (grant.granted, grant.why) == (0, "window")
    later = grants.decide(replace(row, now=now + grant.retry), ZENOVAY, Wish(5, 2))
    assert later.granted == 1
    sooner = grants.decide(replace(row, now=now + grant.retry - 1), ZENOVAY, Wish(5, 2))
    assert sooner.granted == 0


def test_what_was_not_used_can_be_taken_again(state_url: str) -> None:
    clock, wish = SystemClock(), Wish(3, 3, most=100)
    with opened(state_url) as rows:
        taken = rows.take("row", ZENOVAY, wish, clock).standing
        give_back = partial(grants.give_back, rule=ZENOVAY, count=2, ends=taken.period_ends)
        assert rows.take("row", ZENOVAY, wish, clock).granted == 0
        row = rows.change("row", partial(give_back, at=taken.now), clock)
        assert (row.used, len(row.stamps)) == (1, 1)
        assert rows.take("row", ZENOVAY, wish, clock).granted == 2
        row = rows.change("row", partial(give_back, at=taken.now + 1), clock)
        assert (row.used, len(row.stamps)) == (3, 3)


def test_the_api_s_count_holds_what_others_may_be_sending() -> None:
    now = microseconds(NOW)
    row = standing(now, stamps=(now - 30 * SECOND, *[now - SECOND] * 5), used=17)
    learnt = Learnt(used=40, since=now - SECOND, known=1, period_limit=1000)
    assert grants.learn(row, ZENOVAY, learnt).used == 44
    assert grants.learn(row, ZENOVAY, replace(learnt, known=5)).used == 40
    assert grants.learn(row, ZENOVAY, Learnt(refund=1)).used == 16
    counted = grants.learn(row, ZENOVAY, learnt)
    give_back = partial(grants.give_back, rule=ZENOVAY, at=now - SECOND, count=4, ends=row.period_ends)
    assert give_back(counted).used == 40
    assert give_back(replace(counted, now=now + 2 * SECOND)).used == 44
    assert give_back(replace(counted, period_ends=now + 31 * DAY)).used == 44


def test_the_end_of_the_month_is_the_api_s(state_url: str) -> None:
    clock = SystemClock()
    with opened(state_url) as rows:
        row = placed(rows, "row", used=70)
        soon, far = row.now + 5 * DAY, row.now + 60 * DAY

        def learn(learnt: Learnt) -> Standing:
            return rows.change("row", lambda each: grants.learn(each, ZENOVAY, learnt), clock)

        assert learn(Learnt(resets_at=far)).period_ends == row.period_ends
        assert learn(Learnt(resets_at=soon)).period_ends == soon
        row = learn(Learnt(clock=row.now + 6 * DAY))
        assert abs(row.ahead - 6 * DAY) < MINUTE
        assert rows.take("row", ZENOVAY, Wish(1, 30, most=10), clock).standing.used == 1


def test_a_stop_ends_with_what_began_after_it(state_url: str) -> None:
    clock = SystemClock()
    until = clock.now() + timedelta(days=9)
    with opened(state_url) as rows:
        before = rows.look("row", clock).now
        asked = Stop(until, "Spent.", MONTHLY, "somebody")
        rows.change("row", lambda row: stopped(row, asked, ours=clock.now(), since=before), clock)
        row = rows.look("row", clock)
        shown = row.stop(clock.now())
        assert shown is not None
        assert shown._replace(until=until) == asked
        assert abs(shown.until - until) < timedelta(seconds=1)
        assert rows.take("row", ZENOVAY, Wish(1, 30), clock).why == "stop"
        row = rows.change("row", lambda each: stopped(each, None, ours=clock.now(), since=before), clock)
        assert row.stopped
        row = rows.change("row", lambda each: stopped(each, None, ours=clock.now(), since=each.now), clock)
        assert not row.stopped


def test_a_wait_that_cannot_be_meant_is_cut() -> None:
    ours, now = NOW, microseconds(NOW)
    far = Stop(NOW + timedelta(days=400), "Wait.")
    row = stopped(standing(now), far, ours=ours, since=0)
    assert row.stopped_until == now + 3600 * SECOND


@pytest.mark.slow
@pytest.mark.parametrize("most", [None, 25])
def test_four_processes_never_get_more_than_a_limit_allows(most: int | None, state_url: str) -> None:
    """What was given back frees room at once, in the window and in the month."""
    log = CONTEXT.Queue()
    with opened(state_url) as rows:
        rows.look("row", SystemClock())
        workers = spawned(hammer, state_url, 3.0, most, log)
        logs = [log.get(timeout=100) for _ in workers]
        for each in workers:
            each.join(timeout=30)
        row = rows.look("row", SystemClock())
    stamps = sorted(at for log in logs for at, kept in log for _ in range(kept))
    assert row.used == len(stamps)
    assert all(later - first >= SHORT.span for first, later in zip(stamps, stamps[20:], strict=False))
    assert len(stamps) == most if most else len(stamps) >= 40


def test_who_stands_still_amid_a_change_keeps_no_others_waiting(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a container that is paused just then: the server has its row, and would have it for hours."""
    monkeypatch.setattr(database, "STILL_S", 0.3)
    clock = SystemClock()

    def slept_on(row: Standing) -> Standing:
        with opened(postgres_url) as others:
            assert others.take("key", ZENOVAY, Wish(1, 60), clock).granted == 1
        return replace(row, used=1000)

    with opened(postgres_url) as rows:
        rows.take("key", ZENOVAY, Wish(1, 60), clock)
        with pytest.raises(LostError):
            rows.change("key", slept_on, clock)
        assert rows.look("key", clock).used == 2


def test_the_migrations_build_what_the_tables_say(state_url: str) -> None:
    with open_fleet(state_url, SystemClock()) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert list(compare_metadata(context, metadata)) == []


def test_all_revisions_are_known() -> None:
    folder = Path(__file__).parents[2] / "migrations" / "fleet" / "versions"
    assert tuple(sorted(each.name[:4] for each in folder.glob("[0-9]*.py"))) == REVISIONS


def test_a_newer_version_s_tables_are_left_alone(state_url: str) -> None:
    with open_fleet(state_url, SystemClock()) as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with opened(state_url) as rows, pytest.raises(StateError, match="newer visitor-sync") as caught:
        rows.take("row", ZENOVAY, Wish(1, 30), SystemClock())
    assert caught.value.exit_code == 7
