"""The visits of a website: as many as have come by an instant, computed when somebody asks.

Of three visits one is a return: of the visitor of two visits before, with more page views.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from .plan import SitePlan

DOMAIN = "@example.test"
_COUNTRIES = ("CH", "FR", "DE", "IT", "AT")
_ROW = (
    '{"id":"%s","email":%s,"country_code":"%s","country_name":null,"city":"Bern","device_type":"desktop",'
    '"browser":"Firefox","os":"Linux","value_score":61,"visited_at":"%s","landing_page":"/docs",'
    '"referrer":null,"had_interaction":true,"pageviews":%d}'
)


class Visits:
    """``began`` is the instant, in seconds since 1970, of a visit before the first."""

    def __init__(self, site: SitePlan, began: float) -> None:
        self.site = site
        self._began = began + site.pause_s * (crc32(site.website.encode()) % 997) / 997

    def count(self, now: float) -> int:
        if not self.site.pause_s:
            return 0
        return max(0, int((now - self._began) / self.site.pause_s))

    def rows(self, first: int, after: int) -> str:
        """Those from number ``first`` down to the one behind ``after``, newest first."""
        return ",".join(self._row(number) for number in range(first, after, -1))

    def expected(self, now: float) -> dict[str, int]:
        """The page views of every visitor."""
        return {self.visitor(number): number + 1 for number in range(self.count(now))}

    def visitor(self, number: int) -> str:
        """Who came then."""
        return f"{self.site.website}-{number - 2 if number % 3 == 2 else number}"

    def _row(self, number: int) -> str:
        name = self.visitor(number)
        seen = self._began + (number + 1) * self.site.pause_s
        address = f'"{name}{DOMAIN}"' if crc32(name.encode()) % 2 else "null"
        return _ROW % (name, address, _COUNTRIES[crc32(name.encode()) % 5], stamp(seen), number + 1)


def stamp(instant: float) -> str:
    """As Zenovay writes an instant, given in seconds since 1970; rounded down to milliseconds."""
    whole = datetime.fromtimestamp(int(instant), UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{int(instant % 1 * 1000):03d}Z"
