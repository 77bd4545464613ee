"""When the next run is due."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fakes import NOW

from etl.cli.outlook import next_run

MINUTE = timedelta(minutes=1)


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
