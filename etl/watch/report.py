"""What a report holds, whatever it is then printed, posted or drawn as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from etl.models.reading import Quota
    from etl.models.summary import SyncedDay
    from etl.models.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Change:
    """Against the previous report of the same range, read ``since``: percent, None against nothing."""

    since: datetime
    visitors: float | None
    page_views: float | None


@dataclass(frozen=True, slots=True)
class WebsiteReport:
    """One website. Without ``traffic``, ``error`` says why; ``read_at`` is our clock when it was read.

    ``countries_are_ours``: the source named none, and those of the visitors in the state are counted.
    """

    website: str
    traffic: Traffic | None = None
    read_at: datetime | None = None
    change: Change | None = None
    countries_are_ours: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What the sync did from ``since`` on, and how things stand.

    ``runs`` are counted by their status, ``rejected`` by reason: what was refused since then. ``due``,
    ``absent`` and ``confirmed`` are all that there are now. ``watermark_age`` is that of the website that is
    furthest behind, None before the first run; ``month_limit`` the requests that a month has.
    """

    since: datetime
    runs: Mapping[str, int] = field(default_factory=dict)
    created: int = 0
    updated: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    confirmed: int = 0
    due: int = 0
    absent: int = 0
    watermark_age: timedelta | None = None
    quota: Quota | None = None
    month_limit: int = 0

    @property
    def share_of_month(self) -> float | None:
        """Which part of the month's requests is used, from 0 to 1; None as long as none was counted."""
        return self.quota.used / self.month_limit if self.quota and self.month_limit else None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, made ``at`` an instant of our clock. ``history`` has the last 30 days, oldest first."""

    range: str
    at: datetime
    websites: tuple[WebsiteReport, ...]
    sync: SyncReport
    history: tuple[SyncedDay, ...] = ()
