"""Instants: whole microseconds since 1970, exact and ordered in every database, and texts; and durations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson

CLOCK_YEARS = range(2000, 9000)
"""What says another year is a number in disguise, or the default of a database."""

EARLIEST_YEAR = CLOCK_YEARS.start
"""No website was counted before."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SEPARATORS = ("T", " ", "")


def microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """The inverse of ``microseconds``, in UTC."""
    return _EPOCH + value * _MICROSECOND


def microseconds_or_none(instant: datetime | None) -> int | None:
    return None if instant is None else microseconds(instant)


def instant_or_none(value: int | None) -> datetime | None:
    return None if value is None else instant(value)


def written(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as HubSpot's datetime properties take it.

    orjson writes an instant in a sixth of the time that ``isoformat`` takes, but always in microseconds, or
    without a fraction where it is zero.
    """
    text = orjson.dumps(instant.astimezone(UTC)).decode()
    return f"{text[1:24]}Z" if instant.microsecond else f"{text[1:20]}.000Z"


def parsed(text: str) -> datetime | None:
    """The instant that ``text`` states in ISO 8601, in UTC; None if it states none.

    A date, or a date and a time with a T or a space between; a missing offset means UTC. Digits alone are a
    number, a week is no instant, and none is what UTC cannot express (year 0, year 10000).
    """
    if not _is_dated(text):
        text = text.strip().upper()
        if not _is_dated(text):
            return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is UTC:
        return found
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        return None


def _is_dated(text: str) -> bool:
    """Whether ``text`` begins as ``2026-02-07``, ``2026-02-07T`` or ``20260207T``.

    Python reads more, such as 1712012310234 as a night in the year 1712.
    """
    return (text[4:5] == "-" == text[7:8] and text[10:11] in _SEPARATORS) or text[8:9] == "T"


def duration(text: str) -> timedelta:
    """What ``5m`` or ``1h30m`` means. Raises ValueError, also for digits other than 0 to 9."""
    from durationpy import DurationError, from_str  # noqa: PLC0415 -- only where settings are read

    try:
        if text.isascii():
            found: timedelta = from_str(text.strip())
            return found
    except (DurationError, OverflowError):
        pass
    raise ValueError("is no duration")
