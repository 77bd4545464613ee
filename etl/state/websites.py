"""Taking a website out of the database: all rows that are its own, in whatever table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from etl.state import tables
from etl.state.statements import Prepared, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column

    from etl.state.held import Held
    from etl.state.notebook import Notebook
    from etl.state.statements import Statements

_NOTES = ("told_window", "told_month", "month_looked", "retention", "backfilled")
"""What is noted of each website, by its name."""

_W, _V, _R = tables.websites.c, tables.visitors.c, tables.runs.c
_OF_ITS_RUNS = tables.verdicts.c.run.in_(select(_R.number).where(_R.website_id == value("website_id")))


def _references() -> Iterator[Column[Any]]:
    """The columns that name a website by its number."""
    for table in tables.metadata.sorted_tables:
        for column in table.c:
            if any(key.column.table is tables.websites for key in column.foreign_keys):
                yield column


def _deletion(column: Column[Any], which: Any) -> Prepared:
    return Prepared(lambda _: delete(column.table).where(which))


_ERASE = (
    _deletion(tables.verdicts.c.run, _OF_ITS_RUNS),
    *(_deletion(column, column == value("website_id")) for column in _references()),
    *(
        _deletion(table.c.website, table.c.website == value("named"))
        for table in (tables.readings, tables.alerts)
    ),
    _deletion(_W.id, _W.id == value("website_id")),
)
_VISITORS = Prepared(lambda _: select(func.count()).where(_V.website_id == value("website_id")))


class Websites:
    """What belongs to one website alone, inside one transaction."""

    def __init__(self, statements: Statements, notebook: Notebook, held: Held | None = None) -> None:
        self._statements = statements
        self._notebook = notebook
        self._held = held

    def visitors(self, website_id: int) -> int:
        """How many visitors it has."""
        count: int = self._statements.value(_VISITORS, website_id=website_id)
        return count

    def erase(self, website_id: int, name: str) -> None:
        """Erase it, with its runs and what they did, rejected rows, backfills, readings and alerts.

        Its visitors are to be taken off their contacts before.
        """
        for statement in _ERASE:
            self._statements.change(statement, website_id=website_id, named=name)
        for note in _NOTES:
            self._notebook.drop(f"{note}_{name}")
        if self._held:
            self._held.forget()
