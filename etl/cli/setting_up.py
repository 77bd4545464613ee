"""``setup``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from etl.cli import logs
from etl.cli.people import say, tabbed
from etl.cli.stopping import stoppable
from etl.cli.wiring import hubspot_beside, wanted_of
from etl.clock import SystemClock
from etl.load.portal import read_portal
from etl.load.properties import Properties
from etl.settings import load_hubspot, load_shared, load_sync

if TYPE_CHECKING:
    from etl.load.properties import WantedProperty


def install_properties() -> int:
    """Create the HubSpot properties that are missing, and say what was done. Returns the exit code."""
    hubspot, sync = load_hubspot()
    logs.configure(sync.log_format, [hubspot.access_token.get_secret_value()])
    clock = SystemClock()
    wanted = wanted_of(sync)
    with stoppable(clock), hubspot_beside(hubspot, clock, load_shared()) as client:
        portal = read_portal(client)
        created = Properties(client, wanted).install()
    say(f"portal: {portal or 'HubSpot does not say which one the token opens'}")
    for each in wanted:
        say(f"{each.name}: {'created' if each.name in created else 'there already'}")
    return 0


def print_properties() -> int:
    """Show the properties that ``setup`` would see to, asking nobody. Returns the exit code."""
    wanted = wanted_of(load_sync())
    rows = [(each.name, each.type, _kind(each), each.label, each.setting) for each in wanted]
    if sys.stdout.isatty():
        from etl.cli.display import show  # noqa: PLC0415 -- rich costs 40 ms

        show("properties", ("name", "type", "", "label", "named by"), rows)
        return 0
    for row in rows:
        tabbed(row)
    return 0


def _kind(wanted: WantedProperty) -> str:
    if wanted.unique:
        return "unique"
    return "in forms" if wanted.in_forms else ""
