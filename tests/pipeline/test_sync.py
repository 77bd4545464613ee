"""A whole run, from the source's pages to what the CRM holds, on a real state database."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import NOW, FakeSource, World, modelled, page, row

from etl.errors import AccessRefusedError, ContractBrokenError, InterruptedRunError, UnavailableError
from etl.models.stop import Stop
from etl.models.summary import ContactCounts, RequestCounts, Status
from etl.models.verdict import Delivery, Outcome, Verdict
from etl.models.visitor import Rejection, Visitor
from etl.pipeline.outbox import HOLD_BACK_S
from etl.pipeline.silence import FRUITLESS_CONTACTS, MOST_UNANSWERED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etl.models.contact import Parcel
    from etl.models.summary import RunSummary

EARLIER = NOW - timedelta(hours=1)
LATER = NOW + timedelta(hours=1)
OUTAGE = UnavailableError("HubSpot does not answer.")


@pytest.fixture
def world(sqlite_url: str) -> World:
    return World(sqlite_url)


def visitors(numbers: range, at: datetime = NOW, *, pageviews: int = 1) -> list[Visitor]:
    return [row(f"visitor-{n:05}", at, country="FR", pageviews=pageviews) for n in numbers]


def refused(parcel: Parcel, *, final: bool = False) -> Verdict:
    return Verdict(parcel.contact_id, Outcome.REJECTED, reason="no good", code="INVALID", final=final)


def unanswered(parcel: Parcel) -> Verdict:
    return Verdict(parcel.contact_id, Outcome.DEFERRED, reason="left out.", unanswered=True)


def watermark(world: World) -> datetime | None:
    with world.state() as state:
        return state.runs.watermark("site")


def due(world: World) -> int:
    with world.state() as state:
        return state.ledger.due_count()


def ending(summary: RunSummary) -> tuple[Status, int]:
    return summary.status, summary.exit_code


class Settled:
    """An observer with whom a test waits until so many contacts are settled."""

    def __init__(self) -> None:
        self._contacts = 0
        self._changed = threading.Condition()

    def rows_read(self, rows: int) -> None:
        pass

    def contacts_settled(self, contacts: int) -> None:
        with self._changed:
            self._contacts += contacts
            self._changed.notify_all()

    def wait_for(self, contacts: int) -> Callable[[], None]:
        def step() -> None:
            with self._changed:
                assert self._changed.wait_for(lambda: self._contacts >= contacts, timeout=5)

        return step


def test_a_first_run_brings_every_visitor_to_the_crm(world: World) -> None:
    rows = [row("a", email="ann@example.com", country="KR", pageviews=3), row("b", EARLIER)]

    summary = world.run(page(*rows))

    assert world.crm.contacts == modelled(rows)
    assert ending(summary) == (Status.DONE, 0)
    assert summary.contacts == ContactCounts(touched=2, created=2)
    assert summary.requests == RequestCounts(zenovay=1, hubspot=3)
    assert (summary.watermark_before, summary.watermark_after) == (None, NOW)


def test_a_second_run_over_the_same_rows_sends_nothing(world: World) -> None:
    world.run(page(row("a"), row("b")))
    summary = world.run(page(row("a"), row("b")))

    assert ending(summary) == (Status.DONE, 0)
    assert summary.contacts == ContactCounts(touched=2, unchanged=2)
    assert len(world.crm.batches) == 1


def test_new_facts_update_the_contact_and_give_it_no_second_name(world: World) -> None:
    world.run(page(row("a", EARLIER, pageviews=1)))
    world.crm.contacts["zenovay_visitor_id", "a"]["firstname"] = "Ann"
    summary = world.run(page(row("a", LATER, pageviews=2)))

    assert summary.contacts == ContactCounts(touched=1, updated=1)
    held = world.crm.contacts["zenovay_visitor_id", "a"]
    assert (held["zenovay_pageviews"], held["firstname"]) == ("2", "Ann")


def test_a_run_without_rows_moves_the_watermark(world: World) -> None:
    summary = world.run(page())

    assert ending(summary) == (Status.DONE, 0)
    assert watermark(world) == NOW


def test_the_next_window_begins_the_lookback_before_the_watermark(world: World) -> None:
    world.run(page())
    source = FakeSource(page(clock=LATER))
    world.run_from(source, lookback=timedelta(minutes=5), initial=timedelta(days=3))

    (asked,) = source.asked
    assert (asked.since, asked.until) == (NOW - timedelta(minutes=5), None)


def test_the_first_window_begins_where_the_order_says(world: World) -> None:
    source = FakeSource(page())
    world.run_from(source, initial=timedelta(days=3))

    assert source.asked[0].since is None
    assert source.asked[0].initial == timedelta(days=3)


def test_the_watermark_moves_only_after_the_last_page(world: World) -> None:
    seen: list[datetime | None] = []

    def look() -> None:
        from etl.state.store import read_state  # noqa: PLC0415 -- one test needs it

        with read_state(world.url, world.clock) as state:
            seen.append(state.runs.watermark("site") if state else None)

    world.run(look, page(row("a")), look, page(row("b")), page(), look)

    assert seen == [None, None, None]
    assert watermark(world) == NOW


def test_the_watermark_never_moves_back(world: World) -> None:
    world.run(page(clock=LATER))
    summary = world.run(page(clock=NOW))

    assert (summary.watermark_before, summary.watermark_after) == (LATER, LATER)
    assert watermark(world) == LATER


def test_a_backfill_leaves_the_watermark_and_newer_facts_alone(world: World) -> None:
    world.run(page(row("a", NOW, country="KR", pageviews=5)))
    source = FakeSource(page(row("a", EARLIER, country="FR", pageviews=2), row("b", EARLIER), clock=LATER))
    summary = world.run_from(source, kind="backfill", since=EARLIER, until=NOW)

    assert (source.asked[0].since, source.asked[0].until) == (EARLIER, NOW)
    assert watermark(world) == summary.watermark_after == NOW
    assert summary.contacts == ContactCounts(touched=2, unchanged=1, created=1)
    assert world.crm.contacts["zenovay_visitor_id", "a"]["country"] == "South Korea"


def test_a_dry_run_says_that_the_watermark_stays(world: World) -> None:
    summary = world.run(page(row("a")), dry_run=True)

    assert summary.dry_run
    assert summary.watermark_before is summary.watermark_after is None


@pytest.mark.parametrize(
    ("failure", "end"),
    [
        (UnavailableError("Zenovay does not answer."), (Status.INCOMPLETE, 4)),
        (AccessRefusedError("The key was refused."), (Status.FAILED, 5)),
        (ContractBrokenError("A page repeats."), (Status.FAILED, 6)),
    ],
)
def test_a_source_that_fails_within_the_window_leaves_the_watermark_and_its_rows_are_delivered(
    world: World, failure: UnavailableError, end: tuple[Status, int]
) -> None:
    summary = world.run(page(row("a")), page(row("b")), failure)

    assert ending(summary) == end
    assert summary.reason == failure.what
    assert watermark(world) is None
    assert world.crm.contacts == modelled([row("a"), row("b")])
    assert (summary.rows.accepted, summary.contacts.created) == (2, 2)


def test_a_source_that_fails_at_once_still_lets_what_is_due_be_delivered(world: World) -> None:
    world.crm.outage = OUTAGE
    world.run(page(row("a")))
    world.crm.outage = None
    summary = world.run(UnavailableError("Zenovay does not answer."))

    assert ending(summary) == (Status.INCOMPLETE, 4)
    assert summary.contacts == ContactCounts(carried_over=1, created=1)
    assert watermark(world) == NOW


def test_an_outage_of_the_crm_loses_nothing_and_needs_no_row_twice(world: World) -> None:
    rows = visitors(range(250))
    world.crm.outage = OUTAGE
    first = world.run(page(*rows[:150]), page(*rows[150:]))

    assert ending(first) == (Status.INCOMPLETE, 4)
    assert first.contacts == ContactCounts(touched=250, deferred=250)
    assert due(world) == 250
    assert watermark(world) == NOW

    world.crm.outage = None
    second = world.run(page())

    assert ending(second) == (Status.DONE, 0)
    assert second.contacts == ContactCounts(carried_over=250, created=250)
    assert world.crm.contacts == modelled(rows)


def test_an_outage_ends_the_deliveries_of_the_run(world: World) -> None:
    world.crm.outage = OUTAGE
    world.run(page(*visitors(range(1000))), concurrency=2)

    assert len(world.crm.batches) <= 2


def test_a_stop_until_a_known_time_is_remembered(world: World) -> None:
    world.crm.outage = UnavailableError("The daily quota is spent.", until=LATER)
    summary = world.run(page(row("a")))

    assert ending(summary) == (Status.INCOMPLETE, 4)
    with world.state() as state:
        assert state.limits.stop("hubspot", NOW) == Stop(LATER, "The daily quota is spent.")
        assert state.limits.stop("zenovay", NOW) is None


def test_a_stop_is_forgotten_once_the_api_answers(world: World) -> None:
    world.crm.outage = UnavailableError("The daily quota is spent.", until=LATER)
    world.run(page(row("a")))
    world.crm.outage = None
    world.run(page())

    with world.state() as state:
        assert state.limits.stop("hubspot", NOW) is None


def test_refused_access_stops_the_run(world: World) -> None:
    world.crm.outage = AccessRefusedError("HubSpot refused the token.")
    summary = world.run(page(*visitors(range(1000))), concurrency=1)

    assert ending(summary) == (Status.FAILED, 5)
    assert world.crm.requests == 1
    assert due(world) == 1000


def test_refused_access_is_graver_than_an_outage_of_the_source(world: World) -> None:
    world.crm.outage = AccessRefusedError("HubSpot refused the token.")
    summary = world.run(page(row("a")), UnavailableError("Zenovay does not answer."))

    assert ending(summary) == (Status.FAILED, 5)


def test_a_rejected_contact_is_listed_and_not_sent_again_as_it_is(world: World) -> None:
    world.crm.verdict = lambda parcel: refused(parcel) if parcel.id_value == "bad" else None
    first = world.run(page(row("good"), row("bad")))
    second = world.run(page(row("good"), row("bad")))

    assert ending(first) == (Status.PARTIAL, 3)
    assert first.contacts == ContactCounts(touched=2, created=1, rejected=1)
    assert ending(second) == (Status.DONE, 0)
    assert second.contacts == ContactCounts(touched=2, unchanged=2)
    assert len(world.crm.batches) == 1
    with world.state() as state:
        assert [(each.key, each.kind, each.attempts) for each in state.rejections.listed()] == [
            ("bad", "contact", 1)
        ]


def test_a_rejected_contact_is_sent_once_its_facts_change_and_struck_off_the_list(world: World) -> None:
    world.crm.verdict = refused
    world.run(page(row("a", EARLIER)))
    world.crm.verdict = lambda _: None
    summary = world.run(page(row("a", LATER)))

    assert summary.contacts == ContactCounts(touched=1, created=1)
    with world.state() as state:
        assert list(state.rejections.listed()) == []


def test_a_rejected_contact_is_sent_after_somebody_retries_it(world: World) -> None:
    world.crm.verdict = refused
    world.run(page(row("a")))
    world.crm.verdict = lambda _: None
    with world.state() as state:
        contact_ids, _ = state.rejections.retry({"a"})
        state.ledger.retry(contact_ids)
    summary = world.run(page())

    assert summary.contacts == ContactCounts(carried_over=1, created=1)


def test_a_contact_rejected_for_good_waits_until_somebody_retries_it(world: World) -> None:
    world.crm.verdict = lambda parcel: refused(parcel, final=True)
    world.run(page(row("a", EARLIER)))
    summary = world.run(page(row("a", LATER)))

    assert summary.contacts == ContactCounts(touched=1, unchanged=1)
    assert len(world.crm.batches) == 1


def test_a_run_that_refuses_most_contacts_stops(world: World) -> None:
    world.crm.verdict = refused
    summary = world.run(page(*visitors(range(500))), concurrency=1)

    assert ending(summary) == (Status.PARTIAL, 3)
    assert len(world.crm.batches) == 1
    assert summary.contacts == ContactCounts(touched=500, rejected=100, deferred=400)


def test_a_row_refused_again_counts_again_but_only_a_new_one_is_news(world: World) -> None:
    bad = Rejection("visitor-1", "no date", "NO_DATE", b"digest-1")
    first = world.run(page(row("a"), rejections=[bad]))
    second = world.run(page(row("a"), rejections=[bad]))

    assert (first.rows.rejected, ending(first)) == (1, (Status.PARTIAL, 3))
    assert (second.rows.rejected, ending(second)) == (1, (Status.DONE, 0))


def test_a_contact_whose_verdict_could_not_be_attributed_goes_alone_next_time(world: World) -> None:
    world.crm.verdict = lambda parcel: unanswered(parcel) if parcel.id_value == "b" else None
    first = world.run(page(row("a"), row("b"), row("c")))
    world.crm.verdict = lambda _: None
    second = world.run(page(row("a", LATER), row("c", LATER)))

    assert ending(first) == (Status.INCOMPLETE, 4)
    assert first.contacts == ContactCounts(touched=3, created=2, deferred=1)
    assert second.contacts == ContactCounts(touched=2, carried_over=1, created=1, updated=2)
    assert {frozenset(p.id_value for p in batch) for batch in world.crm.batches[1:]} == {
        frozenset({"a", "c"}),
        frozenset({"b"}),
    }


def starving(world: World, *names: str) -> None:
    """HubSpot takes these contacts, or does not, and never says a word of them."""
    world.crm.verdict = lambda parcel: unanswered(parcel) if parcel.id_value in names else None


def test_contacts_that_never_get_a_verdict_keep_nobody_else_waiting_and_are_rejected_at_last(
    world: World,
) -> None:
    starved = ["a", "b", "c", "d", "e"]
    starving(world, *starved)
    endings = [
        ending(world.run(page(*map(row, starved), *visitors(range(n, n + 10))))) for n in range(0, 60, 10)
    ]

    assert endings == [(Status.INCOMPLETE, 4)] * 4 + [(Status.PARTIAL, 3), (Status.DONE, 0)]
    assert len(world.crm.contacts) == 60
    with world.state() as state:
        listed = {thing.key: (thing.code, thing.reason) for thing in state.rejections.listed()}
    assert listed == dict.fromkeys(starved, ("UNANSWERED", "left out. So it was in 5 runs in a row."))


def test_answers_that_say_nothing_of_anybody_are_a_broken_contract_run_after_run(world: World) -> None:
    everybody = [row(f"visitor-{n:05}") for n in range(2 * FRUITLESS_CONTACTS)]
    starving(world, *(each.id for each in everybody))

    first = world.run(page(*everybody))
    second = world.run(page())

    assert (ending(first), first.contacts.deferred) == ((Status.INCOMPLETE, 4), len(everybody))
    assert ending(second) == (Status.FAILED, 6)
    assert len(world.crm.batches) <= 2 + FRUITLESS_CONTACTS + 4


def test_a_retry_sends_contacts_that_never_got_a_verdict_again(world: World) -> None:
    starving(world, "a")
    for _ in range(MOST_UNANSWERED):
        world.run(page(row("a")))
    with world.state() as state:
        contact_ids, _ = state.rejections.retry(None)
        state.ledger.retry(contact_ids)
    assert ending(world.run(page(row("a")))) == (Status.INCOMPLETE, 4)

    starving(world)
    assert ending(world.run(page(row("a")))) == (Status.DONE, 0)
    assert len(world.crm.contacts) == 1


def test_an_outage_does_not_count_as_an_answer_without_a_verdict(world: World) -> None:
    starving(world, "a")
    for _ in range(MOST_UNANSWERED - 1):
        world.run(page(row("a")))
    world.crm.outage = OUTAGE
    world.run(page(row("a")))
    world.crm.outage = None

    starving(world)
    assert ending(world.run(page(row("a")))) == (Status.DONE, 0)


def test_a_deferred_contact_is_not_sent_again_in_the_same_run(world: World) -> None:
    world.crm.verdict = lambda parcel: unanswered(parcel) if parcel.id_value == "visitor-00000" else None
    settled = Settled()
    world.observer = settled
    world.run(
        page(*visitors(range(100))), settled.wait_for(99), page(*visitors(range(50), LATER)), concurrency=1
    )

    sent = [p.id_value for batch in world.crm.batches for p in batch]
    assert sent.count("visitor-00000") == 1
    assert due(world) == 1


def test_only_full_batches_leave_while_pages_are_still_coming(world: World) -> None:
    settled = Settled()
    world.observer = settled
    rows = visitors(range(2500))
    summary = world.run(
        page(*rows[:850]),
        settled.wait_for(800),
        page(*rows[850:1700]),
        settled.wait_for(1700),
        page(*rows[1700:]),
    )

    assert [len(batch) for batch in world.crm.batches] == [100] * 25
    assert summary.contacts == ContactCounts(touched=2500, created=2500)


def test_no_page_is_asked_for_while_hubspot_has_thousands_of_contacts_to_take(world: World) -> None:
    asked = threading.Event()
    rows = visitors(range(5000))
    seen: list[bool] = []
    all_four = threading.Barrier(4, timeout=10)

    def hang(_: Sequence[Parcel]) -> None:
        if len(world.crm.batches) <= 4:
            all_four.wait()
            seen.append(asked.wait(0.2))
            all_four.wait()

    world.crm.before = hang

    summary = world.run(
        page(*rows[:1000]), page(*rows[1000:2000]), page(*rows[2000:3000]), asked.set, page(*rows[3000:])
    )

    assert seen == [False] * 4
    assert summary.contacts == ContactCounts(touched=5000, created=5000)
    assert world.crm.contacts == modelled(rows)


def test_a_page_waits_for_hubspot_no_longer_than_the_source_s_range_allows(world: World) -> None:
    asked = threading.Event()
    rows = visitors(range(4000))

    def hang(_: Sequence[Parcel]) -> None:
        for _attempt in range(100):
            if asked.wait(0.1):
                return
            world.clock.advance(HOLD_BACK_S / 10)

    world.crm.before = hang
    summary = world.run(
        page(*rows[:1000]), page(*rows[1000:2000]), page(*rows[2000:3000]), asked.set, page(*rows[3000:])
    )

    assert len(world.crm.batches) == 40
    assert summary.contacts == ContactCounts(touched=4000, created=4000)
    assert world.clock.monotonic() < 1000 + 5 * HOLD_BACK_S


def test_verdicts_may_come_in_any_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.crm.verdict = lambda parcel: refused(parcel) if parcel.id_value == "a" else None
    deliver = world.crm.deliver
    monkeypatch.setattr(
        world.crm, "deliver", lambda batch: Delivery(tuple(reversed(deliver(batch).verdicts)))
    )
    summary = world.run(page(row("a"), row("b"), row("c")))

    assert summary.contacts == ContactCounts(touched=3, created=2, rejected=1)
    with world.state() as state:
        assert [each.key for each in state.rejections.listed()] == ["a"]


def test_every_page_is_absorbed_though_hubspot_takes_nothing(world: World) -> None:
    world.crm.outage = OUTAGE
    rows = visitors(range(5000))

    summary = world.run(*(page(*rows[at : at + 1000]) for at in range(0, 5000, 1000)))

    assert summary.contacts == ContactCounts(touched=5000, deferred=5000)
    assert due(world) == 5000


def test_changed_contacts_are_sent_while_pages_are_still_coming(world: World) -> None:
    world.run(page(*visitors(range(400), EARLIER)))
    settled = Settled()
    world.observer = settled

    summary = world.run(
        page(*visitors(range(200, 400))),
        settled.wait_for(200),
        page(*visitors(range(200))),
        page(),
        settled.wait_for(400),
    )

    assert summary.contacts == ContactCounts(touched=400, updated=400)


def test_a_contact_that_changes_while_it_is_in_flight_is_sent_again(world: World) -> None:
    held_up = threading.Event()
    world.crm.before = lambda batch: held_up.wait(10) if len(batch) == 100 else None
    rows = visitors(range(100))
    changed = row("visitor-00007", LATER, pageviews=9)

    summary = world.run(page(*rows), page(changed), page(), held_up.set)

    assert ending(summary) == (Status.DONE, 0)
    assert world.crm.contacts == modelled([*rows, changed])
    assert summary.contacts == ContactCounts(touched=100, created=100)


def test_a_contact_that_changes_after_it_was_sent_is_sent_again_in_the_same_run(world: World) -> None:
    settled = Settled()
    world.observer = settled
    rows = visitors(range(100))
    changed = row("visitor-00007", LATER, pageviews=9)

    summary = world.run(page(*rows), settled.wait_for(100), page(changed))

    assert ending(summary) == (Status.DONE, 0)
    assert world.crm.contacts == modelled([*rows, changed])


def test_visitors_who_opt_out_while_a_batch_is_in_flight_are_in_none_that_follows(world: World) -> None:
    world.crm.verdict = unanswered
    leaving = ["a", "b", "c"]
    world.run(page(*map(row, leaving)))
    world.crm.verdict = lambda _: None
    world.crm.contacts.clear()
    gate = threading.Event()
    world.crm.before = lambda _: gate.wait(10)

    world.run(
        page(*visitors(range(100))),
        page(*(row(each, LATER, opted_out=True) for each in leaving)),
        page(),
        gate.set,
        concurrency=1,
    )

    sent_before = {parcel.id_value for parcel in world.crm.batches[1]}
    held = {value for _, value in world.crm.contacts}
    assert held & set(leaving) <= sent_before


@pytest.mark.parametrize("concurrency", [1, 2, 5, 8])
def test_no_contact_is_ever_in_two_requests_at_once(world: World, concurrency: int) -> None:
    """The fake CRM takes note of it, and every run of every test here looks."""
    overlapping = [
        visitors(range(start, start + 250), NOW + timedelta(minutes=start), pageviews=start)
        for start in (0, 125, 250, 0, 50)
    ]
    rendezvous = threading.Barrier(2)

    def meet(_: Sequence[Parcel]) -> None:
        try:
            rendezvous.wait(timeout=0.002)
        except threading.BrokenBarrierError:
            rendezvous.reset()

    world.crm.before = meet
    summary = world.run(*(page(*rows) for rows in overlapping), concurrency=concurrency)

    assert ending(summary) == (Status.DONE, 0)
    assert world.crm.contacts == modelled([each for rows in overlapping for each in rows])


def test_an_interrupted_run_takes_the_verdicts_of_what_is_in_flight_and_ends(world: World) -> None:
    interrupted = threading.Event()
    world.interruption = lambda: InterruptedRunError(15) if interrupted.is_set() else None
    world.crm.before = lambda _: interrupted.set()
    rows = visitors(range(300))

    first = world.run(page(*rows), concurrency=1)

    assert ending(first) == (Status.INCOMPLETE, 143)
    assert first.contacts == ContactCounts(touched=300, created=100, deferred=200)
    assert len(world.crm.contacts) == 100

    interrupted.clear()
    world.crm.before = lambda _: None
    second = world.run(page(*rows))

    assert second.contacts == ContactCounts(touched=300, unchanged=100, created=200)
    assert world.crm.contacts == modelled(rows)


def test_an_interrupted_run_does_not_wait_for_the_source_and_leaves_the_watermark(world: World) -> None:
    world.interruption = lambda: InterruptedRunError(2)
    gate = threading.Event()

    summary = world.run(page(row("a")), lambda: gate.wait(10), page(row("b")))
    gate.set()

    assert ending(summary) == (Status.INCOMPLETE, 130)
    assert watermark(world) is None


def test_batches_that_never_come_back_do_not_keep_an_interrupted_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.pipeline.run.TICK_S", 0.01)
    gate = threading.Event()
    interrupted = threading.Event()

    def hang(_: Sequence[Parcel]) -> None:
        interrupted.set()
        gate.wait(10)

    def interruption() -> InterruptedRunError | None:
        if interrupted.is_set():
            world.clock.advance(10)
            return InterruptedRunError(15)
        return None

    world.crm.before, world.interruption = hang, interruption
    summary = world.run(page(row("a")))
    gate.set()
    world.crm.wait_until_idle()

    assert ending(summary) == (Status.INCOMPLETE, 143)
    assert summary.contacts == ContactCounts(touched=1, deferred=1)


def test_three_batches_without_one_verdict_stop_the_run(world: World) -> None:
    world.crm.lose_replies = True
    summary = world.run(page(*visitors(range(800))), concurrency=1)

    assert ending(summary) == (Status.FAILED, 6)
    assert len(world.crm.batches) == 3
    assert due(world) == 800


def test_a_bug_in_the_source_ends_in_the_summary_without_a_word_of_what_it_held(world: World) -> None:
    summary = world.run(page(row("a")), KeyError("ann@example.com"))

    assert ending(summary) == (Status.FAILED, 1)
    assert "KeyError" in str(summary.reason)
    assert "fakes.py" in str(summary.reason)
    assert "example.com" not in str(summary.as_dict())
    assert watermark(world) is None


def test_a_bug_in_the_destination_ends_in_the_summary_without_a_word_of_what_it_held(world: World) -> None:
    def fail(_: Sequence[Parcel]) -> None:
        raise ValueError("ann@example.com")

    world.crm.before = fail
    summary = world.run(page(row("a")))

    assert ending(summary) == (Status.FAILED, 1)
    assert "example.com" not in str(summary.as_dict())
    assert due(world) == 1


def test_a_bug_in_the_source_does_not_forget_what_is_in_flight(world: World) -> None:
    """Otherwise the next website's run would send the same contacts while they are still on their way."""
    gate, asked = threading.Event(), threading.Event()

    def hold(_: Sequence[Parcel]) -> None:
        asked.set()
        gate.wait(0.5)

    def fail() -> None:
        asked.wait(10)
        raise KeyError("ann@example.com")

    world.crm.before = hold
    summary = world.run(page(*visitors(range(100))), fail)
    pending = set(world.crm._asked)
    gate.set()
    world.crm.wait_until_idle()

    assert ending(summary) == (Status.FAILED, 1)
    assert not pending


def test_contacts_that_were_due_before_are_carried_over_unless_a_row_touches_them(world: World) -> None:
    world.crm.outage = OUTAGE
    world.run(page(row("a"), row("b"), row("c")))
    world.crm.outage = None
    world.crm.verdict = lambda parcel: refused(parcel) if parcel.id_value == "b" else None
    summary = world.run(page(row("c", LATER), row("d")))

    assert summary.contacts == ContactCounts(touched=2, carried_over=2, created=3, rejected=1)


def test_a_contact_due_before_that_opts_out_counts_nowhere(world: World) -> None:
    world.crm.outage = OUTAGE
    world.run(page(row("a")))
    world.crm.outage = None
    summary = world.run(page(row("a", LATER, opted_out=True)))

    assert summary.contacts == ContactCounts()
    assert summary.rows.opted_out == 1
    assert world.crm.contacts == {}


def test_a_contact_whose_newcomer_was_not_delivered_is_right_again_once_the_newcomer_leaves(
    world: World,
) -> None:
    """The reply with the newcomer was lost, so HubSpot may hold either: it has to be told."""
    world.run(page(row("a", email="ann@example.com", pageviews=2)))
    world.crm.lose_replies = True
    world.run(page(row("b", email="ann@example.com", pageviews=40)))
    world.crm.lose_replies = False
    summary = world.run(page(row("b", LATER, email="bob@example.com")))

    assert ending(summary) == (Status.DONE, 0)
    assert world.crm.contacts["email", "ann@example.com"]["zenovay_pageviews"] == "2"
    assert world.crm.contacts["email", "bob@example.com"]["zenovay_pageviews"] == "40"


def test_a_website_leaves_the_watermark_of_another_alone(world: World) -> None:
    world.run(page(clock=LATER), website="one")
    world.run(page(clock=NOW), website="two")

    with world.state() as state:
        assert {name: each.watermark for name, each in state.runs.websites().items()} == {
            "one": LATER,
            "two": NOW,
        }


def test_every_run_is_in_the_history_with_its_summary(world: World) -> None:
    summary = world.run(page(row("a")), run="r1")

    with world.state() as state:
        (last,) = state.runs.last("site", 10)
        assert {key: last[key] for key in summary.as_dict()} == summary.as_dict()
        assert state.runs.last_success("site", now=NOW) == NOW
