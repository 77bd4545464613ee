"""Reading little: early stops, sweeps, backfills that seek. Over a website in memory whose clock goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import log2
from random import Random
from typing import TYPE_CHECKING

import pytest
from virtual_zenovay import START, Arrival, VirtualZenovay, instant

from etl.models.reading import Listing, Mark, Reading, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from etl.extract.extraction import Extraction

HOUR_S, DAY_S = 3600.0, 86_400.0
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TRUSTED = Listing(newest_first=True)


def steady(count: int, *, every_s: float, since: float = 0.0) -> list[Arrival]:
    """Visitors at regular intervals, known at once; the first is the oldest."""
    times = [since + number * every_s for number in range(count)]
    return [Arrival(at, at, f"v{number:07d}") for number, at in enumerate(times)]


def ids(extraction: Extraction) -> set[str]:
    return {visitor.id for page in extraction for visitor in page.visitors}


def window_ids(arrivals: list[Arrival], since: datetime, until: datetime) -> set[str]:
    return {each.id for each in arrivals if since <= instant(each.seen) < until}


def read_by(
    zenovay: VirtualZenovay, reading: Reading, *, page_size: int = 1000
) -> tuple[set[str], Extraction]:
    extraction = zenovay.source(page_size=page_size).read(reading)
    return ids(extraction), extraction


def test_a_page_that_reaches_behind_the_window_is_the_last_one() -> None:
    rows = steady(20_000, every_s=4)
    zenovay = VirtualZenovay(rows, clock_s=80_000)
    since = instant(80_000 - HOUR_S)
    seen, extraction = read_by(zenovay, Reading("w", since=since, listing=TRUSTED))
    assert zenovay.requests == 1
    assert seen == window_ids(rows, since, instant(80_002))
    assert extraction.ending
    assert extraction.ending.horizon == since
    assert extraction.ending.listing == TRUSTED


@pytest.mark.parametrize("listing", [Listing(), Listing(newest_first=False)])
def test_an_order_that_was_not_seen_to_the_end_is_not_trusted(listing: Listing) -> None:
    rows = steady(5_000, every_s=10)
    zenovay = VirtualZenovay(rows, clock_s=50_000)
    _, extraction = read_by(zenovay, Reading("w", since=instant(50_000 - HOUR_S), listing=listing))
    assert zenovay.requests == 6
    assert extraction.ending
    assert extraction.ending.listing == TRUSTED


def displaced(rows: list[Arrival], *, of: int, to: int) -> list[Arrival]:
    moved = list(rows)
    moved.insert(to, moved.pop(of))
    return moved


@pytest.mark.parametrize(("of", "to"), [(3, 40), (40, 3)])
def test_a_row_out_of_order_makes_a_run_read_everything_once(of: int, to: int) -> None:
    """The newest row of the list may then stand at its end."""
    rows = steady(5_000, every_s=10)
    hidden = Arrival(49_000, 49_999, "hidden")
    zenovay = VirtualZenovay([*rows, hidden], clock_s=50_000)

    def arranged(listed: list[Arrival]) -> list[Arrival]:
        others = [each for each in listed if each is not hidden]
        return [*displaced(others, of=of, to=to), hidden]

    zenovay.arranged = arranged
    reading = Reading("w", since=instant(50_000 - HOUR_S), listing=TRUSTED)
    seen, extraction = read_by(zenovay, reading)
    assert "hidden" in seen
    assert zenovay.requests == 6

    assert extraction.ending
    assert extraction.ending.listing.newest_first
    again = replace(reading, listing=extraction.ending.listing)
    read_by(zenovay, again)
    assert zenovay.requests == 7


def test_an_order_that_has_changed_makes_every_run_read_everything() -> None:
    rows = steady(5_000, every_s=10)
    zenovay = VirtualZenovay(rows, clock_s=50_000, arranged=lambda listed: listed[::-1])
    since = instant(50_000 - HOUR_S)
    seen, extraction = read_by(zenovay, Reading("w", since=since, listing=TRUSTED))
    assert seen == window_ids(rows, since, instant(50_002))
    assert extraction.ending
    assert extraction.ending.listing.newest_first is False


def swept(zenovay: VirtualZenovay, *, last: float, listing: Listing = TRUSTED) -> tuple[set[str], Extraction]:
    read_at = instant(zenovay.clock_s - 300)
    sweep = Sweep(instant(last), DAY, read_at)
    return read_by(zenovay, Reading("w", since=read_at - HOUR, listing=listing, sweep=sweep))


def test_a_sweep_reads_all_of_the_newest_range_and_four_hours_behind_the_one_before() -> None:
    now = 3 * DAY_S
    rows = steady(30_000, every_s=8.64)
    zenovay = VirtualZenovay(rows, clock_s=now)
    last = now - DAY_S
    seen, extraction = swept(zenovay, last=last)
    assert seen == window_ids(rows, instant(last) - 4 * HOUR, zenovay.now())
    assert extraction.ending
    assert extraction.ending.swept
    assert extraction.ending.window.since == instant(last) - 4 * HOUR
    assert [params["range"] for params in zenovay.asked] == ["24h"] * 11 + ["7d"] * 2


def test_a_sweep_of_rows_in_no_order_reads_the_newest_range() -> None:
    now = 3 * DAY_S
    rows = steady(3_000, every_s=86.4)
    zenovay = VirtualZenovay(rows, clock_s=now, arranged=shuffled)
    seen, extraction = swept(zenovay, last=now - DAY_S, listing=Listing(newest_first=False))
    assert extraction.ending
    assert extraction.ending.swept
    assert seen == window_ids(rows, instant(now) - DAY + timedelta(seconds=2), zenovay.now())


def shuffled(rows: list[Arrival]) -> list[Arrival]:
    return sorted(rows, key=lambda each: Random(each.id).random())


def test_a_sweep_is_due_before_the_next_run_would_be_too_late() -> None:
    sweep = Sweep(START, DAY, read_at=START + timedelta(hours=23, minutes=50))
    assert not sweep.is_due(START + timedelta(hours=23, minutes=55))
    assert sweep.is_due(START + timedelta(hours=23, minutes=56))


def some_of_them_late(random: Random) -> Iterator[Arrival]:
    for number in range(8_000):
        seen = random.uniform(0, 4 * DAY_S)
        late = random.choice([0, 0, 0, random.uniform(0, HOUR_S), random.uniform(0, 3.9 * HOUR_S)])
        yield Arrival(seen + late, seen, f"v{number}")


def test_a_month_of_polling_costs_little_more_than_a_request_a_poll_and_misses_nobody() -> None:
    """Three days of it, 2,000 visitors a day in pages of 100; some are late by up to six hours."""
    rows = list(some_of_them_late(Random(7)))
    zenovay = VirtualZenovay(rows)
    seen: set[str] = set()
    listing, polls = Listing(), 0
    watermark: datetime | None = None
    last: datetime | None = None
    while zenovay.clock_s < 4 * DAY_S:
        polls += 1
        due = zenovay.clock_s
        sweep = Sweep(last, DAY, watermark) if last and watermark else None
        since = watermark - timedelta(minutes=30) if watermark else None
        reading = Reading("w", since=since, initial=DAY, listing=listing, sweep=sweep)
        found, extraction = read_by(zenovay, reading, page_size=100)
        assert extraction.ending
        seen |= found
        listing, watermark = extraction.ending.listing, extraction.ending.clock
        last = watermark if extraction.ending.swept else last
        zenovay.clock_s = (due // 300 + 1) * 300
    settled = zenovay.clock_s - 1.3 * DAY_S
    assert {each.id for each in rows if each.arrives < settled} <= seen
    assert zenovay.requests <= 1.15 * polls


def backfill(days_ago: int, *, now: datetime, **reading: object) -> Reading:
    begin = now - days_ago * DAY
    return replace(Reading("w", since=begin, until=begin + DAY, past=True), **reading)  # type: ignore[arg-type]


def test_a_backfill_seeks_its_day_and_reads_only_its_pages() -> None:
    rows = steady(100_000, every_s=300)
    now = 100_000 * 300.0
    zenovay = VirtualZenovay(rows, clock_s=now)
    reading = backfill(300, now=zenovay.now())
    seen, _ = read_by(zenovay, reading, page_size=100)
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
    pages = list(zenovay.source(page_size=100).read(reading))
    assert reading.since
    assert reading.until
    begun = max((at for at, page in enumerate(pages) if page.restarted), default=0)
    assert {visitor.id for page in pages for visitor in page.visitors} == window_ids(
        rows, reading.since, reading.until
    )
    assert sum(page.read for page in pages[begun:]) == len(rows)


def interrupted(zenovay: VirtualZenovay, reading: Reading, *, after: int) -> tuple[set[str], Mark]:
    """Read so many pages of the window and be killed: what was absorbed, and the mark in the state."""
    seen: set[str] = set()
    mark: Mark | None = None
    pages = 0
    for page in zenovay.source(page_size=100).read(reading):
        seen |= {visitor.id for visitor in page.visitors}
        mark = page.mark or mark
        pages += bool(page.visitors)
        if pages == after:
            break
    assert mark
    return seen, mark


def test_a_backfill_goes_on_from_the_page_that_it_had_reached() -> None:
    rows = steady(50_000, every_s=60)
    zenovay = VirtualZenovay(rows, clock_s=45_000 * 60.0)
    reading = backfill(20, now=zenovay.now())
    before, mark = interrupted(zenovay, reading, after=5)
    assert len(before) > 400

    zenovay.clock_s += HOUR_S  # 60 rows arrive in between
    zenovay.asked.clear()
    after, _ = read_by(zenovay, replace(reading, mark=mark), page_size=100)
    assert reading.since
    assert reading.until
    assert before | after == window_ids(rows, reading.since, reading.until)
    assert len(before & after) <= 61
    assert zenovay.requests <= (1440 - 500) / 99 + 6


def test_a_backfill_in_no_order_goes_on_where_it_stopped() -> None:
    rows = steady(3_000, every_s=1200)
    zenovay = VirtualZenovay(rows, clock_s=3_000 * 1200.0, arranged=shuffled, takes_s=0)
    reading = backfill(20, now=zenovay.now())
    before, mark = interrupted(zenovay, reading, after=6)
    first = zenovay.requests
    zenovay.asked.clear()
    after, _ = read_by(zenovay, replace(reading, mark=mark), page_size=100)
    assert reading.since
    assert reading.until
    assert before | after == window_ids(rows, reading.since, reading.until)
    assert zenovay.requests + first <= 3_000 / 99 + 3


@pytest.mark.parametrize("order", ["newest first", "shuffled"])
@pytest.mark.parametrize("past", [True, False])
def test_rows_that_leave_the_range_while_it_is_read_are_read_in_a_longer_one(
    order: str, *, past: bool
) -> None:
    """The window begins 90 s inside the last 24 hours, and the reading takes twelve minutes."""
    now = 2 * DAY_S
    rows = steady(int(now) // 20, every_s=20)

    def arranged(listed: list[Arrival]) -> list[Arrival]:
        return sorted(listed, key=lambda each: Random(each.id).random())

    zenovay = VirtualZenovay(
        rows, takes_s=144, clock_s=now - 144, arranged=arranged if order == "shuffled" else None
    )
    since, until = instant(now - DAY_S + 90), instant(now - HOUR_S)
    seen, extraction = read_by(zenovay, Reading("w", since=since, until=until, past=past))

    assert seen == window_ids(rows, since, until)
    assert extraction.ending
    assert extraction.ending.horizon == since
    assert {each["range"] for each in zenovay.asked} == {"24h", "7d"}


def test_a_reading_in_time_asks_for_no_longer_range() -> None:
    now = 2 * DAY_S
    zenovay = VirtualZenovay(steady(int(now) // 20, every_s=20), takes_s=10, clock_s=now - 10)
    read_by(zenovay, Reading("w", since=instant(now - DAY_S + 90)))

    assert {each["range"] for each in zenovay.asked} == {"24h"}


def test_rows_that_leave_the_longest_range_while_it_is_read_are_not_said_to_be_read() -> None:
    now = 366 * DAY_S
    zenovay = VirtualZenovay(steady(3000, every_s=now / 3000), takes_s=60, clock_s=now - 60)
    since = instant(now - 365 * DAY_S + 90)
    _, extraction = read_by(zenovay, Reading("w", since=since, past=True))

    assert extraction.ending
    assert extraction.ending.horizon > since
