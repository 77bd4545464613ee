"""The visitors of a window over real HTTP: which range is asked, what is in the window, when it ends."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock
from loopback import Asked, Loopback, Served, served

from etl.errors import ContractBrokenError, UnavailableError
from etl.extract.budget import Budget
from etl.extract.client import ZenovayClient
from etl.extract.visitors import ZenovayVisitors
from etl.extract.windows import SPANS
from etl.models.reading import Page, ReadRequest, ReadResult, Window
from etl.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.extract.paging import Dialect

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LENGTHS = {span.range: span.length for span in SPANS}


def row(id_: str, last_seen: datetime) -> dict[str, Any]:
    return {"id": id_, "visited_at": last_seen.isoformat()}


@dataclass(slots=True)
class Zenovay:
    """As much of the service as the window is about: its own clock, relative ranges, two ways of paging."""

    rows: list[dict[str, Any]]
    clock: datetime = NOW
    block: bool = True
    stamped: bool = True
    cap: int = 1000
    deaf: bool = False
    trouble: Served | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    def answer(self, asked: Asked) -> Served:
        self.asked.append(asked.params)
        if self.trouble:
            return self.trouble
        oldest = self.clock - LENGTHS[asked.params["range"]]
        rows = [row for row in self.rows if datetime.fromisoformat(row["visited_at"]) >= oldest]
        start, size = self._place(asked.params)
        page = rows[start : start + size]
        body: dict[str, Any] = {"data": page}
        if self.block:
            body = {"success": True, "data": {"visitors": page, "pagination": self._block(rows, start, size)}}
        if self.stamped:
            body["timestamp"] = self.clock.isoformat()
        return served(body)

    def _place(self, params: dict[str, str]) -> tuple[int, int]:
        if self.deaf:
            return 0, self.cap
        if "page" in params:
            size = min(int(params["per_page"]), self.cap)
            return (int(params["page"]) - 1) * size, size
        return int(params["offset"]), min(int(params["limit"]), self.cap)

    def _block(self, rows: list[dict[str, Any]], start: int, size: int) -> dict[str, Any]:
        return {"limit": size, "offset": start, "has_more": start + size < len(rows)}


def budget(clock: FakeClock) -> Budget:
    return Budget(clock=clock, limit=10_000)


@dataclass(slots=True)
class Reader:
    source: ZenovayVisitors
    client: ZenovayClient

    def pages(
        self, *, since: datetime | None = None, until: datetime | None = None, initial: timedelta = 30 * DAY
    ) -> list[Page]:
        return self.read(ReadRequest("w1", since=since, until=until, initial=initial))[0]

    def read(self, request: ReadRequest) -> tuple[list[Page], ReadResult]:
        *pages, result = self.source.read(request)
        assert isinstance(result, ReadResult)
        return [page for page in pages if isinstance(page, Page)], result


@contextmanager
def reading(
    zenovay: Zenovay, *, paging: Dialect = "offset", page_size: int = 1000, ours: datetime = NOW
) -> Iterator[Reader]:
    clock = FakeClock(ours)
    pace = Pace(limit=30, window_s=60, clock=clock, name="Zenovay")
    with Loopback(zenovay.answer) as server:
        client = ZenovayClient(
            base_url=server.url, api_key="zv_1", clock=clock, pace=pace, budget=budget(clock)
        )
        source = ZenovayVisitors(client, paging=paging, page_size=page_size)
        yield Reader(source, client)
        client.close()


def page_of(stream: Iterator[Page | ReadResult]) -> Page:
    page = next(stream)
    assert isinstance(page, Page)
    return page


def ids(pages: list[Page]) -> list[str]:
    return [visitor.id for page in pages for visitor in page.visitors]


def ranges(zenovay: Zenovay) -> list[str]:
    return [params["range"] for params in zenovay.asked]


def many(count: int) -> list[dict[str, Any]]:
    return [row(f"v{number}", NOW - timedelta(minutes=number)) for number in range(count)]


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("paging", ["offset", "page"])
def test_every_row_is_read_once_whatever_the_dialect(paging: Dialect, *, block: bool) -> None:
    zenovay = Zenovay(many(250), block=block)
    with reading(zenovay, paging=paging, page_size=100) as reader:
        pages = reader.pages()
    assert ids(pages) == [f"v{number}" for number in range(250)]
    assert sum(page.read for page in pages) == 250
    assert reader.source.requests == len(zenovay.asked) == (3 if block else 4)


def test_a_capped_page_loses_no_rows() -> None:
    zenovay = Zenovay(many(25), cap=10)
    with reading(zenovay) as reader:
        assert ids(reader.pages()) == [f"v{number}" for number in range(25)]


def test_the_page_dialect_names_the_range_in_both_ways() -> None:
    zenovay = Zenovay([])
    with reading(zenovay, paging="page") as reader:
        reader.pages(initial=7 * DAY)
    assert zenovay.asked == [{"range": "7d", "timeRange": "7d", "page": "1", "per_page": "100"}]


def test_the_offset_dialect_asks_for_the_documented_parameters() -> None:
    zenovay = Zenovay([])
    with reading(zenovay) as reader:
        reader.pages(initial=30 * DAY)
    assert zenovay.asked == [{"range": "30d", "limit": "1000", "offset": "0"}]


@pytest.mark.parametrize("block", [True, False])
def test_a_window_without_rows_is_one_empty_page(*, block: bool) -> None:
    with reading(Zenovay([], block=block)) as reader:
        (page,) = reader.pages(since=NOW - HOUR)
    assert (page.read, page.out_of_window, page.visitors, page.rejections) == (0, 0, (), ())
    assert page.window == Window(NOW - HOUR, NOW, "24h")
    assert page.clock == NOW


def test_rows_without_a_block_of_a_server_that_does_not_page_count_once() -> None:
    zenovay = Zenovay(many(5), block=False, deaf=True)
    with reading(zenovay) as reader:
        pages = reader.pages()
    assert ids(pages) == ["v0", "v1", "v2", "v3", "v4"]
    assert sum(page.read for page in pages) == 5


@pytest.mark.parametrize(("paging", "other"), [("offset", "page"), ("page", "offset")])
def test_a_server_that_ignores_the_place_breaks_the_contract(paging: Dialect, other: str) -> None:
    with reading(Zenovay(many(15), cap=10, deaf=True), paging=paging) as reader:
        with pytest.raises(ContractBrokenError, match="a repeating page") as caught:
            reader.pages()
        assert reader.client.requests == 2
    assert caught.value.what.startswith("Zenovay /analytics/w1/visitors:")
    assert other in (caught.value.fix or "")


def test_the_source_s_clock_ends_the_window_and_later_rows_are_out_of_it() -> None:
    tick = timedelta(microseconds=1)
    rows = [
        row("later", NOW + tick),
        row("now", NOW),
        row("start", NOW - HOUR),
        row("old", NOW - HOUR - tick),
    ]
    with reading(Zenovay(rows), ours=NOW - 2 * HOUR) as reader:
        (page,) = reader.pages(since=NOW - HOUR)
    assert ids([page]) == ["now", "start"]
    assert (page.read, page.out_of_window) == (4, 2)


def test_a_backfill_ends_before_its_end() -> None:
    since, until = NOW - 3 * DAY, NOW - 2 * DAY
    tick = timedelta(microseconds=1)
    rows = [row("new", NOW), row("end", until), row("in", until - tick), row("start", since)]
    with reading(Zenovay(rows)) as reader:
        (page,) = reader.pages(since=since, until=until)
    assert ids([page]) == ["in", "start"]
    assert page.window == Window(since, until, "7d")


def test_a_backfill_into_the_future_ends_with_the_clock() -> None:
    rows = [row("later", NOW + HOUR), row("now", NOW)]
    with reading(Zenovay(rows)) as reader:
        (page,) = reader.pages(since=NOW - HOUR, until=NOW + DAY)
    assert ids([page]) == ["now"]
    assert page.window.until == NOW


def test_rows_of_every_kind_are_accounted_for() -> None:
    bad = {"visited_at": NOW.isoformat(), "id": 7}
    with reading(Zenovay([*many(2), bad, row("old", NOW - 40 * DAY), row("old", NOW - 9 * DAY)])) as reader:
        (page,) = reader.pages(since=NOW - 8 * DAY)
    assert (page.read, page.out_of_window, len(page.visitors)) == (4, 1, 2)
    assert [rejection.code for rejection in page.rejections] == ["bad_id"]


@pytest.mark.parametrize(
    ("age", "asked"),
    [
        (HOUR, "24h"),
        (DAY - HOUR, "24h"),
        (DAY - timedelta(seconds=3599), "7d"),
        (7 * DAY, "30d"),
        (365 * DAY - timedelta(seconds=30), "1y"),
    ],
)
def test_the_range_leaves_an_hour_of_slack(age: timedelta, asked: str) -> None:
    zenovay = Zenovay([])
    with reading(zenovay) as reader:
        reader.pages(since=NOW - age)
    assert ranges(zenovay) == [asked]


@pytest.mark.parametrize(("initial", "asked"), [(DAY, "24h"), (30 * DAY, "30d"), (365 * DAY, "1y")])
@pytest.mark.parametrize("ahead", [-2 * DAY, timedelta(0), 3 * HOUR])
def test_a_first_run_reaches_back_from_the_source_s_clock(
    initial: timedelta, asked: str, ahead: timedelta
) -> None:
    zenovay = Zenovay([], clock=NOW + ahead)
    with reading(zenovay) as reader:
        (page,) = reader.pages(initial=initial)
    assert ranges(zenovay) == [asked]
    assert page.window == Window(NOW + ahead - initial, NOW + ahead, asked)


def test_a_range_that_is_too_short_by_the_source_s_clock_is_asked_anew_before_any_page() -> None:
    since = NOW - 23 * HOUR
    zenovay = Zenovay([row("v1", since)], clock=NOW + 3 * HOUR)
    with reading(zenovay) as reader:
        (page,) = reader.pages(since=since)
        assert reader.client.requests == 2
    assert ranges(zenovay) == ["24h", "7d"]
    assert ids([page]) == ["v1"]
    assert page.window == Window(since, NOW + 3 * HOUR, "7d")
    assert page.read == 1


def test_a_clock_far_ahead_of_ours_is_not_believed_but_its_range_is_reckoned_with() -> None:
    zenovay = Zenovay(many(3), clock=NOW + DAY)
    with reading(zenovay) as reader:
        (page,) = reader.pages(since=NOW - 2 * HOUR)
    assert ranges(zenovay) == ["24h", "7d"]
    assert page.window == Window(NOW - 2 * HOUR, NOW, "7d")
    assert ids([page]) == ["v0", "v1", "v2"]
    assert "2026-02-08T12:00:00Z" in (page.doubt or "")


def test_a_range_that_is_long_enough_by_the_source_s_clock_is_asked_once() -> None:
    zenovay = Zenovay([], clock=NOW + timedelta(seconds=50))
    with reading(zenovay) as reader:
        reader.pages(since=NOW - DAY + HOUR)
    assert ranges(zenovay) == ["24h"]


def test_what_no_range_reaches_is_said() -> None:
    zenovay = Zenovay([row("v1", NOW - 364 * DAY)])
    with reading(zenovay) as reader:
        pages, result = reader.read(ReadRequest("w1", since=NOW - 400 * DAY))
        assert ids(pages) == ["v1"]
    assert ranges(zenovay) == ["1y"]
    (note,) = result.notes
    assert note.startswith("The rows between 2025-01-03T12:00:00Z and 2025-02-07T12:00:00Z cannot be had")
    assert result.window.since == NOW - 400 * DAY


def test_a_watermark_ahead_of_the_source_s_clock_leaves_the_window_empty() -> None:
    with reading(Zenovay(many(3))) as reader:
        (page,) = reader.pages(since=NOW + HOUR)
    assert (page.read, page.out_of_window) == (3, 3)


def test_without_a_timestamp_the_clock_is_the_http_date_and_else_ours() -> None:
    zenovay = Zenovay(many(1), stamped=False)

    def dated(asked: Asked) -> Served:
        reply = zenovay.answer(asked)
        return Served(reply.body, headers={"Date": "Sat, 07 Feb 2026 12:00:10 GMT"})

    clock = FakeClock(NOW + timedelta(seconds=3))
    pace = Pace(limit=30, window_s=60, clock=clock, name="Zenovay")
    for answer, expected in ((dated, 10), (zenovay.answer, 3)):
        with Loopback(answer) as server:
            client = ZenovayClient(
                base_url=server.url, api_key="zv_1", clock=clock, pace=pace, budget=budget(clock)
            )
            source = ZenovayVisitors(client, paging="offset", page_size=10)
            page, _ = source.read(ReadRequest("w1", since=NOW - HOUR, initial=DAY))
            client.close()
        assert isinstance(page, Page)
        assert page.clock == page.window.until == NOW + timedelta(seconds=expected)


def test_the_clock_is_that_of_the_first_page() -> None:
    zenovay = Zenovay(many(3), cap=1)
    with reading(zenovay) as reader:
        walk = reader.source.read(ReadRequest("w1", since=NOW - HOUR, initial=DAY))
        first = page_of(walk)
        zenovay.clock += HOUR
        zenovay.rows.append(row("v3", NOW + timedelta(seconds=1)))
        rest = [page for page in walk if isinstance(page, Page)]
    assert {page.clock for page in [first, *rest]} == {NOW}
    assert sum(page.out_of_window for page in rest) == 1


def test_a_website_id_is_quoted_in_the_path() -> None:
    paths: list[str] = []

    def answer(asked: Asked) -> Served:
        paths.append(asked.path)
        return served({"data": []})

    clock = FakeClock()
    pace = Pace(limit=30, window_s=60, clock=clock, name="Zenovay")
    with Loopback(answer) as server:
        client = ZenovayClient(
            base_url=server.url, api_key="zv_1", clock=clock, pace=pace, budget=budget(clock)
        )
        source = ZenovayVisitors(client, paging="offset", page_size=10)
        list(source.read(ReadRequest("a/b?c#d", initial=DAY)))
        client.close()
    assert paths == ["/api/external/v1/analytics/a%2Fb%3Fc%23d/visitors"]


@pytest.mark.parametrize(
    ("reply", "kind", "saw"),
    [
        (Served(b"<html>sorry</html>"), ContractBrokenError, "HTML with status 200"),
        (served({"success": False, "data": many(1)}), ContractBrokenError, "success:false"),
        (served({"a": 1, "b": 2}), ContractBrokenError, "an object with the keys a, b and no rows"),
        (Served(status=503), UnavailableError, "status 503"),
    ],
)
def test_a_window_that_cannot_be_read_ends_with_the_place_and_what_was_seen(
    reply: Served, kind: type[Exception], saw: str
) -> None:
    zenovay = Zenovay(many(2), cap=1)
    with reading(zenovay) as reader:
        walk = reader.source.read(ReadRequest("w1", since=NOW - HOUR, initial=DAY))
        assert ids([page_of(walk)]) == ["v0"]
        zenovay.trouble = reply
        with pytest.raises(kind) as caught:
            next(walk)
    assert str(caught.value).startswith(f"Zenovay /analytics/w1/visitors: {saw}")


def test_two_rows_of_one_visitor_and_one_instant_are_both_read_if_they_differ() -> None:
    rows = [row("v0", NOW), row("v1", NOW - HOUR), {**row("v1", NOW - HOUR), "email": "ann@example.test"}]
    with reading(Zenovay(rows), page_size=2) as reader:
        visitors = [visitor for page in reader.pages() for visitor in page.visitors]
    assert [(visitor.id, visitor.email) for visitor in visitors] == [
        ("v0", None),
        ("v1", None),
        ("v1", "ann@example.test"),
    ]


def test_what_no_text_can_hold_does_not_keep_a_backfill_from_writing_down_its_place() -> None:
    odd = {"id": "half a pair: \ud800", "visited_at": (NOW - HOUR).isoformat()}
    with reading(Zenovay([row("v0", NOW), odd, *many(3)]), page_size=2) as reader:
        pages, _ = reader.read(ReadRequest("w1", since=NOW - DAY, past=True))
    for page in pages:
        assert page.bookmark
        assert all(name.isascii() for name in page.bookmark.tail)
