"""The object of ``fleet status --json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.models.summary import utc_text

if TYPE_CHECKING:
    from datetime import datetime

    from etl.fleet.overview import BackfillState, Overview, PortalState, Quota, SiteState, WorkerState


def fleet_object(found: Overview) -> dict[str, Any]:
    return {
        "at": utc_text(found.now),
        "portals": [_portal(portal, found.now) for portal in found.portals],
        "workers": [_worker(worker) for worker in found.workers],
    }


def _portal(portal: PortalState, now: datetime) -> dict[str, Any]:
    return {
        "portal": portal.name,
        "paused": utc_text(portal.paused),
        "left_alone_until": utc_text(portal.resumes),
        "contacts": {"due": portal.due, "rejected": portal.rejected},
        "quota": [{"key": quota.name, **_quota(quota)} for quota in portal.quotas],
        "day": _quota(portal.day),
        "sites": [_site(site, now) for site in portal.sites],
        "backfills": [_backfill(each) for each in portal.backfills],
    }


def _site(site: SiteState, now: datetime) -> dict[str, Any]:
    age = (now - site.watermark).total_seconds() if site.watermark else None
    runner = {**_worker(site.worker), "since": utc_text(site.since)} if site.worker else None
    return {
        "website": site.site.website,
        "key": site.site.key,
        "every_s": int(site.site.every.total_seconds()),
        "last_success": utc_text(site.last_success),
        "watermark": utc_text(site.watermark),
        "watermark_age_s": age,
        "next_run": utc_text(site.next_run),
        "queued": site.waiting,
        "runner": runner,
        "run": site.run,
        "ended": utc_text(site.ended),
        "exit_code": site.exit_code,
        "reason": site.reason,
        "skipped": site.skipped,
        "failures": site.failures,
    }


def _worker(worker: WorkerState) -> dict[str, Any]:
    return {
        "host": worker.host,
        "pid": worker.pid,
        "version": worker.version,
        "started": utc_text(worker.started),
        "alive": worker.alive,
    }


def _quota(quota: Quota) -> dict[str, Any]:
    return {
        "used": quota.used,
        "limit": quota.limit,
        "resets_at": utc_text(quota.resets_at),
        "stopped_until": utc_text(quota.stopped_until),
        "stop_reason": quota.stop_reason,
    }


def _backfill(each: BackfillState) -> dict[str, Any]:
    return {
        "key": each.key,
        "since": utc_text(each.since),
        "until": utc_text(each.until),
        "asked": utc_text(each.asked),
        "requests": each.requests,
        "rows": each.rows,
        "ended": utc_text(each.ended),
        "exit_code": each.exit_code,
        "reason": each.reason,
    }
