"""The commands of ``fleet``. Each imports what it needs when it is called, and asks for the engine before."""

from __future__ import annotations

from importlib.util import find_spec

import click

from etl.cli.options import Group, refuse_portal, required_portal
from etl.errors import SettingsError, installing

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
PORTAL = click.argument("portal", metavar="PORTAL", required=False, callback=required_portal)
_PARTS = ("procrastinate", "psycopg")


def require_engine() -> None:
    """Raise SettingsError where the extra is not installed."""
    missing = [name for name in _PARTS if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"The fleet's engine needs {missing[0]}, which is not installed.",
            fix=f"In the checkout: {installing('fleet')}",
        )


@click.group(cls=Group)
def fleet() -> None:
    """Sync many portals by workers on several machines.

    visitor-sync help fleet tells how.
    """


@fleet.command()
def init() -> int:
    """Make or upgrade the tables that the workers share. Safe to repeat."""
    refuse_portal()
    require_engine()
    from etl.cli.fleet.init import make_tables

    return make_tables()


@fleet.command()
@click.option(
    "--concurrency",
    default=8,
    show_default=True,
    metavar="N",
    type=click.IntRange(1, 64),
    help="So many runs at a time.",
)
def worker(*, concurrency: int) -> int:
    """Do what is due, until a signal; as many workers as you like, on any machine."""
    refuse_portal()
    require_engine()
    from etl.cli.fleet.working import work

    return work(concurrency=concurrency)


@fleet.command()
@JSON_OPTION
def status(*, as_json: bool) -> int:
    """Show how each portal fares, what is left of its limits, and who works."""
    require_engine()
    from etl.cli.fleet.status import show_fleet

    return show_fleet(as_json=as_json)


@fleet.command()
@PORTAL
def pause(*, portal: str) -> int:
    """Begin no run of PORTAL any more; one that goes on ends by itself."""
    refuse_portal()
    require_engine()
    from etl.cli.fleet.portals import pause as pause_portal

    return pause_portal(portal)


@fleet.command()
@PORTAL
def resume(*, portal: str) -> int:
    """Let the runs of PORTAL begin again."""
    refuse_portal()
    require_engine()
    from etl.cli.fleet.portals import resume as resume_portal

    return resume_portal(portal)


@fleet.command()
@PORTAL
@click.option("--now", is_flag=True, help="Even if the last run was a moment ago, or a limit is spent.")
def run(*, portal: str, now: bool) -> int:
    """Have all sites of PORTAL synced at once, by the workers."""
    refuse_portal()
    require_engine()
    from etl.cli.fleet.portals import run as run_portal

    return run_portal(portal, now=now)


@fleet.command()
@PORTAL
@click.option("--from", "since", required=True, metavar="D", help="First day (UTC), or an ISO 8601 instant.")
@click.option("--to", "until", metavar="D", help="Last day, included, or an instant, excluded.")
def backfill(*, portal: str, since: str, until: str | None) -> int:
    """Have a past range of all sites of PORTAL read by the workers, between the runs."""
    refuse_portal()
    require_engine()
    from etl.cli.fleet.past import ask

    return ask(portal, since=since, until=until)
