"""What ``status`` finds in the state, and how programs get it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.cli.month import Month, look
from etl.cli.outlook import next_run
from etl.cli.speech import spoken
from etl.models.summary import utc_text
from etl.state.ledger import LedgerCounts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, timedelta

    from etl.models.portal import Owner
    from etl.models.reading import Backfill, KnownWebsite
    from etl.models.stop import Stop
    from etl.models.summary import Failing
    from etl.settings import PlanSettings
    from etl.state.lock import Holder
    from etl.state.store import Transaction


EMPTY: dict[str, Any] = {
    "websites": [],
    "contacts": LedgerCounts(0, 0, 0, 0, 0)._asdict(),
    "lock": None,
    "portal": None,
    "stops": [],
}
"""Of a state that is not there yet."""


@dataclass(frozen=True, slots=True)
class WebsiteStatus:
    """How a website fares. ``in_settings`` is None where the settings name no website at all."""

    website: str
    in_settings: bool | None
    watermark: datetime | None
    swept: datetime | None
    last_success: datetime | None
    failing: Failing | None
    next_run: datetime | None
    degraded: tuple[datetime, str] | None
    backfills: Sequence[Backfill]
    runs: Sequence[dict[str, Any]]

    def as_object(self) -> dict[str, Any]:
        failing, degraded = self.failing, self.degraded
        return {
            "website": self.website,
            "watermark": utc_text(self.watermark),
            "swept": utc_text(self.swept),
            "degraded": degraded and {"since": utc_text(degraded[0]), "why": degraded[1]},
            "backfills": [_unfinished(backfill) for backfill in self.backfills],
            "runs": self.runs,
            "in_settings": self.in_settings,
            "last_success": utc_text(self.last_success),
            "failing": failing and {**asdict(failing), "since": utc_text(failing.since)},
            "next_run": utc_text(self.next_run),
        }


@dataclass(frozen=True, slots=True)
class StateStatus:
    """What the state holds. ``unread`` are the websites of the settings that were never synced."""

    websites: Sequence[WebsiteStatus]
    unread: Sequence[str]
    contacts: LedgerCounts
    holder: Holder | None
    owner: Owner | None
    stops: Sequence[tuple[str, Stop]]
    month: Month

    def as_object(self) -> dict[str, Any]:
        return {
            "websites": [website.as_object() for website in self.websites],
            "contacts": self.contacts._asdict(),
            "lock": _holder(self.holder),
            "portal": self.owner.portal_id if self.owner else None,
            "stops": [stop.as_object(api) for api, stop in self.stops],
            **self.month.as_object(),
        }

    def only(self, names: Collection[str]) -> StateStatus:
        """The same of these websites alone."""
        return replace(
            self,
            websites=[website for website in self.websites if website.website in names],
            unread=[name for name in self.unread if name in names],
        )

    @property
    def shown(self) -> Sequence[WebsiteStatus]:
        """Those that people are interested in."""
        return [website for website in self.websites if website.in_settings is not False]


def look_at(
    state: Transaction,
    plan: PlanSettings,
    rest: timedelta,
    now: datetime,
    *,
    runs: int,
    every: Mapping[str, timedelta],
) -> StateStatus:
    """Everything; a website rests for ``rest`` after a good run. Raises StateError.

    ``every`` says how often the websites are read, where that is declared.
    """
    known, quota = state.runs.websites(), state.limits.latest_quota("zenovay")
    stops = state.limits.stops()
    holder = state.holder()
    return StateStatus(
        websites=[
            _website(
                state,
                name,
                website,
                in_settings=None if plan.website_id is None else name in plan.website_id,
                next_run=next_run(
                    started=state.runs.last_started(name, now=now),
                    succeeded=state.runs.last_success(name, now=now),
                    interval=every.get(name) or _interval(look(state, [name], plan, now, quota)),
                    rest=rest,
                    stopped_until=[stop.until for _, stop in stops],
                ),
                now=now,
                going_on=holder is not None,
                runs=runs,
            )
            for name, website in known.items()
        ],
        unread=[name for name in plan.website_id or () if name not in known],
        contacts=state.ledger.counts(),
        holder=holder,
        owner=state.ownership.owner(),
        stops=stops,
        month=look(state, plan.website_id or known, plan, now, quota, declared=bool(every)),
    )


def _interval(month: Month) -> timedelta | None:
    return month.schedule.interval if month.schedule else None


def _website(
    state: Transaction,
    name: str,
    website: KnownWebsite,
    *,
    in_settings: bool | None,
    next_run: datetime | None,
    now: datetime,
    going_on: bool,
    runs: int,
) -> WebsiteStatus:
    failing = state.runs.failing(name, now=now, going_on=going_on)
    return WebsiteStatus(
        website=name,
        in_settings=in_settings,
        watermark=website.watermark,
        swept=website.swept,
        last_success=state.runs.last_success(name, now=now),
        failing=failing and replace(failing, reason=failing.reason and spoken(failing.reason)),
        next_run=next_run if in_settings is not False else None,
        degraded=state.runs.degraded(website.id),
        backfills=list(state.backfills.unfinished(name)),
        runs=[_told(run) for run in state.runs.last(name, runs)],
    )


def _told(run: dict[str, Any]) -> dict[str, Any]:
    return run | {"reason": spoken(run["reason"])} if run.get("reason") else run


def _unfinished(backfill: Backfill) -> dict[str, Any]:
    bookmark = backfill.bookmark
    return {
        "since": utc_text(backfill.since),
        "until": utc_text(backfill.until),
        "started": utc_text(backfill.started),
        "reached": utc_text(bookmark.reached) if bookmark else None,
        "rows": bookmark.offset if bookmark else 0,
        "requests": backfill.requests,
    }


def _holder(holder: Holder | None) -> dict[str, Any] | None:
    if holder is None:
        return None
    return {
        "owner": holder.owner,
        "host": holder.host,
        "pid": holder.pid,
        "since": utc_text(holder.since),
    }
