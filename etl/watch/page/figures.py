"""Which charts the page has. None stands for one that would be empty."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING

from etl.watch.page.charts import Series, bars, columns, lines
from etl.watch.page.words import counted, harmless, long_day, number, short_day

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.models.summary import SyncedDay
    from etl.models.traffic import TrafficDay
    from etl.watch.report import Report

MOST_BARS = 12
"""Reasons that are drawn; the table has all of them."""

_BESIDE = "The table has every number."


@dataclass(frozen=True, slots=True)
class MonthDay:
    """``total``: the requests of the month up to the end of the day, as far as they are known."""

    day: date
    requests: int
    total: int


def visitors(days: Sequence[TrafficDay]) -> str | None:
    """Visitors a day."""
    values = [each.visitors for each in days]
    if not any(values):
        return None
    most = max(days, key=lambda each: each.visitors)
    says = (
        f"Bar chart of visitors a day, {_from_to(days[0].day, days[-1].day)}:"
        f" at most {number(most.visitors)}, on {long_day(most.day)}. {_BESIDE}"
    )
    hints = [f"{long_day(each.day)}: {counted(each.visitors, 'visitor')}" for each in days]
    return columns(says, [short_day(each.day) for each in days], Series(values, hints))


def delivered(history: Sequence[SyncedDay]) -> str | None:
    """Contacts created and, upon them, updated a day."""
    created, updated = [each.created for each in history], [each.updated for each in history]
    if not any((*created, *updated)):
        return None
    says = (
        f"Stacked bar chart of contacts delivered a day, {_from_to(history[0].day, history[-1].day)}:"
        f" {number(sum(created))} created and {number(sum(updated))} updated in all. {_BESIDE}"
    )
    return columns(
        says,
        [short_day(each.day) for each in history],
        Series(created, [f"{long_day(each.day)}: {number(each.created)} created" for each in history]),
        Series(updated, [f"{long_day(each.day)}: {number(each.updated)} updated" for each in history]),
    )


def by_reason(rejected: Mapping[str, int]) -> dict[str, int]:
    """The largest first."""
    return dict(sorted(rejected.items(), key=lambda pair: (-pair[1], pair[0])))


def rejections(rejected: Mapping[str, int]) -> str | None:
    """The most frequent reasons, the largest first."""
    drawn = [(harmless(reason), count) for reason, count in by_reason(rejected).items()][:MOST_BARS]
    if not any(count for _, count in drawn):
        return None
    says = f"Bar chart of {number(sum(rejected.values()))} rejections by reason. {_BESIDE}"
    hints = [f"{reason}: {number(count)}" for reason, count in drawn]
    return bars(says, [reason for reason, _ in drawn], Series([count for _, count in drawn], hints))


def month_so_far(report: Report) -> list[MonthDay]:
    """The days of the month of the report, by UTC, from the first that its history has."""
    today = report.at.astimezone(UTC).date()
    requests = {each.day: each.requests for each in report.history if _month(each.day) == _month(today)}
    if not requests:
        return []
    days = [day for day in _days(today) if min(requests) <= day <= today]
    each_day = [requests.get(day, 0) for day in days]
    return [MonthDay(*row) for row in zip(days, each_day, accumulate(each_day), strict=True)]


def quota(report: Report, so_far: Sequence[MonthDay]) -> str | None:
    """The requests of the month, day upon day, and its limit, where that is known."""
    limit = report.sync.month_limit
    if not so_far or not so_far[-1].total:
        return None
    days = _days(so_far[-1].day)
    totals = {each.day: each.total for each in so_far}
    says = (
        f"Line chart of requests to Zenovay this month, day upon day: {number(so_far[-1].total)}"
        f" by {long_day(so_far[-1].day)}" + (f", of {number(limit)} allowed. " if limit else ". ") + _BESIDE
    )
    used = Series([totals.get(day) for day in days])
    return lines(says, [short_day(day) for day in days], used, *([Series([limit] * len(days))] * bool(limit)))


def _from_to(first: date, last: date) -> str:
    return f"on {long_day(first)}" if first == last else f"from {long_day(first)} to {long_day(last)}"


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


def _days(day: date) -> list[date]:
    """All days of its month."""
    return [day.replace(day=1) + timedelta(days=past) for past in range(monthrange(*_month(day))[1])]
