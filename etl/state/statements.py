"""SQL as text through SQLAlchemy's connection: values in the order of their ``?``, tuples out.

What is done per row, or for every batch, is written so: SQLAlchemy's expressions take longer to compile their
parameters than the database takes to do the work.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import sqlalchemy

Row = tuple[Any, ...]

MEMBERS = "(?, …)"
"""What a statement for ``among`` has where the members go."""

_MOST_MEMBERS = 500
_MOST_VALUES = 999  # in one statement: what every SQLite takes
_FETCHED_AT_ONCE = 10_000


class Statements:
    """Statements inside the transaction that SQLAlchemy's connection is in."""

    def __init__(self, inner: sqlalchemy.Connection) -> None:
        self._inner = inner
        self._is_sqlite = inner.dialect.name == "sqlite"

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Sequence[Row]:
        return self._execute(statement, tuple(values)).all()

    def row(self, statement: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row, if there is any."""
        return self._execute(statement, tuple(values)).first()

    def value(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """The first value of the first row; None without one."""
        return self._execute(statement, tuple(values)).scalar()

    def among(self, statement: str, members: Collection[Any], *, before: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows for ``members``, asked for by hundreds; ``before`` are the values ahead of them."""
        for part in _parts(members):
            yield from self.rows(_with_members(statement, len(part)), (*before, *part))

    def change_among(self, statement: str, members: Collection[Any]) -> None:
        """Run a statement that returns nothing for ``members``."""
        for part in _parts(members):
            self.change(_with_members(statement, len(part)), part)

    def stream(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """Rows that need not fit into memory, while nothing else is asked."""
        options = {"yield_per": _FETCHED_AT_ONCE}
        yield from self._inner.exec_driver_sql(
            self._spelt(statement), tuple(values), execution_options=options
        )

    def change(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Returns how many rows were changed."""
        return self._execute(statement, tuple(values)).rowcount

    def add_many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert ``rows``; ``statement`` is the INSERT of one row, and ends with its values."""
        several = list(rows)
        if not several:
            return
        together = _MOST_VALUES // len(several[0])
        whole = len(several) - len(several) % together
        parts = _parts(several[:whole], most=together)
        self.change_many(
            _with_rows(statement, together), (tuple(chain.from_iterable(part)) for part in parts)
        )
        self.change_many(statement, several[whole:])

    def change_many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement for each of ``rows``."""
        if several := list(rows):
            self._execute(statement, several)

    def _execute(
        self, statement: str, values: tuple[Any, ...] | list[tuple[Any, ...]]
    ) -> sqlalchemy.CursorResult[Any]:
        return self._inner.exec_driver_sql(self._spelt(statement), values)

    def _spelt(self, statement: str) -> str:
        return statement if self._is_sqlite else statement.replace("?", "%s")


def _parts(members: Collection[Any], *, most: int = _MOST_MEMBERS) -> Iterator[list[Any]]:
    asked = list(members)
    for start in range(0, len(asked), most):
        yield asked[start : start + most]


@cache
def _with_rows(statement: str, count: int) -> str:
    inserting, values, row = statement.partition("VALUES")
    return inserting + values + ",".join([row] * count)


@cache
def _with_members(statement: str, count: int) -> str:
    return statement.replace(MEMBERS, f"({', '.join('?' * count)})")
