"""What there is in a city, said once for its servers and for the program that is sent there."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """A key of Zenovay's, and what it may be used for."""

    name: str
    secret: str
    per_minute: int = 120
    per_month: int = 1_000_000


@dataclass(frozen=True, slots=True)
class PortalPlan:
    """A HubSpot account; ``number`` is its id."""

    name: str
    token: str
    number: int
    per_10_s: int = 100
    per_day: int = 250_000


@dataclass(frozen=True, slots=True)
class SitePlan:
    """A website. A visit every ``pause_s`` seconds; 0 is none, ever."""

    website: str
    portal: str
    key: str
    every_s: int = 300
    pause_s: float = 60.0


@dataclass(frozen=True, slots=True)
class CityPlan:
    """``latency_ms`` is the least and the most that goes by before an answer.

    ``history_s``: for so long before its start the websites have had visits.
    """

    keys: tuple[KeyPlan, ...]
    portals: tuple[PortalPlan, ...]
    sites: tuple[SitePlan, ...]
    latency_ms: tuple[float, float] = (0.0, 0.0)
    history_s: float = 600.0

    def sites_of(self, portal: str) -> list[SitePlan]:
        return [site for site in self.sites if site.portal == portal]

    def written(self) -> str:
        return orjson.dumps(asdict(self)).decode()


def read_plan(text: str) -> CityPlan:
    """What ``written`` wrote."""
    said: dict[str, Any] = orjson.loads(text)
    return CityPlan(
        keys=tuple(KeyPlan(**each) for each in said["keys"]),
        portals=tuple(PortalPlan(**each) for each in said["portals"]),
        sites=tuple(SitePlan(**each) for each in said["sites"]),
        latency_ms=tuple(said["latency_ms"]),
        history_s=said["history_s"],
    )


def city_of(
    *,
    portals: int,
    sites: int,
    keys: int,
    every_s: Sequence[int] = (300,),
    pause_s: Sequence[float] = (60.0,),
    latency_ms: tuple[float, float] = (0.0, 0.0),
    per_minute: int = 120,
    per_10_s: int = 100,
) -> CityPlan:
    """Websites dealt out to portals in turn, of which each has one key; all keys are shared by several.

    ``every_s`` and ``pause_s`` are dealt out in turn as well.
    """
    owners = tuple(
        PortalPlan(f"p{number:03d}", f"pat-city-{number:03d}", 7000 + number, per_10_s)
        for number in range(portals)
    )
    plans = tuple(KeyPlan(f"k{number}", f"zv_city_{number}", per_minute) for number in range(keys))
    shuffled = random.Random(7)
    return CityPlan(
        keys=plans,
        portals=owners,
        sites=tuple(
            SitePlan(
                f"w{number:04d}",
                owners[number % portals].name,
                plans[number % portals % keys].name,
                shuffled.choice(every_s),
                shuffled.choice(pause_s),
            )
            for number in range(sites)
        ),
        latency_ms=latency_ms,
    )
