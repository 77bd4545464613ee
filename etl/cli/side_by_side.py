"""The portals of a fleet, side by side: several at once, and the trouble of one is its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from etl.cli import logs
from etl.cli.derived import state_url
from etl.cli.tenants import not_come_to, sync_tenant
from etl.errors import SettingsError
from etl.fleet.permits import permits
from etl.state.store import peek_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etl.cli.printout import Collector, Printout
    from etl.cli.wish import Wish
    from etl.clock import SystemClock
    from etl.models.summary import RunSummary
    from etl.settings import Fleet, Tenant

_NEVER = datetime.min.replace(tzinfo=UTC)


class _Part(NamedTuple):
    """What is wanted of one portal: its tenants, each with the websites that are wanted of it."""

    portal: str
    tenants: tuple[tuple[Tenant, tuple[str, ...]], ...]


def sync_fleet(fleet: Fleet, clock: SystemClock, report: Printout | Collector, wish: Wish) -> int:
    """Sync the new visitors of all portals, so many at once as are wished for. Returns the exit code.

    Those that were synced longest ago begin. ``report`` hears of a site as soon as its run has ended.
    Raises SettingsError for a website that nobody has.
    """
    parts, alone = _parts(fleet, wish.websites), Lock()

    def tell(summary: RunSummary) -> None:
        with alone:
            report.add(summary)

    with (
        permits(fleet.url, {}, clock),  # one connection for all runs
        ThreadPoolExecutor(wish.jobs, thread_name_prefix="portal") as threads,
    ):
        if len(parts) > wish.jobs:
            since = threads.map(lambda part: _synced(part, clock), parts)
            parts = [part for _, part in sorted(zip(since, parts, strict=True), key=lambda pair: pair[0])]
        running = [threads.submit(_sync_portal, part, clock, wish, tell) for part in parts]
        are_complete = [future.result() for future in running]
    declared = [(tenant.portal, website) for tenant in fleet.tenants for website in tenant.every]
    places = {place: number for number, place in enumerate(declared)}
    report.summaries.sort(key=lambda each: places[str(each.portal_name), each.website])
    code, interruption = report.close(), clock.interruption()
    return interruption.exit_code if interruption and not all(are_complete) else code


def _parts(fleet: Fleet, websites: Sequence[str]) -> list[_Part]:
    known = list(dict.fromkeys(website for tenant in fleet.tenants for website in tenant.every))
    if unknown := [website for website in websites if website not in known]:
        raise SettingsError(
            f"--website names {', '.join(unknown)}, which no portal here has.",
            fix=f"There are: {', '.join(known) or 'none'}.",
        )
    parts = [_Part(portal, _of_portal(fleet, portal, websites)) for portal in fleet.portals()]
    return [part for part in parts if part.tenants]


def _of_portal(
    fleet: Fleet, portal: str, websites: Sequence[str]
) -> tuple[tuple[Tenant, tuple[str, ...]], ...]:
    tenants = [(each, tuple(set(websites) & set(each.every))) for each in fleet.tenants_of(portal)]
    return tuple((each, mine) for each, mine in tenants if mine or not websites)


def _synced(part: _Part, clock: SystemClock) -> datetime:
    """When that of its websites was synced that was synced longest ago, as far as the state can be asked."""
    try:
        with peek_state(state_url(part.tenants[0][0].settings.sync), clock) as state:
            if state is None:
                return _NEVER
            websites = [website for tenant, _ in part.tenants for website in tenant.every]
            return min(state.runs.last_success(each, now=clock.now()) or _NEVER for each in websites)
    except Exception:  # noqa: BLE001 -- what is wrong with this state is told by its run
        return _NEVER


def _sync_portal(part: _Part, clock: SystemClock, wish: Wish, tell: Callable[[RunSummary], None]) -> bool:
    """Sync one portal, tenant by tenant. Returns whether all had their turn before a signal came."""
    logs.portal.set(part.portal)
    for tenant, websites in part.tenants:
        if clock.interruption():
            return False
        run = sync_tenant(tenant, clock, websites=websites, now=wish.now, dry_run=wish.dry_run, tell=tell)
        for summary in not_come_to(tenant, run, websites=websites, dry_run=wish.dry_run):
            tell(summary)
    return True
