"""Going through all visitors and addresses, to see whom the settings leave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, false, select, update

from etl.models.contact import EMAIL
from etl.models.erasure import Screened
from etl.state import tables
from etl.state.facts import facts_from
from etl.state.failures import of_a_row
from etl.state.statements import Prepared, among, value

if TYPE_CHECKING:
    from collections.abc import Collection

    from etl.state.statements import Row, Statements

_V, _C = tables.visitors.c, tables.contacts.c
_OF_WEBSITE = _V.website_id == value("website_id")
_VISITORS = Prepared(
    lambda _: (
        select(_V.id, _V.email, _V.facts, _V.excluded)
        .where(_OF_WEBSITE, _V.id > value("after"))
        .order_by(_V.id)
        .limit(value("most"))
    )
)
_ADDRESSES = Prepared(
    lambda _: (
        select(_C.id, _C.key)
        .where(_C.id > value("after"), _C.kind == EMAIL.value, _C.into.is_(None))
        .order_by(_C.id)
        .limit(value("most"))
    )
)
_DROP = Prepared(
    lambda dialect: delete(tables.visitors).where(
        _OF_WEBSITE, among(_V.id, dialect), _V.excluded, _V.opted_out.is_(None)
    )
)
_LIFT = Prepared(
    lambda dialect: (
        update(tables.visitors)
        .values(excluded=false())
        .where(_OF_WEBSITE, among(_V.id, dialect), _V.excluded)
    )
)


class Screening:
    """Visitors and contacts in pages, each behind the one before; inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def visitors(self, website_id: int, *, after: str, most: int) -> list[Screened]:
        """In the order of their ids."""
        rows = self._statements.rows(_VISITORS, website_id=website_id, after=after, most=most)
        return [_screened(row) for row in rows]

    def addresses(self, *, after: int, most: int) -> list[tuple[int, str]]:
        """The ids of contacts, in their order, and the addresses that are their keys."""
        return [(row[0], row[1]) for row in self._statements.rows(_ADDRESSES, after=after, most=most)]

    def lift(self, website_id: int, visitor_ids: Collection[str]) -> None:
        """Let the next row of these visitors, who were excluded, decide anew. An opt-out is kept."""
        for statement in (_DROP, _LIFT):
            self._statements.change_among(statement, visitor_ids, website_id=website_id)


@of_a_row
def _screened(row: Row) -> Screened:
    visitor_id, email, facts, excluded = row
    country = facts_from(facts).get("country")
    return Screened(visitor_id, email, country if isinstance(country, str) else None, bool(excluded))
