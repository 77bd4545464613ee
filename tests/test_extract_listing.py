"""Whether rows come newest first, which of them do not, and finding a place among those that do."""

from __future__ import annotations

from datetime import timedelta
from math import ceil, log2
from typing import TYPE_CHECKING

import pytest
from fakes import NOW
from hypothesis import given
from hypothesis import strategies as st

from etl.extract.listing import Descent
from etl.extract.search import Search
from etl.models.reading import Listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

MINUTE = timedelta(minutes=1)


def ago(minutes: int) -> datetime:
    return NOW - minutes * MINUTE


def watched(minutes_ago: Iterable[int], listing: Listing | None = None) -> Descent:
    descent = Descent(listing or Listing())
    for number, minutes in enumerate(minutes_ago):
        descent.look(f"r{number}", ago(minutes))
    return descent


@pytest.mark.parametrize(
    ("minutes_ago", "newest_first", "strays"),
    [
        ([1, 2, 2, 3, 9], True, ()),
        ([1, 2, 99, 3, 4], True, ("r2",)),
        ([1, 2, 3, 4, 5, 0, 6], True, ("r5",)),
        ([99, 1, 2, 3, 4], True, ("r0",)),
        ([9, 8, 7, 6, 5, 4], False, ()),
        ([5, 5, 5], None, ()),
        ([5], None, ()),
        ([], None, ()),
    ],
)
def test_what_a_whole_list_says_of_its_order(
    minutes_ago: list[int], *, newest_first: bool | None, strays: tuple[str, ...]
) -> None:
    assert watched(minutes_ago).listing(whole=True) == Listing(newest_first, strays)


def test_what_is_not_seen_anew_is_remembered() -> None:
    before = Listing(newest_first=True, strays=("old",))
    assert watched([1, 2], before).listing(whole=False) == before
    assert watched([1, 9, 2, 3], before).listing(whole=False) == Listing(True, ("old", "r1"))  # noqa: FBT003
    assert watched([], before).listing(whole=True).newest_first


def test_a_row_known_to_be_out_of_order_does_not_break_the_order() -> None:
    descent = watched([1, 99, 2, 3], Listing(newest_first=True, strays=("r1",)))
    assert descent.holds
    assert descent.has_passed(ago(2))
    assert not descent.has_passed(ago(3))
    assert descent.listing(whole=True) == Listing(True, ("r1",))  # noqa: FBT003


def test_one_row_out_of_order_says_that_the_end_cannot_be_told() -> None:
    descent = watched([1, 2, 99, 3, 4])
    assert descent.is_broken
    assert not descent.has_passed(ago(0))


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
    place=st.integers(0, 60_000), size=st.integers(10, 100), looks=st.integers(3, 6), moved=st.integers(0, 8)
)
def test_a_search_of_a_few_looks_at_a_time_comes_to_its_end(
    place: int, size: int, looks: int, moved: int
) -> None:
    """In between, the list grows at its front by less than a page."""
    rows = [ago(minutes) for minutes in range(60_000)]
    start, past, goes_on = 0, None, False
    for turn in range(40):
        listed = (
            rows if not turn else [NOW + MINUTE * (moved * turn - at) for at in range(moved * turn)] + rows
        )
        seen, first = listed[start : start + size], moved * turn + min(place + 1, 60_000)
        if seen[-1] < ago(place):
            assert start <= first <= start + size
            return
        search = Search(ceiling=ago(place), size=size, start=start, seen=seen, goes_on=goes_on, past=past)
        for _ in range(looks):
            if (offset := search.offset) is None:
                assert search.start <= first <= search.start + size + 1
                return
            search.look(offset, listed[offset : offset + 5])
        start, past, goes_on = search.start, search.past, True
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
