"""What a website's traffic was, as the source counts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class CountryVisitors:
    """``country`` is its English name, or what the source calls it."""

    country: str
    visitors: int


@dataclass(frozen=True, slots=True)
class TrafficDay:
    """``page_views`` is None where the source does not say."""

    day: date
    visitors: int
    page_views: int | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """The counts of one range; None where the source does not give them.

    ``bounce_rate`` is in percent. ``countries`` come with the largest first, ``days`` with the oldest first.
    """

    visitors: int
    page_views: int | None = None
    unique_visitors: int | None = None
    bounce_rate: float | None = None
    countries: tuple[CountryVisitors, ...] = ()
    days: tuple[TrafficDay, ...] = ()


@dataclass(frozen=True, slots=True)
class TrafficReading:
    """What the source said ``at`` an instant of our clock of the last ``range`` of a website."""

    website: str
    range: str
    at: datetime
    traffic: Traffic


RANGES = {"24h": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365}
"""The relative windows of the source, in days; the shortest first."""


def span(range_: str) -> timedelta:
    """How long a range is."""
    return timedelta(days=RANGES[range_])
