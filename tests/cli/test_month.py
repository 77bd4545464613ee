"""What a schedule costs in a month, which one the plan can afford, and whether the month lasts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NOW

from etl.cli.month import Month, Run, Schedule, observed
from etl.models.reading import Quota

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def polled(*, every: timedelta, requests: int = 1, count: int = 288, sweeps: int = 0) -> list[Run]:
    """Runs at regular intervals; the first of ``sweeps`` runs, but for the very first, cost 20 more."""
    return [
        (NOW - (count - number) * every, requests + (20 if 0 < number <= sweeps else 0))
        for number in range(count)
    ]


def month(schedule: Schedule | None, *, used: int, left: timedelta = 10 * DAY, allowed: int = 9500) -> Month:
    return Month(schedule, Quota(used, 10_000, NOW + left), allowed, NOW)


def test_one_request_every_five_minutes_fits_the_pro_plan() -> None:
    schedule = observed([polled(every=5 * MINUTE)])
    assert schedule == Schedule(5 * MINUTE, 1, 0.0, runs=288)
    assert (schedule.per_month, schedule.shortest(9500)) == (8640, 5 * MINUTE)
    assert month(schedule, used=0).as_object()["schedule"]["fits"]


def test_sweeps_are_counted_by_the_day() -> None:
    schedule = observed([polled(every=5 * MINUTE, sweeps=1)])
    assert schedule
    assert 8640 + 600 <= schedule.per_month <= 8640 + 610


def test_the_first_run_reads_the_past_and_does_not_count() -> None:
    schedule = observed([[(NOW - DAY - 5 * MINUTE, 600), *polled(every=5 * MINUTE)]])
    assert schedule
    assert schedule.per_month == 8640


def test_two_websites_of_two_pages_need_a_longer_interval() -> None:
    schedule = observed([polled(every=5 * MINUTE, requests=2)] * 2)
    assert schedule
    assert (schedule.per_month, schedule.shortest(9500)) == (4 * 8640, 19 * MINUTE)
    assert not month(schedule, used=0).as_object()["schedule"]["fits"]


def test_a_plan_that_suffices_for_no_interval() -> None:
    schedule = observed([polled(every=5 * MINUTE, sweeps=50)])
    assert schedule
    assert schedule.shortest(950) is None
    assert "The shortest interval that fits: none." in month(schedule, used=0, allowed=950).sentence


def test_nothing_is_said_of_two_runs() -> None:
    assert observed([polled(every=MINUTE, count=2), []]) is None
    unknown = month(None, used=9499)
    assert (unknown.warning, unknown.affords_sweep) == (None, True)
    assert "No schedule was observed yet" in unknown.sentence


@pytest.mark.parametrize(("interval", "words"), [(5, "5 min"), (0.5, "30 s"), (1.5, "1 min 30 s")])
def test_intervals_are_told_in_words(interval: float, words: str) -> None:
    assert f"every {words} cost" in month(Schedule(interval * MINUTE, 1), used=0).sentence


def test_whether_the_month_lasts() -> None:
    schedule = Schedule(4.8 * MINUTE, 1)
    assert month(schedule, used=6500).warning is None
    said = month(schedule, used=7000).warning
    assert said
    assert "7000 of 9500 are used" in said
    assert "the rest about 2026-02-15T20:00:00Z" in said


def test_a_sweep_is_left_out_where_it_would_starve_the_runs_to_come() -> None:
    schedule = Schedule(5 * MINUTE, 1, beyond=20)
    afforded = [month(schedule, used=used).affords_sweep for used in (6500, 6599, 6601, 6620, 6621)]
    assert afforded == [True, True, False, False, True]


def test_a_few_runs_that_caught_up_on_days_raise_no_alarm() -> None:
    schedule = observed([polled(every=5 * MINUTE, requests=9, count=5)])
    early = month(schedule, used=9000)
    assert not early.as_object()["schedule"]["fits"]
    assert early.warning is None
