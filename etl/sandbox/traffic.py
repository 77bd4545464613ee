"""The counts of a website that its rows come to, in the newest and in the older shape."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from etl import countries
from etl.sandbox.rows import UNDATED, instant_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_COUNTRIES = 10


def newest_counts(rows: Sequence[Any]) -> dict[str, Any]:
    """``data`` of the newest reference."""
    visits = _visits(rows)
    return {
        "summary": {
            "total_visitors": len(rows),
            "total_page_views": _page_views(visits),
            "unique_visitors": len({str(row.get("id")) for row in visits}),
        },
        "daily_stats": [
            {"date": day, "visitors": len(its), "page_views": _page_views(its)} for day, its in _days(visits)
        ],
    }


def older_counts(rows: Sequence[Any]) -> dict[str, Any]:
    """What the older pages add to the website and its ``timeRange``; rates and shares are percentages."""
    visits = _visits(rows)
    return {
        "totalVisitors": len(rows),
        "totalPageViews": _page_views(visits),
        "bounceRate": _bounce_rate(visits),
        "topCountries": _top_countries(visits),
        "dailyStats": [
            {
                "date": day,
                "visitors": len(its),
                "pageViews": _page_views(its),
                "bounceRate": _bounce_rate(its),
            }
            for day, its in _days(visits)
        ],
    }


def _visits(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [row for row in rows if isinstance(row, dict)]


def _days(visits: Iterable[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The visits of each UTC day, the oldest first."""
    days = defaultdict(list)
    for row in visits:
        if (instant := instant_of(row)) != UNDATED:
            days[f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d}"].append(row)
    return sorted(days.items())


def _views(row: dict[str, Any]) -> int:
    count = row.get("pageviews")
    return count if isinstance(count, int) and count > 0 else 0


def _page_views(visits: Iterable[dict[str, Any]]) -> int:
    return sum(_views(row) for row in visits)


def _bounce_rate(visits: Sequence[dict[str, Any]]) -> float:
    """The share of visits that saw one page."""
    return _percent(sum(_views(row) == 1 for row in visits), len(visits))


def _top_countries(visits: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    stated = (row.get("country_code") for row in visits)
    counts = Counter(code for code in stated if isinstance(code, str))
    return [
        {
            "name": countries.name(code) or code,
            "code": code,
            "visitors": count,
            "percentage": _percent(count, len(visits)),
        }
        for code, count in counts.most_common(_MOST_COUNTRIES)
    ]


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
