"""Entries of the contacts table, and what leads to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, false, func, null, select, text, update

from etl.models.contact import RECORD, ContactKey, ContactKind, LedgerEntry
from etl.state import tables
from etl.state.facts import facts_from, written_from
from etl.state.failures import of_a_row
from etl.state.statements import Prepared, among, value

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Select, Update

    from etl.state.statements import Statements

KINDS = {kind.value: kind for kind in ContactKind}

UNKNOWN = b""
"""In the place of a confirmed fingerprint: HubSpot holds the contact, but not surely as it was confirmed."""

_T, _C = tables.contacts, tables.contacts.c


def columns_of(contacts: Any) -> tuple[Any, ...]:
    c = contacts.c
    identity = (c.id, c.kind, c.key, c.record, c.made, c.remains)
    written = (c.written, c.maybe, c.kept, c.kept_at)
    return (*identity, c.wanted, c.confirmed, c.refused, c.absent, c.blocked, c.due, c.unanswered, *written)


ENTRY = columns_of(_T)
_MEANT = _T.alias("meant")
"""The contact that a key leads to, in the end."""
WITHOUT_REFUSAL = {
    "refused": null(),
    "blocked": false(),
    "gone": false(),
    "absent": null(),
    "absent_at": null(),
    "unanswered": text("0"),
}


WITHOUT_WRITTEN = dict.fromkeys(("written", "maybe", "kept", "kept_at"), null())
"""Of a contact that is another record now, or none."""

DOUBTED = {
    "maybe": case(
        (
            and_(_C.written.is_not(None), _C.maybe.is_not(None)),
            text("'[' || written || ',' || substr(maybe, 2)"),
        ),
        (_C.written.is_not(None), text("'[' || written || ']'")),
        else_=_C.maybe,
    ),
    "written": null(),
}
"""Of a contact of which HubSpot may hold something else than what it confirmed."""


def change(columns: dict[str, Any]) -> Update:
    return update(_T).values(columns).where(_C.id == value("contact_id"))


def _select_by_key(dialect: str) -> Select[Any]:
    """The contacts that these keys lead to, each behind the key."""
    found = _T.join(_MEANT, _MEANT.c.id == func.coalesce(_C.into, _C.id))
    return select(_C.kind, _C.key, *columns_of(_MEANT)).select_from(found).where(among(_C.key, dialect))


_BY_KEY = Prepared(_select_by_key)
BY_RECORD = Prepared(lambda dialect: select(_C.record, *ENTRY).where(among(_C.record, dialect)))
_BY_ID = Prepared(lambda dialect: select(*ENTRY).where(among(_C.id, dialect)))
LARGEST_ID = Prepared(lambda _: select(func.max(_C.id)))


class Entries:
    """Entries found by what leads to them, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def by_key(self, keys: Collection[ContactKey]) -> dict[ContactKey, LedgerEntry]:
        """The contacts that these keys lead to: a record's id to whatever contact it is."""
        found = {}
        for kind, text_of_key, *row in self._statements.among(_BY_KEY, {key.value for key in keys}):
            key = key_of(kind, text_of_key)
            if key in keys:
                found[key] = entry(row)
        records = {key.value for key in keys if key.kind is RECORD}
        if records:
            for record, *row in self._statements.among(BY_RECORD, records):
                found[ContactKey(RECORD, record)] = entry(row)
        return found

    def by_id(self, ids: Collection[int]) -> dict[int, LedgerEntry]:
        return {found.contact_id: found for found in map(entry, self._statements.among(_BY_ID, ids))}


@of_a_row
def key_of(kind: str, text_of_key: str) -> ContactKey:
    return ContactKey(KINDS[kind], text_of_key)


@of_a_row
def entry(row: Sequence[Any]) -> LedgerEntry:
    contact_id, kind, key, record, made, remains, wanted, confirmed, refused, absent, *states = row
    blocked, due, unanswered, *written = states
    return LedgerEntry(
        contact_id,
        ContactKey(KINDS[kind], key),
        wanted,
        confirmed,
        refused,
        absent,
        bool(blocked),
        bool(due),
        record,
        bool(made),
        facts_from(remains) if remains else None,
        unanswered,
        written_from(*written),
    )
