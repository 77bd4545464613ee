"""Who states what of a contact, and whose statement it is that counts. Pure.

What a contact comes to, and what each of its visitors would come to alone, is made by ``etl.transform``: a
visitor decides a field where both are the same, and so this cannot disagree with the sync.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl import transform
from etl.instants import instant, microseconds
from etl.models.visitor import AT
from etl.rules import People

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from etl.fields import Field, SyncedFields
    from etl.models.contact import Parcel
    from etl.models.dossier import Dossier
    from etl.models.visitor import Facts, Visitor


class FieldView(NamedTuple):
    """A property: what we want there, what HubSpot confirmed last, and what it holds now; None for nothing.

    ``field`` is None for the visitor id, which follows from no rule. ``changed_by_people``: HubSpot holds
    another value than any of ours; None where it was not asked.
    """

    name: str
    property: str
    field: Field | None
    wanted: str | None
    last_written: str | None
    in_hubspot: str | None
    changed_by_people: bool | None


class Statement(NamedTuple):
    """What a visitor states of a field, as HubSpot takes it.

    ``stated_at`` is when; None where the rule of the field does not ask for that.
    """

    field: str
    value: str | None
    stated_at: datetime | None
    decides: bool


def views(parcel: Parcel, synced: SyncedFields, shown: Mapping[str, str] | None) -> list[FieldView]:
    """Every field that is on, in its order; ``shown`` is None where HubSpot was not asked."""
    known = [(field.name, field.property_name, field) for field in synced.fields]
    found = [_view(name, prop, field, parcel, synced, shown) for name, prop, field in known]
    if synced.visitor_id in {*parcel.wanted, *parcel.written.last}:
        found.append(_view("visitor_id", synced.visitor_id, None, parcel, synced, shown))
    return found


def _view(
    name: str,
    prop: str,
    field: Field | None,
    parcel: Parcel,
    synced: SyncedFields,
    shown: Mapping[str, str] | None,
) -> FieldView:
    held = (shown or {}).get(prop) or None
    ours = parcel.written.ours(prop)
    others = bool(ours or held) and not any(synced.same(prop, each, held or "") for each in ours)
    return FieldView(
        name,
        prop,
        field,
        parcel.wanted.get(prop),
        parcel.written.last.get(prop),
        held,
        None if shown is None else others,
    )


def statements(dossier: Dossier, synced: SyncedFields) -> list[list[Statement]]:
    """What each of the contact's visitors states, in their order."""
    visitors = [met.visitor for met in dossier.members]
    outcome = transform.remaining(visitors, synced, _remains(dossier)) if dossier.contact else {}
    return [_stated_by(visitor, outcome, synced) for visitor in visitors]


def stated_by_stray(visitor: Visitor, synced: SyncedFields) -> list[Statement]:
    """What somebody states who belongs to no contact, or to another one."""
    return _stated_by(visitor, {}, synced)


def remaining(dossier: Dossier, synced: SyncedFields) -> list[Statement]:
    """What visitors came to that are not kept any more."""
    facts = _remains(dossier)
    if facts is None:
        return []
    visitors: Sequence[Visitor] = [met.visitor for met in dossier.members]
    outcome = transform.remaining(visitors, synced, facts)
    return [
        _statement(
            field,
            facts,
            _instant(facts.get(field.name + AT)),
            transform.remaining([], synced, facts),
            outcome,
        )
        for field in synced.fields
        if field.of(facts) is not None
    ]


def _remains(dossier: Dossier) -> Facts | None:
    return dossier.contact.entry.remains if dossier.contact else None


def _stated_by(visitor: Visitor, outcome: Facts, synced: SyncedFields) -> list[Statement]:
    alone = transform.remaining([visitor], synced)
    seen = microseconds(visitor.last_seen)
    return [
        _statement(field, visitor.facts, _instant(visitor.facts.get(field.name + AT, seen)), alone, outcome)
        for field in synced.fields
        if field.of(visitor.facts) is not None
    ]


def _statement(field: Field, facts: Facts, at: datetime | None, alone: Facts, outcome: Facts) -> Statement:
    value = field.of(facts)
    same = [alone.get(name) == outcome.get(name) for name in (field.name, field.name + AT)]
    return Statement(
        field.name,
        None if value is None else field.kind.write(value),
        at if field.is_timed else None,
        field.name in outcome and (field.people is People.SUM or all(same)),
    )


def _instant(value: object) -> datetime | None:
    return instant(value) if type(value) is int and value else None
