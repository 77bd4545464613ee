"""What is asked of the source, and what follows from its answer: watermark, sweeps, warnings, backfills."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import NOW, World, page, row

from etl.errors import UnavailableError
from etl.extract.words import ZenovayWords
from etl.models.reading import Bookmark, Page, ReadResult, Sweep, Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl.models.reading import ReadRequest
    from etl.models.summary import RunSummary

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
RECENT = [NOW - timedelta(minutes=5 + 2 * number) for number in range(40)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(f"sqlite:///{tmp_path / 'state.db'}")


class Zenovay(ZenovayWords):
    """A source that lists its rows in one page and says of its reading what a test wants it to say."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.seen: list[datetime] = []
        self.range = DAY
        self.swept = False
        self.newest_first: bool | None = True
        self.requests = 0
        self.asked: list[ReadRequest] = []
        self.bookmark: Bookmark | None = None
        self.notes: tuple[str, ...] = ()
        self.fails = False

    def read(self, request: ReadRequest) -> Iterator[Page | ReadResult]:
        self.asked.append(request)
        self.requests += 1
        clock = self._world.clock.now()
        window = Window(request.since or clock - request.initial, clock, f"{self.range // DAY}d")
        rows = [row(f"v{at:%d%H%M}", at) for at in self.seen if at >= window.since]
        given = page(*rows, out_of_window=len(self.seen) - len(rows), clock=clock)
        yield replace(given, window=window, bookmark=self.bookmark)
        if self.fails:
            raise UnavailableError("Zenovay is away.")
        yield ReadResult(window, clock, self.newest_first, self.swept, self.ranges, self.notes)

    @property
    def ranges(self) -> tuple[str, ...]:
        return tuple(f"{days}d" for days in (1, 7, 30, 365) if days * DAY <= self.range)


@pytest.fixture
def zenovay(world: World) -> Zenovay:
    return Zenovay(world)


def run(world: World, zenovay: Zenovay, **order: object) -> RunSummary:
    return world.run_from(zenovay, **{"lookback": HOUR, **order})


def test_a_run_says_what_earlier_ones_saw_of_the_order(world: World, zenovay: Zenovay) -> None:
    zenovay.swept = True
    run(world, zenovay)
    world.clock.advance(300)
    run(world, zenovay, sweep_interval=7 * HOUR)
    first, second = zenovay.asked
    assert (first.newest_first, first.sweep) == (None, None)
    assert second.newest_first
    assert second.sweep == Sweep(NOW, 7 * HOUR, read_at=NOW)


def test_a_website_that_was_never_swept_is_swept_at_once(world: World, zenovay: Zenovay) -> None:
    run(world, zenovay)
    world.clock.advance(300)
    run(world, zenovay)
    sweep = zenovay.asked[1].sweep
    assert sweep
    assert sweep.is_due(world.clock.now())


def degraded(world: World) -> tuple[datetime, str] | None:
    with world.state() as state:
        return state.runs.degraded(state.runs.website("site").id)


def test_an_answer_without_rows_is_a_warning_and_holds_the_watermark(world: World, zenovay: Zenovay) -> None:
    zenovay.seen = RECENT
    run(world, zenovay)
    world.clock.advance(300)
    zenovay.seen = []
    summary = run(world, zenovay)

    assert (summary.exit_code, summary.status.value) == (0, "done")
    assert summary.watermark_after == NOW
    assert "degraded" in summary.warnings[0]
    assert "40 the time before" in summary.warnings[0]
    assert summary.reason == summary.warnings[0]
    assert degraded(world) == (NOW + timedelta(minutes=5), summary.degraded)


def test_the_next_good_answer_covers_the_gap(world: World, zenovay: Zenovay) -> None:
    """Also where the gap has grown longer than the range that was asked before it."""
    zenovay.seen = RECENT
    run(world, zenovay)
    zenovay.seen = []
    for hour in range(60):
        world.clock.advance(3600)
        zenovay.range = DAY if hour < 22 else 7 * DAY
        zenovay.fails = hour == 5
        assert run(world, zenovay).watermark_after == NOW

    in_the_gap = NOW + 10 * HOUR
    zenovay.seen = [in_the_gap, *RECENT]
    summary = run(world, zenovay)
    assert zenovay.asked[-1].since == NOW - HOUR
    assert summary.watermark_after == world.clock.now()
    assert summary.warnings == []
    assert degraded(world) is None
    assert any(
        texts["zenovay_last_seen"].startswith("2026-02-07T22:00") for texts in world.crm.contacts.values()
    )


@pytest.mark.parametrize(("before", "held"), [(19, False), (20, True)])
def test_a_website_with_few_visitors_raises_no_alarm(
    world: World, zenovay: Zenovay, before: int, *, held: bool
) -> None:
    zenovay.seen = RECENT[:before]
    run(world, zenovay)
    world.clock.advance(300)
    zenovay.seen = []
    assert bool(run(world, zenovay).warnings) is held


def test_an_answer_that_is_shorter_is_believed(world: World, zenovay: Zenovay) -> None:
    zenovay.seen = RECENT
    run(world, zenovay)
    world.clock.advance(300)
    zenovay.seen = RECENT[:1]
    summary = run(world, zenovay)
    assert summary.warnings == []
    assert summary.watermark_after == world.clock.now()


def test_what_another_range_held_is_no_measure(world: World, zenovay: Zenovay) -> None:
    """A first run reads a month; that nobody came since yesterday is then nothing to doubt."""
    zenovay.range, zenovay.seen = 30 * DAY, RECENT
    run(world, zenovay)
    world.clock.advance(300)
    zenovay.range, zenovay.seen = DAY, []
    assert run(world, zenovay).warnings == []


def test_what_the_source_notes_is_a_warning(world: World, zenovay: Zenovay) -> None:
    zenovay.notes = ("Odd.",)
    assert run(world, zenovay).warnings == ["Odd."]


def test_an_unfinished_backfill_goes_on_from_its_bookmark(world: World, zenovay: Zenovay) -> None:
    window = {"kind": "backfill", "since": NOW - 9 * DAY, "until": NOW - 8 * DAY}
    zenovay.bookmark = Bookmark(700, ("a", "b"), NOW - 8 * DAY - HOUR)
    zenovay.fails = True
    assert run(world, zenovay, **window).exit_code == 4
    with world.state() as state:
        (unfinished,) = state.backfills.unfinished("site")
    assert (unfinished.bookmark, unfinished.requests) == (zenovay.bookmark, 1)

    zenovay.fails = False
    assert run(world, zenovay, **window).exit_code == 0
    first, second = zenovay.asked
    assert (first.past, first.bookmark) == (True, None)
    assert (second.past, second.bookmark) == (True, zenovay.bookmark)
    with world.state() as state:
        assert list(state.backfills.unfinished("site")) == []


def test_a_backfill_without_an_end_goes_on_to_where_it_began(world: World, zenovay: Zenovay) -> None:
    zenovay.bookmark = Bookmark(700, ("a", "b"), NOW - 8 * DAY - HOUR)
    zenovay.fails = True
    run(world, zenovay, kind="backfill", since=NOW - 9 * DAY)
    world.clock.advance(3600)
    run(world, zenovay, kind="backfill", since=NOW - 9 * DAY)
    assert [reading.until for reading in zenovay.asked] == [None, NOW]


def test_another_window_is_another_backfill(world: World, zenovay: Zenovay) -> None:
    zenovay.bookmark = Bookmark(700, ("a", "b"), None)
    zenovay.fails = True
    run(world, zenovay, kind="backfill", since=NOW - 9 * DAY, until=NOW - 8 * DAY)
    run(world, zenovay, kind="backfill", since=NOW - 9 * DAY, until=NOW - 7 * DAY)
    assert [reading.bookmark for reading in zenovay.asked] == [None, None]
    with world.state() as state:
        assert len(list(state.backfills.unfinished("site"))) == 2


def test_rows_of_a_reading_that_began_anew_count_once(world: World) -> None:
    summary = world.run(page(row("a")), replace(page(row("a"), row("b")), restarted=True))
    assert summary.rows.read == summary.rows.accepted == 2
