"""What is asked of the source, and what follows from its answer: watermark, sweeps, warnings, backfills."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import NOW, FakePages, World, page, row

from etl.errors import UnavailableError
from etl.models.reading import Ending, Listing, Mark, Page, Sweep, Window
from etl.traffic import slot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl.models.reading import Reading, Website
    from etl.models.summary import RunSummary

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
RECENT = [NOW - timedelta(minutes=5 + 2 * number) for number in range(40)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(f"sqlite:///{tmp_path / 'state.db'}")


class Zenovay:
    """A source that lists its rows in one page and says of its reading what a test wants it to say."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.seen: list[datetime] = []
        self.range = DAY
        self.swept = False
        self.listing = Listing(newest_first=True)
        self.requests = 0
        self.asked: list[Reading] = []
        self.mark: Mark | None = None
        self.fails = False

    def read(self, reading: Reading) -> FakePages:
        self.asked.append(reading)
        clock = self._world.clock.now()
        window = Window(reading.since or clock - reading.initial, clock, "24h")
        pages = FakePages(self._pages(window, clock))
        pages.said = Ending(window, clock, clock - self.range, self.listing, self.swept)
        return pages

    def _pages(self, window: Window, clock: datetime) -> Iterator[Page]:
        self.requests += 1
        inside = [at for at in self.seen if at >= window.since]
        rows = [row(f"v{at:%d%H%M}", at) for at in inside]
        counts: dict[int, int] = {}
        for at in self.seen:
            counts[slot(at)] = counts.get(slot(at), 0) + 1
        given = page(*rows, out_of_window=len(self.seen) - len(rows), clock=clock)
        yield replace(given, window=window, traffic=counts, mark=self.mark)
        if self.fails:
            raise UnavailableError("Zenovay is away.")


@pytest.fixture
def zenovay(world: World) -> Zenovay:
    return Zenovay(world)


def run(world: World, zenovay: Zenovay, **order: object) -> RunSummary:
    return world.run_from(zenovay, **{"lookback": HOUR, **order})


def website(world: World) -> Website:
    with world.state() as state:
        return state.runs.website("site")


def test_a_run_says_what_earlier_ones_saw_of_the_order(world: World, zenovay: Zenovay) -> None:
    zenovay.listing = Listing(True, ("odd",))  # noqa: FBT003
    zenovay.swept = True
    run(world, zenovay)
    world.clock.advance(300)
    run(world, zenovay, sweep_interval=7 * HOUR)
    first, second = zenovay.asked
    assert (first.listing, first.sweep) == (Listing(), None)
    assert second.listing == zenovay.listing
    assert second.sweep == Sweep(NOW, 7 * HOUR, read_at=NOW)


def test_a_website_that_was_never_swept_is_swept_at_once(world: World, zenovay: Zenovay) -> None:
    run(world, zenovay)
    world.clock.advance(300)
    run(world, zenovay)
    sweep = zenovay.asked[1].sweep
    assert sweep
    assert sweep.is_due(world.clock.now())


def test_an_answer_that_shrinks_is_a_warning_and_holds_the_watermark(world: World, zenovay: Zenovay) -> None:
    zenovay.seen = RECENT
    run(world, zenovay)
    world.clock.advance(300)
    zenovay.seen = RECENT[:10]
    summary = run(world, zenovay)

    assert (summary.exit_code, summary.status.value) == (0, "done")
    assert summary.watermark_after == NOW
    assert "degraded" in summary.warnings[0]
    assert summary.reason == summary.warnings[0]
    assert website(world).degraded_since == NOW + timedelta(minutes=5)


def test_the_next_good_answer_covers_the_gap(world: World, zenovay: Zenovay) -> None:
    zenovay.seen = RECENT
    run(world, zenovay)
    zenovay.seen = []
    for _ in range(60):
        world.clock.advance(3600)
        assert run(world, zenovay).watermark_after == NOW

    zenovay.range = 7 * DAY
    in_the_gap = NOW + 10 * HOUR
    zenovay.seen = [in_the_gap, *RECENT]
    summary = run(world, zenovay)
    assert zenovay.asked[-1].since == NOW - HOUR
    assert summary.watermark_after == world.clock.now()
    assert summary.warnings == []
    assert website(world).degraded_since is None
    assert any(
        texts["zenovay_last_seen"].startswith("2026-02-07T22:00") for texts in world.crm.contacts.values()
    )


def test_silence_at_a_time_that_was_busy_the_day_before_is_a_warning(world: World, zenovay: Zenovay) -> None:
    zenovay.seen = [NOW + timedelta(minutes=2 * number) for number in range(60)]
    world.clock.advance(2 * 3600)
    run(world, zenovay)
    world.clock.advance(22.5 * 3600)
    zenovay.seen = zenovay.seen[15:]
    run(world, zenovay, lookback=timedelta(0))
    held = world.clock.now()
    world.clock.advance(3600)
    zenovay.seen = zenovay.seen[29:]
    summary = run(world, zenovay, lookback=timedelta(0))
    assert "no row since" in summary.warnings[0]
    assert summary.watermark_after == held


@pytest.mark.parametrize("left", [0, 3, 9])
def test_a_website_with_few_visitors_raises_no_alarm(world: World, zenovay: Zenovay, left: int) -> None:
    zenovay.seen = RECENT[:19]
    run(world, zenovay)
    world.clock.advance(300)
    zenovay.seen = RECENT[:left]
    assert run(world, zenovay).warnings == []


def test_rows_that_leave_the_range_raise_no_alarm(world: World, zenovay: Zenovay) -> None:
    zenovay.seen = RECENT
    run(world, zenovay)
    world.clock.advance(24 * 3600)
    zenovay.seen = [world.clock.now()]
    assert run(world, zenovay, lookback=timedelta(0)).warnings == []


def test_what_no_range_reaches_is_said(world: World, zenovay: Zenovay) -> None:
    run(world, zenovay)
    world.clock.advance(400 * 86_400)
    zenovay.range = 365 * DAY
    (warning,) = run(world, zenovay).warnings
    assert warning.startswith("The rows between 2026-02-07T11:00:00Z and 2026-03-14T12:00:00Z cannot be had")


def test_an_unfinished_backfill_goes_on_from_its_mark(world: World, zenovay: Zenovay) -> None:
    window = {"kind": "backfill", "since": NOW - 9 * DAY, "until": NOW - 8 * DAY}
    zenovay.mark = Mark(700, ("a", "b"), NOW - 8 * DAY - HOUR)
    zenovay.fails = True
    assert run(world, zenovay, **window).exit_code == 4
    with world.state() as state:
        (unfinished,) = state.backfills.unfinished("site")
    assert (unfinished.mark, unfinished.requests) == (zenovay.mark, 1)

    zenovay.fails = False
    assert run(world, zenovay, **window).exit_code == 0
    first, second = zenovay.asked
    assert (first.past, first.mark) == (True, None)
    assert (second.past, second.mark) == (True, zenovay.mark)
    with world.state() as state:
        assert list(state.backfills.unfinished("site")) == []


def test_a_backfill_without_an_end_goes_on_to_where_it_began(world: World, zenovay: Zenovay) -> None:
    zenovay.mark = Mark(700, ("a", "b"), NOW - 8 * DAY - HOUR)
    zenovay.fails = True
    run(world, zenovay, kind="backfill", since=NOW - 9 * DAY)
    world.clock.advance(3600)
    run(world, zenovay, kind="backfill", since=NOW - 9 * DAY)
    assert [reading.until for reading in zenovay.asked] == [None, NOW]


def test_another_window_is_another_backfill(world: World, zenovay: Zenovay) -> None:
    zenovay.mark = Mark(700, ("a", "b"), None)
    zenovay.fails = True
    run(world, zenovay, kind="backfill", since=NOW - 9 * DAY, until=NOW - 8 * DAY)
    run(world, zenovay, kind="backfill", since=NOW - 9 * DAY, until=NOW - 7 * DAY)
    assert [reading.mark for reading in zenovay.asked] == [None, None]
    with world.state() as state:
        assert len(list(state.backfills.unfinished("site"))) == 2


def test_rows_of_a_reading_that_began_anew_count_once(world: World) -> None:
    summary = world.run(page(row("a")), replace(page(row("a"), row("b")), restarted=True))
    assert summary.rows.read == summary.rows.accepted == 2
