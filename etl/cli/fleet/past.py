"""``fleet backfill``."""

from __future__ import annotations

from etl.cli.fleet.lines import NOBODY
from etl.cli.fleet.opening import declared, roster_of, shared
from etl.cli.people import say
from etl.cli.syncing import parse_range
from etl.clock import SystemClock
from etl.fleet.engine import living
from etl.fleet.schedule import Schedule
from etl.fleet.slices import SLICE, Slices


def ask(portal: str, *, since: str, until: str | None) -> int:
    """Have a past range of all sites of the portal read, slice by slice, between the runs. Returns 0.

    Raises SettingsError for a range that cannot be.
    """
    fleet, now = declared(), SystemClock().now()
    tenants = fleet.tenants_of(portal)
    begin, end = parse_range(since, until, now=now, there=now)
    with shared(fleet) as connection:
        schedule = Schedule(connection)
        schedule.enrol(roster_of(fleet))
        slices = Slices(connection, schedule.now)
        news = [slices.ask(portal, tenant.key, begin, end) for tenant in tenants]
        paused, alive = schedule.paused_at(portal), living(connection)
    soon = "within a minute" if alive else "once a worker is alive"
    begins = "begins once it is resumed" if paused else f"begins {soon}"
    say(
        f"{portal}: the backfill {begins}, {SLICE} requests at a time."
        if any(news)
        else f"{portal}: it goes on already."
    )
    say("visitor-sync fleet status shows how far it is.")
    if not alive:
        say(NOBODY)
    return 0
