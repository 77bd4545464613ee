"""A Zenovay account: websites, their rows, the key, the plan and its limits."""

from __future__ import annotations

import math
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from etl.sandbox.faults import Faults
from etl.sandbox.limits import RollingWindow, month_after
from etl.sandbox.rows import Order, RowViews, instant_of
from etl.sandbox.wire import RequestLog, json_reply
from etl.sandbox.zenovay_errors import ErrorShape, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from etl.clock import Clock
    from etl.sandbox.wire import Call, Recorded, Reply, Violation

DEFAULT_WEBSITE = "site_sandbox"
API_KEY = "zv_sandbox_0123456789abcdef"
TRACKING_CODE = "ZV_SANDBOX"
RANGES = {"24h": 1, "7d": 7, "30d": 30, "90d": 90, "1y": 365}


class Dialect(StrEnum):
    """The body of the visitors endpoint."""

    NEWEST = "newest"
    """``{"success":true,"data":{"visitors":[…],"pagination":{…}},"timestamp"}``"""
    GUIDE = "guide"
    """``{"data":[…]}``"""
    VISITORS = "visitors"
    """``{"visitors":[…]}``"""


@dataclass(slots=True, kw_only=True)
class ZenovayWorld:
    """The account as it is; every attribute may be set at any time, from any thread.

    ``websites`` holds, per website id, the rows as they are served: anything that JSON can hold. A row of a
    list of 2,000 or more that is changed in place is noticed only after ``rearrange()``.

    ``now()`` is the server's clock: ``frozen_at``, else the given clock, plus ``skew``. Limits of None are
    off. ``month_used`` starts anew on the first of a month, UTC.
    """

    clock: Clock
    seed: int = 7
    websites: dict[str, list[Any]] = field(default_factory=lambda: {DEFAULT_WEBSITE: []})
    api_key: str = API_KEY
    paid_plan: bool = True
    foreign_websites: set[str] = field(default_factory=set)
    skew: timedelta = timedelta()
    timestamp_skew: timedelta = timedelta()
    """How far the ``timestamp`` of an answer is off ``now()``."""
    date_skew: timedelta = timedelta()
    """How far its ``Date`` header is."""
    frozen_at: datetime | None = None
    latency_s: float = 0.0

    dialect: Dialect | str = Dialect.NEWEST
    order: Order | str = Order.NEWEST_FIRST
    error_shape: ErrorShape | str = ErrorShape.ENVELOPE
    max_limit: int = 1000
    max_per_page: int = 100
    send_timestamp: bool = True
    send_pagination: bool = True
    send_date: bool = True
    more_reckoned_as_asked: bool = False
    """``has_more`` is reckoned with the limit that was asked for, not with the one that was kept."""
    pages_ignored: bool = False
    """Every page is the first one."""
    range_ignored: bool = False
    """Every window is the default one, 7 days."""
    future_rows_served: bool = True
    """Whether rows later than ``now()`` are served."""

    requests_per_minute: int | None = None
    requests_per_month: int | None = None
    month_used: int = 0
    tier: str = "pro"
    send_rate_headers: bool = True
    send_remaining: bool = True
    send_usage_headers: bool = True
    send_retry_after: bool = True
    retry_after_in_body: bool = False
    retry_after_in_message: bool = False

    faults: Faults = field(default_factory=Faults)
    log: RequestLog = field(default_factory=RequestLog)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _views: RowViews = field(init=False)
    _minute: RollingWindow = field(default_factory=lambda: RollingWindow(60.0))
    _month: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._views = RowViews(self.seed)

    @property
    def requests(self) -> list[Recorded]:
        return self.log.requests

    @property
    def violations(self) -> list[Violation]:
        """Kinds: ``rate_limited``, ``month_spent``, ``unauthorized``."""
        return self.log.violations

    @property
    def visitor_requests(self) -> int:
        """How many requests asked for visitors, whatever they were answered."""
        return sum(entry.path.endswith("/visitors") for entry in self.requests)

    def now(self) -> datetime:
        return (self.frozen_at or self.clock.now()) + self.skew

    def date(self) -> datetime:
        """What the ``Date`` header says."""
        return self.now() + self.date_skew

    def add_rows(self, website: str, rows: Iterable[Any]) -> None:
        with self.lock:
            self.websites.setdefault(website, []).extend(rows)

    def rearrange(self) -> None:
        """Notice rows of long lists that were changed in place."""
        with self.lock:
            self._views.forget()

    def rows_since(self, website: str, since: datetime | None) -> list[Any]:
        """Rows of the window that starts at ``since``, in the order of service."""
        with self.lock:
            earliest = since.timestamp() if since else -math.inf
            rows = self._views.since(
                website, self.websites[website], earliest=earliest, order=Order(self.order)
            )
            return rows if self.future_rows_served else self._past(rows)

    def admit(self, call: Call) -> Reply | None:
        """Count the request; its refusal, if the key, the limits or the plan refuse it."""
        with self.lock:
            key = call.headers.get("x-api-key") or call.bearer
            if key != self.api_key:
                self.log.violation("unauthorized", call.path, call)
                return self.refuse(call, Refusal(401, "UNAUTHORIZED", "Invalid or missing API key."))
            return self._limited(call) or self._unpaid(call)

    def working_on(self, _call: Call) -> AbstractContextManager[Reply | None]:
        return nullcontext()

    def refuse(self, call: Call, refusal: Refusal) -> Reply:
        stamp = timestamp(self.now())
        return refusal.reply(ErrorShape(self.error_shape), timestamp=stamp, request_id=f"req_{call.number}")

    def dress(self, call: Call, reply: Reply) -> Reply:
        """The answer with the headers that every answer of this side carries."""
        return replace(reply, headers={**self._headers(call), **reply.headers})

    def usage(self) -> Mapping[str, Any]:
        with self.lock:
            self._roll_month()
            limit = self.requests_per_month
            return {
                "usage": {
                    "monthly_requests": self.month_used,
                    "monthly_limit": limit,
                    "monthly_remaining": None if limit is None else max(0, limit - self.month_used),
                    "monthly_reset_at": timestamp(month_after(self.now())),
                },
                "rate_limits": {"requests_per_minute": self.requests_per_minute},
                "subscription": {"tier": self.tier},
            }

    def envelope(self, content: Any, *, rows: int = 0) -> Reply:
        """The newest documentation's wrapper."""
        body: dict[str, Any] = {"success": True, "data": content}
        if self.send_timestamp:
            body["timestamp"] = timestamp(self.now() + self.timestamp_skew)
        return json_reply(body, rows=rows)

    def _past(self, rows: list[Any]) -> list[Any]:
        latest = self.now().timestamp()
        return [row for row in rows if not latest < instant_of(row) < math.inf]

    def _limited(self, call: Call) -> Reply | None:
        self._roll_month()
        self.month_used += 1
        if self.requests_per_month is not None and self.month_used > self.requests_per_month:
            self.log.violation("month_spent", call.path, call)
            seconds = (month_after(self.now()) - self.now()).total_seconds()
            return self._too_many(call, "MONTHLY_LIMIT_EXCEEDED", "Monthly API limit exceeded.", seconds)
        if self.requests_per_minute is None:
            return None
        monotonic = self.clock.monotonic()
        if self._minute.admit(monotonic, limit=self.requests_per_minute):
            return None
        self.log.violation("rate_limited", call.path, call)
        wait = self._minute.frees_in(monotonic)
        return self._too_many(call, "RATE_LIMIT_EXCEEDED", "Rate limit exceeded.", wait)

    def _too_many(self, call: Call, code: str, message: str, seconds: float) -> Reply:
        refusal = Refusal(
            429,
            code,
            message,
            wait_s=max(1, math.ceil(seconds)),
            in_header=self.send_retry_after,
            in_body=self.retry_after_in_body,
            in_message=self.retry_after_in_message,
        )
        return self.refuse(call, refusal)

    def _unpaid(self, call: Call) -> Reply | None:
        if self.paid_plan:
            return None
        message = "API key access requires a paid plan"
        return self.refuse(call, Refusal(403, "API_PAID_PLAN_REQUIRED", message))

    def _roll_month(self) -> None:
        now = self.now().astimezone(UTC)
        month = (now.year, now.month)
        if self._month not in (None, month):
            self.month_used = 0
        self._month = month

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {"x-request-id": f"req_{call.number}"}
        if self.send_rate_headers and self.requests_per_minute is not None:
            headers |= self._rate_headers(self.requests_per_minute)
        if self.send_usage_headers and self.requests_per_month is not None:
            headers["x-usage-monthly"] = str(self.month_used)
            headers["x-usage-limit"] = str(self.requests_per_month)
            headers["x-usage-reset"] = timestamp(month_after(self.now()))
        return headers

    def _rate_headers(self, limit: int) -> dict[str, str]:
        monotonic = self.clock.monotonic()
        frees_at = self.now().timestamp() + self._minute.frees_in(monotonic)
        headers = {"x-ratelimit-limit": str(limit), "x-ratelimit-reset": str(math.ceil(frees_at))}
        if self.send_remaining:
            headers["x-ratelimit-remaining"] = str(max(0, limit - self._minute.used(monotonic)))
        return headers


def timestamp(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"
