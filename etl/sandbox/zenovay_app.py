"""What Zenovay's endpoints answer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.sandbox.traffic import newest_counts, older_counts
from etl.sandbox.wire import json_reply
from etl.sandbox.zenovay import timestamp, tracking_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.sandbox.wire import Call, RefusedError, Reply
    from etl.sandbox.zenovay import ZenovayWorld

RANGES = {"24h": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365}
DEFAULT_RANGE = "7d"
_LIVE = timedelta(minutes=5)


class ZenovayEndpoints:
    """Each method answers one admitted request, or raises RefusedError."""

    def __init__(self, world: ZenovayWorld) -> None:
        self._world = world

    def visitors(self, call: Call) -> Reply:
        """One page of rows: by ``limit`` and ``offset``, or by ``page`` and ``per_page``."""
        params = call.params
        rows = self._rows(call, params.get("range") or params.get("timeRange"))
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
        """The counts of one website."""
        params = call.params
        if not self._world.older_analytics:
            rows = self._rows(call, params.get("range") or params.get("timeRange"))
            return self._world.envelope(newest_counts(rows))
        rows = self._rows(call, params.get("timeRange"))
        listed = _website(call.parts["website"])
        website = {name: listed[name] for name in ("id", "domain", "name")}
        asked = {"website": website, "timeRange": params.get("timeRange") or DEFAULT_RANGE}
        return json_reply({**asked, **older_counts(rows)})

    def usage(self, _call: Call) -> Reply:
        return self._world.envelope(self._world.usage())

    def live(self, call: Call) -> Reply:
        """The public count of the last five minutes, where the newest reference has it; asks for no key."""
        if self._world.older_live:
            return self.unknown(call)
        return json_reply({"count": self._live_count(call)})

    def older_live(self, call: Call) -> Reply:
        """The same at its older place."""
        count, now = self._live_count(call), timestamp(self._world.now())
        return json_reply({"success": True, "live_visitors": count, "timestamp": now})

    def unknown(self, _call: Call) -> Reply:
        raise self._world.refused(404, "NOT_FOUND", "No such endpoint.")

    def _live_count(self, call: Call) -> int:
        code, since = call.parts["tracking_code"], self._world.now() - _LIVE
        rows = [
            self._world.rows_since(name, since)
            for name in self._world.websites
            if tracking_code(name) == code
        ]
        if not rows:
            raise self._world.refused(404, "NOT_FOUND", "Unknown tracking code.")
        return sum(map(len, rows))

    def _rows(self, call: Call, asked: str | None) -> list[Any]:
        """The rows of the website that the request names, in the range that was asked for."""
        website = call.parts["website"]
        if website in self._world.foreign_websites:
            raise self._world.refused(403, "FORBIDDEN", "You do not have access to this website.")
        if website not in self._world.websites:
            raise self._world.refused(404, "NOT_FOUND", "Website not found.")
        asked = asked or DEFAULT_RANGE
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
        "tracking_code": tracking_code(name),
        "created_at": "2025-01-01T00:00:00.000Z",
    }
