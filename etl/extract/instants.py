"""Instants as Zenovay writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_CLOCKS = range(2000, 9000)


def instant(text: str) -> datetime | None:
    """The instant that ``text`` states in ISO 8601, in UTC; None if it states none.

    A missing offset means UTC. An instant that UTC cannot express (year 0, year 10000) is none.
    """
    try:
        stated = datetime.fromisoformat(text)
    except ValueError:
        try:
            stated = datetime.fromisoformat(text.strip().upper())
        except ValueError:
            return None
    if stated.tzinfo is UTC:
        return stated
    if stated.tzinfo is None:
        return stated.replace(tzinfo=UTC)
    try:
        return stated.astimezone(UTC)
    except OverflowError:
        return None


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
