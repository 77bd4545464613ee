"""Instants as numbers: whole microseconds since 1970, exact, and ordered in every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

CLOCK_YEARS = range(2000, 9000)
"""What says another year is a number in disguise, or the default of a database."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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
