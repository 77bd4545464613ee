"""What Zenovay counts of a website's traffic.

Two shapes are documented: ``data.summary`` with ``data.daily_stats`` in the newest reference, and flat
``totalVisitors``, ``totalPageViews``, ``bounceRate``, ``topCountries`` and ``dailyStats`` in older pages
(https://docs.zenovay.com/en/api/), whose server knows the range as ``timeRange``.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from etl import countries
from etl.errors import ContractBrokenError
from etl.extract.payload import UnreadableBodyError, keys_of, opened
from etl.models.traffic import RANGES, CountryVisitors, Traffic, TrafficDay
from etl.redact import vendor_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.extract.client import ZenovayClient

_VISITORS = ("total_visitors", "totalVisitors")
_PAGE_VIEWS = ("total_page_views", "totalPageViews")
_UNIQUE = ("unique_visitors", "uniqueVisitors")
_BOUNCE_RATE = ("bounce_rate", "bounceRate")
_COUNTRIES = ("top_countries", "topCountries", "countries")
_DAYS = ("daily_stats", "dailyStats")
_RANGE = ("range", "timeRange", "time_range")
_OF_COUNTRY = ("visitors", "unique_visitors", "count")
_COUNTRY = ("code", "country_code", "name", "country_name", "country")
_OF_DAY = ("visitors", "total_visitors", "unique_visitors")
_VIEWS_OF_DAY = ("page_views", "pageViews", "pageviews", "total_page_views")
_LONGEST_NAME = 60
_LARGEST = 10**15
"""What is larger is no count of anything, and soon no number that can be written down as JSON."""
_WHOLE_PERCENT = 100.0


def traffic(client: ZenovayClient, website: str, range_: str) -> Traffic:
    """What was counted in the last ``range_``. A second request where an older server took another range.

    Raises the errors of ZenovayClient.get, and ContractBrokenError where that does not help.
    """
    path = f"/analytics/{quote(website, safe='')}"
    for params in ({"range": range_}, {"range": range_, "timeRange": range_}):
        found, stated = client.get(path, params, readable=read_traffic).value
        if stated in (None, range_):
            return found
    raise ContractBrokenError(
        f"Zenovay {path}: the answer is of the last {stated}, where {range_} was asked for.",
        fix="Check ZENOVAY_BASE_URL, and whether the API has changed.",
    )


def read_traffic(body: Any) -> tuple[Traffic, str | None]:
    """The counts in a parsed body, and the range that it states. Raises UnreadableBodyError."""
    envelope = opened(body)
    data = envelope.get("data")
    content: Mapping[str, Any] = data if isinstance(data, dict) else envelope
    summary = content.get("summary")
    counts: Mapping[str, Any] = summary if isinstance(summary, dict) else content
    visitors = _count(_first(counts, _VISITORS))
    if visitors is None:
        raise UnreadableBodyError(f"{keys_of(envelope, data)} and no count of visitors")
    stated = _first(content, _RANGE)
    return Traffic(
        visitors=visitors,
        page_views=_count(_first(counts, _PAGE_VIEWS)),
        unique_visitors=_count(_first(counts, _UNIQUE)),
        bounce_rate=_percent(_first(counts, _BOUNCE_RATE)),
        countries=_countries(_first(counts, _COUNTRIES) or _first(content, _COUNTRIES)),
        days=_days(_first(content, _DAYS)),
    ), stated if isinstance(stated, str) and stated in RANGES else None


def _first(content: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of these that is there and not null."""
    return next((content[name] for name in names if content.get(name) is not None), None)


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= _LARGEST else None


def _percent(value: Any) -> float | None:
    """In percent, as the documentation shows it; what is below one must be a share."""
    if type(value) not in (int, float) or not 0 <= value <= _WHOLE_PERCENT:
        return None
    return round(value * _WHOLE_PERCENT, 2) if 0 < value < 1 else float(value)


def _countries(entries: Any) -> tuple[CountryVisitors, ...]:
    found = list(_read_countries(entries)) if isinstance(entries, list) else []
    return tuple(sorted(found, key=lambda each: (-each.visitors, each.country)))


def _read_countries(entries: list[Any]) -> Iterator[CountryVisitors]:
    for entry in entries:
        if isinstance(entry, dict):
            country, visitors = _country(entry), _count(_first(entry, _OF_COUNTRY))
            if country and visitors is not None:
                yield CountryVisitors(country, visitors)


def _country(entry: Mapping[str, Any]) -> str:
    """Its English name, or what it is called; empty where nothing is said."""
    texts = (text for name in _COUNTRY if isinstance(text := entry.get(name), str) and text.strip())
    stated = next(texts, "")
    code = countries.code(stated)
    return (code and countries.name(code)) or vendor_text(stated)[:_LONGEST_NAME]


def _days(entries: Any) -> tuple[TrafficDay, ...]:
    found = list(_read_days(entries)) if isinstance(entries, list) else []
    return tuple(sorted(found, key=lambda each: each.day))


def _read_days(entries: list[Any]) -> Iterator[TrafficDay]:
    for entry in entries:
        if isinstance(entry, dict):
            day, visitors = _day(entry.get("date")), _count(_first(entry, _OF_DAY))
            if day and visitors is not None:
                yield TrafficDay(day, visitors, _count(_first(entry, _VIEWS_OF_DAY)))


def _day(text: Any) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if isinstance(text, str) else None
    except ValueError:
        return None
