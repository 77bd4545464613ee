"""``setup``."""

from __future__ import annotations

import sys

import click

from etl.cli import logs
from etl.cli.wiring import hubspot_client, hubspot_pace, stoppable
from etl.clock import SystemClock
from etl.load.portal import read_portal
from etl.load.properties import Properties, wanted_properties
from etl.settings import load_hubspot, load_sync


def install_properties() -> int:
    """Create the HubSpot properties that are missing, and say what was done. Returns the exit code."""
    hubspot, sync = load_hubspot()
    logs.configure(sync.log_format, [hubspot.access_token.get_secret_value()])
    clock = SystemClock()
    wanted = wanted_properties(sync.synced)
    with stoppable(clock):
        client = hubspot_client(hubspot, clock, hubspot_pace(hubspot, clock))
        try:
            portal = read_portal(client)
            created = Properties(client, wanted).install()
        finally:
            client.close()
    click.echo(f"portal: {portal or 'HubSpot does not say which one the token opens'}")
    for each in wanted:
        click.echo(f"{each.name}: {'created' if each.name in created else 'there already'}")
    return 0


def print_properties() -> int:
    """Show the properties that ``setup`` would see to, asking nobody. Returns the exit code."""
    wanted = wanted_properties(load_sync().synced)
    rows = [
        (each.name, each.type, "unique" if each.unique else "", each.label, each.setting) for each in wanted
    ]
    if sys.stdout.isatty():
        from etl.cli.display import show  # noqa: PLC0415 -- rich costs 40 ms

        show("properties", ("name", "type", "", "label", "named by"), rows)
        return 0
    for row in rows:
        click.echo("\t".join(row))
    return 0
