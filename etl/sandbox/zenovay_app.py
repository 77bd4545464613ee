"""What Zenovay's endpoints answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.sandbox.rows import instant_of
from etl.sandbox.wire import json_reply
from etl.sandbox.zenovay import RANGES, TRACKING_CODE, Dialect, timestamp
from etl.sandbox.zenovay_errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.sandbox.wire import Call, Reply
    from etl.sandbox.zenovay import ZenovayWorld

_LIVE = timedelta(minutes=5)


class _BadParameterError(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class _Slice:
    limit: int
    offset: int
    asked: int


class ZenovayEndpoints:
    """Each method answers one admitted request."""

    def __init__(self, world: ZenovayWorld) -> None:
        self._world = world

    def visitors(self, call: Call) -> Reply:
        """One page of rows."""
        with self._world.lock:
            website = call.parts["website"]
            if refusal := self._inaccessible(call, website):
                return refusal
            try:
                days, part = self._days(call.params), self._slice(call.params)
            except _BadParameterError as exc:
                return self._world.refuse(call, Refusal(400, "BAD_REQUEST", str(exc)))
            rows = self._world.rows_since(website, self._world.now() - timedelta(days=days))
            return self._page(rows, part)

    def websites(self, _call: Call) -> Reply:
        with self._world.lock:
            return self._world.envelope({"websites": [_website(name) for name in self._world.websites]})

    def analytics(self, call: Call) -> Reply:
        """A summary of one website; flat where ``timeRange`` asks for the older form."""
        with self._world.lock:
            website = call.parts["website"]
            if refusal := self._inaccessible(call, website):
                return refusal
            try:
                days = self._days(call.params)
            except _BadParameterError as exc:
                return self._world.refuse(call, Refusal(400, "BAD_REQUEST", str(exc)))
            rows = self._world.rows_since(website, self._world.now() - timedelta(days=days))
            if "timeRange" in call.params:
                return json_reply(_flat_summary(rows))
            return self._world.envelope(_summary(rows))

    def usage(self, _call: Call) -> Reply:
        return self._world.envelope(self._world.usage())

    def live(self, call: Call) -> Reply:
        """The public count; asks for no key."""
        if call.parts["tracking_code"] != TRACKING_CODE:
            return self._world.refuse(call, Refusal(404, "NOT_FOUND", "Unknown tracking code."))
        since = self._world.now() - _LIVE
        with self._world.lock:
            count = sum(len(self._world.rows_since(name, since)) for name in self._world.websites)
        return json_reply(
            {"success": True, "live_visitors": count, "timestamp": timestamp(self._world.now())}
        )

    def unknown(self, call: Call) -> Reply:
        return self._world.refuse(call, Refusal(404, "NOT_FOUND", "No such endpoint."))

    def _inaccessible(self, call: Call, website: str) -> Reply | None:
        if website in self._world.foreign_websites:
            message = "You do not have access to this website."
            return self._world.refuse(call, Refusal(403, "FORBIDDEN", message))
        if website not in self._world.websites:
            return self._world.refuse(call, Refusal(404, "NOT_FOUND", "Website not found."))
        return None

    def _days(self, params: Mapping[str, str]) -> int:
        if self._world.range_ignored:
            return RANGES["7d"]
        asked = params.get("range") or params.get("timeRange") or "7d"
        if asked not in RANGES:
            raise _BadParameterError(f"Invalid range: use one of {', '.join(RANGES)}.")
        return RANGES[asked]

    def _slice(self, params: Mapping[str, str]) -> _Slice:
        if "page" in params or "per_page" in params:
            asked = _number(params, "per_page", default=100, least=1)
            limit = min(asked, self._world.max_per_page)
            offset = (_number(params, "page", default=1, least=1) - 1) * limit
        else:
            asked = _number(params, "limit", default=100, least=1)
            limit = min(asked, self._world.max_limit)
            offset = _number(params, "offset", default=0, least=0)
        return _Slice(limit, 0 if self._world.pages_ignored else offset, asked)

    def _page(self, rows: list[Any], part: _Slice) -> Reply:
        end = part.offset + part.limit
        served = rows[part.offset : end]
        if self._world.dialect == Dialect.GUIDE:
            return json_reply({"data": served}, rows=len(served))
        if self._world.dialect == Dialect.VISITORS:
            return json_reply({"visitors": served}, rows=len(served))
        content: dict[str, Any] = {"visitors": served}
        if self._world.send_pagination:
            more = (part.offset + part.asked if self._world.more_reckoned_as_asked else end) < len(rows)
            content["pagination"] = {"limit": part.limit, "offset": part.offset, "has_more": more}
        return self._world.envelope(content, rows=len(served))


def _number(params: Mapping[str, str], name: str, *, default: int, least: int) -> int:
    text = params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise _BadParameterError(f"Invalid {name}: must be a whole number of at least {least}.")
    return int(text)


def _website(name: str) -> dict[str, str]:
    return {
        "id": name,
        "domain": f"{name.replace('_', '-')}.example.test",
        "name": f"Sandbox {name}",
        "tracking_code": TRACKING_CODE,
        "created_at": "2025-01-01T00:00:00.000Z",
    }


def _counts(rows: list[Any]) -> tuple[int, int, int]:
    dicts = [row for row in rows if isinstance(row, dict)]
    views = [row.get("pageviews") for row in dicts]
    seen = sum(count for count in views if isinstance(count, int) and count > 0)
    return len(rows), seen, len({str(row.get("id")) for row in dicts})


def _daily(rows: list[Any]) -> Counter[str]:
    instants = (instant_of(row) for row in rows)
    return Counter(
        f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d}" for instant in instants if instant != float("inf")
    )


def _summary(rows: list[Any]) -> dict[str, Any]:
    total, views, unique = _counts(rows)
    return {
        "summary": {"total_visitors": total, "total_page_views": views, "unique_visitors": unique},
        "daily_stats": [{"date": day, "visitors": count} for day, count in sorted(_daily(rows).items())],
    }


def _flat_summary(rows: list[Any]) -> dict[str, Any]:
    total, views, _ = _counts(rows)
    countries = Counter(str(row.get("country_code")) for row in rows if isinstance(row, dict))
    return {
        "totalVisitors": total,
        "totalPageViews": views,
        "bounceRate": 0.42,
        "topCountries": [{"country": name, "visitors": count} for name, count in countries.most_common(5)],
        "dailyStats": [{"date": day, "visitors": count} for day, count in sorted(_daily(rows).items())],
    }
