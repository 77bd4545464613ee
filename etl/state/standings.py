"""Where contacts stand, in full: for those who ask, not for a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from etl.instants import instant_or_none
from etl.models.dossier import Standing
from etl.state import tables
from etl.state.entries import ENTRY, entry
from etl.state.facts import facts_from
from etl.state.failures import of_a_row
from etl.state.statements import Prepared, among

if TYPE_CHECKING:
    from collections.abc import Collection

    from etl.state.statements import Row, Statements

_C = tables.contacts.c
_BY_ID = Prepared(
    lambda dialect: select(_C.facts, _C.gone, _C.absent_at, *ENTRY).where(among(_C.id, dialect))
)


class Standings:
    """The contacts table, inside one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def of(self, contact_ids: Collection[int]) -> dict[int, Standing]:
        """Where these contacts stand, by their ids."""
        found = map(_standing, self._statements.among(_BY_ID, contact_ids))
        return {each.entry.contact_id: each for each in found}


@of_a_row
def _standing(row: Row) -> Standing:
    facts, gone, absent_at, *columns = row
    return Standing(
        entry(columns), facts_from(facts) if facts else None, bool(gone), instant_or_none(absent_at)
    )
