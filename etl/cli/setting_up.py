"""``setup``."""

from __future__ import annotations

import click

from etl.cli import logs
from etl.cli.wiring import hubspot_client, hubspot_pace, needed_properties, stoppable
from etl.clock import SystemClock
from etl.load.portal import read_portal
from etl.load.properties import Properties
from etl.settings import load_hubspot


def install_properties() -> int:
    """Create the HubSpot properties that are missing, and say what was done. Returns the exit code."""
    hubspot, sync = load_hubspot()
    logs.configure(sync.log_format, [hubspot.access_token.get_secret_value()])
    clock = SystemClock()
    wanted = needed_properties(sync)
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
