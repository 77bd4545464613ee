"""How values read on the page: numbers, shares, days and spans in English, and texts of strangers."""

from __future__ import annotations

import unicodedata
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from babel.dates import format_date

from etl.models.traffic import RANGES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

NOT_GIVEN = "not given"
_MINUS = "\N{MINUS SIGN}"
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_UNITS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def harmless(text: str) -> str:
    r"""``text`` with whatever is not seen, or turns what is around it, written as ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char) in _UNSEEN else char for char in text)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}"


def number(count: float | None) -> str:
    """With thousands separators."""
    return NOT_GIVEN if count is None else f"{count:,}"


def percent(rate: float | None) -> str:
    """Of a rate that is in percent already."""
    return NOT_GIVEN if rate is None else f"{rate:,.1f}%"


def signed(change: float | None) -> str:
    """A change in percent; None is one against nothing."""
    if change is None:
        return "no comparison"
    rounded = round(change, 1)
    if rounded == 0:
        return "unchanged"
    return f"{'+' if rounded > 0 else _MINUS}{percent(abs(rounded))}"


def counted(count: int, word: str, plural: str | None = None) -> str:
    """``3 days``, ``1 day``."""
    return f"{number(count)} {word if count == 1 else plural or word + 's'}"


def span(length: timedelta) -> str:
    """In its two largest units; what is negative, by two clocks, counts as nothing."""
    parts = []
    for word, unit in _UNITS:
        count, length = divmod(max(length, timedelta(0)), unit)
        if count:
            parts.append(counted(count, word))
    return " ".join(parts[:2]) or "less than a minute"


def range_text(range_: str) -> str:
    """Of a relative window of the source: ``last 30 days``."""
    known = RANGES.get(range_)
    if known is None:
        return range_
    return {1: "last 24 hours", 365: "last year"}.get(known, f"last {known} days")


def long_day(day: date) -> str:
    return format_date(day, "d MMMM y", locale="en")


def short_day(day: date) -> str:
    return format_date(day, "d MMM", locale="en")


def table_day(day: date) -> str:
    """As wide for one day as for another, but for the letters."""
    return format_date(day, "EEE d MMM y", locale="en")


def instant(moment: datetime) -> str:
    """In full, UTC."""
    at = moment.astimezone(UTC)
    return f"{long_day(at.date())}, {at:%H:%M:%S} UTC"


def brief_instant(moment: datetime) -> str:
    at = moment.astimezone(UTC)
    return f"{format_date(at.date(), 'd MMM y', locale='en')}, {at:%H:%M} UTC"


def listed(counts: Mapping[str, int]) -> str:
    """``118 done, 2 partial``."""
    return ", ".join(f"{number(count)} {word}" for word, count in counts.items())
