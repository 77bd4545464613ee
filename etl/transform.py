"""From visitors to contacts. Everything here is pure: no clock, no network, no database."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

from etl.fields import BASIC_FIELDS
from etl.instants import microseconds
from etl.jsontext import canonical
from etl.kinds import INSTANT
from etl.models.contact import EMAIL, RECORD, VISITOR, Contact, ContactKey
from etl.models.visitor import AT, Visitor
from etl.rules import JOINS, combined, latest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from etl.fields import Field, SyncedFields
    from etl.models.visitor import Facts, Value

T = TypeVar("T", str, bool)

SHORT_ID = 8
"""How many characters of a visitor id, or of an address, make the last name of a contact without one."""

_OLDEST = ("last_seen", "country", "pageviews")
"""These make a fingerprint as they did when there were no others."""


def merge(one: Visitor, other: Visitor, synced: SyncedFields = BASIC_FIELDS) -> Visitor:
    """What two rows of the same visitor say together.

    Commutative, associative and idempotent: latest ``last_seen``, each fact by the rule of its field; address
    and opt-out of the latest row that states them, at equal instants the alphabetically first (for the
    opt-out: out). A fact of a field that is off stays.
    """
    if one == other:
        return one
    last_seen = max(one.last_seen, other.last_seen)
    stays_in, opted_out_at = _latest(
        _negated(one.opted_out), one.opted_out_at, _negated(other.opted_out), other.opted_out_at
    )
    if one.excluded or other.excluded:
        return left_out(one.id, last_seen, _negated(stays_in), opted_out_at)
    email, email_at = _latest(one.email, one.email_at, other.email, other.email_at)
    return Visitor(
        one.id,
        last_seen,
        _merged(one, other, synced, microseconds(last_seen)),
        email,
        email_at,
        _negated(stays_in),
        opted_out_at,
    )


def left_out(
    visitor_id: str,
    last_seen: datetime,
    opted_out: bool | None = None,  # noqa: FBT001 -- as it stands in a visitor
    opted_out_at: datetime | None = None,
) -> Visitor:
    """All that is kept of a visitor whom the settings exclude: an opt-out outlives the exclusion."""
    return Visitor(visitor_id, last_seen, {}, opted_out=opted_out, opted_out_at=opted_out_at, excluded=True)


def _merged(one: Visitor, other: Visitor, synced: SyncedFields, last_seen: int) -> Facts:
    mine, theirs = one.facts, other.facts
    seen, seen_too = microseconds(one.last_seen), microseconds(other.last_seen)
    merged: Facts = {}
    names: Iterable[str] = synced.by_name
    if not (mine.keys() <= synced.keys and theirs.keys() <= synced.keys):
        names = [name for name in {**synced.by_name, **mine, **theirs} if not name.endswith(AT)]
    for name in names:
        field = synced.by_name.get(name)
        value, rival = (field.of(mine), field.of(theirs)) if field else (mine.get(name), theirs.get(name))
        if rival is None:
            if value is None:
                continue
            kept, at = value, _stated_at(mine, name, seen)
        elif value is None:
            kept, at = rival, _stated_at(theirs, name, seen_too)
        else:
            join = JOINS[field.rows] if field else latest
            stated, stated_too = _stated_at(mine, name, seen), _stated_at(theirs, name, seen_too)
            kept, at = join((value, stated), (rival, stated_too))
        merged[name] = kept
        if at != last_seen and (field is None or field.is_timed):
            merged[name + AT] = at
    return merged


def _stated_at(facts: Facts, name: str, seen: int) -> int:
    """When ``name`` was stated, of a visitor last ``seen`` then. Raises TypeError for what is no instant."""
    at = facts.get(name + AT, seen)
    if type(at) is not int:
        raise TypeError(name)
    return at


def merge_all(
    known: Mapping[str, Visitor], rows: Iterable[Visitor], synced: SyncedFields = BASIC_FIELDS
) -> dict[str, Visitor]:
    """Every visitor that ``rows`` speak of, merged with what was known of it, by id."""
    merged: dict[str, Visitor] = {}
    for row in rows:
        earlier = merged.get(row.id) or known.get(row.id)
        merged[row.id] = merge(earlier, row, synced) if earlier else row
    return merged


def contact_key(visitor: Visitor, linked_to: str | None = None) -> ContactKey:
    """What leads to the contact of a visitor: the record it is linked to, its address, else its own id."""
    if linked_to is not None:
        return ContactKey(RECORD, linked_to)
    if visitor.email is not None:
        return ContactKey(EMAIL, visitor.email)
    return ContactKey(VISITOR, visitor.id)


def is_wanted(visitor: Visitor, *, anonymous: bool, linked_to: str | None = None) -> bool:
    """Whether HubSpot should hear of this visitor. ``anonymous``: also without an address or a link."""
    if visitor.opted_out or visitor.excluded:
        return False
    return anonymous or visitor.email is not None or linked_to is not None


def wanted_key(visitor: Visitor, *, anonymous: bool, linked_to: str | None) -> ContactKey | None:
    """What leads to the contact of a visitor; None where HubSpot is not to hear of it."""
    if is_wanted(visitor, anonymous=anonymous, linked_to=linked_to):
        return contact_key(visitor, linked_to)
    return None


def contact(
    key: ContactKey,
    members: Collection[Visitor],
    synced: SyncedFields = BASIC_FIELDS,
    *,
    remains: Facts | None = None,
) -> Contact:
    """What HubSpot should hold of the person behind these visitors, in whatever order they come.

    Each field by its rule; where that asks for the latest visitor, by when it was last seen, and for the
    first, by when it stated the fact. ``remains`` are the facts of visitors that are not kept any more.
    """
    if len(members) == 1 and not remains:
        (only,) = members
        facts = only.facts
        if facts.keys() <= synced.by_name.keys():
            return Contact(key, facts)
        return Contact(key, {name: value for name, value in facts.items() if name in synced.by_name})
    found: Facts = {}
    for field in synced.fields:
        if stated := _statements(field, members, remains):
            found[field.name], _ = combined(field.people, stated)
    return Contact(key, found)


def remaining(members: Collection[Visitor], synced: SyncedFields, *remains: Facts | None) -> Facts:
    """What is to be kept of visitors that are not kept any more, and of ``remains`` of others before.

    ``contact`` makes the same of it as of them. A fact of a field that is off is not kept.
    """
    found: Facts = {name: value for each in remains for name, value in (each or {}).items()}
    for field in synced.fields:
        if stated := _statements(field, members, *remains):
            found[field.name], found[field.name + AT] = combined(field.people, stated)
    return found


def _statements(
    field: Field, members: Collection[Visitor], *remains: Facts | None
) -> list[tuple[Value, int, int]]:
    """What is said of a field: a value, when it was stated, when who stated it was last seen."""
    found = []
    for visitor in members:
        if (value := field.of(visitor.facts)) is not None:
            seen = microseconds(visitor.last_seen)
            found.append((value, _stated_at(visitor.facts, field.name, seen), seen))
    for facts in filter(None, remains):
        if (value := field.of(facts)) is not None:
            at = _stated_at(facts, field.name, 0)
            found.append((value, at, at))
    return found


def fingerprint(wanted: Contact) -> bytes:
    """16 bytes that change exactly when what is sent changes.

    The country goes in as a code, so that a new edition of the names makes nothing due. A fact that is not
    known leaves no trace, so that a field makes nothing due by being turned on.
    """
    facts = wanted.facts
    seen, country, pageviews = map(facts.get, _OLDEST)
    text = f"{_seen_text(seen)}|{country or ''}|{'' if pageviews is None else pageviews}"
    if others := {name: value for name, value in facts.items() if name not in _OLDEST}:
        text += f"|{canonical(others).decode()}"
    return blake2b(text.encode(), digest_size=16).digest()


def is_due(
    *,
    wanted: bytes | None,
    confirmed: bytes | None,
    refused: bytes | None,
    blocked: bool,
    absent: bytes | None = None,
) -> bool:
    """Whether a contact has to be delivered: wanted, and neither confirmed, refused nor absent as it is."""
    return wanted is not None and not blocked and wanted not in (confirmed, refused, absent)


def properties(wanted: Contact, synced: SyncedFields = BASIC_FIELDS) -> dict[str, str]:
    """The properties of a contact as HubSpot takes them. What is not known is left out, never cleared."""
    texts: dict[str, str] = {}
    for field in synced.fields:
        value = field.of(wanted.facts)
        if value is not None and (text := field.kind.write(value)) is not None:
            texts[field.property_name] = text
    if wanted.key.kind is VISITOR:
        texts[synced.visitor_id] = wanted.key.value
    return texts


def name_properties(key: ContactKey) -> dict[str, str]:
    """The name that a contact without an address gets when it is created, and never again.

    One with an address gets it only where HubSpot insists on a name; its short id is of the address.
    """
    if key.kind is RECORD:
        return {}
    short = key.value if key.kind is VISITOR else key.value.partition("@")[0]
    return {"firstname": "Visitor", "lastname": short[:SHORT_ID]}


def _seen_text(seen: Value | None) -> str:
    return INSTANT.write(seen) or "" if type(seen) is int else ""


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


def _negated(value: bool | None) -> bool | None:  # noqa: FBT001 -- a pure function of one truth value
    return None if value is None else not value
