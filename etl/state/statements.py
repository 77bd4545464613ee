"""SQL built from the tables by SQLAlchemy, compiled once, and executed with plain tuples.

What is done per row, or for every batch, passes SQLAlchemy's own handling of values by: it takes longer than
the database takes to do the work. So instants go in and come out as the microseconds that the columns hold.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ARRAY, LargeBinary, any_, bindparam, func, insert, select

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    import sqlalchemy
    from sqlalchemy import ColumnElement, Executable, Table

Row = tuple[Any, ...]

MEMBERS = "members"
"""The value of a statement that is a collection: what ``among`` compares with."""

_MOST_MEMBERS = 10_000
_MOST_DIGESTS = 50
_MOST_VALUES = 999  # in one statement: what every SQLite takes
_FETCHED_AT_ONCE = 10_000
_PARAMSTYLES = {"sqlite": "qmark", "postgresql": "format"}


class Prepared:
    """A statement that is built and compiled when it is first needed, once for each kind of database.

    ``build`` makes it, given the name of the dialect; its values are given in the order of ``names``.
    """

    def __init__(self, build: Callable[[str], Executable], *names: str) -> None:
        self.names = names
        self._build = build
        self._compiled: dict[str, tuple[str, Callable[[Row], Row] | None]] = {}

    def compiled(self, dialect: sqlalchemy.Dialect) -> tuple[str, Callable[[Row], Row] | None]:
        """The text, and what puts values into its order; None where they are in it."""
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        return found

    def _compile(self, dialect: sqlalchemy.Dialect) -> tuple[str, Callable[[Row], Row] | None]:
        kind: Any = type(dialect)
        positional = kind(paramstyle=_PARAMSTYLES[dialect.name])
        statement: Any = self._build(dialect.name)
        compiled = statement.compile(dialect=positional)
        order: list[str] = compiled.positiontup or []
        if tuple(order) == self.names:
            return str(compiled), None
        places = {name: place for place, name in enumerate(self.names)}
        if MEMBERS in places:
            places |= {_digest(number): places[MEMBERS] + number for number in range(_MOST_DIGESTS)}
        given = [(places.get(name), compiled.params.get(name)) for name in order]

        def arranged(values: Row) -> Row:
            return tuple(constant if place is None else values[place] for place, constant in given)

        return str(compiled), arranged


def value(name: str) -> Any:
    """A value of a statement, by the name that it has in the statement's list."""
    return bindparam(name)


def among(column: ColumnElement[Any], dialect: str) -> ColumnElement[bool]:
    """Whether ``column`` is one of the ``MEMBERS``, the last of the statement's values."""
    if dialect != "sqlite":
        return column == any_(bindparam(MEMBERS, type_=ARRAY(column.type)))
    if isinstance(column.type, LargeBinary):
        return column.in_([bindparam(_digest(number)) for number in range(_MOST_DIGESTS)])
    return column.in_(select(func.json_each(bindparam(MEMBERS)).table_valued("value").c.value))


def _digest(number: int) -> str:
    return f"{MEMBERS}_{number}"


class Insertion:
    """The INSERT of many rows, whose values come in the order of ``columns``."""

    def __init__(self, table: Table, *columns: str) -> None:
        self.together = _MOST_VALUES // len(columns)
        self.one = self._of(table, columns, 1)
        self.many = self._of(table, columns, self.together)

    @staticmethod
    def _of(table: Table, columns: Sequence[str], count: int) -> Prepared:
        names = [[f"{column}_{number}" for column in columns] for number in range(count)]
        return Prepared(
            lambda _: insert(table).values(
                [dict(zip(columns, map(bindparam, row), strict=True)) for row in names]
            ),
            *chain.from_iterable(names),
        )


class Statements:
    """Statements inside the transaction that SQLAlchemy's connection is in."""

    def __init__(self, inner: sqlalchemy.Connection) -> None:
        self._inner = inner
        self._is_sqlite = inner.dialect.name == "sqlite"

    def rows(self, statement: Prepared, values: Row = ()) -> Sequence[Row]:
        return self._execute(statement, values).all()

    def row(self, statement: Prepared, values: Row = ()) -> Row | None:
        """The first row, if there is any."""
        return self._execute(statement, values).first()

    def value(self, statement: Prepared, values: Row = ()) -> Any:
        """The first value of the first row; None without one."""
        return self._execute(statement, values).scalar()

    def among(self, statement: Prepared, members: Collection[Any], *, before: Row = ()) -> Iterator[Row]:
        """The rows for ``members``; ``before`` are the values ahead of them."""
        for part in self._collections(members):
            yield from self.rows(statement, (*before, *part))

    def change_among(self, statement: Prepared, members: Collection[Any], *, before: Row = ()) -> None:
        """Run a statement that returns nothing for ``members``."""
        for part in self._collections(members):
            self.change(statement, (*before, *part))

    def stream(self, statement: Prepared, values: Row = ()) -> Iterator[Row]:
        """Rows that need not fit into memory, while nothing else is asked."""
        text, arranged = statement.compiled(self._inner.dialect)
        yield from self._inner.exec_driver_sql(
            text,
            arranged(values) if arranged else values,
            execution_options={"yield_per": _FETCHED_AT_ONCE},
        )

    def change(self, statement: Prepared, values: Row = ()) -> int:
        """Returns how many rows were changed."""
        return self._execute(statement, values).rowcount

    def add_many(self, insertion: Insertion, rows: Iterable[Row]) -> None:
        several = list(rows)
        whole = len(several) - len(several) % insertion.together
        parts = _parts(several[:whole], most=insertion.together)
        self.change_many(insertion.many, (tuple(chain.from_iterable(part)) for part in parts))
        self.change_many(insertion.one, several[whole:])

    def change_many(self, statement: Prepared, rows: Iterable[Row]) -> None:
        """Run one statement for each of ``rows``."""
        text, arranged = statement.compiled(self._inner.dialect)
        if several := list(map(arranged, rows) if arranged else rows):
            self._inner.exec_driver_sql(text, several)

    def _execute(self, statement: Prepared, values: Row) -> sqlalchemy.CursorResult[Any]:
        text, arranged = statement.compiled(self._inner.dialect)
        return self._inner.exec_driver_sql(text, arranged(values) if arranged else values)

    def _collections(self, members: Collection[Any]) -> Iterator[Row]:
        """What stands for ``members`` among the values of a statement, part by part.

        SQLite takes them as JSON; JSON takes no bytes, so digests come one by one, the last of them again
        and again.
        """
        asked = list(members)
        if not self._is_sqlite or not asked or not isinstance(asked[0], bytes):
            for part in _parts(asked, most=_MOST_MEMBERS):
                yield (orjson.dumps(part).decode() if self._is_sqlite else part,)
            return
        for part in _parts(asked, most=_MOST_DIGESTS):
            yield (*part, *[part[-1]] * (_MOST_DIGESTS - len(part)))


def _parts(members: Sequence[Any], *, most: int) -> Iterator[list[Any]]:
    for start in range(0, len(members), most):
        yield list(members[start : start + most])
