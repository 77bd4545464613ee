"""Instants as Zenovay writes them."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.instants import CLOCK_YEARS

EARLIEST_YEAR = CLOCK_YEARS.start
"""No website was counted before."""

_SEPARATORS = ("T", " ", "")


def instant(text: str) -> datetime | None:
    """The instant that ``text`` states in ISO 8601, in UTC; None if it states none.

    A date, or a date and a time with a T or a space between; a missing offset means UTC. Digits alone are a
    number, a week is no instant, and none is what UTC cannot express (year 0, year 10000).
    """
    if not _is_dated(text):
        text = text.strip().upper()
        if not _is_dated(text):
            return None
    try:
        stated = datetime.fromisoformat(text)
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


def _is_dated(text: str) -> bool:
    """Whether ``text`` begins as ``2026-02-07``, ``2026-02-07T`` or ``20260207T``.

    Python reads more, such as 1712012310234 as a night in the year 1712.
    """
    return (text[4:5] == "-" == text[7:8] and text[10:11] in _SEPARATORS) or text[8:9] == "T"


def clock(stated: datetime | None) -> datetime | None:
    """``stated``, unless its year is one that no running clock shows, so that it can be reckoned with."""
    return stated if stated and stated.year in CLOCK_YEARS else None
