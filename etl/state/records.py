"""The part of the contacts table that says who is which record: what turns out to be one, absent or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, false, func, not_, null, or_, select, text, true, update

from etl.instants import instant_or_none, microseconds
from etl.models.contact import EMAIL, RECORD, VISITOR, Waiting
from etl.state import tables
from etl.state.entries import (
    DOUBTED,
    ENTRY,
    LARGEST_ID,
    UNKNOWN,
    WITHOUT_REFUSAL,
    WITHOUT_WRITTEN,
    change,
    columns_of,
    entry,
)
from etl.state.facts import facts_text, maybe_text, texts_from
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, among, overwritten, value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Select

    from etl.models.contact import ContactKey, ContactKind, LedgerEntry
    from etl.models.visitor import Facts
    from etl.state.entries import Entries
    from etl.state.statements import Statements

_T, _C = tables.contacts, tables.contacts.c
_IS_DELIVERABLE = and_(
    _C.wanted.is_not(None), not_(_C.blocked), or_(_C.refused.is_(None), _C.refused != _C.wanted)
)
_INTO = _T.alias("into_others")
_JOINED = Prepared(
    lambda _: (
        select(_C.id)
        .where(or_(_C.kind == RECORD.value, _C.id.in_(select(_INTO.c.into).where(_INTO.c.into.is_not(None)))))
        .order_by(_C.id)
    )
)
_DROP_LINKED = Prepared(lambda _: delete(_T).where(_C.kind == RECORD.value))
_REVIVE = Prepared(
    lambda _: (
        update(_T)
        .values(
            {
                **WITHOUT_REFUSAL,
                **WITHOUT_WRITTEN,
                "confirmed": null(),
                "record": null(),
                "made": false(),
                "due": true(),
            }
        )
        .where(text("gone"), _C.kind != RECORD.value, _C.wanted.is_not(None))
    )
)
_RECHECKED = Prepared(
    lambda _: (
        select(_C.id)
        .where(_C.absent_at < value("before"), _C.kind == value("of_kind"))
        .order_by(_C.absent_at, _C.id)
        .limit(value("most"))
    )
)
_KEPT_SINCE = Prepared(
    lambda _: (
        select(_C.id).where(_C.kept_at < value("before")).order_by(_C.kept_at, _C.id).limit(value("most"))
    )
)
_WAITING = Prepared(
    lambda _: select(
        *(
            select(func.min(_C.absent_at)).where(_C.absent_at.is_not(None), _C.kind == kind).scalar_subquery()
            for kind in (EMAIL.value, VISITOR.value)
        ),
        select(func.min(_C.kept_at)).where(_C.kept_at.is_not(None)).scalar_subquery(),
        select(_C.id).where(text("due")).exists(),
    )
)
_KEPT_OF = Prepared(lambda _: select(_C.id, _C.kept).where(_C.kept.is_not(None)))
_RECONSIDER = Prepared(
    lambda dialect: (
        update(_T).values(kept=null(), kept_at=null(), due=_IS_DELIVERABLE).where(among(_C.id, dialect))
    )
)
_RECHECK = Prepared(
    lambda dialect: (
        update(_T)
        .values(absent=null(), absent_at=null(), due=_C.wanted.is_not(None))
        .where(among(_C.id, dialect))
    )
)
_DOUBT = Prepared(
    lambda dialect: (
        update(_T)
        .values({**DOUBTED, "confirmed": UNKNOWN, "due": true()})
        .where(among(_C.id, dialect), _C.wanted.is_not(None), _C.confirmed.is_not(None), not_(_C.blocked))
    )
)
_PROMOTE = Prepared(lambda _: change(overwritten("kind", "key")))
_ALIAS = Insertion(_T, "id", "kind", "key", "blocked", "due", "into", "unanswered")
_FLATTEN = Prepared(lambda _: update(_T).values(overwritten("into")).where(_C.into == value("contact_id")))
_BECOME = Prepared(
    lambda _: change(
        {
            "facts": null(),
            "wanted": null(),
            "confirmed": null(),
            "due": false(),
            "record": null(),
            "remains": null(),
            **WITHOUT_REFUSAL,
            **WITHOUT_WRITTEN,
        }
        | overwritten("into")
    )
)
_ARE = Prepared(
    lambda _: change(
        {**WITHOUT_REFUSAL, **WITHOUT_WRITTEN, **overwritten("record", "made", "remains", "maybe")}
    )
)
_REMAIN = Prepared(lambda _: change(overwritten("remains")), "new_remains", "contact_id")
_DROP_KEYS = Prepared(lambda dialect: delete(_T).where(among(_C.into, dialect)))
_DROP = Prepared(lambda dialect: delete(_T).where(among(_C.id, dialect)))
_IS_LEFT = and_(text("contacts.made"), _C.wanted.is_(None))
"""As the partial index has it: HubSpot has it from this program, and nobody belongs to it any more."""


def _select_left(_dialect: str) -> Select[Any]:
    """Contacts that were made for a visitor who is known now, each with the contact that the visitor is.

    Whose the visitor is, is asked for each, so that SQLite does not go through all visitors.
    """
    visitors, known = tables.visitors, _T.alias("known")
    on_any_website = visitors.c.website_id.in_(select(tables.websites.c.id))
    whose = (
        select(func.max(visitors.c.contact_id))
        .where(on_any_website, visitors.c.id == _C.key)
        .correlate(_T)
        .scalar_subquery()
    )
    found = _T.join(known, known.c.id == whose)
    return (
        select(*ENTRY, *columns_of(known))
        .select_from(found)
        .where(
            _IS_LEFT,
            _C.kind == VISITOR.value,
            _C.record.is_not(None),
            not_(_C.blocked),
            known.c.kind != VISITOR.value,
            known.c.record.is_not(None),
            known.c.confirmed.is_not(None),
            not_(known.c.blocked),
        )
        .order_by(_C.id)
        .limit(value("most"))
    )


_LEFT = Prepared(_select_left)
_DISOWN = Prepared(lambda _: change({"made": false()}))
_MADE = Prepared(lambda _: select(_C.record).where(_C.made, _C.record.is_not(None)).limit(1))


class Records:
    """Which contact is which record of HubSpot's, inside one transaction."""

    def __init__(self, statements: Statements, entries: Entries) -> None:
        self._statements = statements
        self._entries = entries

    def doubt_others(self, keys: Collection[ContactKey], records: Collection[str]) -> set[int]:
        """Make due what ``keys`` lead to and HubSpot has confirmed under other ids than ``records``."""
        ids = {
            entry.contact_id
            for entry in self._entries.by_key(keys).values()
            if entry.record is not None and entry.record not in records
        }
        return self.doubt(ids)

    def doubt(self, contact_ids: Collection[int]) -> set[int]:
        """Make due what HubSpot may hold otherwise than it confirmed. Returns the ids of what is due."""
        self._statements.change_among(_DOUBT, contact_ids)
        return {number for number, entry in self._entries.by_id(contact_ids).items() if entry.due}

    def promote(self, entry: LedgerEntry, key: ContactKey) -> None:
        """Let ``key``, which says more, be the contact's own; the one that it had leads to it."""
        self._statements.change(
            _PROMOTE, new_kind=key.kind.value, new_key=key.value, contact_id=entry.contact_id
        )
        number = (self._statements.value(LARGEST_ID) or 0) + 1
        old = entry.key
        row = (number, *old, False, False, entry.contact_id, 0)
        self._statements.add(_ALIAS, *row)

    def unite(self, stays: LedgerEntry, goes: LedgerEntry, *, remains: Facts | None) -> None:
        """Let ``goes`` be another key of ``stays``: both are one record. What is wanted is left as it is."""
        self._statements.change(_FLATTEN, new_into=stays.contact_id, contact_id=goes.contact_id)
        self._statements.change(_BECOME, new_into=stays.contact_id, contact_id=goes.contact_id)
        self._statements.change(
            _ARE,
            new_record=stays.record or goes.record,
            new_made=stays.made and goes.made,
            new_remains=facts_text(remains) if remains else None,
            new_maybe=maybe_text(_all_of(stays) + _all_of(goes)),
            contact_id=stays.contact_id,
        )

    def left(self, most: int) -> list[tuple[LedgerEntry, LedgerEntry]]:
        """Contacts made for visitors who turned out to be others, each with whom it turned out to be."""
        width = len(ENTRY)
        rows = [tuple(row) for row in self._statements.rows(_LEFT, most=most)]
        pairs = {row[0]: (entry(row[:width]), entry(row[width:])) for row in rows}
        return list(pairs.values())

    def disown(self, contact_id: int) -> None:
        """Take the record for somebody else's from now on."""
        self._statements.change(_DISOWN, contact_id=contact_id)

    def keep_remains(self, remains: Mapping[int, Facts]) -> None:
        """Keep these facts of visitors that are not kept any more, by contact."""
        rows = [(facts_text(facts), contact_id) for contact_id, facts in remains.items()]
        self._statements.change_many(_REMAIN, rows)

    def drop(self, contact_ids: Collection[int]) -> None:
        """Keep these contacts no more, to whom nobody belongs, nor the other keys that lead to them."""
        self._statements.change_among(_DROP_KEYS, contact_ids)
        self._statements.change_among(_DROP, contact_ids)

    def waiting(self) -> Waiting:
        """Since when somebody waits to be looked at again, and whether anybody is due, in one question."""
        ((known, anonymous, kept, due),) = self._statements.rows(_WAITING)
        return Waiting({EMAIL: _instant(known), VISITOR: _instant(anonymous)}, _instant(kept), bool(due))

    def recheck(self, kind: ContactKind, *, before: datetime, most: int) -> int:
        """Make due up to ``most`` of those that were absent ``before`` then, the longest ago first."""
        rows = self._statements.rows(_RECHECKED, of_kind=kind.value, before=microseconds(before), most=most)
        ids = [contact_id for (contact_id,) in rows]
        self._statements.change_among(_RECHECK, ids)
        return len(ids)

    def recheck_kept(self, *, before: datetime, most: int) -> int:
        """Make due up to ``most`` of those of which something was kept ``before`` then, longest ago first."""
        rows = self._statements.rows(_KEPT_SINCE, before=microseconds(before), most=most)
        ids = [contact_id for (contact_id,) in rows]
        self._statements.change_among(_RECONSIDER, ids)
        return len(ids)

    def reconsider(self, properties: Collection[str]) -> int:
        """Make due those of which one of ``properties`` was kept. Returns how many."""
        ids = [number for number, kept in self._statements.rows(_KEPT_OF) if _names(kept) & {*properties}]
        self._statements.change_among(_RECONSIDER, ids)
        return len(ids)

    def revive(self) -> int:
        """Make due what is gone, as if HubSpot had never had it. Returns how many."""
        return self._statements.change(_REVIVE)

    def one_made(self) -> str | None:
        """The record of some contact that this program has created."""
        return _record(self._statements.value(_MADE))

    def joined(self) -> Sequence[int]:
        """Contacts that somebody may belong to only for what HubSpot said."""
        return [contact_id for (contact_id,) in self._statements.rows(_JOINED)]

    def drop_linked(self) -> None:
        """Keep no contact to which only a link led; nobody belongs to one any more."""
        self._statements.change(_DROP_LINKED)


_instant = of_a_row(instant_or_none)


@of_a_row
def _record(told: object) -> str | None:
    if not isinstance(told, str | None):
        raise TypeError
    return told


@of_a_row
def _names(kept: str) -> set[str]:
    return {*texts_from(kept)}


def _all_of(entry: LedgerEntry) -> tuple[Mapping[str, str], ...]:
    """All texts of ours that the record of a contact may hold."""
    return (entry.written.last, *entry.written.maybe)
