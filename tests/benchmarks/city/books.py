"""Every request that a city saw, and what came of it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

ZENOVAY = "zenovay"
HUBSPOT = "hubspot"


@dataclass(frozen=True, slots=True)
class Request:
    """``arrived`` and ``answered`` are seconds since 1970, the latter 0 where nobody was left to be answered.

    ``process`` is the sender's id, ``connection`` a number of its own; ``who`` is the key or the portal.
    """

    arrived: float
    answered: float
    process: int
    connection: int
    side: str
    who: str
    what: str
    website: str
    status: int


@dataclass(frozen=True, slots=True)
class Limit:
    """``peak`` is the most that came in one window, ``exceeded`` what came too early."""

    limit: int
    arrivals: int
    exceeded: int
    peak: int


@dataclass(frozen=True, slots=True)
class Books:
    """``limits`` by ``key/minute`` and the like; page views by portal and visitor as HubSpot has them.

    And by website and visitor as Zenovay has told them.
    """

    requests: tuple[Request, ...]
    limits: Mapping[str, Limit]
    portals: Mapping[str, Mapping[str, str | None]]
    websites: Mapping[str, Mapping[str, int]]
    cpu_s: float


def read_books(said: Mapping[str, Any]) -> Books:
    return Books(
        requests=tuple(Request(*each) for each in said["requests"]),
        limits={name: Limit(**each) for name, each in said["limits"].items()},
        portals=said["portals"],
        websites=said["websites"],
        cpu_s=said["cpu_s"],
    )


def written(content: Mapping[str, Any]) -> bytes:
    return orjson.dumps(content) + b"\n"
