"""The visitors table."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select, update

from etl.models import ContactKey, ContactKind, KnownVisitor, Visitor
from etl.state.tables import contacts, visitors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection

_FACTS = (
    visitors.c.id,
    visitors.c.last_seen,
    visitors.c.pageviews,
    visitors.c.country,
    visitors.c.country_at,
    visitors.c.email,
    visitors.c.email_at,
    visitors.c.opted_out,
    visitors.c.opted_out_at,
)
_KNOWN = (
    select(*_FACTS, visitors.c.contact_id, contacts.c.kind, contacts.c.key, contacts.c.due)
    .join_from(visitors, contacts, isouter=True)
    .where(visitors.c.website_id == bindparam("website_id"))
    .where(visitors.c.id.in_(bindparam("ids", expanding=True)))
)
_MEMBERS = select(visitors.c.contact_id, *_FACTS).where(
    visitors.c.contact_id.in_(bindparam("contact_ids", expanding=True))
)
_UPDATE = (
    update(visitors)
    .where(visitors.c.website_id == bindparam("of_website"), visitors.c.id == bindparam("of_id"))
    .values({column.name: bindparam(column.name) for column in (*_FACTS[1:], visitors.c.contact_id)})
)


class Visitors:
    """Visitors of all websites, inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def known(self, website_id: int, ids: Collection[str]) -> dict[str, KnownVisitor]:
        """Those of ``ids`` that the state holds, by id."""
        rows = self._connection.execute(_KNOWN, {"website_id": website_id, "ids": list(ids)})
        return {
            row[0]: KnownVisitor(
                visitor=Visitor(*row[:9]),
                contact_id=row[9],
                key=None if row[10] is None else ContactKey(ContactKind(row[10]), row[11]),
                due=bool(row[12]),
            )
            for row in rows
        }

    def add(self, website_id: int, members: Iterable[tuple[Visitor, int | None]]) -> None:
        """Insert visitors, each with the id of its contact."""
        if rows := [{"website_id": website_id, **_row(visitor, of)} for visitor, of in members]:
            self._connection.execute(insert(visitors), rows)

    def change(self, website_id: int, members: Iterable[tuple[Visitor, int | None]]) -> None:
        """Overwrite visitors that the state holds, each with the id of its contact."""
        rows = [
            {"of_website": website_id, "of_id": visitor.id, **_row(visitor, of)} for visitor, of in members
        ]
        if rows:
            self._connection.execute(_UPDATE, rows)

    def members(self, contact_ids: Collection[int]) -> dict[int, list[Visitor]]:
        """The visitors of these contacts, on whatever website."""
        found: defaultdict[int, list[Visitor]] = defaultdict(list)
        for contact_id, *facts in self._connection.execute(_MEMBERS, {"contact_ids": list(contact_ids)}):
            found[contact_id].append(Visitor(*facts))
        return found


def _row(visitor: Visitor, contact_id: int | None) -> dict[str, Any]:
    return {
        "id": visitor.id,
        "contact_id": contact_id,
        "last_seen": visitor.last_seen,
        "pageviews": visitor.pageviews,
        "country": visitor.country,
        "country_at": visitor.country_at,
        "email": visitor.email,
        "email_at": visitor.email_at,
        "opted_out": visitor.opted_out,
        "opted_out_at": visitor.opted_out_at,
    }
