"""What a fleet declares, as far as its schedule needs to know it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta


class Name(NamedTuple):
    """A website of a portal; several portals may have the same website."""

    portal: str
    website: str

    def __str__(self) -> str:
        return f"{self.portal}/{self.website}"


@dataclass(frozen=True, slots=True)
class Site:
    """A website of a portal, read with ``key``, and how often."""

    portal: str
    website: str
    key: str
    every: timedelta

    @property
    def name(self) -> Name:
        return Name(self.portal, self.website)


@dataclass(frozen=True, slots=True)
class Roster:
    """All sites that are declared, and how many requests a minute each key has."""

    sites: Mapping[Name, Site]
    per_minute: Mapping[str, int]

    @classmethod
    def of(cls, sites: Collection[Site], per_minute: Mapping[str, int]) -> Roster:
        return cls({site.name: site for site in sites}, per_minute)

    def of_portal(self, portal: str) -> list[Site]:
        return [site for site in self.sites.values() if site.portal == portal]

    def has(self, portal: str, key: str) -> bool:
        """Whether anything of ``portal`` is read with ``key``."""
        return any(site.key == key for site in self.of_portal(portal))

    def longest(self, portal: str) -> timedelta:
        """The longest interval of a declared portal."""
        return max(site.every for site in self.of_portal(portal))
