"""Until when the month lasts, and when the next run is due."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NOW

from etl.cli.month import Month, Schedule
from etl.cli.outlook import lasts_until, left, month_object, next_run
from etl.models.reading import Quota

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
EVERY_FIVE = Schedule(5 * MINUTE, 1)
END = NOW + 10 * DAY


def month(used: int | None, schedule: Schedule | None = EVERY_FIVE) -> Month:
    quota = None if used is None else Quota(used, 10_000, END)
    return Month(schedule, quota, 9500, NOW)


def test_requests_last_to_the_end_of_the_month_or_as_long_as_there_are_some() -> None:
    assert (left(month(0)), lasts_until(month(0))) == (9500, END)
    assert (left(month(9500 - 288)), lasts_until(month(9500 - 288))) == (288, NOW + DAY)
    assert (left(month(9800)), lasts_until(month(9800))) == (0, NOW)


def test_nobody_knows_how_long_what_was_not_counted_lasts() -> None:
    assert (left(month(None)), lasts_until(month(None))) == (None, None)
    assert (left(month(7, None)), lasts_until(month(7, None))) == (9493, None)
    assert month_object(month(None))["month"] is None
    assert month_object(month(7, None))["month"]["lasts_until"] is None


@pytest.mark.parametrize(
    ("succeeded", "interval", "stopped", "due"),
    [
        (None, None, None, 4),
        (0, None, None, 4),
        (-60, None, None, -56),
        (-60, 5, None, 5),
        (0, 1, None, 4),
        (0, 5, 90, 90),
        (0, 5, 2, 5),
    ],
)
def test_a_run_is_due_an_interval_after_the_last_and_not_before_it_may_run(
    succeeded: int | None, interval: int | None, stopped: int | None, due: int
) -> None:
    found = next_run(
        started=NOW,
        succeeded=None if succeeded is None else NOW + succeeded * MINUTE,
        interval=None if interval is None else interval * MINUTE,
        rest=4 * MINUTE,
        stopped_until=[] if stopped is None else [NOW + stopped * MINUTE],
    )

    assert found == NOW + due * MINUTE


def test_what_never_ran_is_not_due() -> None:
    assert next_run(started=None, succeeded=None, interval=None, rest=MINUTE, stopped_until=[NOW]) is None
