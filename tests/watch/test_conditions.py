"""What an alert watches for: where it holds, how it is named, and what is said of it."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import get_args

import pytest
from fakes import NOW
from hypothesis import given
from hypothesis import strategies as st

from etl.models.traffic import Traffic, TrafficReading
from etl.watch.conditions import Condition, Kind

SITE = "site_1"


def reading(visitors: int, *, hours_ago: int = 0) -> TrafficReading:
    return TrafficReading(SITE, "24h", NOW - timedelta(hours=hours_ago), Traffic(visitors))


@pytest.mark.parametrize(
    ("kind", "limit", "before", "now", "holds"),
    [
        ("above", 5, None, 6, True),
        ("above", 5, None, 5, False),
        ("above", 0, None, 0, False),
        ("above", 0, None, 1, True),
        ("below", 5, None, 4, True),
        ("below", 5, None, 5, False),
        ("below", 0, None, 0, False),
        ("below", 1, None, 0, True),
        ("drop", 20, None, 0, None),
        ("drop", 20, 0, 0, None),
        ("drop", 20, 0, 9, None),
        ("drop", 20, 10, 8, True),
        ("drop", 20, 10, 9, False),
        ("drop", 20, 10, 11, False),
        ("drop", 100, 10, 0, True),
        ("drop", 100, 10, 1, False),
        ("drop", 29, 1000, 710, True),
        ("drop", 33.3, 1000, 667, True),
        ("drop", 33.3, 1000, 668, False),
        ("drop", 0.1, 1000, 1000, False),
    ],
)
def test_above_is_more_below_is_fewer_and_a_drop_is_that_or_more(
    kind: Kind, limit: float, before: int | None, now: int, *, holds: bool | None
) -> None:
    earlier = None if before is None else reading(before, hours_ago=24)

    assert Condition(kind, limit, "24h").holds(reading(now), earlier) is holds


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(1, 1000))
def test_a_drop_is_reckoned_without_an_error(before: int, now: int, tenths: int) -> None:
    holds = Condition("drop", tenths / 10, "24h").holds(reading(now), reading(before))

    assert holds is (Fraction(before - now, before) >= Fraction(tenths, 1000))


def test_what_differs_has_another_name_in_the_state() -> None:
    conditions = [
        Condition(kind, limit, range_)
        for kind in get_args(Kind)
        for limit in (1, 10, 1_234_567, 1_234_568, 12.5, 12.25, 10**9)
        for range_ in ("24h", "7d")
    ]

    assert len({str(each) for each in conditions}) == len(conditions)
    assert str(Condition("drop", 20.0, "24h")) == str(Condition("drop", 20, "24h")) == "drop 20 24h"


@pytest.mark.parametrize(
    ("condition", "begins", "ends", "fails"),
    [
        (
            Condition("above", 1_234_567, "24h"),
            "above 1234567",
            "no longer above 1234567",
            "not above 1234567",
        ),
        (Condition("below", 9, "24h"), "below 9", "no longer below 9", "not below 9"),
        (
            Condition("drop", 12.5, "24h"),
            "a drop of 70 % from 10 at 2026-02-06T12:00:00Z (alert from 12.5 % on)",
            "no longer a drop of 12.5 % from 10 at 2026-02-06T12:00:00Z",
            "not a drop of 12.5 % from 10 at 2026-02-06T12:00:00Z",
        ),
    ],
)
def test_each_sentence_names_the_website_the_count_and_the_limit(
    condition: Condition, begins: str, ends: str, fails: str
) -> None:
    now, before = reading(3), reading(10, hours_ago=24)

    said = [say(now, before) for say in (condition.begins, condition.ends, condition.fails)]

    assert said == [f"{SITE}: 3 visitors in the last 24h, {each}." for each in (begins, ends, fails)]


def test_a_drop_without_a_baseline_can_still_be_told() -> None:
    condition = Condition("drop", 20, "24h")

    assert condition.ends(reading(3), None).endswith("no longer a drop of 20 %.")
    assert condition.begins(reading(3), None).endswith("drop 20.")
