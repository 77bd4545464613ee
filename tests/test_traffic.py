"""What a website usually has, and when an answer falls short of it."""

from __future__ import annotations

from datetime import timedelta

from fakes import NOW

from etl.traffic import SLOT_S, a_day_before, merged, shortfall, slot

HOUR = timedelta(hours=1)
SLOT = timedelta(seconds=SLOT_S)
NOW_SLOT = slot(NOW)


def steady(rows: int, *, slots: int, ago: int = 0) -> dict[int, int]:
    """So many rows in each of the last slots before ``ago`` slots ago."""
    return {NOW_SLOT - ago - number: rows for number in range(1, slots + 1)}


def test_the_most_that_any_reading_saw_counts() -> None:
    usual = merged({1: 5, 2: 7}, {2: 3, 3: 1}, since=NOW - timedelta(days=40_000))
    assert usual == {1: 5, 2: 7, 3: 1}


def test_old_slots_are_forgotten() -> None:
    assert merged(steady(1, slots=20), {}, since=NOW - HOUR) == dict(sorted(steady(1, slots=6).items()))


def test_an_answer_of_which_most_is_gone_falls_short() -> None:
    usual = steady(10, slots=12)
    assert shortfall(usual, steady(4, slots=12), since=NOW - 2 * HOUR, until=NOW) == (48, 120)
    assert shortfall(usual, {}, since=NOW - 2 * HOUR, until=NOW) == (0, 120)


def test_an_answer_that_is_nearly_whole_does_not() -> None:
    assert shortfall(steady(10, slots=12), steady(5, slots=12), since=NOW - 2 * HOUR, until=NOW) is None


def test_a_few_rows_say_nothing() -> None:
    assert shortfall(steady(1, slots=12), {}, since=NOW - 2 * HOUR, until=NOW) is None


def test_only_whole_slots_count() -> None:
    usual = steady(100, slots=2)
    assert shortfall(usual, {}, since=NOW - 2 * SLOT + timedelta(seconds=1), until=NOW) == (0, 100)
    assert shortfall(usual, {}, since=NOW - SLOT + timedelta(seconds=1), until=NOW) is None


def test_the_same_time_of_the_day_before() -> None:
    usual = steady(3, slots=6, ago=144)
    assert a_day_before(usual, since=NOW - 2 * HOUR, until=NOW) == 18
    assert a_day_before(usual, since=NOW - 4 * HOUR, until=NOW - 2 * HOUR) == 0
