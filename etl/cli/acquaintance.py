"""Somebody whom the demo follows: a contact that a person entered, and the visits that are hers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.rules import People, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from etl.fields import Field
    from etl.models.visitor import Value

NAME = "Ada Keller"
ENTERED = {
    "email": "ada.keller@example.test",
    "firstname": "Ada",
    "lastname": "Keller",
    "country": "Liechtenstein",
}
"""What somebody typed into HubSpot, long before."""

NONE = "-"
_EARLIEST = frozenset({Rows.FIRST, Rows.SMALLEST})
_DEVICES = {"desktop": "laptop", "mobile": "phone"}

Line = tuple[str, str, str, str]
"""A property, its value before and after, and what that comes from."""


def visits(now: datetime) -> list[dict[str, Any]]:
    """Her rows, oldest first: two visitors, for she has two devices and gave her address on both."""
    return [
        {
            "id": "v-of-adas-laptop",
            "email": ENTERED["email"],
            "country_code": "DE",
            "device_type": "desktop",
            "last_seen": _stated(now - timedelta(days=19, hours=7)),
            "pageviews": 6,
            "landing_page": "/docs/setup",
            "referrer": "https://www.google.com/",
            "value_score": 31,
            "had_interaction": False,
        },
        {
            "id": "v-of-adas-phone",
            "email": ENTERED["email"].title(),
            "country_code": "CH",
            "device_type": "mobile",
            "last_seen": _stated(now - timedelta(days=2, hours=3)),
            "pageviews": 3,
            "landing_page": "/pricing",
            "referrer": "https://news.example.test/",
            "value_score": 64,
            "had_interaction": True,
        },
    ]


def described(row: Mapping[str, Any]) -> str:
    """A row in a few words."""
    return (
        f"{_device(row)}, {row['last_seen']}: {row['country_code']}, {row['pageviews']} page views,"
        f" from {row['landing_page']}"
    )


def comparison(
    before: Mapping[str, str],
    after: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    fields: Iterable[Field],
) -> Iterator[Line]:
    """The contact before and after, property by property; ``rows`` are oldest first."""
    for field in fields:
        had, has = before.get(field.property_name, ""), after.get(field.property_name, "")
        yield (field.property_name, had or NONE, has or NONE, _because(field, had, has, rows))


def _because(field: Field, had: str, has: str, rows: Sequence[Mapping[str, Any]]) -> str:
    stating = [row for row in rows if has and _fact(row, field) == field.kind.read(has)]
    if had and had == has and not stating:
        return "kept: a person typed it"
    if field.people is People.SUM and not stating:
        return "the sum of both visitors"
    if not stating:
        return NONE
    row = stating[0] if field.rows in _EARLIEST else stating[-1]
    typed = ", over what a person typed" if had and had != has else ""
    return f"the {_device(row)}'s row{typed}"


def _fact(row: Mapping[str, Any], field: Field) -> Value | None:
    """What one row says by itself."""
    return next((field.kind.read(row[name]) for name in field.stated if name in row), None)


def _device(row: Mapping[str, Any]) -> str:
    return _DEVICES[row["device_type"]]


def _stated(instant: datetime) -> str:
    return instant.replace(microsecond=0).isoformat().replace("+00:00", "Z")
