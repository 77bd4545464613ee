"""``fleet pause``, ``resume`` and ``run``: what somebody wants of one portal now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.cli.fleet.lines import NOBODY
from etl.cli.fleet.opening import declared, roster_of, shared
from etl.cli.people import at, say
from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.fleet.engine import Order, living, queue
from etl.fleet.schedule import Schedule

if TYPE_CHECKING:
    from datetime import datetime


def pause(portal: str) -> int:
    """Have no run of the portal begin any more. Returns 0."""
    fleet = declared()
    fleet.tenants_of(portal)
    with shared(fleet) as connection:
        schedule = Schedule(connection)
        news, running = schedule.pause(portal), schedule.running(portal)
    say(f"{portal} is paused." if news else f"{portal} was paused already.")
    if running:
        say("A run of it goes on and ends by itself; none begins.")
    return 0


def resume(portal: str) -> int:
    """Let its runs begin again; those that are due do within a minute. Returns 0."""
    fleet = declared()
    fleet.tenants_of(portal)
    with shared(fleet) as connection:
        news = Schedule(connection).resume(portal)
    say(f"{portal} goes on within a minute." if news else f"{portal} was not paused.")
    return 0


def run(portal: str, *, now: bool) -> int:
    """Queue all sites of the portal at once, before others; ``now`` obeys neither rest nor stops. Returns 0.

    Raises SettingsError for a portal that is paused.
    """
    fleet = declared()
    fleet.tenants_of(portal)
    roster = roster_of(fleet)
    sites = roster.of_portal(portal)
    with shared(fleet) as connection:
        schedule = Schedule(connection)
        refuse_paused(portal, schedule.paused_at(portal))
        schedule.enrol(roster)
        schedule.hurry([site.name for site in sites], at_once=now)
        alive = living(connection)
    queued = queue(fleet.url, [Order(portal, site.key, site=site.name, soon=True) for site in sites])
    waiting = len(sites) - queued
    beside = f", {waiting} {'was' if waiting == 1 else 'were'} queued already" if waiting else ""
    told = "1 site" if queued == 1 else f"{queued} sites"
    say(f"{portal}: {told} queued{beside}. visitor-sync fleet status shows how they fare.")
    if not alive:
        say(NOBODY)
    return 0


def refuse_paused(portal: str, since: datetime | None) -> None:
    """Raise SettingsError if the portal is paused."""
    if since:
        raise SettingsError(
            f"{portal} is paused since {at(since, SystemClock().now())}.",
            fix=f"visitor-sync fleet resume {portal} lets it go on.",
        )
