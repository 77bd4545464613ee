"""Many portals: what the settings of each come to, and what all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.declaration import NAME_SHAPE, is_name
from etl.errors import SettingsError
from etl.naming import nearest
from etl.settings.sections import Shared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from etl.settings.sections import Settings

__all__ = ["Fleet", "Shared", "Tenant", "unknown_portal"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """The websites of one portal that are read with one key."""

    portal: str
    key: str
    settings: Settings
    every: Mapping[str, timedelta]
    """How often each website is to be read, by its id."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All tenants, in the order in which portals and keys are declared."""

    tenants: tuple[Tenant, ...]
    url: str
    """Where the tables are that portals share."""

    notes: tuple[str, ...] = ()

    def portals(self) -> tuple[str, ...]:
        """The names of all portals that have websites."""
        return tuple(dict.fromkeys(tenant.portal for tenant in self.tenants))

    def tenants_of(self, portal: str) -> tuple[Tenant, ...]:
        """The tenants of a portal, one for each of its keys. Raises SettingsError for an unknown one."""
        found = tuple(tenant for tenant in self.tenants if tenant.portal == portal)
        if not found:
            raise unknown_portal(portal, self.portals(), kind="portal with websites")
        return found

    def tenant(self, portal: str, website: str) -> Tenant:
        """The tenant that a website of a portal belongs to. Raises SettingsError for an unknown one."""
        tenants = self.tenants_of(portal)
        found = next((tenant for tenant in tenants if website in tenant.every), None)
        if found is None:
            known = [name for tenant in tenants for name in tenant.every]
            raise SettingsError(
                f"The portal {portal} has no website of that name.",
                fix=f"It has {', '.join(known)}.",
            )
        return found

    def secrets(self) -> tuple[str, ...]:
        """What no output may hold, of all tenants."""
        return tuple(dict.fromkeys(each for tenant in self.tenants for each in tenant.settings.secrets()))

    def remarks(self) -> list[str]:
        """Sentences on what is not wrong, and may still not be meant."""
        return [*self.notes]


def unknown_portal(name: str, known: Sequence[str], *, kind: str = "portal") -> SettingsError:
    """That no portal, or none of a ``kind``, has this name, which is shown if it can be one."""
    no_name = f"The name of a portal must {NAME_SHAPE}, and a key or a token is none."
    return SettingsError(
        f"No {kind} is named '{name}'." if is_name(name) else no_name,
        fix=f"The nearest one is {nearest(name.lower(), known)}; there are {', '.join(known)}."
        if known
        else "visitor-sync help fleet shows how one is declared.",
    )
