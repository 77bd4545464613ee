"""A Zenovay account: websites, their rows, the key, the plan and its monthly quota."""

from __future__ import annotations

import math
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.sandbox.rows import Arranged
from etl.sandbox.wire import RefusedError, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.clock import Clock
    from etl.sandbox.wire import Call, Reply

DEFAULT_WEBSITE = "site_sandbox"
API_KEY = "zv_sandbox_0123456789abcdef"
TRACKING_CODE = "ZV_SANDBOX"
PATH = "/api/external/v1"


@dataclass(slots=True, kw_only=True)
class ZenovayWorld:
    """The account as it is; every attribute may be set at any time, from any thread.

    ``websites`` holds, per website id, the rows as they are served: anything that JSON can hold.
    ``now()`` is the server's clock: the given one plus ``skew``. ``month_used`` starts anew on the first of a
    month, UTC; ``requests_per_month`` None is no quota. ``requests_per_minute`` is stated, not enforced.
    """

    clock: Clock
    websites: dict[str, list[Any]] = field(default_factory=lambda: {DEFAULT_WEBSITE: []})
    foreign_websites: set[str] = field(default_factory=set)
    api_key: str = API_KEY
    paid_plan: bool = True
    tier: str = "pro"
    requests_per_minute: int = 30
    requests_per_month: int | None = None
    month_used: int = 0
    skew: timedelta = timedelta()
    visitor_id_delay_s: float = 0.0
    """How long the script on the company's page knows no visitor id yet."""
    older_live: bool = False
    """Only the older path of the live count is there."""
    older_analytics: bool = False
    """The counts of a website come in the older shape, and only ``timeRange`` is understood."""
    max_limit: int = 1000
    max_per_page: int = 100
    lock: threading.RLock = field(default_factory=threading.RLock)
    _arranged: dict[str, Arranged] = field(default_factory=dict)
    _month: tuple[int, int] | None = None

    def now(self) -> datetime:
        return self.clock.now() + self.skew

    def add_rows(self, website: str, rows: Iterable[Any]) -> None:
        with self.lock:
            self.websites.setdefault(website, []).extend(rows)

    def rows_since(self, website: str, since: datetime) -> list[Any]:
        """Rows at or after ``since``, in the order of service: newest first."""
        with self.lock:
            rows = self.websites[website]
            arranged = self._arranged.get(website)
            if arranged is None or not arranged.is_of(rows):
                arranged = self._arranged[website] = Arranged.of(rows)
            return arranged.since(since.timestamp())

    def admit(self, call: Call) -> None:
        """Count the request, unless its key is wrong. Raises RefusedError."""
        if (call.headers.get("x-api-key") or call.bearer) != self.api_key:
            raise self.refused(401, "UNAUTHORIZED", "Invalid or missing API key.")
        self._roll_month()
        self.month_used += 1
        if self.requests_per_month is not None and self.month_used > self.requests_per_month:
            wait_s = math.ceil((month_after(self.now()) - self.now()).total_seconds())
            headers = {"retry-after": str(max(1, wait_s))}
            raise self.refused(429, "MONTHLY_LIMIT_EXCEEDED", "Monthly API limit exceeded.", headers=headers)
        if not self.paid_plan:
            raise self.refused(403, "API_PAID_PLAN_REQUIRED", "API key access requires a paid plan")

    def headers(self) -> dict[str, str]:
        headers = {"x-request-id": f"req_{uuid.uuid4().hex[:12]}"}
        if self.requests_per_month is not None:
            headers["x-usage-monthly"] = str(self.month_used)
            headers["x-usage-limit"] = str(self.requests_per_month)
            headers["x-usage-reset"] = timestamp(month_after(self.now()))
        return headers

    def usage(self) -> Mapping[str, Any]:
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

    def envelope(self, content: Any) -> Reply:
        """The newest documentation's wrapper."""
        return json_reply({"success": True, "data": content, "timestamp": timestamp(self.now())})

    def refused(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> RefusedError:
        """The newest documentation's error."""
        error = {"code": code, "message": message, "timestamp": timestamp(self.now())}
        return RefusedError(json_reply({"success": False, "error": error}, status=status, headers=headers))

    def _roll_month(self) -> None:
        now = self.now().astimezone(UTC)
        month = (now.year, now.month)
        if self._month not in (None, month):
            self.month_used = 0
        self._month = month


def tracking_code(website: str) -> str:
    """The public code of a website."""
    return TRACKING_CODE if website == DEFAULT_WEBSITE else f"ZV_{website.upper()}"


def month_after(instant: datetime) -> datetime:
    """The first instant of the next calendar month, UTC."""
    first = instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def timestamp(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and ``Z``."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"
