"""No statement of an ordinary run goes through all contacts or visitors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock, opened
from sqlalchemy import text

from etl.state import ledger, links, rejections, visitors
from etl.state.database import connect, upgrade
from etl.state.statements import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

_RARE = {
    "_COUNTS": "status",
    "_UNLINKED": "another portal",
    "_LISTED": "rejections",
    "_CONTACTS": "rejections retry",
    "_ROWS": "rejections retry",
    "_FORGET_ROWS": "rejections retry",
    "_FORGET_CONTACTS": "another portal",
}
"""What looks at everything, and where."""

_OF_FEW = re.compile(r"SCAN contacts USING (COVERING )?INDEX ix_contacts_(due|gone|left)")
_OF_ALL = re.compile(r"SCAN (contacts|visitors|known|meant|links|rejections)|AUTOMATIC")


def statements() -> Iterator[tuple[str, Prepared]]:
    for module in (ledger, links, rejections, visitors):
        for name, found in vars(module).items():
            for each in found.values() if isinstance(found, dict) else [found]:
                if isinstance(each, Prepared):
                    yield name, each


@pytest.mark.parametrize("name", sorted({name for name, _ in statements()} - _RARE.keys()))
def test_it_finds_what_it_looks_for_by_an_index(sqlite_url: str, name: str) -> None:
    with connect(sqlite_url, create=True) as connection:
        upgrade(connection)
        for each in (statement for found, statement in statements() if found == name):
            sql, order, _ = each._for(connection.dialect)
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (None,) * len(order))
            steps = [step for *_, step in plan]
            assert [step for step in steps if _OF_ALL.search(step) and not _OF_FEW.match(step)] == []


def test_one_who_is_forgotten_is_not_looked_for_in_all_others(sqlite_url: str) -> None:
    """Foreign keys, too, are looked up by an index: else each contact that goes costs a look at all."""
    with opened(sqlite_url, FakeClock()) as store, store._connection.begin():
        for table, column in (
            ("contacts", '"into"'),
            ("visitors", "contact_id"),
            ("rejections", "contact_id"),
        ):
            query = text(f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = 1")
            ((*_, step),) = store._connection.execute(query)
            assert step.startswith("SEARCH")
