"""What a schedule costs in a month, which one the plan can afford, and whether the month lasts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NOW

from etl.cli.month import Month, Run, Schedule, observed, together
from etl.models.reading import Quota
from etl.models.summary import utc_text

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
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


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (5, "5 min"),
        (0.5, "30 s"),
        (1.5, "1 min 30 s"),
        (60, "1 h"),
        (235, "3 h 55 min"),
        (24 * 60, "1 d"),
        (25 * 60 + 1, "1 d 1 h"),
    ],
)
def test_intervals_are_told_in_words(interval: float, words: str) -> None:
    assert f"every {words} cost" in month(Schedule(interval * MINUTE, 1), used=0).sentence


def test_whether_the_month_lasts() -> None:
    schedule = Schedule(4.8 * MINUTE, 1)
    assert month(schedule, used=6500).warning is None
    said = month(schedule, used=7000).warning
    assert said
    assert "7000 of 9500 are used" in said
    assert "the rest about 2026-02-15T20:00:00Z" in said
    spent = month(schedule, used=9800).warning
    assert spent
    assert "all 9500 that scheduled runs may send are used, and the month ends at" in spent


def test_a_sweep_is_left_out_where_it_would_starve_the_runs_to_come() -> None:
    schedule = Schedule(5 * MINUTE, 1, beyond=20)
    afforded = [month(schedule, used=used).affords_sweep for used in (6500, 6599, 6601, 6620, 6621)]
    assert afforded == [True, True, False, False, True]


def test_a_few_runs_that_caught_up_on_days_raise_no_alarm() -> None:
    schedule = observed([polled(every=5 * MINUTE, requests=9, count=5)])
    early = month(schedule, used=9000)
    assert not early.as_object()["schedule"]["fits"]
    assert early.warning is None


def test_a_website_that_was_not_observed_costs_a_request_each_time() -> None:
    schedule = observed([polled(every=10 * MINUTE, requests=2), [], polled(every=MINUTE, count=2)])
    assert schedule == Schedule(10 * MINUTE, 4.0, 0.0, runs=288)
    assert together([None] * 50).per_month == 432_000
    assert together([None, Schedule(10 * MINUTE, 2, 3.0)]) == Schedule(10 * MINUTE, 3.0, 3.0)


def test_what_is_left_of_the_month_and_until_when_it_lasts() -> None:
    schedule = Schedule(4.8 * MINUTE, 1)  # 300 a day
    told = [month(schedule, used=used).as_object()["month"] for used in (6500, 7000, 9500, 9999)]
    assert [(each["left"], each["lasts_until"]) for each in told] == [
        (3000, None),
        (2500, "2026-02-15T20:00:00Z"),
        (0, utc_text(NOW)),
        (0, utc_text(NOW)),
    ]
    assert month(None, used=7000).lasts_until is None
    assert month(None, used=9500).lasts_until == NOW


def test_a_month_that_has_ended_leaves_all_of_the_next_one() -> None:
    ended = month(Schedule(4.8 * MINUTE, 1), used=9600, left=-DAY)
    assert (ended.left, ended.lasts_until, ended.stopped) == (9500, None, False)
    assert "9600 were used, until" in ended.sentence


@pytest.mark.parametrize(
    ("used", "stopped", "said"),
    [
        (9499, False, "1 are left"),
        (9500, True, "the last 500 are kept for people (ZENOVAY_RESERVE); `visitor-sync run --now` works"),
        (10_000, True, "but for one request an hour: all 10000 requests of the month are used"),
    ],
)
def test_scheduled_runs_stop_where_only_the_reserve_is_left(used: int, *, stopped: bool, said: str) -> None:
    quota = Quota(used, 10_000, NOW + DAY)
    found = Month(Schedule(HOUR, 1), quota, allowed=9500, now=NOW, reserve=500)
    assert found.stopped is stopped
    assert said in found.sentence
    assert ("Scheduled runs are stopped until" in found.sentence) is stopped


def test_a_plan_that_does_not_hold_the_schedule_is_told_once_it_has_settled() -> None:
    one, many = Month(None, None, 9500, NOW), Month(None, None, 9500, NOW, reserve=500, websites=50)
    assert one.shortfall is None
    assert many.shortfall
    assert "in 15 h 50 min" in many.shortfall
    assert month(Schedule(MINUTE, 1), used=0).shortfall
    assert month(Schedule(MINUTE, 1, runs=5), used=0).shortfall is None


def test_what_fits_most_months_but_not_the_longest_is_said() -> None:
    tight = month(Schedule(5 * MINUTE, 1), used=0, allowed=8700)
    assert "fits the 8700 that the plan leaves, but not in a month of 31 days" in tight.sentence
    assert "every 6 min" in tight.sentence
    assert not tight.as_object()["schedule"]["fits"]
