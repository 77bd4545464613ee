"""Zenovay: pages of visits, and the limits of each key."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from .answer import Answer, in_json
from .faults import OUTAGES, SLOW_S
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
        self.served: dict[str, float] = {}
        """The instant of the last first page of each website that was answered, in seconds since 1970."""
        self.quiet_since: float | None = None
        self._faults = faults

    def now(self) -> float:
        """The instant up to which visits have come."""
        return time.time() if self.quiet_since is None else self.quiet_since

    def answer(self, call: Call) -> Answer:
        key, asked = self.keys.get(call.secret), _asked(call)
        if key is None:
            return _refused("nobody", asked, 401, "UNAUTHORIZED")
        trouble = self._faults.of(key.name, call.at)
        if trouble == "revoked":
            return _refused(key.name, asked, 401, "UNAUTHORIZED")
        code, wait_s = key.wait_s(call.at)
        if trouble in {"gone", "down"}:
            return Answer(key.name, asked.what, OUTAGES[trouble], website=asked.website)
        if code:
            again = b"Retry-After: %d\r\n" % (int(wait_s) + 1)
            return _refused(key.name, asked, 429, code, key.headers(time.time()) + again)
        body = self._content(asked, key)
        if not body:
            return _refused(key.name, asked, 404, "NOT_FOUND")
        headers, delay_s = key.headers(time.time()), SLOW_S if trouble == "slow" else 0.0
        return Answer(key.name, asked.what, 200, body, headers, asked.website, delay_s)

    def _content(self, asked: _Asked, key: Key) -> bytes:
        """The body; empty for what is not there."""
        if asked.what == "usage":
            return self._usage(key)
        if asked.what == "websites":
            listed = [{"id": name, "domain": f"{name}.example.test"} for name in self.visits]
            return in_json({"success": True, "data": {"websites": listed}})
        visits = self.visits.get(asked.website)
        if visits and not asked.offset:
            self.served[asked.website] = self.now()
        return self._page(asked, visits) if visits else b""

    def _page(self, asked: _Asked, visits: Visits) -> bytes:
        first = visits.count(self.now()) - 1 - asked.offset
        after = max(first - asked.limit, -1)
        more = "true" if after > -1 else "false"
        return (
            f'{{"success":true,"data":{{"visitors":[{visits.rows(first, after)}],"pagination":'
            f'{{"limit":{asked.limit},"offset":{asked.offset},"has_more":{more}}}}},'
            f'"timestamp":"{stamp(time.time())}"}}'
        ).encode()

    def _usage(self, key: Key) -> bytes:
        used, limit = key.month.limit - key.month.left, key.month.limit
        usage = {"monthly_requests": used, "monthly_limit": limit, "monthly_remaining": limit - used}
        rates = {"requests_per_minute": key.minute.limit}
        said = {"usage": usage, "rate_limits": rates, "subscription": {"tier": "enterprise"}}
        return in_json({"success": True, "data": said, "timestamp": stamp(time.time())})


@dataclass(frozen=True, slots=True)
class _Asked:
    what: str
    website: str = ""
    offset: int = 0
    limit: int = 100


def _asked(call: Call) -> _Asked:
    parts = call.path.removeprefix(PREFIX).strip("/").split("/")
    if parts[0] in {"usage", "websites"}:
        return _Asked(parts[0])
    if parts[0] != "analytics" or parts[2:] != ["visitors"]:
        return _Asked("other")
    asked = dict(parse_qsl(call.query))
    offset, limit = int(asked.get("offset", "0")), min(int(asked.get("limit", "100")), 1000)
    return _Asked("page" if offset else "first page", parts[1], offset, limit)


def _refused(who: str, asked: _Asked, status: int, code: str, headers: bytes = b"") -> Answer:
    error = {"code": code, "message": "Refused.", "timestamp": stamp(time.time())}
    body = in_json({"success": False, "error": error})
    return Answer(who, asked.what, status, body, headers, asked.website)
