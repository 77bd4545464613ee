"""When the next run of a website is due. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta


def next_run(
    *,
    started: datetime | None,
    succeeded: datetime | None,
    interval: timedelta | None,
    rest: timedelta,
    stopped_until: Iterable[datetime],
) -> datetime | None:
    """When the next run of a website is due; None where none was ever started.

    It is an ``interval`` behind the one that was ``started`` last, where one was seen, and never less than
    ``rest`` behind the last good one, nor before a stop has ended.
    """
    if started is None:
        return None
    due = started + interval if interval else (succeeded or started) + rest
    rested = succeeded + rest if succeeded else due
    return max(due, rested, *stopped_until)
