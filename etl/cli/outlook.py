"""What is to be expected: until when the month lasts, and when the next run is due. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.models.summary import utc_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from etl.cli.month import Month

_DAY = timedelta(days=1)


def left(month: Month) -> int | None:
    """Requests that the month has for runs yet, without the reserve; None where none was counted."""
    return max(0, month.allowed - month.quota.used) if month.quota else None


def lasts_until(month: Month) -> datetime | None:
    """When they are spent, as runs go on as they do, by the API's clock: the end of the month at the latest.

    None where nothing was counted, or how often runs are started was not seen yet.
    """
    remaining, schedule, quota = left(month), month.schedule, month.quota
    if remaining is None or schedule is None or quota is None:
        return None
    per_day = schedule.polls + schedule.beyond
    days = (quota.resets_at - month.now) / _DAY
    return quota.resets_at if remaining >= per_day * days else month.now + _DAY * remaining / per_day


def month_object(month: Month) -> dict[str, Any]:
    """The keys ``month`` and ``schedule`` of ``status --json``."""
    found = month.as_object()
    if found["month"]:
        until = lasts_until(month)
        found["month"] |= {"left": left(month), "lasts_until": utc_text(until) if until else None}
    return found


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
