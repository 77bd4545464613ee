"""Three clocks, of which one is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fakes import NOW
from hypothesis import given
from hypothesis import strategies as st

from etl.models.clocks import FAR, Clocks

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("stated", "date", "believed", "doubted"),
    [
        (None, None, NOW, False),
        (NOW + MINUTE, None, NOW + MINUTE, False),
        (None, NOW - MINUTE, NOW - MINUTE, False),
        (NOW + 5 * MINUTE, NOW, NOW + 5 * MINUTE, False),
        (NOW + 5 * MINUTE + TICK, NOW, NOW, True),
        (NOW - 2 * HOUR, NOW, NOW, True),
        (NOW, NOW - DAY, NOW - DAY, True),
        (NOW + DAY, NOW, NOW, True),
        (NOW, NOW + DAY, NOW, True),
        (NOW + DAY, NOW + DAY, NOW, True),
        (NOW + 2 * HOUR, NOW + 2 * HOUR, NOW + 2 * HOUR, False),
        (NOW + FAR, None, NOW + FAR, False),
        (NOW + FAR + TICK, None, NOW, True),
        (None, NOW + FAR + TICK, NOW, True),
        (NOW - 400 * DAY, NOW - 400 * DAY, NOW - 400 * DAY, False),
    ],
)
def test_which_clock_is_believed(
    stated: datetime | None, date: datetime | None, believed: datetime, *, doubted: bool
) -> None:
    clocks = Clocks(stated, date, NOW)
    assert clocks.believed == believed
    assert (clocks.doubt is not None) is doubted
    for clock in (stated, date, NOW):
        assert clock is None or not doubted or f"{clock:%Y-%m-%dT%H:%M:%SZ}" in str(clocks.doubt)


CLOCK = st.none() | st.datetimes(datetime(2001, 1, 1), datetime(8999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- the strategy adds the zone


@given(stated=CLOCK, date=CLOCK)
def test_no_answer_takes_the_clock_far_ahead_of_ours(stated: datetime | None, date: datetime | None) -> None:
    clocks = Clocks(stated, date, NOW)
    assert clocks.believed <= NOW + FAR
    assert clocks.believed in (stated, date, NOW)
    assert clocks.latest >= clocks.believed
    assert clocks.disagree or clocks.doubt is None
