"""What all commands of a fleet begin with: the engine, the declaration, the shared tables."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.cli import logs
from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.fleet.roster import Roster, Site
from etl.settings import load_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from etl.settings import Fleet


def declared() -> Fleet:
    """The fleet, with the log set up as the settings say. Raises SettingsError."""
    fleet = load_fleet()
    logs.follow(fleet.tenants[0].settings.sync, fleet.secrets())
    if not fleet.url.startswith("postgresql"):
        raise SettingsError(
            "The fleet's engine needs PostgreSQL, and SYNC_STATE_URL names none.",
            fix="Write SYNC_STATE_URL=postgresql+psycopg://host/database; or, on one machine and"
            " without an engine, visitor-sync run --all.",
        )
    return fleet


def roster_of(fleet: Fleet) -> Roster:
    """What the schedule needs to know of the declaration."""
    sites = [
        Site(tenant.portal, website, tenant.key, every)
        for tenant in fleet.tenants
        for website, every in tenant.every.items()
    ]
    limits = {tenant.key: tenant.settings.zenovay.requests_per_minute for tenant in fleet.tenants}
    return Roster.of(sites, limits)


@contextmanager
def shared(fleet: Fleet) -> Iterator[Connection]:
    """One transaction in the shared tables, which must be there, and the engine's beside them.

    Raises StateError.
    """
    from etl.fleet.database import existing_fleet  # noqa: PLC0415 -- it brings SQLAlchemy
    from etl.fleet.engine import prove_installed  # noqa: PLC0415 -- it brings the engine
    from etl.state.failures import translated  # noqa: PLC0415 -- likewise

    with (
        existing_fleet(fleet.url, SystemClock()) as connection,
        translated(connection.engine.url),
        connection.begin(),
    ):
        prove_installed(connection)
        yield connection
