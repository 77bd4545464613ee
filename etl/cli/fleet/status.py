"""``fleet status``: how the fleet fares, for programs and for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import orjson

from etl.cli.fleet.lines import (
    COLUMNS,
    NOBODY,
    backfill_lines,
    portal_cells,
    portal_line,
    quota_lines,
    worker_line,
    wrong_lines,
)
from etl.cli.fleet.objects import fleet_object
from etl.cli.fleet.opening import declared, roster_of, shared
from etl.cli.people import say
from etl.fleet.overview import look_at
from etl.fleet.schedule import Schedule
from etl.fleet.stops import key_row, portal_row

if TYPE_CHECKING:
    from etl.fleet.overview import Overview
    from etl.settings import Fleet


def show_fleet(*, as_json: bool) -> int:
    """Print how each declared portal fares, from the shared tables alone. Returns 0."""
    fleet = declared()
    roster = roster_of(fleet)
    with shared(fleet) as connection:
        found = look_at(connection, roster, Schedule(connection).now, _plans(fleet))
    if as_json:
        click.echo(orjson.dumps(fleet_object(found)))
        return 0
    _print_portals(found)
    for line in (*quota_lines(found), *backfill_lines(found)):
        say(line)
    for worker in found.workers:
        say(worker_line(worker, found.now))
    if not any(worker.alive for worker in found.workers):
        say(NOBODY)
    return 0


def _plans(fleet: Fleet) -> dict[str, int | None]:
    months = {key_row(each.key): each.settings.zenovay.requests_per_month for each in fleet.tenants}
    shares = (each.settings.shared for each in fleet.tenants)
    days = {portal_row(each.portal): each.requests_per_day for each in shares if each}
    return {**months, **days}


def _print_portals(found: Overview) -> None:
    if not sys.stdout.isatty():
        for portal in found.portals:
            say(portal_line(portal, found.now))
            for line in wrong_lines(portal, found.now):
                say(f"  {line}")
        return
    from etl.cli.display import block, show  # noqa: PLC0415 -- rich costs 40 ms

    rows = [portal_cells(portal, found.now) for portal in found.portals]
    show("", COLUMNS, rows, whole=COLUMNS[1:], ids={"portal"})
    for portal in found.portals:
        for line in wrong_lines(portal, found.now):
            block(f"{portal.name}: {line}")
