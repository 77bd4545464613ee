"""Zenovay: pages of visits, and the limits of each key."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from .answer import Answer, in_json
from .faults import SLOW_S
from .visits import Visits, stamp
from .windows import Window

if TYPE_CHECKING:
    from .answer import Call
    from .faults import Faults
    from .plan import CityPlan, KeyPlan

PREFIX = "/api/external/v1"
MONTH_S = 30 * 86_400


class Key:
    """What has been used of a key."""

    def __init__(self, plan: KeyPlan) -> None:
        self.name = plan.name
        self.minute = Window(plan.per_minute, 60.0)
        self.month = Window(plan.per_month, float(MONTH_S))

    def wait_s(self, now: float) -> tuple[str, float]:
        """Count a request. Returns why it is one too many, and the seconds to wait."""
        minute, month = self.minute.arrive(now), self.month.arrive(now)
        if month:
            return "MONTHLY_LIMIT_EXCEEDED", month
        return ("RATE_LIMIT_EXCEEDED", minute) if minute else ("", 0.0)

    def headers(self, now: float) -> bytes:
        used = self.month.limit - self.month.left
        return (
            f"X-RateLimit-Limit: {self.minute.limit}\r\nX-RateLimit-Remaining: {self.minute.left}\r\n"
            f"X-Usage-Monthly: {used}\r\nX-Usage-Limit: {self.month.limit}\r\n"
            f"X-Usage-Reset: {stamp(now + MONTH_S)}\r\n"
        ).encode()


class Zenovay:
    """``began`` is its start, in seconds since 1970."""

    def __init__(self, plan: CityPlan, faults: Faults, began: float) -> None:
        self.keys = {each.secret: Key(each) for each in plan.keys}
        self.visits = {each.website: Visits(each, began - plan.history_s) for each in plan.sites}
        self.quiet_since: float | None = None
        self._faults = faults

    def now(self) -> float:
        """The instant up to which visits have come."""
        return time.time() if self.quiet_since is None else self.quiet_since

    def answer(self, call: Call) -> Answer:
        key, website, what = self.keys.get(call.secret), *_asked(call)
        if key is None:
            return _refused("nobody", what, 401, "UNAUTHORIZED")
        trouble = self._faults.of(key.name, call.at)
        if trouble == "revoked":
            return replace(_refused(key.name, what, 401, "UNAUTHORIZED"), website=website)
        code, wait_s = key.wait_s(call.at)
        if trouble == "gone":
            return Answer(key.name, what, 0, website=website)
        answer = self._reply(key, code, wait_s, trouble == "down", call, website, what)
        headers = key.headers(time.time()) + answer.headers
        delay_s = SLOW_S if trouble == "slow" else 0.0
        return replace(answer, website=website, headers=headers, delay_s=delay_s)

    def _reply(
        self, key: Key, code: str, wait_s: float, down: bool, call: Call, website: str, what: str
    ) -> Answer:
        if code:
            return _refused(key.name, what, 429, code, b"Retry-After: %d\r\n" % (int(wait_s) + 1))
        if down:
            return Answer(key.name, what, 503, b"<html>Down</html>")
        if what == "usage":
            return Answer(key.name, what, 200, self._usage(key))
        if what == "websites":
            listed = [{"id": name, "domain": f"{name}.example.test"} for name in self.visits]
            return Answer(key.name, what, 200, in_json({"success": True, "data": {"websites": listed}}))
        if website not in self.visits or what == "other":
            return _refused(key.name, what, 404, "NOT_FOUND")
        return Answer(key.name, what, 200, self._page(call, website))

    def _page(self, call: Call, website: str) -> bytes:
        asked = dict(parse_qsl(call.query))
        offset, limit = int(asked.get("offset", "0")), min(int(asked.get("limit", "100")), 1000)
        visits, now = self.visits[website], self.now()
        count = visits.count(now)
        first = count - 1 - offset
        after = max(first - limit, -1)
        more = "true" if after > -1 else "false"
        return (
            f'{{"success":true,"data":{{"visitors":[{visits.rows(first, after)}],"pagination":{{"limit":{limit},'
            f'"offset":{offset},"has_more":{more}}}}},"timestamp":"{stamp(time.time())}"}}'
        ).encode()

    def _usage(self, key: Key) -> bytes:
        used, limit = key.month.limit - key.month.left, key.month.limit
        usage = {"monthly_requests": used, "monthly_limit": limit, "monthly_remaining": limit - used}
        rates = {"requests_per_minute": key.minute.limit}
        said = {"usage": usage, "rate_limits": rates, "subscription": {"tier": "enterprise"}}
        return in_json({"success": True, "data": said, "timestamp": stamp(time.time())})


def _asked(call: Call) -> tuple[str, str]:
    """The website, if any, and what is asked of it."""
    parts = call.path.removeprefix(PREFIX).strip("/").split("/")
    if parts[0] == "analytics" and len(parts) == 3 and parts[2] == "visitors":
        asked = dict(parse_qsl(call.query))
        return parts[1], "first page" if int(asked.get("offset", "0")) == 0 else "page"
    return "", parts[0] if parts[0] in {"usage", "websites"} else "other"


def _refused(who: str, what: str, status: int, code: str, headers: bytes = b"") -> Answer:
    error = {"code": code, "message": "Refused.", "timestamp": stamp(time.time())}
    return Answer(who, what, status, in_json({"success": False, "error": error}), headers)
