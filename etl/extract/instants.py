"""Instants as Zenovay writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from etl.instants import EARLIEST_YEAR

_CLOCKS = range(EARLIEST_YEAR, 9000)


def http_date(text: str) -> datetime | None:
    """The instant that an HTTP date states, in UTC; None if it states none."""
    try:
        stated = parsedate_to_datetime(text)
        return stated.replace(tzinfo=UTC) if stated.tzinfo is None else stated.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def clock(stated: datetime | None) -> datetime | None:
    """``stated``, unless its year is one that no running clock shows, so that it can be reckoned with."""
    return stated if stated and stated.year in _CLOCKS else None
