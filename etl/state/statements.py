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
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import sqlalchemy
    from sqlalchemy import ColumnElement, Executable, Table

Row = tuple[Any, ...]

MEMBERS = "members"
"""The name of the value that ``among`` compares with."""

_DIGESTS = "digests"
_SIZE = "size"

_MOST_MEMBERS = 10_000
_MOST_VALUES = 999  # in one statement: what every SQLite takes
_FETCHED_AT_ONCE = 10_000
_PARAMSTYLES = {"sqlite": "qmark", "postgresql": "format"}


class Prepared:
    """A statement that is built and compiled when it is first needed, once for each kind of database.

    ``build`` makes it, given the name of the dialect. ``names`` is the order of its values, which is that of
    the table's columns, where they come as tuples, for many rows at once.
    """

    def __init__(self, build: Callable[[str], Executable], *names: str) -> None:
        self._build = build
        self._names = names
        self._compiled: dict[str, tuple[str, list[str], dict[str, Any]]] = {}

    def with_values(self, dialect: sqlalchemy.Dialect, values: Mapping[str, Any]) -> tuple[str, Row]:
        """The text, and the values in its order."""
        text, order, constants = self._for(dialect)
        return text, tuple(values[name] if name in values else constants[name] for name in order)

    def for_rows(self, dialect: sqlalchemy.Dialect) -> str:
        """The text. Raises ValueError where its values are not in the order of ``names``."""
        text, order, _ = self._for(dialect)
        if tuple(order) != self._names:
            raise ValueError(f"the values come as {', '.join(order)}")
        return text

    def _for(self, dialect: sqlalchemy.Dialect) -> tuple[str, list[str], dict[str, Any]]:
        found = self._compiled.get(dialect.name)
        if found is None:
            kind: Any = type(dialect)
            statement: Any = self._build(dialect.name)
            compiled = statement.compile(dialect=kind(paramstyle=_PARAMSTYLES[dialect.name]))
            found = str(compiled), compiled.positiontup or [], compiled.params
            self._compiled[dialect.name] = found
        return found


def value(name: str) -> Any:
    """A value of a statement, by its name; not that of a column that it is written to."""
    return bindparam(name)


def overwritten(*names: str) -> dict[str, Any]:
    """These columns, each with a value of its own: that of ``wanted`` is named ``new_wanted``."""
    return {name: value(new(name)) for name in names}


def new(name: str) -> str:
    """The name of the value that overwrites a column."""
    return f"new_{name}"


def among(column: ColumnElement[Any], dialect: str) -> ColumnElement[bool]:
    """Whether ``column`` is one of the members that ``Statements.among`` is given."""
    if dialect != "sqlite":
        return column == any_(bindparam(MEMBERS, type_=ARRAY(column.type)))
    listed: Any = func.json_each(bindparam(MEMBERS)).table_valued("value").c.value
    if isinstance(column.type, LargeBinary):
        listed = func.substr(bindparam(_DIGESTS), listed, bindparam(_SIZE))
    return column.in_(select(listed))


class Insertion:
    """The INSERT of many rows, whose values come in the order of ``columns``, which is that of the table."""

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

    def rows(self, statement: Prepared, **values: Any) -> Sequence[Row]:
        return self._execute(statement, values).all()

    def row(self, statement: Prepared, **values: Any) -> Row | None:
        """The first row, if there is any."""
        return self._execute(statement, values).first()

    def value(self, statement: Prepared, **values: Any) -> Any:
        """The first value of the first row; None without one."""
        return self._execute(statement, values).scalar()

    def among(self, statement: Prepared, members: Collection[Any], **values: Any) -> Iterator[Row]:
        """The rows for ``members``."""
        for part in self._collections(members):
            yield from self._execute(statement, values | part).all()

    def change_among(self, statement: Prepared, members: Collection[Any], **values: Any) -> None:
        """Run a statement that returns nothing for ``members``."""
        for part in self._collections(members):
            self._execute(statement, values | part)

    def stream(self, statement: Prepared) -> Iterator[Row]:
        """Rows that need not fit into memory, while nothing else is asked."""
        text, values = statement.with_values(self._inner.dialect, {})
        options = {"yield_per": _FETCHED_AT_ONCE}
        yield from self._inner.exec_driver_sql(text, values, execution_options=options)

    def change(self, statement: Prepared, **values: Any) -> int:
        """Returns how many rows were changed."""
        return self._execute(statement, values).rowcount

    def add(self, insertion: Insertion, *row: Any) -> None:
        self.change_many(insertion.one, [row])

    def add_many(self, insertion: Insertion, rows: Iterable[Row]) -> None:
        several = list(rows)
        whole = len(several) - len(several) % insertion.together
        parts = _parts(several[:whole], most=insertion.together)
        self.change_many(insertion.many, (tuple(chain.from_iterable(part)) for part in parts))
        self.change_many(insertion.one, several[whole:])

    def change_many(self, statement: Prepared, rows: Iterable[Row]) -> None:
        """Run one statement for each of ``rows``, whose values come in the order of its names."""
        several = list(rows)
        if several:
            self._inner.exec_driver_sql(statement.for_rows(self._inner.dialect), several)

    def _execute(self, statement: Prepared, values: Mapping[str, Any]) -> sqlalchemy.CursorResult[Any]:
        return self._inner.exec_driver_sql(*statement.with_values(self._inner.dialect, values))

    def _collections(self, members: Collection[Any]) -> Iterator[dict[str, Any]]:
        """What stands for ``members`` among the values of a statement, part by part.

        SQLite takes them as JSON. JSON takes no bytes, so digests, all of one size, come joined, and with the
        places where each of them begins.
        """
        for part in _parts(list(members), most=_MOST_MEMBERS):
            if not self._is_sqlite:
                yield {MEMBERS: part}
            elif isinstance(part[0], bytes):
                size = len(part[0])
                places = [*range(1, len(part) * size + 1, size)]
                yield {MEMBERS: orjson.dumps(places).decode(), _DIGESTS: b"".join(part), _SIZE: size}
            else:
                yield {MEMBERS: orjson.dumps(part).decode()}


def _parts(members: list[Any], *, most: int) -> Iterator[list[Any]]:
    for start in range(0, len(members), most):
        yield members[start : start + most]
