"""``fleet init``."""

from __future__ import annotations

from etl.cli.fleet.opening import declared, roster_of
from etl.cli.people import say
from etl.clock import SystemClock
from etl.fleet.database import open_fleet, revision
from etl.fleet.engine import install
from etl.fleet.schedule import Schedule
from etl.state.database import connect
from etl.state.failures import translated
from etl.state.urls import parse_url, place


def make_tables() -> int:
    """Make or upgrade the shared tables and the engine's, take up the sites, and say so. Returns 0.

    Safe to repeat, and beside workers.
    """
    fleet, clock = declared(), SystemClock()
    with connect(fleet.url, create=True, clock=clock) as connection:
        before = revision(connection)
    with open_fleet(fleet.url, clock, upgrades=True) as connection:
        after = revision(connection)
        engine = install(connection)
        with translated(connection.engine.url), connection.begin():
            Schedule(connection).enrol(roster_of(fleet))
    done = "made" if before is None else "were there" if before == after else "upgraded"
    say(f"shared tables at {place(parse_url(fleet.url))}: {done}")
    say(f"tables of the engine: {engine}")
    sites = sum(len(tenant.every) for tenant in fleet.tenants)
    say(f"declared: {len(fleet.portals())} portals, {sites} sites")
    for remark in fleet.remarks():
        say(remark)
    return 0
