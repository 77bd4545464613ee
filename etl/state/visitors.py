"""The visitors table."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import String, and_, delete, func, literal_column, select, update

from etl.instants import instant, instant_or_none, microseconds, microseconds_or_none
from etl.models.contact import KnownVisitor, Member
from etl.models.visitor import Visitor
from etl.state import tables
from etl.state.facts import facts_from, facts_text
from etl.state.failures import of_a_row
from etl.state.statements import Insertion, Prepared, among, new, overwritten, value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select, Update

    from etl.state.statements import Row, Statements

_V, _C = tables.visitors.c, tables.contacts.c
_STATED = (
    _V.last_seen,
    _V.facts,
    _V.email,
    _V.email_at,
    _V.opted_out,
    _V.opted_out_at,
    _V.excluded,
)
_WRITTEN = ("contact_id", *(column.name for column in _STATED))


def _select_known(dialect: str) -> Select[Row]:
    belonging = tables.visitors.outerjoin(tables.contacts, _C.id == _V.contact_id)
    return (
        select(_V.id, *_STATED, _V.contact_id, _C.due)
        .select_from(belonging)
        .where(_V.website_id == value("website_id"), among(_V.id, dialect))
    )


def _select_members(dialect: str) -> Select[Row]:
    return select(_V.contact_id, _V.website_id, _V.id, *_STATED).where(among(_V.contact_id, dialect))


def _overwrite(_dialect: str) -> Update:
    mine = and_(_V.website_id == value("website_id"), _V.id == value("id"))
    return update(tables.visitors).values(overwritten(*_WRITTEN)).where(mine)


def _select_countries(dialect: str) -> Select[Row]:
    stated: ColumnElement[str] = (
        func.json_extract(_V.facts, "$.country")
        if dialect == "sqlite"
        else literal_column("visitors.facts::json ->> 'country'", String)
    )
    mine = (_V.website_id == value("website_id"), _V.last_seen >= value("since"))
    counted: Select[Row] = select(stated, func.count())  # type: ignore[assignment]  # a Row of any kind
    return counted.where(*mine, stated.is_not(None)).group_by(stated)


_KNOWN = Prepared(_select_known)
_COUNTRIES = Prepared(_select_countries)
_MEMBERS = Prepared(_select_members)
_MOVE = Prepared(
    lambda _: (
        update(tables.visitors)
        .values(overwritten("contact_id"))
        .where(_V.contact_id == value("left_contact_id"))
    )
)
_SEEN = Prepared(
    lambda _: (
        select(_V.id, _V.last_seen)
        .where(_V.website_id == value("website_id"), _V.id > value("after"))
        .order_by(_V.id)
        .limit(value("most"))
    )
)
_DROP = Prepared(
    lambda dialect: delete(tables.visitors).where(_V.website_id == value("website_id"), among(_V.id, dialect))
)
_ADD = Insertion(tables.visitors, "website_id", "id", *_WRITTEN)
_CHANGE = Prepared(_overwrite, *map(new, _WRITTEN), "website_id", "id")


class Visitors:
    """Visitors of all websites, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def known(self, website_id: int, ids: Collection[str]) -> dict[str, KnownVisitor]:
        """Those of ``ids`` that the state holds, by id."""
        found = map(_known, self._statements.among(_KNOWN, ids, website_id=website_id))
        return {each.visitor.id: each for each in found}

    def add(self, website_id: int, members: Iterable[tuple[Visitor, int | None]]) -> None:
        """Insert visitors, each with the id of its contact."""
        rows = ((website_id, visitor.id, *_written(visitor, of)) for visitor, of in members)
        self._statements.add_many(_ADD, rows)

    def change(self, website_id: int, members: Iterable[tuple[Visitor, int | None]]) -> None:
        """Overwrite visitors that the state holds, each with the id of its contact."""
        rows = ((*_written(visitor, of), website_id, visitor.id) for visitor, of in members)
        self._statements.change_many(_CHANGE, rows)

    def move(self, goes: int, stays: int) -> None:
        """Give all visitors of one contact to another."""
        self._statements.change(_MOVE, new_contact_id=stays, left_contact_id=goes)

    def countries(self, website_id: int, *, since: datetime) -> list[tuple[str, int]]:
        """From where those came who were seen since then, and how many; the most first."""
        rows = self._statements.rows(_COUNTRIES, website_id=website_id, since=microseconds(since))
        found = [(str(country), int(count)) for country, count in rows]
        return sorted(found, key=lambda each: (-each[1], each[0]))

    def seen(self, website_id: int, *, after: str, most: int) -> list[tuple[str, datetime]]:
        """Visitors of a website with ids behind ``after``, in order, and when each was last seen."""
        rows = self._statements.rows(_SEEN, website_id=website_id, after=after, most=most)
        return [(visitor_id, instant(last_seen)) for visitor_id, last_seen in rows]

    def drop(self, website_id: int, ids: Collection[str]) -> None:
        """Keep these visitors of a website no more."""
        self._statements.change_among(_DROP, ids, website_id=website_id)

    def members(self, contact_ids: Collection[int]) -> dict[int, list[Member]]:
        """The visitors of these contacts, on whatever website."""
        found: defaultdict[int, list[Member]] = defaultdict(list)
        for contact_id, website_id, *stated in self._statements.among(_MEMBERS, contact_ids):
            found[contact_id].append(Member(website_id, _visitor(*stated)))
        return found


@of_a_row
def _known(row: Row) -> KnownVisitor:
    *stated, contact_id, due = row
    return KnownVisitor(visitor=_visitor(*stated), contact_id=contact_id, due=bool(due))


@of_a_row
def _visitor(
    visitor_id: object,
    last_seen: int,
    facts: str,
    email: object,
    email_at: int | None,
    opted_out: object,
    opted_out_at: int | None,
    excluded: object,
) -> Visitor:
    if not (isinstance(visitor_id, str) and isinstance(email, str | None)):
        raise TypeError
    return Visitor(
        visitor_id,
        instant(last_seen),
        facts_from(facts),
        email,
        instant_or_none(email_at),
        None if opted_out is None else bool(opted_out),
        instant_or_none(opted_out_at),
        bool(excluded),
    )


def _written(visitor: Visitor, contact_id: int | None) -> Row:
    _, seen, facts, email, email_at, opted_out, opted_out_at, excluded = visitor
    return (
        contact_id,
        microseconds(seen),
        facts_text(facts),
        email,
        microseconds_or_none(email_at),
        opted_out,
        microseconds_or_none(opted_out_at),
        excluded,
    )
