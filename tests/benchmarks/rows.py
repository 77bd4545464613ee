"""Rows of the visitors endpoint as JSON texts, newest first, so that a page is cut out and joined."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DAYS = 29.0
"""The rows lie evenly over so many days before the server's start, a little less than the range of 30."""

_RANGES = {"24h": 1.0, "7d": 7.0, "30d": 30.0, "90d": 90.0, "1y": 365.0}
_COUNTRIES = ("CH", "FR", "DE", "IT", "AT", "NL", "GB", "US", "CA", "ES")
_PAGES = ("/", "/docs", "/pricing", "/blog/one-more-thing", "/about")
_ROW = (
    '{"id":"v9f0c1d2-3344-4a5b-8c6d-%012x",%s"country_code":"%s","country_name":null,"city":"Bern",'
    '"device_type":"desktop","browser":"Firefox","os":"Linux","value_score":61,"visited_at":"%s",'
    '"landing_page":"%s","referrer":null,"had_interaction":true,"pageviews":%d}'
)


class Rows:
    """The rows of one website. Every second visitor is known by an address.

    A row's number tells its visitor; the larger it is, the later it was seen.
    """

    def __init__(self, count: int) -> None:
        self._started = datetime.now(UTC)
        self._visitors = count
        step_s = DAYS * 86_400 / max(count, 1)
        self._ages_s = [order * step_s for order in range(count)]
        self._texts = [
            _text(count - 1 - order, self._started - timedelta(seconds=age))
            for order, age in enumerate(self._ages_s)
        ]

    def arrive(self, *, new: int, again: int) -> None:
        """Just now, let ``new`` visitors come for the first time, and ``again`` of all the known ones."""
        now = datetime.now(UTC)
        stride = max(1, self._visitors // max(again, 1))
        numbers = [number * stride for number in range(again)]
        numbers += range(self._visitors, self._visitors + new)
        self._visitors += new
        moments = [now - timedelta(microseconds=order) for order in range(len(numbers))]
        texts = [_text(number, at, views=7) for number, at in zip(numbers, moments, strict=True)]
        self._texts[:0] = texts
        self._ages_s[:0] = [(self._started - at).total_seconds() for at in moments]

    def forget(self) -> None:
        """Drop every row, as if all of them had left the longest range; the visitors stay known."""
        self._texts.clear()
        self._ages_s.clear()

    def page(self, span: str, *, offset: int, limit: int) -> tuple[Sequence[str], bool]:
        """Rows of the range ``span``, and whether more follow."""
        passed_s = (datetime.now(UTC) - self._started).total_seconds()
        end = bisect_right(self._ages_s, _RANGES.get(span, 7.0) * 86_400 - passed_s)
        return self._texts[offset : min(offset + limit, end)], offset + limit < end


def _text(number: int, at: datetime, *, views: int = 3) -> str:
    address = f'"email":"visitor.{number}@example.test",' if number % 2 else '"email":null,'
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    country, page = _COUNTRIES[number % len(_COUNTRIES)], _PAGES[number % len(_PAGES)]
    return _ROW % (number, address, country, moment, page, views)
