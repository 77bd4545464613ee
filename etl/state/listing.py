"""Contacts of the ledger one by one, for people: why each of them is not simply confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, not_, or_, select, text

from etl.instants import instant_or_none
from etl.models.listed import ListedContact
from etl.state import tables
from etl.state.failures import of_a_row
from etl.state.statements import Prepared, value

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from etl.state.statements import Row, Statements

_C, _R = tables.contacts.c, tables.rejections.c
_WITH_REASON = tables.contacts.outerjoin(tables.rejections, _R.contact_id == _C.id)
_NOBODY = "nobody in HubSpot is this contact, and it is not to be made"

DUE, REJECTED, ABSENT, GONE = "due", "rejected", "absent", "gone"


def _listed(which: Any) -> Prepared:
    columns = (_C.key, _C.kind, _C.record, _C.absent_at, _C.confirmed.is_(None), _C.unanswered)
    return Prepared(
        lambda _: (
            select(*columns, _R.first, _R.reason)
            .select_from(_WITH_REASON)
            .where(which)
            .order_by(_C.id)
            .limit(value("most"))
        )
    )


def _refused() -> ColumnElement[bool]:
    return and_(_C.wanted.is_not(None), or_(_C.blocked, _C.refused == _C.wanted), not_(_C.gone))


_LISTS = {
    DUE: _listed(text("due")),
    REJECTED: _listed(_refused()),
    ABSENT: _listed(and_(_C.wanted.is_not(None), _C.absent == _C.wanted)),
    GONE: _listed(text("gone")),
}
"""By what ``Ledger.counts`` counts."""

LISTS = tuple(_LISTS)


class Listing:
    """The contacts table, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def contacts(self, which: str, *, most: int) -> list[ListedContact]:
        """The first of the contacts that are ``which`` of LISTS, in the order in which they became known."""
        rows = self._statements.rows(_LISTS[which], most=most)
        return [_contact(which, row) for row in rows]


@of_a_row
def _contact(which: str, row: Row) -> ListedContact:
    key, kind, record, absent_at, unsent, unanswered, refused, said = row
    if which == ABSENT:
        return ListedContact(key, kind, record, instant_or_none(absent_at), _NOBODY)
    if which == DUE:
        return ListedContact(key, kind, record, None, _due(bool(unsent), unanswered))
    return ListedContact(key, kind, record, instant_or_none(refused), said)


def _due(unsent: bool, unanswered: int) -> str:  # noqa: FBT001 -- both as the columns have them
    if unanswered:
        return f"HubSpot gave no verdict in {unanswered} runs in a row"
    return "not sent yet" if unsent else "changed since HubSpot confirmed it"
