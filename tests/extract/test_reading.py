"""Reading little: early stops, sweeps, backfills that seek. Over a website in memory whose clock goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import log2
from random import Random
from typing import TYPE_CHECKING

import pytest
from virtual_zenovay import START, Arrival, VirtualZenovay, instant

from etl.errors import UnavailableError
from etl.models.reading import Bookmark, Page, ReadRequest, ReadResult, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from etl.extract.paging import Dialect


HOUR_S, DAY_S = 3600.0, 86_400.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def steady(count: int, *, every_s: float, since: float = 0.0) -> list[Arrival]:
    """Visitors at regular intervals, known at once; the first is the oldest."""
    times = [since + number * every_s for number in range(count)]
    return [Arrival(at, at, f"v{number:07d}") for number, at in enumerate(times)]


def window_ids(arrivals: list[Arrival], since: datetime, until: datetime) -> set[str]:
    return {each.id for each in arrivals if since <= instant(each.seen) < until}


def read_by(
    zenovay: VirtualZenovay, request: ReadRequest, *, page_size: int = 1000, paging: Dialect = "offset"
) -> tuple[set[str], ReadResult]:
    *pages, result = zenovay.source(page_size=page_size, paging=paging).read(request)
    assert isinstance(result, ReadResult)
    return {visitor.id for page in pages if isinstance(page, Page) for visitor in page.visitors}, result


def test_a_page_that_reaches_behind_the_window_is_the_last_one() -> None:
    rows = steady(20_000, every_s=4)
    zenovay = VirtualZenovay(rows, clock_s=80_000)
    since = instant(80_000 - HOUR_S)
    seen, result = read_by(zenovay, ReadRequest("w", since=since, newest_first=True))
    assert zenovay.requests == 1
    assert seen == window_ids(rows, since, instant(80_002))
    assert result.newest_first
    assert result.notes == ()


@pytest.mark.parametrize("newest_first", [None, False])
def test_an_order_that_was_not_seen_to_the_end_is_not_trusted(*, newest_first: bool | None) -> None:
    rows = steady(5_000, every_s=10)
    zenovay = VirtualZenovay(rows, clock_s=50_000)
    request = ReadRequest("w", since=instant(50_000 - HOUR_S), newest_first=newest_first)
    _, result = read_by(zenovay, request)
    assert zenovay.requests == 6
    assert result.newest_first


def displaced(rows: list[Arrival], *, of: int, to: int) -> list[Arrival]:
    moved = list(rows)
    moved.insert(to, moved.pop(of))
    return moved


@pytest.mark.parametrize(("of", "to"), [(3, 40), (40, 3), (980, 999), (999, 980)])
def test_a_row_out_of_order_costs_at_most_a_page_and_one_that_it_hides_a_day(of: int, to: int) -> None:
    """The newest row of the list may stand at its end."""
    rows = steady(5_000, every_s=10)
    hidden = Arrival(49_000, 49_999, "hidden")
    zenovay = VirtualZenovay([*rows, hidden], clock_s=50_000)

    def arranged(listed: list[Arrival]) -> list[Arrival]:
        others = [each for each in listed if each is not hidden]
        return [*displaced(others, of=of, to=to), hidden]

    zenovay.arranged = arranged
    seen, _ = read_by(zenovay, ReadRequest("w", since=instant(50_000 - HOUR_S), newest_first=True))
    assert "hidden" not in seen
    assert seen == window_ids(rows, instant(50_000 - HOUR_S), instant(50_002))
    assert zenovay.requests <= 2

    seen, result = swept(zenovay, last=zenovay.clock_s - DAY_S)
    assert "hidden" in seen
    assert result.newest_first


def test_an_order_that_has_changed_makes_every_run_read_everything() -> None:
    rows = steady(5_000, every_s=10)
    zenovay = VirtualZenovay(rows, clock_s=50_000, arranged=lambda listed: listed[::-1])
    since = instant(50_000 - HOUR_S)
    seen, result = read_by(zenovay, ReadRequest("w", since=since, newest_first=True))
    assert seen == window_ids(rows, since, instant(50_002))
    assert result.newest_first is False


def swept(zenovay: VirtualZenovay, *, last: float, newest_first: bool = True) -> tuple[set[str], ReadResult]:
    read_at = instant(zenovay.clock_s - 300)
    sweep = Sweep(instant(last), DAY, read_at)
    return read_by(zenovay, ReadRequest("w", since=read_at - HOUR, newest_first=newest_first, sweep=sweep))


def test_a_sweep_reads_all_of_the_newest_range_and_four_hours_behind_the_one_before() -> None:
    now = 3 * DAY_S
    rows = steady(30_000, every_s=8.64)
    zenovay = VirtualZenovay(rows, clock_s=now)
    last = now - DAY_S
    seen, result = swept(zenovay, last=last)
    assert seen == window_ids(rows, instant(last) - 4 * HOUR, zenovay.now())
    assert result.swept
    assert result.window.since == instant(last) - 4 * HOUR
    assert [params["range"] for params in zenovay.asked] == ["24h"] * 11 + ["7d"] * 2


def test_a_sweep_of_rows_in_no_order_reads_the_newest_range() -> None:
    now = 3 * DAY_S
    rows = steady(3_000, every_s=86.4)
    zenovay = VirtualZenovay(rows, clock_s=now, arranged=shuffled)
    seen, result = swept(zenovay, last=now - DAY_S, newest_first=False)
    assert result.swept
    assert seen == window_ids(rows, instant(now) - DAY + timedelta(seconds=2), zenovay.now())


def shuffled(rows: list[Arrival]) -> list[Arrival]:
    return sorted(rows, key=lambda each: Random(each.id).random())


def test_a_sweep_is_due_before_the_next_run_would_be_too_late() -> None:
    sweep = Sweep(START, DAY, read_at=START + timedelta(hours=23, minutes=50))
    assert not sweep.is_due(START + timedelta(hours=23, minutes=55))
    assert sweep.is_due(START + timedelta(hours=23, minutes=56))


def some_of_them_late(random: Random, *, a_day: int, share: float) -> Iterator[Arrival]:
    for number in range(4 * a_day):
        seen = random.uniform(0, 4 * DAY_S)
        late = random.choice([random.uniform(0, HOUR_S), random.uniform(0, 3.9 * HOUR_S)])
        yield Arrival(seen + late * (random.random() < share), seen, f"v{number}")


@pytest.mark.parametrize(("a_day", "share", "by_arrival"), [(2_000, 0.4, False), (800, 0.025, True)])
def test_a_month_of_polling_costs_little_more_than_a_request_a_poll_and_misses_nobody(
    a_day: int, share: float, *, by_arrival: bool
) -> None:
    """Three days of it, in pages of 100; some are late by up to four hours, and may stand out of order."""
    rows = list(some_of_them_late(Random(7), a_day=a_day, share=share))
    zenovay = VirtualZenovay(rows)
    if by_arrival:
        zenovay.arranged = lambda listed: sorted(listed, key=lambda each: -each.arrives)
    seen: set[str] = set()
    newest_first: bool | None = None
    polls = 0
    watermark: datetime | None = None
    last: datetime | None = None
    while zenovay.clock_s < 4 * DAY_S:
        polls += 1
        due = zenovay.clock_s
        sweep = Sweep(last, DAY, watermark) if last and watermark else None
        since = watermark - timedelta(minutes=30) if watermark else None
        request = ReadRequest("w", since=since, initial=DAY, newest_first=newest_first, sweep=sweep)
        found, result = read_by(zenovay, request, page_size=100)
        seen |= found
        newest_first, watermark = result.newest_first, result.clock
        last = watermark if result.swept else last
        zenovay.clock_s = (due // 300 + 1) * 300
    assert last
    assert {each.id for each in rows if instant(each.arrives) < last} <= seen
    assert zenovay.requests <= 1.15 * polls


def backfill(days_ago: int, *, now: datetime) -> ReadRequest:
    begin = now - days_ago * DAY
    return ReadRequest("w", since=begin, until=begin + DAY, past=True)


@pytest.mark.parametrize("paging", ["offset", "page"])
def test_a_backfill_seeks_its_day_and_reads_only_its_pages(paging: Dialect) -> None:
    rows = steady(100_000, every_s=300)
    now = 100_000 * 300.0
    zenovay = VirtualZenovay(rows, clock_s=now)
    reading = backfill(300, now=zenovay.now())
    seen, _ = read_by(zenovay, reading, page_size=100, paging=paging)
    assert reading.since
    assert reading.until
    assert seen == window_ids(rows, reading.since, reading.until)
    assert zenovay.requests <= 2 * log2(100_000) + 288 / 100 + 3


def test_a_backfill_of_a_small_website_costs_one_request() -> None:
    zenovay = VirtualZenovay(steady(300, every_s=1000), clock_s=300_000)
    read_by(zenovay, backfill(2, now=zenovay.now()))
    assert zenovay.requests == 1


def test_a_backfill_of_days_just_behind_the_first_page_does_not_search() -> None:
    zenovay = VirtualZenovay(steady(2_500, every_s=1000), clock_s=2_500_000)
    reading = backfill(15, now=zenovay.now())
    seen, _ = read_by(zenovay, reading)
    assert reading.since
    assert reading.until
    assert seen == window_ids(steady(2_500, every_s=1000), reading.since, reading.until)
    assert zenovay.requests == 2


@pytest.mark.parametrize(
    "arranged",
    [
        shuffled,
        lambda rows: rows[::-1],
        lambda rows: displaced(rows, of=4_200, to=4_300),
        lambda rows: displaced(rows, of=4_300, to=4_200),
    ],
)
def test_a_backfill_that_finds_no_order_reads_everything(
    arranged: Callable[[list[Arrival]], list[Arrival]],
) -> None:
    rows = steady(6_000, every_s=600)
    zenovay = VirtualZenovay(rows, clock_s=6_000 * 600.0, arranged=arranged)
    reading = backfill(30, now=zenovay.now())
    stream = zenovay.source(page_size=100).read(reading)
    pages = [page for page in stream if isinstance(page, Page)]
    assert reading.since
    assert reading.until
    begun = max((at for at, page in enumerate(pages) if page.restarted), default=0)
    assert {visitor.id for page in pages for visitor in page.visitors} == window_ids(
        rows, reading.since, reading.until
    )
    assert sum(page.read for page in pages[begun:]) == len(rows)


def interrupted(zenovay: VirtualZenovay, request: ReadRequest, *, after: int) -> tuple[set[str], Bookmark]:
    """Read so many pages of the window and be killed: what was absorbed, and the bookmark in the state."""
    seen: set[str] = set()
    bookmark: Bookmark | None = None
    pages = 0
    for page in zenovay.source(page_size=100).read(request):
        assert isinstance(page, Page)
        seen |= {visitor.id for visitor in page.visitors}
        bookmark = page.bookmark or bookmark
        pages += bool(page.visitors)
        if pages == after:
            break
    assert bookmark
    return seen, bookmark


@pytest.mark.parametrize("pause_s", [0, HOUR_S])
def test_a_backfill_goes_on_from_the_page_that_it_had_reached(pause_s: float) -> None:
    rows = steady(50_000, every_s=60)
    zenovay = VirtualZenovay(rows, clock_s=45_000 * 60.0)
    reading = backfill(20, now=zenovay.now())
    before, bookmark = interrupted(zenovay, reading, after=5)
    assert len(before) > 400

    zenovay.clock_s += pause_s  # 60 rows arrive in an hour
    zenovay.asked.clear()
    after, _ = read_by(zenovay, replace(reading, bookmark=bookmark), page_size=100)
    assert reading.since
    assert reading.until
    assert before | after == window_ids(rows, reading.since, reading.until)
    assert len(before & after) <= 61
    assert zenovay.requests <= (1440 - 500) / 99 + 6


def test_a_backfill_in_no_order_goes_on_where_it_stopped() -> None:
    rows = steady(3_000, every_s=1200)
    zenovay = VirtualZenovay(rows, clock_s=3_000 * 1200.0, arranged=shuffled, takes_s=0)
    reading = backfill(20, now=zenovay.now())
    before, bookmark = interrupted(zenovay, reading, after=6)
    first = zenovay.requests
    zenovay.asked.clear()
    after, _ = read_by(zenovay, replace(reading, bookmark=bookmark), page_size=100)
    assert reading.since
    assert reading.until
    assert before | after == window_ids(rows, reading.since, reading.until)
    assert zenovay.requests + first <= 3_000 / 99 + 3


def test_a_backfill_of_the_oldest_days_reads_only_their_pages() -> None:
    rows = steady(30_000, every_s=600)
    zenovay = VirtualZenovay(rows, clock_s=30_000 * 600.0)
    request = ReadRequest("w", since=START - DAY, until=START + DAY, past=True)
    seen, _ = read_by(zenovay, request, page_size=100)
    assert seen == window_ids(rows, START, START + DAY)
    assert zenovay.requests <= 2 * log2(30_000) + 6


def test_a_long_list_is_searched_in_few_requests_and_with_few_in_a_process() -> None:
    """One day ten months back; then again with ten requests to a process."""
    rows = steady(200_000, every_s=157.5)
    now = 200_000 * 157.5
    zenovay = VirtualZenovay(rows, clock_s=now)
    request = backfill(304, now=zenovay.now())
    assert request.since
    assert request.until
    wanted = window_ids(rows, request.since, request.until)
    seen, _ = read_by(zenovay, request)
    assert seen == wanted
    assert zenovay.requests <= 2 * log2(200) + 5 + len(wanted) / 1000

    seen, bookmark, processes = set(), None, 0
    while bookmark is None or bookmark.reached is None or bookmark.reached >= request.since:
        processes += 1
        found, bookmark = few_requests(zenovay, replace(request, bookmark=bookmark), most=10)
        seen |= found
    assert seen == wanted
    assert processes <= 8


def read_in_vain(
    zenovay: VirtualZenovay, request: ReadRequest
) -> tuple[set[str], Bookmark | None, UnavailableError]:
    seen: set[str] = set()
    bookmark = None
    try:
        for page in zenovay.source().read(request):
            assert isinstance(page, Page)
            seen |= {visitor.id for visitor in page.visitors}
            bookmark = page.bookmark
    except UnavailableError as failure:
        return seen, bookmark, failure
    raise AssertionError("the window was read")


def few_requests(
    zenovay: VirtualZenovay, request: ReadRequest, *, most: int
) -> tuple[set[str], Bookmark | None]:
    seen: set[str] = set()
    bookmark, before = request.bookmark, zenovay.requests
    for page in zenovay.source().read(request):
        if isinstance(page, ReadResult):
            break
        seen |= {visitor.id for visitor in page.visitors}
        bookmark = page.bookmark
        if zenovay.requests - before >= most:
            break
    return seen, bookmark


@pytest.mark.parametrize("order", ["newest first", "shuffled"])
@pytest.mark.parametrize("past", [True, False])
@pytest.mark.parametrize("takes_s", [30, 900])
def test_a_window_that_begins_at_the_edge_of_a_range_is_read_in_a_longer_one(
    order: str, takes_s: float, *, past: bool
) -> None:
    """It begins within the hour before the edge; a reading of more than an hour has to be begun once more."""
    now = 2 * DAY_S
    rows = steady(int(now) // 20, every_s=20)
    arranged = shuffled if order == "shuffled" else None
    zenovay = VirtualZenovay(rows, takes_s=takes_s, clock_s=now - takes_s, arranged=arranged)
    edge = HOUR_S - 600 if takes_s > 60 else 90
    since, until = instant(now - DAY_S + edge), instant(now - HOUR_S)
    request = ReadRequest("w", since=since, until=until, past=past)

    seen: set[str] = set()
    if takes_s > 60:
        seen, bookmark, failure = read_in_vain(zenovay, request)
        assert "have left the range 24h" in failure.what
        request, zenovay.takes_s = replace(request, bookmark=bookmark), 1
    found, result = read_by(zenovay, request)

    assert seen | found == window_ids(rows, since, until)
    assert result.notes == ()
    assert zenovay.asked[-1]["range"] == "7d"


def test_rows_that_leave_the_longest_range_while_it_is_read_are_not_said_to_be_read() -> None:
    now = 366 * DAY_S
    zenovay = VirtualZenovay(steady(3000, every_s=now / 3000), takes_s=60, clock_s=now - 60)
    since = instant(now - 365 * DAY_S + 90)
    _, result = read_by(zenovay, ReadRequest("w", since=since, past=True))

    (note,) = result.notes
    assert "cannot be had any more" in note
