"""A city as its owner declares it: the file, and the variables with the secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .opened import City
    from .plan import CityPlan

FILE = "visitor-sync.toml"
_OURS = ("ZENOVAY_", "HUBSPOT_", "SYNC_")


def declaration(plan: CityPlan, *, of_portals: Mapping[str, str] | None = None) -> str:
    """The content of the file. ``of_portals`` are lines that portals have besides, by name."""
    more = of_portals or {}
    blocks = [
        f'[[keys]]\nname = "{key.name}"\nkey_env = "{_variable(key.name)}"\n'
        f"requests_per_minute = {key.per_minute}\nrequests_per_month = {key.per_month}\n"
        for key in plan.keys
    ]
    blocks += [
        f'[[portals]]\nname = "{portal.name}"\ntoken_env = "{_variable(portal.name)}"\n'
        f"requests_per_10_seconds = {portal.per_10_s}\n{more.get(portal.name, '')}"
        for portal in plan.portals
    ]
    blocks += [
        f'[[sites]]\nwebsite = "{site.website}"\nportal = "{site.portal}"\nkey = "{site.key}"\n'
        f'every = "{site.every_s}s"\n'
        for site in plan.sites
    ]
    return "\n".join(blocks)


def secrets(plan: CityPlan) -> dict[str, str]:
    """The variables that the file names."""
    of_keys = {_variable(key.name): key.secret for key in plan.keys}
    return of_keys | {_variable(portal.name): portal.token for portal in plan.portals}


def settle(
    city: City, folder: Path, *, state_url: str, of_portals: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write the file into ``folder``. Returns the environment that each command is to be given."""
    file = folder / FILE
    file.write_text(declaration(city.plan, of_portals=of_portals), encoding="utf-8")
    ours = {"SYNC_CONFIG": str(file), "SYNC_STATE_URL": state_url, "SYNC_LOG_FORMAT": "json"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return inherited | secrets(city.plan) | city.environment() | ours


def _variable(name: str) -> str:
    return f"CITY_{name.upper()}"
