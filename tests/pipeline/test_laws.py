"""The promises, held against whatever may happen: arrivals, runs, backfills, faults, kills, wrong clocks.

A small CRM and a small website stand in for the real ones, and the reader of the website is the real one;
batches hold three contacts and pages three rows, so that a handful of visitors makes several.
"""

from __future__ import annotations

import shutil
import threading
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from fakes import NOW, FakeClock, World, modelled, row
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from killed import Killed, MortalStore, empty_state
from strategies import COUNTRIES

from etl.errors import UnavailableError
from etl.extract.budget import Budget
from etl.extract.client import Answer
from etl.extract.visitors import ZenovayVisitors
from etl.extract.words import ZenovayWords
from etl.models.verdict import Outcome, Verdict
from etl.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from etl.models.contact import Parcel
    from etl.models.reading import Page, ReadRequest, ReadResult
    from etl.models.summary import RunSummary
    from etl.models.visitor import Visitor

LOOKBACK = timedelta(minutes=10)
BEGINNING = NOW - timedelta(days=20)
ROWS_OF_A_PAGE = 3
MINUTES = st.integers(0, 30).map(lambda minutes: timedelta(minutes=minutes))
FACTS = st.fixed_dictionaries(
    {"visitor_id": st.sampled_from(["v1", "v2", "v3"])},
    optional={
        "email": st.sampled_from(["ann@example.com", "bob@example.com"]),
        "country": COUNTRIES,
        "pageviews": st.integers(0, 3),
        "opted_out": st.booleans(),
    },
)


class Website(ZenovayWords):
    """An API over the rows that have arrived, read by the real reader. ``skew`` is how far its clock is off.

    It lists its rows newest first, a few to a page, none of them twice. It stands in for the client: no
    HTTP, and no waiting.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._arrived: list[Visitor] = []
        self.skew = timedelta()
        self.requests = 0
        self.fails_after: int | None = None
        self.given: list[Visitor] = []
        self.pace = Pace(limit=30, window_s=60, clock=clock, name="Zenovay")
        self.budget = Budget(clock=clock, limit=1_000_000)
        self._reader = ZenovayVisitors(self, paging="offset", page_size=ROWS_OF_A_PAGE)  # type: ignore[arg-type]

    @property
    def arrived(self) -> list[Visitor]:
        """What the rows say: of those who opted out, nothing else."""
        return [
            row(each.id, each.last_seen, opted_out=True) if each.opted_out else each for each in self._arrived
        ]

    def arrive(self, rows: Iterable[Visitor]) -> None:
        self._arrived += (each for each in rows if each not in self._arrived)

    def now(self) -> datetime:
        return self._clock.now() + self.skew

    def read(self, request: ReadRequest) -> Iterator[Page | ReadResult]:
        now = self.now()
        begin, end = request.since or now - request.initial, min(request.until or now, now)
        self.given = [each for each in self.arrived if begin <= each.last_seen < end]
        self._asked = 0
        return self._reader.read(request)

    def get(self, _path: str, params: Mapping[str, str], *, readable: Callable[[Any], Any]) -> Answer[Any]:
        if self._asked == self.fails_after:
            raise UnavailableError("Zenovay does not answer.")
        self._asked += 1
        self.requests += 1
        first, size = int(params["offset"]), int(params["limit"])
        listed = sorted(map(json_row, self._arrived), key=lambda each: each["last_seen"], reverse=True)
        block = {"has_more": first + size < len(listed)}
        body = {"visitors": listed[first : first + size], "pagination": block}
        return Answer(
            readable({"success": True, "data": body, "timestamp": self.now().isoformat()}), None, self.now()
        )


def json_row(visitor: Visitor) -> dict[str, Any]:
    return {
        "id": visitor.id,
        "last_seen": visitor.last_seen.isoformat(timespec="microseconds"),
        "country_code": visitor.facts.get("country"),
        "pageviews": visitor.facts.get("pageviews"),
        "email": visitor.email,
        "gpc_opted_out": visitor.opted_out,
    }


class Promises(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.world = World(f"sqlite:///{shutil.copy(empty_state(), self.folder.name)}")
        self.website = Website(self.world.clock)
        self.watermark: datetime | None = None

    @rule(rows=st.lists(st.tuples(MINUTES, FACTS), min_size=1, max_size=5))
    def rows_arrive(self, rows: list[tuple[timedelta, dict[str, Any]]]) -> None:
        now = self.world.clock.now()
        self.website.arrive(row(at=now - age, **facts) for age, facts in rows)

    @rule(count=st.integers(1, 7), age=MINUTES)
    def many_visitors_are_seen(self, count: int, age: timedelta) -> None:
        seen = self.world.clock.now() - age
        self.website.arrive(row(f"v{number}", seen, pageviews=count) for number in range(count))

    @rule(minutes=st.integers(1, 30))
    def time_passes(self, minutes: int) -> None:
        self.world.clock.advance(60 * minutes)

    @rule(skew=st.integers(-20, 20))
    def the_clock_of_the_website_steps(self, skew: int) -> None:
        self.website.skew = timedelta(minutes=skew)

    @rule()
    def a_run(self) -> None:
        self.incremental()

    @rule(since=MINUTES, length=MINUTES)
    def a_backfill(self, since: timedelta, length: timedelta) -> None:
        begin = self.website.now() - since
        self.execute(kind="backfill", since=begin, until=begin + length)

    @rule(pages=st.integers(0, 4))
    def a_run_in_which_the_website_fails(self, pages: int) -> None:
        self.website.fails_after = pages
        self.incremental()

    @rule(answered=st.integers(0, 2))
    def a_run_in_which_hubspot_fails(self, answered: int) -> None:
        def fail(_: Sequence[Parcel]) -> None:
            if (counted := next(numbers)) > answered:
                self.world.crm.outage = UnavailableError(f"No answer to request {counted}.")

        numbers = counter()
        self.world.crm.before = fail
        self.incremental()

    @rule(which=st.integers(0, 3), outcome=st.sampled_from([Outcome.REJECTED, Outcome.DEFERRED]))
    def a_run_in_which_hubspot_refuses_some(self, which: int, outcome: Outcome) -> None:
        self.world.crm.verdict = lambda parcel: (
            Verdict(parcel.contact_id, outcome, unanswered=outcome is Outcome.DEFERRED)
            if parcel.contact_id % 4 == which
            else None
        )
        self.incremental()

    @rule()
    def a_run_whose_replies_are_lost(self) -> None:
        self.world.crm.lose_replies = True
        self.incremental()

    @rule(batches=st.integers(1, 3), delivered=st.booleans())
    def a_run_killed_with_batches_in_flight(self, batches: int, *, delivered: bool) -> None:
        def die(batch: Sequence[Parcel]) -> None:
            if next(numbers) == batches:
                if delivered:
                    self.world.crm.upsert(batch)
                raise Killed

        numbers = counter()
        self.world.crm.before = die
        self.incremental()

    @rule(commits=st.integers(1, 8), after=st.booleans())
    def a_run_killed_at_a_commit(self, commits: int, *, after: bool) -> None:
        self.world.store_as = lambda store: MortalStore(store, commits=commits, after=after)
        self.incremental()

    @rule()
    def somebody_retries_the_rejections(self) -> None:
        with self.world.state() as state:
            contact_ids, _ = state.rejections.retry(None)
            state.ledger.retry(contact_ids)

    def incremental(self) -> RunSummary | None:
        return self.execute(kind="incremental", lookback=LOOKBACK, initial=timedelta(days=30))

    def execute(self, **order: object) -> RunSummary | None:
        started = self.website.now()
        summary = None
        try:
            summary = self.world.run_from(self.website, concurrency=2, **order)
        except Killed:
            for thread in threading.enumerate():
                if thread.name.startswith("sync"):
                    thread.join(10)
        self.end_all_faults()
        assert summary is None or summary.exit_code != 1, summary.reason
        self.look_at_the_watermark(started, backfill=order["kind"] == "backfill")
        return summary

    def look_at_the_watermark(self, started: datetime, *, backfill: bool) -> None:
        with self.world.state() as state:
            before, self.watermark = self.watermark, state.runs.watermark("site")
            if self.watermark == before:
                return
            assert not backfill
            assert self.watermark == started
            assert before is None or before < started
            website_id = state.runs.website("site").id
            known = state.visitors.known(website_id, {each.id for each in self.website.given})
        for each in self.website.given:
            assert known[each.id].visitor.last_seen >= each.last_seen

    def end_all_faults(self) -> None:
        crm = self.world.crm
        self.website.fails_after = None
        self.world.store_as = lambda store: store
        crm.outage, crm.lose_replies = None, False
        crm.verdict, crm.before = lambda _: None, lambda _: None

    def teardown(self) -> None:
        """Faults gone, one run and one full backfill later, the CRM holds what the rows say."""
        self.website.skew = timedelta()
        self.world.clock.advance(3600)
        self.somebody_retries_the_rejections()
        self.incremental()
        summary = self.execute(kind="backfill", since=BEGINNING)
        self.folder.cleanup()

        assert summary
        assert summary.exit_code == 0, summary.reason
        held = self.world.crm.contacts
        for key, texts in modelled(self.website.arrived).items():
            assert texts.items() <= held[key].items()
        named = {value for each in self.website.arrived for value in (each.id, each.email)}
        assert {value for _, value in held} <= named


def counter() -> Iterator[int]:
    return iter(range(1, 10**6))


def test_whatever_happens_the_promises_hold() -> None:
    few = settings(max_examples=settings().max_examples // 3, stateful_step_count=20)
    with patch.multiple("etl.pipeline.backlog", BATCH=3, _AHEAD=10, _MOST_AHEAD=20, _PAGE=10):
        run_state_machine_as_test(Promises, settings=few)
