"""From visitors to contacts. Everything here is pure: no clock, no network, no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

import orjson

from etl import countries
from etl.models.contact import EMAIL, VISITOR, Contact, ContactKey
from etl.models.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

T = TypeVar("T", str, bool)

SHORT_ID = 8
"""How many characters of a visitor id make the last name of an anonymous contact."""


@dataclass(frozen=True, slots=True)
class PropertyNames:
    """The HubSpot properties that this program writes."""

    country: str = "country"
    last_seen: str = "zenovay_last_seen"
    pageviews: str = "zenovay_pageviews"
    visitor_id: str = "zenovay_visitor_id"


def merge(one: Visitor, other: Visitor) -> Visitor:
    """What two rows of the same visitor say together.

    Commutative, associative and idempotent: latest ``last_seen``, largest ``pageviews``; country, address
    and opt-out of the latest row that states them, at equal instants the alphabetically first (for the
    opt-out: out).
    """
    if one == other:
        return one
    country, country_at = _latest(one.country, one.country_at, other.country, other.country_at)
    email, email_at = _latest(one.email, one.email_at, other.email, other.email_at)
    stays_in, opted_out_at = _latest(
        _negated(one.opted_out), one.opted_out_at, _negated(other.opted_out), other.opted_out_at
    )
    return Visitor(
        id=one.id,
        last_seen=max(one.last_seen, other.last_seen),
        pageviews=_largest(one.pageviews, other.pageviews),
        country=country,
        country_at=country_at,
        email=email,
        email_at=email_at,
        opted_out=_negated(stays_in),
        opted_out_at=opted_out_at,
    )


def merge_all(known: Mapping[str, Visitor], rows: Iterable[Visitor]) -> dict[str, Visitor]:
    """Every visitor that ``rows`` speak of, merged with what was known of it, by id."""
    merged: dict[str, Visitor] = {}
    for row in rows:
        earlier = merged.get(row.id) or known.get(row.id)
        merged[row.id] = merge(earlier, row) if earlier else row
    return merged


def contact_key(visitor: Visitor) -> ContactKey:
    """The contact that a visitor belongs to: its address, else its own id."""
    if visitor.email is not None:
        return ContactKey(EMAIL, visitor.email)
    return ContactKey(VISITOR, visitor.id)


def is_wanted(visitor: Visitor, *, anonymous: bool) -> bool:
    """Whether HubSpot should hear of this visitor. ``anonymous``: also of those without an address."""
    return not visitor.opted_out and (anonymous or visitor.email is not None)


def contact(key: ContactKey, members: Collection[Visitor]) -> Contact:
    """What HubSpot should hold of the person behind these visitors, in whatever order they come.

    Latest ``last_seen``, sum of the ``pageviews`` that are known, country of the latest visitor that has one.
    """
    if len(members) == 1:
        (only,) = members
        return Contact(key, only.last_seen, only.country, only.pageviews)
    counted = [visitor.pageviews for visitor in members if visitor.pageviews is not None]
    country: str | None = None
    country_at: datetime | None = None
    for visitor in members:
        country, country_at = _latest(country, country_at, visitor.country, visitor.last_seen)
    return Contact(
        key=key,
        last_seen=max(visitor.last_seen for visitor in members),
        country=country,
        pageviews=sum(counted) if counted else None,
    )


def fingerprint(wanted: Contact) -> bytes:
    """16 bytes that change exactly when what is sent changes.

    The country goes in as a code, so that a new edition of the names makes nothing due.
    """
    facts = f"{instant_text(wanted.last_seen)}|{wanted.country or ''}|{_text(wanted.pageviews)}"
    return blake2b(facts.encode(), digest_size=16).digest()


def is_due(*, wanted: bytes | None, confirmed: bytes | None, refused: bytes | None, blocked: bool) -> bool:
    """Whether a contact has to be delivered: wanted, and neither confirmed nor refused as it is."""
    return wanted is not None and not blocked and wanted not in (confirmed, refused)


def properties(wanted: Contact, names: PropertyNames) -> dict[str, str]:
    """The properties of a contact as HubSpot takes them. What is not known is left out, never cleared."""
    texts = {names.last_seen: instant_text(wanted.last_seen)}
    if wanted.country and (country := countries.name(wanted.country)):
        texts[names.country] = country
    if wanted.pageviews is not None:
        texts[names.pageviews] = str(wanted.pageviews)
    if wanted.key.kind is VISITOR:
        texts[names.visitor_id] = wanted.key.value
    return texts


def name_properties(key: ContactKey) -> dict[str, str]:
    """The name that a contact without an address gets when it is created, and never again."""
    if key.kind is EMAIL:
        return {}
    return {"firstname": "Visitor", "lastname": key.value[:SHORT_ID]}


def instant_text(instant: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as HubSpot's datetime properties take it.

    orjson writes an instant in a sixth of the time that ``isoformat`` takes, but always in microseconds, or
    without a fraction where it is zero.
    """
    written = orjson.dumps(instant.astimezone(UTC)).decode()
    return f"{written[1:24]}Z" if instant.microsecond else f"{written[1:20]}.000Z"


def _latest(
    one: T | None, one_at: datetime | None, other: T | None, other_at: datetime | None
) -> tuple[T | None, datetime | None]:
    if other is None or other_at is None:
        return one, one_at
    if one is None or one_at is None or other_at > one_at:
        return other, other_at
    if other_at == one_at:
        return min(one, other), one_at
    return one, one_at


def _largest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def _negated(value: bool | None) -> bool | None:  # noqa: FBT001 -- a pure function of one truth value
    return None if value is None else not value


def _text(value: int | None) -> str:
    return "" if value is None else str(value)
