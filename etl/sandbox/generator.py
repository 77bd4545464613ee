"""Visitors of a small company's website, as its analytics would report them."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLACES: tuple[tuple[str, str, tuple[str, ...], int], ...] = (
    ("US", "United States", ("New York", "Austin", "Seattle", "Chicago"), 28),
    ("DE", "Germany", ("Berlin", "München", "Köln"), 14),
    ("GB", "United Kingdom", ("London", "Leeds", "Bristol"), 12),
    ("FR", "France", ("Paris", "Lyon", "Nîmes"), 9),
    ("CH", "Switzerland", ("Bern", "Zürich", "Genève"), 7),
    ("IN", "India", ("Bengaluru", "Pune"), 6),
    ("NL", "Netherlands", ("Amsterdam", "Utrecht"), 5),
    ("BR", "Brazil", ("São Paulo", "Recife"), 5),
    ("JP", "Japan", ("Tokyo", "Osaka"), 4),
    ("SE", "Sweden", ("Malmö", "Stockholm"), 3),
    ("TR", "Türkiye", ("İstanbul",), 2),
    ("CI", "Côte d'Ivoire", ("Abidjan",), 1),
)
_DEVICES = (("desktop", 55), ("mobile", 38), ("tablet", 7))
_SYSTEMS = {
    "desktop": (("Firefox", "Linux"), ("Chrome", "Windows"), ("Safari", "macOS"), ("Edge", "Windows")),
    "mobile": (("Safari", "iOS"), ("Chrome", "Android")),
    "tablet": (("Safari", "iPadOS"), ("Chrome", "Android")),
}
_PAGES = (
    "/",
    "/docs",
    "/docs/setup#first-run",
    "/pricing",
    "/pricing?utm_source=newsletter&utm_campaign=spring#plans",
    "/blog/launch",
    "/features?from=ad",
    "/contact",
)
_REFERRERS = (
    None,
    None,
    "https://www.google.com/",
    "https://news.example.test/",
    "https://t.example.test/x",
    "https://mail.example.test/read?message=4711",
)
_UNKNOWN = ("country_code", "country_name", "city", "referrer", "value_score", "had_interaction")
_OFFSETS = (0, 0, 0, 60, 120, -300, 330, 540)
_FIRST = ("ann", "bo", "cleo", "dmitri", "eve", "farid", "grace", "hana", "ivo", "june", "kim", "lars")
_LAST = ("adler", "brown", "costa", "dubois", "eriksen", "fischer", "gupta", "hall", "ito", "jansen")


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares, between 0 and 1, of what makes the rows realistic; 0 switches a kind off."""

    returning: float = 0.3
    """Rows that belong to a visitor seen before."""
    known: float = 0.12
    """Visitors with an e-mail address."""
    second_device: float = 0.15
    """Known visitors whose address another visitor id has too, in another case."""
    opted_out: float = 0.01
    nulls: float = 0.03
    """Rows that do not know where the visitor is and came from, or how engaged it was."""
    without_pageviews: float = 0.05
    other_offsets: float = 0.2
    """Rows whose time is stated with another offset than UTC's Z."""
    bad: float = 0.01
    """Rows that no client can accept."""


@dataclass(frozen=True, slots=True)
class _Person:
    id: str
    code: str
    country: str
    cities: tuple[str, ...]
    device: str
    browser: str
    system: str
    email: str | None
    nested: bool
    opted_out: bool


class Visitors:
    """The same seed, instant and mix give the same rows, call by call."""

    def __init__(self, seed: int, now: datetime, mix: Mix | None = None) -> None:
        self._random = random.Random(seed)
        self._now = now
        self._mix = mix or Mix()
        self._people: list[_Person] = []
        self._known: list[_Person] = []

    def rows(self, count: int, *, between: tuple[datetime, datetime] | None = None) -> list[dict[str, Any]]:
        """``count`` rows, oldest first; by default of the last day. Later calls know earlier visitors."""
        since, until = between or (self._now - timedelta(days=1), self._now)
        span = (until - since).total_seconds()
        draw = self._random.random
        offsets = sorted(draw() * span for _ in range(count))
        return [self._row(since + timedelta(seconds=int(offset * 1000) / 1000)) for offset in offsets]

    def _row(self, instant: datetime) -> dict[str, Any]:
        draw, mix = self._random.random, self._mix
        returning = bool(self._people) and draw() < mix.returning
        person = self._random.choice(self._people) if returning else self._newcomer()
        row = self._visit(person, instant)
        if person.email is not None:
            row |= {"identity": {"email": person.email}} if person.nested else {"email": person.email}
        if person.opted_out:
            row["gpc_opted_out"] = True
        if draw() < mix.nulls:
            row |= dict.fromkeys(_UNKNOWN)
        if draw() < mix.without_pageviews:
            del row["pageviews"]
        if draw() < mix.bad:
            row |= self._random.choice(_SPOILERS)
        return {name: value for name, value in row.items() if value is not _GONE}

    def _visit(self, person: _Person, instant: datetime) -> dict[str, Any]:
        pick = self._random.random
        stated = self._stated(instant)
        return {
            "id": person.id,
            "country_code": person.code,
            "country_name": person.country,
            "city": person.cities[int(pick() * len(person.cities))],
            "device_type": person.device,
            "browser": person.browser,
            "os": person.system,
            "value_score": int(pick() * 101),
            "visited_at": stated,
            "last_seen": stated,
            "pageviews": 1 + int(pick() * pick() * 20),
            "landing_page": _PAGES[int(pick() * len(_PAGES))],
            "referrer": _REFERRERS[int(pick() * len(_REFERRERS))],
            "had_interaction": pick() < 0.7,  # noqa: PLR2004  a share
        }

    def _stated(self, instant: datetime) -> str:
        if self._random.random() < self._mix.other_offsets:
            minutes = self._random.choice(_OFFSETS)
            return instant.astimezone(timezone(timedelta(minutes=minutes))).isoformat(timespec="milliseconds")
        return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _newcomer(self) -> _Person:
        dice = self._random
        code, country, cities, _ = dice.choices(_PLACES, cum_weights=_PLACE_WEIGHTS)[0]
        device = dice.choices(_DEVICES, cum_weights=_DEVICE_WEIGHTS)[0][0]
        browser, system = dice.choice(_SYSTEMS[device])
        person = _Person(
            id=f"v{uuid.UUID(int=dice.getrandbits(128), version=4)}",
            code=code,
            country=country,
            cities=cities,
            device=device,
            browser=browser,
            system=system,
            email=self._address() if dice.random() < self._mix.known else None,
            nested=dice.random() < 0.5,  # noqa: PLR2004  a share
            opted_out=dice.random() < self._mix.opted_out,
        )
        self._people.append(person)
        if person.email:
            self._known.append(person)
        return person

    def _address(self) -> str:
        dice = self._random
        if self._known and dice.random() < self._mix.second_device:
            taken = dice.choice(self._known).email or ""
            return taken.title() if dice.random() < 0.5 else f" {taken.upper()} "  # noqa: PLR2004  a share
        name = f"{dice.choice(_FIRST)}.{dice.choice(_LAST)}"
        return f"{name}{len(self._known)}@example.test"


def _weights(weights: Sequence[int]) -> list[int]:
    return [sum(weights[: position + 1]) for position in range(len(weights))]


_GONE = object()
_SPOILERS: tuple[dict[str, Any], ...] = (
    {"id": _GONE},
    {"id": None},
    {"visited_at": _GONE, "last_seen": _GONE},
    dict.fromkeys(("visited_at", "last_seen"), "2026-13-45T99:00:00Z"),
    {"pageviews": -3},
    {"pageviews": "several"},
)
"""What makes a row bad."""
_PLACE_WEIGHTS = _weights([weight for *_, weight in _PLACES])
_DEVICE_WEIGHTS = _weights([weight for _, weight in _DEVICES])
