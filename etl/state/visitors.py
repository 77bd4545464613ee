"""The visitors table."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from etl.instants import instant, instant_or_none, microseconds, microseconds_or_none
from etl.models.contact import ContactKey, ContactKind, KnownVisitor
from etl.models.visitor import Visitor
from etl.state.failures import of_a_row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from etl.state.statements import Row, Statements

_KNOWN = """
    SELECT v.id, v.last_seen, v.pageviews, v.country, v.country_at, v.email, v.email_at,
           v.opted_out, v.opted_out_at, v.contact_id, c.kind, c.key, c.due
    FROM visitors v LEFT JOIN contacts c ON c.id = v.contact_id
    WHERE v.website_id = ? AND v.id IN (?, …)"""
_MEMBERS = """
    SELECT id, last_seen, pageviews, country, country_at, email, email_at, opted_out, opted_out_at, contact_id
    FROM visitors WHERE contact_id IN (?, …)"""
_ADD = """
    INSERT INTO visitors (last_seen, pageviews, country, country_at, email, email_at, opted_out, opted_out_at,
                          contact_id, website_id, id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CHANGE = """
    UPDATE visitors
    SET last_seen = ?, pageviews = ?, country = ?, country_at = ?, email = ?, email_at = ?,
        opted_out = ?, opted_out_at = ?, contact_id = ?
    WHERE website_id = ? AND id = ?"""


class Visitors:
    """Visitors of all websites, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def known(self, website_id: int, ids: Collection[str]) -> dict[str, KnownVisitor]:
        """Those of ``ids`` that the state holds, by id."""
        return {row[0]: _known(row) for row in self._statements.among(_KNOWN, ids, before=(website_id,))}

    def add(self, website_id: int, members: Iterable[tuple[Visitor, int | None]]) -> None:
        """Insert visitors, each with the id of its contact."""
        self._statements.add_many(_ADD, (_row(website_id, visitor, of) for visitor, of in members))

    def change(self, website_id: int, members: Iterable[tuple[Visitor, int | None]]) -> None:
        """Overwrite visitors that the state holds, each with the id of its contact."""
        self._statements.change_many(_CHANGE, (_row(website_id, visitor, of) for visitor, of in members))

    def members(self, contact_ids: Collection[int]) -> dict[int, list[Visitor]]:
        """The visitors of these contacts, on whatever website."""
        found: defaultdict[int, list[Visitor]] = defaultdict(list)
        for row in self._statements.among(_MEMBERS, contact_ids):
            found[row[9]].append(_visitor(row))
        return found


@of_a_row
def _known(row: Row) -> KnownVisitor:
    return KnownVisitor(
        visitor=_visitor(row),
        contact_id=row[9],
        key=None if row[10] is None else ContactKey(ContactKind(row[10]), row[11]),
        due=bool(row[12]),
    )


@of_a_row
def _visitor(row: Row) -> Visitor:
    visitor_id, last_seen, pageviews, country, country_at, email, email_at, opted_out, opted_out_at, *_ = row
    if not (
        isinstance(visitor_id, str)
        and isinstance(pageviews, int | None)
        and isinstance(country, str | None)
        and isinstance(email, str | None)
    ):
        raise TypeError
    return Visitor(
        visitor_id,
        instant(last_seen),
        pageviews,
        country,
        instant_or_none(country_at),
        email,
        instant_or_none(email_at),
        None if opted_out is None else bool(opted_out),
        instant_or_none(opted_out_at),
    )


def _row(website_id: int, visitor: Visitor, contact_id: int | None) -> tuple[Any, ...]:
    name, seen, pageviews, country, country_at, email, email_at, opted_out, opted_out_at = visitor
    last_seen = microseconds(seen)
    return (
        last_seen,
        pageviews,
        country,
        last_seen if country_at is seen else microseconds_or_none(country_at),
        email,
        last_seen if email_at is seen else microseconds_or_none(email_at),
        opted_out,
        last_seen if opted_out_at is seen else microseconds_or_none(opted_out_at),
        contact_id,
        website_id,
        name,
    )
