"""Paging through pages that move while they are read, and which range covers an instant."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.errors import ContractBrokenError
from etl.extract import paging
from etl.extract.paging import Pager, place
from etl.extract.payload import Payload
from etl.extract.windows import narrowest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.extract.paging import Dialect, Step


def pager_of(
    dialect: Dialect = "offset", *, size: int = 1000, start: int = 0, tail: Sequence[str] = ()
) -> Pager:
    return Pager(dialect, size=size, where="Zenovay /there", start=start, tail=tail)


def take(
    pager: Pager, *rows: str, more: bool | None, shrinks_at_end: bool = True, limit: int | None = None
) -> Step:
    payload = Payload(rows=list(rows), has_more=more, clock=None, limit=limit)
    return pager.take(payload, rows, shrinks_at_end=shrinks_at_end)


def test_a_page_begins_with_the_last_row_of_the_page_before() -> None:
    pager = pager_of(size=5000)
    assert pager.params == {"limit": "1000", "offset": "0"}
    assert take(pager, "a", "b", "c", more=True).fresh == [0, 1, 2]
    assert pager.params == {"limit": "1000", "offset": "2"}
    step = take(pager, "c", "d", more=False)
    assert (step.fresh, step.behind, step.done) == ([1], 1, True)


def test_whole_pages_overlap_too() -> None:
    pager = pager_of("page")
    assert pager.params == {"page": "1", "per_page": "100"}
    take(pager, *map(str, range(100)), more=True)
    assert pager.params == {"page": "2", "per_page": "99"}


@given(offset=st.integers(0, 5000), size=st.integers(2, 100))
def test_a_whole_page_begins_where_asked_or_a_little_before_and_gets_on(offset: int, size: int) -> None:
    start, _, params = place("page", offset, size, beyond=offset + 1)
    page, per_page = int(params["page"]), int(params["per_page"])
    assert (page - 1) * per_page == start
    assert per_page <= size
    assert start + per_page > offset + 1
    assert start <= offset or size < 10


def rows(start: int, end: int) -> list[str]:
    return [str(number) for number in range(start, end)]


def test_no_more_beside_a_page_that_is_full_to_a_smaller_limit_is_not_believed() -> None:
    pager = pager_of()
    first = take(pager, *rows(0, 100), more=False, limit=100)
    assert (first.done, first.note) == (False, None)
    second = take(pager, *rows(99, 199), more=False, limit=100)
    assert not second.done
    assert "ZENOVAY_PAGE_SIZE=100" in (second.note or "")
    last = take(pager, *rows(198, 250), more=False, limit=100)
    assert (last.done, len(last.fresh)) == (True, 51)


@pytest.mark.parametrize("dialect", ["offset", "page"])
def test_a_page_that_is_full_by_chance_costs_one_request_and_no_word(dialect: Dialect) -> None:
    pager = pager_of(dialect)
    limit = 100 if dialect == "offset" else 50
    assert not take(pager, *rows(0, limit), more=False, limit=limit).done
    step = take(pager, str(limit - 1), more=False, limit=limit)
    assert (step.done, step.fresh, step.note) == (True, [], None)


def test_a_server_that_always_gives_the_same_full_page_is_told_where_it_says_that_none_follow() -> None:
    pager = pager_of()
    take(pager, *rows(0, 100), more=False, limit=100)
    step = take(pager, *rows(0, 100), more=False, limit=100)
    assert (step.done, step.fresh) == (True, [])
    assert "may have been cut" in (step.note or "")


@pytest.mark.parametrize(
    ("count", "more", "done"), [(99, False, True), (1000, False, True), (100, True, False)]
)
def test_any_other_page_is_believed(count: int, more: bool, done: bool) -> None:  # noqa: FBT001 -- of a table
    limit = 100 if count <= 100 else 1000
    assert take(pager_of(), *rows(0, count), more=more, limit=limit).done is done


@pytest.mark.parametrize(
    ("count", "told"),
    [(49, False), (50, True), (55, False), (100, True), (120, True), (1000, True), (40, False)],
)
def test_a_list_without_pages_may_have_been_cut_where_its_length_is_round(count: int, told: bool) -> None:  # noqa: FBT001 -- of a table
    pager = pager_of()
    assert not take(pager, *rows(0, count), more=None).done
    step = take(pager, *rows(0, count), more=None)
    assert step.done
    assert (step.note is not None) == told


def test_a_server_that_caps_whole_pages_is_asked_for_what_it_gives() -> None:
    pager = pager_of("page")
    take(pager, "a", "b", "c", more=True)
    assert pager.params == {"page": "2", "per_page": "2"}


def test_pages_of_one_row_cannot_overlap() -> None:
    pager = pager_of()
    assert take(pager, "a", more=True).fresh == [0]
    assert pager.params["offset"] == "1"
    assert take(pager, "b", more=True).fresh == [0]
    assert pager.params["offset"] == "2"


def test_rows_that_slipped_past_are_fetched_by_stepping_back() -> None:
    pager = pager_of(size=4)
    take(pager, "a", "b", "c", "d", more=True)
    astray = take(pager, "f", "g", "h", "i", more=True, shrinks_at_end=False)  # "a" and "b" have expired
    assert (astray.fresh, astray.behind, astray.done) == ([0, 1, 2, 3], 4, False)
    assert pager.params["offset"] == "0"
    assert take(pager, "c", "d", "e", "f", more=True).fresh == [2], "the others came before"
    assert take(pager, "f", "g", "h", "i", "j", more=False).fresh == [4]


def test_a_list_that_is_begun_anew_is_counted_anew_only_where_rows_were_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for most, recounts in ((10_000, False), (1, True)):
        monkeypatch.setattr(paging, "_REMEMBERED", most)
        pager = pager_of(size=4)
        while pager.offset < 30:
            take(pager, *rows(pager.offset, pager.offset + 4), more=True)
        new = 1000
        while pager.offset:
            new += 4
            take(pager, *rows(new, new + 4), more=True, shrinks_at_end=False)
        step = take(pager, *rows(1002, 1010), more=True, shrinks_at_end=False)
        assert (step.restarted, step.recount) == (True, recounts)
        assert len(step.fresh) == (8 if recounts else 2), "those from 1004 on came before"


def test_an_empty_page_is_the_end_only_of_a_list_that_shrinks_at_its_end() -> None:
    for shrinks_at_end, ended in ((True, True), (False, False)):
        pager = pager_of(size=3)
        take(pager, "a", "b", "c", more=True)
        assert take(pager, more=False, shrinks_at_end=shrinks_at_end).done is ended


def test_a_pager_goes_on_in_another_process() -> None:
    pager = pager_of(size=2, start=2, tail=("a", "b", "c"))
    assert pager.params == {"limit": "2", "offset": "2"}
    assert take(pager, "c", "d", more=False).fresh == [1]


def test_an_empty_list_is_at_its_end() -> None:
    for more in (False, None):
        assert take(pager_of(), more=more).done


@pytest.mark.parametrize("shrinks_at_end", [True, False])
@pytest.mark.parametrize("rows", ["a", "ab"])
def test_an_empty_page_that_says_more_follow_breaks_the_contract(rows: str, *, shrinks_at_end: bool) -> None:
    pager = pager_of()
    take(pager, *rows, more=True)
    with pytest.raises(ContractBrokenError, match="Zenovay /there: page 2 is empty") as caught:
        take(pager, more=True, shrinks_at_end=shrinks_at_end)
    assert "ZENOVAY_PAGING" not in str(caught.value)


@pytest.mark.parametrize(("dialect", "other"), [("offset", "page"), ("page", "offset")])
def test_with_a_block_a_repeating_page_breaks_the_contract(dialect: Dialect, other: str) -> None:
    rows = [str(number) for number in range(10)]
    pager = pager_of(dialect)
    take(pager, *rows, more=True)
    with pytest.raises(ContractBrokenError, match="a repeating page") as caught:
        take(pager, *rows, more=True)
    assert f"ignores the parameter {dialect}." in caught.value.what
    assert caught.value.fix == f"Set ZENOVAY_PAGING={other}."


def test_a_short_page_may_repeat_once_by_chance_and_not_twice() -> None:
    pager = pager_of(size=3)
    take(pager, "a", "b", "c", more=True)
    assert take(pager, "a", "b", "c", more=True).fresh == []
    with pytest.raises(ContractBrokenError, match="a repeating page"):
        take(pager, "a", "b", "c", more=True)


def test_without_a_block_the_end_is_an_empty_page_or_one_that_brings_nothing_new() -> None:
    pager = pager_of()
    assert not take(pager, "a", "b", more=None).done
    assert not take(pager, "b", "c", more=None).done
    assert take(pager, "c", more=None).done

    pager = pager_of()
    assert not take(pager, "a", "b", more=None).done
    assert take(pager, more=None).done


def test_without_a_block_the_same_page_twice_is_a_server_that_does_not_page() -> None:
    rows = [str(number) for number in range(12)]
    pager = pager_of()
    assert not take(pager, *rows, more=None).done
    step = take(pager, *rows, more=None)
    assert (step.fresh, step.done) == ([], True)


STEADY = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=60)
BURSTS = st.lists(st.tuples(st.sampled_from([0, 1, 20, 30]), st.sampled_from([0, 1, 20, 30])), max_size=8)


@settings(max_examples=4 * settings().max_examples)
@given(
    count=st.integers(0, 60),
    size=st.integers(9, 16),
    moves=STEADY | BURSTS,
    newest_first=st.booleans(),
    dialect=st.sampled_from(["offset", "page"]),
    block=st.booleans(),
)
@example(count=15, size=12, moves=[*[(7, 0)] * 4, (6, 7)], newest_first=True, dialect="page", block=True)
def test_no_row_that_is_there_from_start_to_end_is_missed(
    count: int, size: int, moves: list[tuple[int, int]], dialect: Dialect, *, newest_first: bool, block: bool
) -> None:
    """Before each request some rows arrive and some expire, in a list of either order.

    Without a block a full page that brings nothing new is the end, so it has to hold more than can arrive.
    A list that moves just as fast as it is read shows the same page again and again, as one that is not paged
    does: that is told, and not taken for the end.
    """
    size = size if block else size + 30
    rows = [f"r{number:04d}" for number in range(count)]  # oldest first
    there, arrived, seen = set(rows), count, set()
    pager = pager_of(dialect, size=size)
    schedule, before = iter(moves), None
    for _ in range(1000):
        arriving, expiring = next(schedule, (0, 0))
        rows += [f"r{number:04d}" for number in range(arrived, arrived + arriving)]
        arrived += arriving
        there -= set(rows[:expiring])
        del rows[:expiring]
        page, more = asked_for(pager, rows[::-1] if newest_first else rows)
        try:
            step = take(pager, *page, more=more if block else None, shrinks_at_end=newest_first)
        except ContractBrokenError:
            assert (block, page) == (True, before)
            return
        before = page
        seen |= {page[at] for at in step.fresh}
        if step.done:
            break
    else:
        pytest.fail("the pager does not end")
    assert there <= seen


def asked_for(pager: Pager, listed: list[str]) -> tuple[list[str], bool]:
    """The page that the pager asks for next, and whether more follows."""
    params = {name: int(value) for name, value in pager.params.items()}
    count = params.get("limit") or params["per_page"]
    offset = params["offset"] if "offset" in params else (params["page"] - 1) * count
    return listed[offset : offset + count], offset + count < len(listed)


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
