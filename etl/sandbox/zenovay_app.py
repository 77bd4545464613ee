"""What Zenovay's endpoints answer."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.sandbox.rows import UNDATED, instant_of
from etl.sandbox.wire import json_reply
from etl.sandbox.zenovay import TRACKING_CODE, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.sandbox.wire import Call, RefusedError, Reply
    from etl.sandbox.zenovay import ZenovayWorld

RANGES = {"24h": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365}
_LIVE = timedelta(minutes=5)


class ZenovayEndpoints:
    """Each method answers one admitted request, or raises RefusedError."""

    def __init__(self, world: ZenovayWorld) -> None:
        self._world = world

    def visitors(self, call: Call) -> Reply:
        """One page of rows: by ``limit`` and ``offset``, or by ``page`` and ``per_page``."""
        rows, params = self._rows(call), call.params
        if "page" in params or "per_page" in params:
            limit = min(self._number(params, "per_page", default=100, least=1), self._world.max_per_page)
            offset = (self._number(params, "page", default=1, least=1) - 1) * limit
        else:
            limit = min(self._number(params, "limit", default=100, least=1), self._world.max_limit)
            offset = self._number(params, "offset", default=0, least=0)
        end = offset + limit
        pagination = {"limit": limit, "offset": offset, "has_more": end < len(rows)}
        return self._world.envelope({"visitors": rows[offset:end], "pagination": pagination})

    def websites(self, _call: Call) -> Reply:
        return self._world.envelope({"websites": [_website(name) for name in self._world.websites]})

    def analytics(self, call: Call) -> Reply:
        """A summary of one website."""
        rows = self._rows(call)
        visits = [row for row in rows if isinstance(row, dict)]
        views = [count for row in visits if isinstance(count := row.get("pageviews"), int) and count > 0]
        summary = {
            "total_visitors": len(rows),
            "total_page_views": sum(views),
            "unique_visitors": len({str(row.get("id")) for row in visits}),
        }
        instants = [instant for row in rows if (instant := instant_of(row)) != UNDATED]
        days = Counter(f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d}" for instant in instants)
        daily = [{"date": day, "visitors": count} for day, count in sorted(days.items())]
        return self._world.envelope({"summary": summary, "daily_stats": daily})

    def usage(self, _call: Call) -> Reply:
        return self._world.envelope(self._world.usage())

    def live(self, call: Call) -> Reply:
        """The public count of the last five minutes; asks for no key."""
        if call.parts["tracking_code"] != TRACKING_CODE:
            raise self._world.refused(404, "NOT_FOUND", "Unknown tracking code.")
        now = self._world.now()
        count = sum(len(self._world.rows_since(name, now - _LIVE)) for name in self._world.websites)
        return json_reply({"success": True, "live_visitors": count, "timestamp": timestamp(now)})

    def unknown(self, _call: Call) -> Reply:
        raise self._world.refused(404, "NOT_FOUND", "No such endpoint.")

    def _rows(self, call: Call) -> list[Any]:
        """The rows of the website and the range that the request names."""
        website = call.parts["website"]
        if website in self._world.foreign_websites:
            raise self._world.refused(403, "FORBIDDEN", "You do not have access to this website.")
        if website not in self._world.websites:
            raise self._world.refused(404, "NOT_FOUND", "Website not found.")
        asked = call.params.get("range") or call.params.get("timeRange") or "7d"
        if asked not in RANGES:
            raise self._bad(f"Invalid range: use one of {', '.join(RANGES)}.")
        return self._world.rows_since(website, self._world.now() - timedelta(days=RANGES[asked]))

    def _number(self, params: Mapping[str, str], name: str, *, default: int, least: int) -> int:
        text = params.get(name, str(default))
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise self._bad(f"Invalid {name}: must be a whole number of at least {least}.")
        return int(text)

    def _bad(self, message: str) -> RefusedError:
        return self._world.refused(400, "BAD_REQUEST", message)


def _website(name: str) -> dict[str, str]:
    return {
        "id": name,
        "domain": f"{name.replace('_', '-')}.example.test",
        "name": f"Sandbox {name}",
        "tracking_code": TRACKING_CODE,
        "created_at": "2025-01-01T00:00:00.000Z",
    }
