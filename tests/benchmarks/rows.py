"""Rows of the visitors endpoint as JSON texts, so that a page is cut out and joined."""

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
_CITIES = ("Bern", "Lyon", "Kiel", "Pisa", "Graz", "Delft", "Leeds", "Boston", "Québec")
_DEVICES = ("desktop", "mobile", "tablet")
_BROWSERS = ("Firefox", "Chrome", "Safari", "Edge")
_SYSTEMS = ("Linux", "Windows", "macOS", "iOS", "Android")
_PAGES = ("/", "/docs", "/pricing?plan=pro", "/blog/one-more-thing#top", "/about")
_REFERRERS = ("null", '"https://search.example.test/?q=visitors"', '"https://news.example.test/today"')
_ROW = (
    '{"id":"v9f0c1d2-3344-4a5b-8c6d-%012x",%s"country_code":"%s","country_name":null,"city":"%s",'
    '"device_type":"%s","browser":"%s","os":"%s","value_score":%d,"visited_at":"%s",'
    '"landing_page":"%s","referrer":%s,"had_interaction":%s,"pageviews":%d}'
)
_SPREAD = 2_654_435_761
"""A large odd number: its multiples are spread evenly."""

PLAIN = "plain"
"""Listed newest first; every row is another visitor, and every second one is known by an address."""

MIXED = "mixed"
"""Listed oldest first. Of ten rows two have no address, and one has the address of an earlier visitor: by
turns of one a few rows before, and of one far back."""


def address(shape: str, number: int) -> str | None:
    """The address that a visitor is known by."""
    if shape == PLAIN:
        return f"visitor.{number}@example.test" if number % 2 else None
    if number % 5 == 4:
        return None
    owner = _owner(number) if _is_repeated(number) else number
    return f"visitor.{owner}@example.test"


def contacts(shape: str, count: int) -> int:
    """How many contacts the first ``count`` visitors make; of a mixed list only those with an address."""
    if shape == PLAIN:
        return count
    return sum(number % 5 != 4 and not _is_repeated(number) for number in range(count))


def _is_repeated(number: int) -> bool:
    return number % 10 == 7


def _owner(number: int) -> int:
    """The earlier visitor that has the same address, always one with an address of its own."""
    if number // 10 % 2 == 0:
        return number - 7
    return number * _SPREAD % max(number // 20, 1) * 10


class Rows:
    """The rows of one website.

    A row's number tells its visitor; the larger it is, the later it was seen.
    """

    def __init__(self, count: int, shape: str = PLAIN) -> None:
        self._shape = shape
        self._started = datetime.now(UTC)
        self._visitors = count
        step_s = DAYS * 86_400 / max(count, 1)
        self._ages_s = [order * step_s for order in range(count)]
        self._texts = [
            _text(shape, count - 1 - order, self._started - timedelta(seconds=age))
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
        texts = [_text(self._shape, number, at, views=7) for number, at in zip(numbers, moments, strict=True)]
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
        more = offset + limit < end
        if self._shape == PLAIN:
            return self._texts[offset : min(offset + limit, end)], more
        return self._texts[max(end - offset - limit, 0) : max(end - offset, 0)][::-1], more


def _text(shape: str, number: int, at: datetime, *, views: int = 3) -> str:
    known_by = address(shape, number)
    return _ROW % (
        number,
        f'"email":"{known_by}",' if known_by else '"email":null,',
        _COUNTRIES[number % len(_COUNTRIES)],
        _CITIES[number % len(_CITIES)],
        _DEVICES[number % len(_DEVICES)],
        _BROWSERS[number % len(_BROWSERS)],
        _SYSTEMS[number % len(_SYSTEMS)],
        number * _SPREAD % 101,
        at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        _PAGES[number % len(_PAGES)],
        _REFERRERS[number % len(_REFERRERS)],
        "true" if number % 3 else "false",
        views,
    )
