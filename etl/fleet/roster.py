"""What a fleet declares, as far as its schedule needs to know it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping


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

    @classmethod
    def union(cls, rosters: Iterable[Roster]) -> Roster:
        """What any of them declares; where they differ, the last one's word."""
        sites: dict[Name, Site] = {}
        per_minute: dict[str, int] = {}
        for roster in rosters:
            sites |= roster.sites
            per_minute |= roster.per_minute
        return cls(sites, per_minute)

    def to_text(self) -> str:
        sites = [
            (each.portal, each.website, each.key, each.every.total_seconds()) for each in self.sites.values()
        ]
        return json.dumps({"sites": sites, "per_minute": dict(self.per_minute)})

    @classmethod
    def from_text(cls, text: str) -> Roster:
        """The opposite of ``to_text``."""
        found = json.loads(text)
        sites = [
            Site(portal, website, key, timedelta(seconds=every))
            for portal, website, key, every in found["sites"]
        ]
        return cls.of(sites, found["per_minute"])

    def of_portal(self, portal: str) -> list[Site]:
        return [site for site in self.sites.values() if site.portal == portal]

    def has(self, portal: str, key: str) -> bool:
        """Whether anything of ``portal`` is read with ``key``."""
        return any(site.key == key for site in self.of_portal(portal))

    def longest(self, portal: str) -> timedelta:
        """The longest interval of a declared portal."""
        return max(site.every for site in self.of_portal(portal))
