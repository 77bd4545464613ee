"""Whether rows come newest first, which of them do not, and finding a place among those that do."""

from __future__ import annotations

from datetime import timedelta
from math import ceil, log2
from typing import TYPE_CHECKING

import pytest
from fakes import NOW
from hypothesis import given
from hypothesis import strategies as st

from etl.extract.listing import ListOrder
from etl.extract.search import Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

MINUTE = timedelta(minutes=1)


def ago(minutes: int) -> datetime:
    return NOW - minutes * MINUTE


def watched(minutes_ago: Iterable[int]) -> ListOrder:
    order = ListOrder()
    for minutes in minutes_ago:
        order.look(ago(minutes))
    return order


@pytest.mark.parametrize(
    ("minutes_ago", "newest_first"),
    [
        ([1, 2, 2, 3, 9], True),
        ([1, 2, 99, *range(3, 40)], True),
        ([*range(1, 40), 0], True),
        ([99, *range(1, 40)], True),
        ([1, 2, 99, 3, 4], False),
        ([9, 8, 7, 6, 5, 4], False),
        ([5, 4], False),
        (range(100, 0, -1), False),
        ([number * 37 % 100 for number in range(100)], False),
        ([5, 5, 5], None),
        ([5], None),
        ([], None),
    ],
)
def test_what_a_list_says_of_its_order(minutes_ago: list[int], *, newest_first: bool | None) -> None:
    assert watched(minutes_ago).newest_first is newest_first


def test_an_order_with_a_few_exceptions_tells_where_its_end_seems_to_be() -> None:
    order = watched([1, 99, *range(2, 50)])
    assert order.seems_past(ago(29))
    assert not order.seems_past(ago(30))
    assert not order.has_passed(ago(0))


def test_the_last_twenty_rows_tell_it_and_not_the_last_alone() -> None:
    order = watched([*range(50), 99])
    assert not order.seems_past(ago(40))
    assert watched(range(50)).has_passed(ago(48))


@given(st.lists(st.integers(0, 50), max_size=40))
def test_an_order_holds_just_where_no_row_is_newer_than_the_one_before(minutes_ago: list[int]) -> None:
    assert watched(minutes_ago).is_broken is (minutes_ago != sorted(minutes_ago))


def searched(rows: Sequence[datetime], ceiling: datetime, *, size: int, start: int = 0) -> tuple[Search, int]:
    search = Search(ceiling=ceiling, size=size, start=start, seen=rows[start : start + size])
    looks = 0
    while (offset := search.offset) is not None:
        looks += 1
        search.look(offset, rows[offset : offset + 5])
    return search, looks


@given(count=st.integers(20, 3000), place=st.integers(0, 3200), size=st.integers(2, 100))
def test_a_search_ends_before_the_place_and_near_it(count: int, place: int, size: int) -> None:
    rows = [ago(minutes) for minutes in range(count)]
    search, looks = searched(rows, ago(place), size=size)
    assert search.is_orderly
    first = min(place + 1, count)
    assert search.start <= first <= search.start + size + 1
    assert looks <= 2 * ceil(log2(count)) + 2


def test_a_search_begins_where_it_is_told() -> None:
    rows = [ago(minutes) for minutes in range(10_000)]
    search, looks = searched(rows, ago(5_050), size=100, start=5_000)
    assert search.start == 5_000
    assert looks == 1


@given(
    place=st.integers(0, 60_000), size=st.integers(50, 100), looks=st.integers(2, 6), moved=st.integers(0, 8)
)
def test_a_search_of_a_few_looks_at_a_time_comes_to_its_end(
    place: int, size: int, looks: int, moved: int
) -> None:
    """In between, the list grows at its front by less than a page."""
    rows = [ago(minutes) for minutes in range(60_000)]
    start = 0
    for turn in range(60_000 // size):
        listed = (
            rows if not turn else [NOW + MINUTE * (moved * turn - at) for at in range(moved * turn)] + rows
        )
        seen, first = listed[start : start + size], moved * turn + min(place + 1, 60_000)
        if seen[-1] < ago(place):
            assert start <= first <= start + size
            return
        search = Search(ceiling=ago(place), size=size, start=start, seen=seen)
        for _ in range(looks):
            if (offset := search.offset) is None:
                assert search.start <= first <= search.start + size + 1
                return
            search.look(offset, listed[offset : offset + 5])
        start = search.start
    raise AssertionError("the search does not end")


def test_a_search_notices_that_there_is_no_order() -> None:
    rows = [ago(minutes) for minutes in range(1000)]
    rows[400:700] = reversed(rows[400:700])
    search, _ = searched(rows, ago(800), size=10)
    assert not search.is_orderly


def test_rows_are_reckoned_from_the_looks() -> None:
    rows = [ago(minutes) for minutes in range(10_000)]
    search, _ = searched(rows, ago(5_000), size=100)
    assert search.rows_until(ago(5_500)) == pytest.approx(500, abs=120)
    assert search.rows_until(ago(20_000)) == pytest.approx(15_000, abs=120)


def test_no_more_rows_are_reckoned_than_the_list_has() -> None:
    rows = [ago(minutes) for minutes in range(6_000)]
    search, _ = searched(rows, ago(5_000), size=100)
    assert search.rows_until(ago(20_000)) == pytest.approx(1_000, abs=400)


def test_rows_seen_all_at_once_tell_nothing() -> None:
    assert Search(ceiling=NOW, size=2, start=0, seen=[NOW, NOW]).rows_until(ago(5)) is None
