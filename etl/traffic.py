"""How many rows a website has in ten minutes, and whether an answer falls short of that. Pure.

An API that is out of order may answer well-formed and empty. What was read before says how much there must
be: rows do not leave a range before their time, except where a visitor has one row only, which moves on
with every visit.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SLOT_S = 600
MEMORY = timedelta(hours=26)
"""A day, to compare with the same hour, and what a run may come late."""

ENOUGH = 20
"""Fewer rows than this say nothing."""

_FRACTION = 0.5
_DAY = timedelta(days=1)


def slot(instant: datetime) -> int:
    """The number of the ten minutes that ``instant`` lies in, since 1970."""
    return int(instant.timestamp()) // SLOT_S


def merged(usual: Mapping[int, int], seen: Mapping[int, int], *, since: datetime) -> dict[int, int]:
    """The most rows that any reading has seen in each slot, from ``since`` on."""
    first = slot(since)
    slots = sorted(number for number in {*usual, *seen} if number >= first)
    return {number: max(usual.get(number, 0), seen.get(number, 0)) for number in slots}


def without(usual: Mapping[int, int], left: Mapping[int, int]) -> dict[int, int]:
    """``usual``, less the rows that may have moved on to a later slot."""
    return {number: max(0, rows - left.get(number, 0)) for number, rows in usual.items()}


def shortfall(
    usual: Mapping[int, int], seen: Mapping[int, int], *, since: datetime, until: datetime
) -> tuple[int, int] | None:
    """How many rows of ``[since, until)`` are seen now, and were seen before, if most of them are gone.

    Only slots that lie wholly in between count.
    """
    wanted = [number for number in usual if since <= _begin(number) and _begin(number + 1) <= until]
    before, now = sum(usual[number] for number in wanted), sum(seen.get(number, 0) for number in wanted)
    return (now, before) if before >= ENOUGH and now < _FRACTION * before else None


def a_day_before(usual: Mapping[int, int], *, since: datetime, until: datetime) -> int:
    """How many rows there were in the same time of the day before."""
    first, last = slot(since - _DAY), slot(until - _DAY)
    return sum(rows for number, rows in usual.items() if first < number < last)


def _begin(number: int) -> datetime:
    return datetime.fromtimestamp(number * SLOT_S, UTC)
