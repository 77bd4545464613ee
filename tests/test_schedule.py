"""What a schedule costs in a month, and which one the plan can afford."""

from __future__ import annotations

from datetime import timedelta

from fakes import NOW

from etl.models.reading import Quota
from etl.schedule import Advice, Run, advise

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def polled(*, every: timedelta, requests: int = 1, count: int = 288, sweeps: int = 0) -> list[Run]:
    """Runs at regular intervals; the first of ``sweeps`` runs, but for the very first, cost 20 more."""
    return [
        (NOW - (count - number) * every, requests + (20 if 0 < number <= sweeps else 0))
        for number in range(count)
    ]


def test_one_request_every_five_minutes_fits_the_pro_plan() -> None:
    advice = advise([polled(every=5 * MINUTE)], limit=10_000, reserve=0.05)
    assert advice == Advice(5 * MINUTE, 8640, 9500, 5 * MINUTE, runs=288, polls_per_month=8640, dearest=1)
    assert advice.fits


def test_sweeps_are_counted_by_the_day() -> None:
    advice = advise([polled(every=5 * MINUTE, sweeps=1)], limit=10_000, reserve=0.0)
    assert advice
    assert 8640 + 600 <= advice.per_month <= 8640 + 610


def test_the_first_run_reads_the_past_and_does_not_count() -> None:
    runs = [(NOW - DAY - 5 * MINUTE, 600), *polled(every=5 * MINUTE)]
    advice = advise([runs], limit=10_000, reserve=0.0)
    assert advice
    assert advice.per_month == 8640


def test_two_websites_of_two_pages_need_a_longer_interval() -> None:
    advice = advise([polled(every=5 * MINUTE, requests=2)] * 2, limit=10_000, reserve=0.05)
    assert advice
    assert advice.per_month == 4 * 8640
    assert not advice.fits
    assert advice.shortest == 19 * MINUTE


def test_a_plan_that_suffices_for_no_interval() -> None:
    advice = advise([polled(every=5 * MINUTE, sweeps=50)], limit=1000, reserve=0.05)
    assert advice
    assert advice.shortest is None


def test_nothing_is_said_of_two_runs() -> None:
    assert advise([polled(every=MINUTE, count=2), []], limit=1, reserve=0) is None


def test_whether_the_month_lasts() -> None:
    advice = Advice(5 * MINUTE, 9000, 9500, 5 * MINUTE)
    in_ten_days = NOW + 10 * DAY
    assert advice.lasts(Quota(6000, 10_000, in_ten_days), NOW)
    assert not advice.lasts(Quota(7000, 10_000, in_ten_days), NOW)


def test_a_sweep_is_left_out_where_it_would_starve_the_runs_to_come() -> None:
    advice = advise([polled(every=5 * MINUTE, sweeps=1)], limit=10_000, reserve=0.05)
    assert advice
    in_ten_days = NOW + 10 * DAY
    afforded = [
        advice.affords_sweep(Quota(used, None, in_ten_days), NOW, allowed=9500)
        for used in (6500, 6599, 6600, 6620, 6621)
    ]
    assert afforded == [True, True, False, False, True]


def test_a_few_runs_that_caught_up_on_days_raise_no_alarm() -> None:
    advice = advise([polled(every=5 * MINUTE, requests=9, count=5)], limit=10_000, reserve=0.05)
    assert advice
    assert not advice.fits
    assert advice.lasts(Quota(45, 10_000, NOW + 20 * DAY), NOW)
