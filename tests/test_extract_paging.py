"""Paging and windows: where the next page is, when the last was read, and which range covers an instant."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from etl.errors import ContractBrokenError
from etl.extract.paging import Paging, Turn
from etl.extract.payload import Payload
from etl.extract.rows import digest
from etl.extract.windows import narrowest

if TYPE_CHECKING:
    from etl.extract.paging import Dialect

GO_ON, STOP, DROP = Turn.USE_AND_GO_ON, Turn.USE_AND_STOP, Turn.DROP_AND_STOP


def page(*rows: str, more: bool | None) -> Payload:
    return Payload(rows=list(rows), has_more=more, clock=None, digest=digest(list(rows)))


def paging(dialect: Dialect = "offset", *, size: int = 1000) -> Paging:
    return Paging(dialect, size=size, where="Zenovay /there")


def test_the_offset_moves_by_what_came_because_the_server_may_cap_the_limit() -> None:
    walk = paging(size=5000)
    assert walk.params() == {"limit": "1000", "offset": "0"}
    assert walk.take(page("a", "b", more=True)) is GO_ON
    assert walk.params() == {"limit": "1000", "offset": "2"}
    assert walk.take(page("c", more=True)) is GO_ON
    assert walk.params() == {"limit": "1000", "offset": "3"}


def test_pages_are_counted_from_one_and_are_of_100_at_most() -> None:
    walk = paging("page", size=1000)
    assert walk.params() == {"page": "1", "per_page": "100"}
    assert walk.take(page("a", "b", more=True)) is GO_ON
    assert walk.params() == {"page": "2", "per_page": "100"}


def test_a_small_page_size_is_kept() -> None:
    assert paging(size=7).params()["limit"] == "7"
    assert paging("page", size=7).params()["per_page"] == "7"


def test_has_more_false_ends_the_window() -> None:
    walk = paging()
    assert walk.take(page("a", more=True)) is GO_ON
    assert walk.take(page("b", more=False)) is STOP


@pytest.mark.parametrize("more", [False, None])
def test_an_empty_page_ends_the_window(*, more: bool | None) -> None:
    assert paging().take(page(more=more)) is STOP


def test_an_empty_page_that_says_more_follow_breaks_the_contract() -> None:
    walk = paging()
    walk.take(page("a", more=True))
    with pytest.raises(ContractBrokenError, match="Zenovay /there: page 2 is empty"):
        walk.take(page(more=True))


@pytest.mark.parametrize(("dialect", "other"), [("offset", "page"), ("page", "offset")])
@pytest.mark.parametrize("last", [True, False])
def test_with_a_block_a_repeating_page_breaks_the_contract(
    dialect: Dialect, other: str, *, last: bool
) -> None:
    walk = paging(dialect)
    walk.take(page("a", more=True))
    walk.take(page("b", more=True))
    with pytest.raises(ContractBrokenError, match="a repeating page") as caught:
        walk.take(page("a", more=last))
    assert f"ignores the parameter {dialect}." in caught.value.what
    assert caught.value.fix == f"Set ZENOVAY_PAGING={other}."


def test_without_a_block_an_empty_page_is_the_end() -> None:
    walk = paging()
    assert walk.take(page("a", more=None)) is GO_ON
    assert walk.take(page("b", more=None)) is GO_ON
    assert walk.take(page(more=None)) is STOP


def test_without_a_block_the_same_page_twice_is_a_server_that_does_not_page() -> None:
    walk = paging()
    assert walk.take(page("a", more=None)) is GO_ON
    assert walk.take(page("a", more=None)) is DROP


def test_without_a_block_a_page_of_long_before_breaks_the_contract() -> None:
    walk = paging()
    walk.take(page("a", more=None))
    walk.take(page("b", more=None))
    with pytest.raises(ContractBrokenError, match="a repeating page"):
        walk.take(page("a", more=None))


@pytest.mark.parametrize(
    ("age", "range_"),
    [
        (timedelta(days=-3), "24h"),
        (timedelta(0), "24h"),
        (timedelta(hours=24), "24h"),
        (timedelta(hours=24, microseconds=1), "7d"),
        (timedelta(days=7), "7d"),
        (timedelta(days=8), "30d"),
        (timedelta(days=30, seconds=1), "90d"),
        (timedelta(days=91), "1y"),
        (timedelta(days=365), "1y"),
        (timedelta(days=4000), "1y"),
    ],
)
def test_the_narrowest_range_that_covers(age: timedelta, range_: str) -> None:
    assert narrowest(age).range == range_
