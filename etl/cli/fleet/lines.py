"""``fleet status`` in words: a line for a portal, and below it what is wrong there. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from etl.cli.people import ago, at, named
from etl.models.summary import utc_second

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from etl.fleet.overview import Overview, PortalState, SiteState, WorkerState

NOBODY = "no worker is alive: visitor-sync fleet worker starts one"
COLUMNS = ("portal", "state", "sites", "last success", "read up to", "due", "rejected", "next run", "run by")


def portal_cells(portal: PortalState, now: datetime) -> Sequence[object]:
    """A row of the table: of several sites the one that is the worst off, and the run that comes first."""
    return (
        portal.name,
        state_word(portal),
        len(portal.sites),
        _oldest([site.last_success for site in portal.sites], now),
        _oldest([site.watermark for site in portal.sites], now),
        portal.due,
        portal.rejected,
        _next(portal, now),
        _runner(portal, now),
    )


def portal_line(portal: PortalState, now: datetime) -> str:
    cells = zip(COLUMNS[2:], portal_cells(portal, now)[2:], strict=True)
    told = "; ".join(f"{name}: {'-' if cell is None else cell}" for name, cell in cells)
    return f"portal {portal.name}: {state_word(portal)}; {told}"


def state_word(portal: PortalState) -> str:
    """How a portal fares, in a word."""
    if portal.paused:
        return "paused"
    if any(_fails(site) for site in portal.sites):
        return "failing"
    return "ok" if all(site.last_success for site in portal.sites) else "not synced yet"


def wrong_lines(portal: PortalState, now: datetime) -> Iterator[str]:
    """What somebody should know: sites that fail, once for each reason, and why nothing begins."""
    if portal.paused:
        yield f"paused since {at(portal.paused, now)}: visitor-sync fleet resume {portal.name}"
    if portal.resumes:
        yield f"left alone until {at(portal.resumes, now)}, as it was down"
    by_reason: defaultdict[tuple[int | None, str | None], list[SiteState]] = defaultdict(list)
    for site in portal.sites:
        if _fails(site):
            by_reason[site.exit_code, site.reason].append(site)
    for (code, reason), sites in by_reason.items():
        ended = "exit code " + str(code) if code is not None else "killed"
        most = max(site.failures for site in sites)
        runs = f", {most} runs in a row" if most > 1 else ""
        yield f"{named([site.site.website for site in sites])}: {ended}{runs}. {reason or ''}".rstrip()
    yield from _skipped_lines(portal)


def _skipped_lines(portal: PortalState) -> Iterator[str]:
    """One for all sites: their reasons differ by seconds, and the latest one stands for them."""
    skipped = {site.site.website: site.skipped for site in portal.sites if site.skipped}
    if skipped and not portal.paused:
        yield (
            f"{named([*skipped])}: skipped. {max(skipped.values())}"
            f" visitor-sync fleet run {portal.name} --now runs regardless."
        )


def quota_lines(found: Overview) -> Iterator[str]:
    """A line for each key whose requests are counted, and for each portal that HubSpot lets wait."""
    for portal in found.portals:
        if until := portal.day.stopped_until:
            yield f"portal {portal.name}: stopped until {at(until, found.now)}: {portal.day.stop_reason}"
    quotas = {quota.name: quota for portal in found.portals for quota in portal.quotas}
    for quota in quotas.values():
        if quota.used is not None:
            of = f" of {quota.limit}" if quota.limit else ""
            ends = f" until {utc_second(quota.resets_at)}" if quota.resets_at else ""
            yield f"key {quota.name}: {quota.used}{of} requests used{ends}"
        if quota.stopped_until:
            yield f"key {quota.name}: stopped until {at(quota.stopped_until, found.now)}: {quota.stop_reason}"


def backfill_lines(found: Overview) -> Iterator[str]:
    """A line for each backfill, also of those that have ended."""
    for portal in found.portals:
        for each in portal.backfills:
            until = utc_second(each.until) if each.until else "now"
            how = (
                f"ended {ago(each.ended, found.now)}, exit code {each.exit_code}" if each.ended else "goes on"
            )
            why = f": {each.reason}" if each.ended and each.exit_code and each.reason else ""
            yield (
                f"backfill of {portal.name} with {each.key}, {utc_second(each.since)} to {until}:"
                f" {each.requests} requests, {each.rows} rows; {how}{why}"
            )


def worker_line(worker: WorkerState, now: datetime) -> str:
    state = "works since" if worker.alive else "DEAD, had worked since"
    return f"worker {worker.pid} on {worker.host}: {state} {at(worker.started, now)}, {worker.version}"


def _fails(site: SiteState) -> bool:
    return site.failures > 0


def _oldest(instants: Sequence[datetime | None], now: datetime) -> str | None:
    known = [instant for instant in instants if instant]
    return ago(min(known), now) if known and len(known) == len(instants) else None


def _next(portal: PortalState, now: datetime) -> str | None:
    if any(site.waiting for site in portal.sites):
        return "queued"
    known = [site.next_run for site in portal.sites if site.next_run]
    if not known:
        return None
    return ago(min(known), now) if min(known) > now else "due"


def _runner(portal: PortalState, now: datetime) -> str | None:
    for site in portal.sites:
        if site.worker and site.since:
            dead = "" if site.worker.alive else " (DEAD)"
            return f"{site.worker.pid} on {site.worker.host}{dead}, {ago(site.since, now)}"
    return None
