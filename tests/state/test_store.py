"""What the state remembers, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock, facts, opened, page, row
from sqlalchemy import update

from etl.errors import LockedError, StateError
from etl.fields import BASIC_FIELDS
from etl.instants import microseconds
from etl.models.contact import Contact, ContactKey, ContactKind, LedgerEntry, Parcel
from etl.models.reading import KnownWebsite, Quota
from etl.models.stop import Stop
from etl.models.verdict import Outcome, Verdict
from etl.models.visitor import Rejection
from etl.pipeline.absorb import absorb
from etl.pipeline.books import Books
from etl.state.database import connect
from etl.state.runs import KEPT_RUNS
from etl.state.store import read_state
from etl.state.tables import limits
from etl.state.tallies import LEARN_S
from etl.transform import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.models.visitor import Visitor
    from etl.state.store import Store, Transaction

EARLIER = NOW - timedelta(hours=1)
LATER = NOW + timedelta(hours=1)
LATEST = NOW + timedelta(days=1)
ANN = "ann@example.com"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(state_url: str, clock: FakeClock) -> Iterator[Store]:
    with opened(state_url, clock) as store:
        yield store


def absorbed(store: Store, *rows: Visitor) -> None:
    with store.transaction() as state:
        website_id = state.runs.website("site").id
        absorb(
            page(*rows),
            website_id=website_id,
            anonymous=True,
            synced=BASIC_FIELDS,
            state=state,
            books=Books(),
        )


def due(store: Store) -> list[str]:
    with store.reading() as state:
        assert state.ledger.due_count() == len(list(state.ledger.due_ids()))
        return [each.contact.key.value for each in state.ledger.due(after=0, most=1000)]


def answer(store: Store, outcome: Outcome, *, final: bool = False, unanswered: bool = False) -> set[int]:
    """HubSpot says the same of everything that is due. Returns what is due again."""
    with store.transaction() as state:
        return settle(state, outcome, final=final, unanswered=unanswered)


def settle(
    state: Transaction, outcome: Outcome, *, final: bool = False, unanswered: bool = False
) -> set[int]:
    answered = [
        (
            Parcel(
                each.contact_id,
                "id",
                each.contact.key.value,
                {},
                each.fingerprint,
                unanswered=each.unanswered,
            ),
            Verdict(
                each.contact_id,
                outcome,
                f"hs-{each.contact_id}",
                "no good",
                "INVALID",
                "trace",
                final,
                unanswered,
            ),
        )
        for each in state.ledger.due(after=0, most=1000)
    ]
    state.rejections.settle(answered)
    return state.ledger.settle(answered).due


def entry(store: Store, value: str) -> LedgerEntry:
    keys = {ContactKey(kind, value) for kind in ContactKind}
    with store.reading() as state:
        (found,) = state.entries.by_key(keys).values()
        assert state.entries.by_id([found.contact_id]) == {found.contact_id: found}
        return found


def test_a_visitor_comes_back_exactly_as_it_was_absorbed(store: Store) -> None:
    exact = row("a", NOW + timedelta(microseconds=1), email=ANN, country="KR", pageviews=2**40)
    silent = row("b", opted_out=True)
    absorbed(store, exact, silent)

    with store.reading() as state:
        known = state.visitors.known(state.runs.website("site").id, ["a", "b", "c"])
    assert {key: found.visitor for key, found in known.items()} == {"a": exact, "b": silent}
    assert (known["a"].contact_id, known["a"].due) == (entry(store, ANN).contact_id, True)
    assert (known["b"].contact_id, known["b"].due) == (None, False)


def test_contacts_are_due_in_the_order_in_which_they_were_first_seen(store: Store) -> None:
    absorbed(store, row("z"), row("m"))
    absorbed(store, row("a"), row("z", LATER))

    assert due(store) == ["z", "m", "a"]
    with store.reading() as state:
        assert [each.contact_id for each in state.ledger.due(after=0, most=2)] == [1, 2]
        assert [each.contact.key.value for each in state.ledger.due(after=2, most=2)] == ["a"]


def test_a_due_contact_carries_what_is_to_be_sent(store: Store) -> None:
    absorbed(store, row("a", email=ANN, country="KR", pageviews=2), row("b", EARLIER, email=ANN, pageviews=3))

    with store.reading() as state:
        (found,) = state.ledger.due(after=0, most=10)
    wanted = Contact(ContactKey(ContactKind.EMAIL, ANN), facts(NOW, country="KR", pageviews=5))
    assert (found.contact, found.fingerprint) == (wanted, fingerprint(wanted))
    assert (found.known, found.unanswered) == (False, 0)


@pytest.mark.parametrize("outcome", [Outcome.CREATED, Outcome.UPDATED])
def test_a_confirmed_contact_is_due_again_only_with_new_facts(store: Store, outcome: Outcome) -> None:
    absorbed(store, row("a", EARLIER))
    assert answer(store, outcome) == set()
    absorbed(store, row("a", EARLIER))
    assert due(store) == []

    absorbed(store, row("a", LATER))
    assert due(store) == ["a"]
    with store.reading() as state:
        assert state.ledger.due(after=0, most=1)[0].known


def test_a_contact_that_changed_while_it_was_sent_is_due_again(store: Store) -> None:
    absorbed(store, row("a", EARLIER))
    with store.reading() as state:
        (sent,) = state.ledger.due(after=0, most=1)
    absorbed(store, row("a", LATER))
    with store.transaction() as state:
        parcel = Parcel(1, "id", "a", {}, sent.fingerprint)
        again = state.ledger.settle([(parcel, Verdict(1, Outcome.CREATED))])

    assert again.due == {1}
    assert due(store) == ["a"]


def test_a_rejected_contact_waits_for_new_facts(store: Store) -> None:
    absorbed(store, row("a", EARLIER))
    assert answer(store, Outcome.REJECTED) == set()
    absorbed(store, row("a", EARLIER))
    assert due(store) == []

    absorbed(store, row("a", LATER))
    assert due(store) == ["a"]


def test_a_rejected_contact_is_due_once_somebody_retries_it(store: Store) -> None:
    absorbed(store, row("a"), row("b"))
    answer(store, Outcome.REJECTED)
    with store.transaction() as state:
        assert state.rejections.unknown({"a", "nobody"}) == {"nobody"}
        contact_ids, count = state.rejections.retry({"a"})
        state.ledger.retry(contact_ids)

    assert count == 1
    assert due(store) == ["a"]


def test_a_blocked_contact_waits_for_somebody_whatever_its_facts(store: Store) -> None:
    absorbed(store, row("a", EARLIER))
    answer(store, Outcome.REJECTED, final=True)
    absorbed(store, row("a", LATER))
    assert due(store) == []

    with store.transaction() as state:
        contact_ids, _ = state.rejections.retry(None)
        state.ledger.retry(contact_ids)
    assert due(store) == ["a"]


def test_a_deferred_contact_stays_due_and_remembers_how_often_no_answer_named_it(store: Store) -> None:
    absorbed(store, row("a"))
    for unanswered, counted in ((True, 1), (False, 1), (True, 2)):
        assert answer(store, Outcome.DEFERRED, unanswered=unanswered) == {1}
        with store.reading() as state:
            assert state.ledger.due(after=0, most=1)[0].unanswered == counted

    answer(store, Outcome.CREATED)
    absorbed(store, row("a", NOW + timedelta(hours=1)))
    with store.reading() as state:
        assert state.ledger.due(after=0, most=1)[0].unanswered == 0


def test_a_verdict_without_hubspots_id_does_not_forget_it(store: Store) -> None:
    absorbed(store, row("a", EARLIER))
    answer(store, Outcome.CREATED)
    absorbed(store, row("a", LATER))
    with store.transaction() as state:
        parcel = Parcel(1, "id", "a", {}, b"fingerprint")
        state.ledger.settle([(parcel, Verdict(1, Outcome.UPDATED))])

    with store.reading() as state:
        from etl.state.tables import contacts  # noqa: PLC0415 -- one test needs it

        assert state._connection.execute(contacts.select()).one().record == "hs-1"


def test_forgetting_the_confirmations_makes_due_what_hubspot_holds_and_nothing_else(store: Store) -> None:
    absorbed(store, row("blocked"))
    answer(store, Outcome.REJECTED, final=True)
    absorbed(store, row("refused"))
    answer(store, Outcome.REJECTED)
    absorbed(store, row("confirmed"), row("changed", EARLIER), row("left", EARLIER))
    answer(store, Outcome.CREATED)
    absorbed(store, row("changed", LATER), row("left", LATER, opted_out=True))
    answer(store, Outcome.REJECTED)
    absorbed(store, row("new"))
    with store.transaction() as state:
        state.ledger.forget_confirmations()

    assert due(store) == ["confirmed", "new"]
    with store.reading() as state:
        known = {each.contact.key.value: each.known for each in state.ledger.due(after=0, most=10)}
    assert known == {"confirmed": True, "new": False}


def test_a_contact_whose_visitor_opts_out_is_no_longer_due_and_its_rejection_is_forgotten(
    store: Store,
) -> None:
    absorbed(store, row("a", EARLIER), row("b", EARLIER))
    answer(store, Outcome.REJECTED)
    absorbed(store, row("a", NOW))
    absorbed(store, row("a", LATER, opted_out=True))

    assert due(store) == []
    assert entry(store, "a").wanted is None
    with store.reading() as state:
        assert [each.key for each in state.rejections.listed()] == ["b"]
        assert state.ledger.counts() == (0, 0, 1, 0, 0)


def test_a_visitor_who_becomes_known_leaves_the_anonymous_contact(store: Store) -> None:
    absorbed(store, row("a", EARLIER, pageviews=2))
    answer(store, Outcome.CREATED)
    absorbed(store, row("a", LATER, email=ANN))

    assert due(store) == [ANN]
    assert entry(store, "a").wanted is None
    assert entry(store, "a").confirmed is not None


def test_a_contact_that_changes_back_to_what_was_confirmed_is_sent_again(store: Store) -> None:
    """What was due in between may have reached HubSpot without a verdict reaching us."""
    absorbed(store, row("a", email=ANN, pageviews=2))
    answer(store, Outcome.CREATED)
    absorbed(store, row("b", email=ANN, pageviews=40))
    answer(store, Outcome.DEFERRED)
    absorbed(store, row("b", LATER, email="bob@example.com"))

    assert due(store) == [ANN, "bob@example.com"]


def test_an_address_that_looks_like_a_visitor_id_is_another_contact(store: Store) -> None:
    absorbed(store, row(ANN), row("b", email=ANN))

    assert due(store) == [ANN, ANN]
    answer(store, Outcome.CREATED)
    absorbed(store, row(ANN, LATER))
    assert due(store) == [ANN]


def test_contacts_without_an_address_are_not_due_where_they_are_not_wanted(
    store: Store, state_url: str, clock: FakeClock
) -> None:
    absorbed(store, row("a"), row("b", email=ANN))
    connection = store._connection
    skipping = type(store)(connection, clock=clock, anonymous=False)

    assert due(skipping) == [ANN]


def test_a_refused_row_is_listed_once_however_often_it_is_read(store: Store, clock: FakeClock) -> None:
    first = Rejection("a", "no date", "NO_DATE", b"one")
    other = Rejection("a", "bad date", "BAD_DATE", b"two")
    with store.transaction() as state:
        website_id = state.runs.website("site").id
        other_id = state.runs.website("other").id
        assert state.rejections.refuse_rows(website_id, [first, first]) == 1
    clock.advance(60)
    with store.transaction() as state:
        assert state.rejections.refuse_rows(website_id, [first, other]) == 1
        assert state.rejections.refuse_rows(other_id, [first]) == 1
        assert state.rejections.refuse_rows(website_id, []) == 0

    with store.reading() as state:
        listed = {(each.code, each.attempts, each.first, each.last) for each in state.rejections.listed()}
    minute_later = NOW + timedelta(minutes=1)
    assert listed == {
        ("NO_DATE", 2, NOW, minute_later),
        ("NO_DATE", 1, minute_later, minute_later),
        ("BAD_DATE", 1, minute_later, minute_later),
    }


def test_a_refused_row_that_is_retried_counts_as_new_again(store: Store) -> None:
    refused = Rejection("a", "no date", "NO_DATE", b"one")
    with store.transaction() as state:
        website_id = state.runs.website("site").id
        state.rejections.refuse_rows(website_id, [refused])
        assert state.rejections.retry({"a"}) == (set(), 1)
        assert state.rejections.refuse_rows(website_id, [refused]) == 1


def test_a_contact_rejected_again_is_one_entry_with_its_latest_reason(store: Store, clock: FakeClock) -> None:
    absorbed(store, row("a", EARLIER))
    answer(store, Outcome.REJECTED)
    clock.advance(60)
    absorbed(store, row("a", LATER))
    answer(store, Outcome.REJECTED)

    with store.reading() as state:
        (listed,) = state.rejections.listed()
    assert (listed.key, listed.kind, listed.reason, listed.code) == ("a", "contact", "no good", "INVALID")
    assert (listed.attempts, listed.first, listed.last) == (2, NOW, NOW + timedelta(minutes=1))
    assert listed.correlation_id == "trace"


def test_a_contact_that_is_taken_is_struck_off_and_a_deferred_one_is_not(store: Store) -> None:
    absorbed(store, row("a", EARLIER))
    answer(store, Outcome.REJECTED)
    absorbed(store, row("a", NOW))
    answer(store, Outcome.DEFERRED)
    with store.reading() as state:
        assert [each.key for each in state.rejections.listed()] == ["a"]

    answer(store, Outcome.CREATED)
    with store.reading() as state:
        assert list(state.rejections.listed()) == []
        assert state.ledger.counts() == (1, 0, 0, 0, 0)


def test_the_watermark_never_moves_back(store: Store) -> None:
    with store.transaction() as state:
        website = state.runs.website("site")
        assert website.watermark is None
        assert state.runs.close_window(replace(website, watermark=NOW)).watermark == NOW
        assert state.runs.close_window(replace(website, watermark=EARLIER)).watermark == NOW
        assert state.runs.close_window(replace(website, watermark=LATER)).watermark == LATER

    with store.reading() as state:
        assert state.runs.website("site") == replace(website, watermark=LATER)
        assert state.runs.watermark("site") == LATER
        assert state.runs.watermark("another") is None


def test_the_history_keeps_the_latest_runs_of_each_website(store: Store) -> None:
    with store.transaction() as state:
        website_id = state.runs.website("site").id
        other_id = state.runs.website("other").id
        state.runs.begin("other", other_id, "backfill", EARLIER)
        for number in range(KEPT_RUNS + 3):
            state.runs.begin(f"r{number}", website_id, "incremental", NOW + timedelta(seconds=number))
        state.runs.end("r5", LATER, {"run": "r5", "status": "done"}, kept_since=LATEST)

    with store.reading() as state:
        kept = [each["run"] for each in state.runs.last("site", 2 * KEPT_RUNS)]
        assert kept == [f"r{number}" for number in reversed(range(3, KEPT_RUNS + 3))]
        assert [each["run"] for each in state.runs.last("other", 1)] == ["other"]


def test_the_last_runs_say_what_they_cost_latest_last(store: Store) -> None:
    second, ahead = timedelta(seconds=1), timedelta(hours=1)
    until = (NOW + timedelta(days=2)).isoformat()
    with store.transaction() as state:
        website_id = state.runs.website("site").id
        for number in range(302):
            state.runs.begin(f"r{number}", website_id, "incremental", NOW + number * second)
            summary: dict[str, Any] = {"status": "done", "requests": {"zenovay": number}}
            summary |= {"window": {"until": until}} if number == 301 else {}
            state.runs.end(f"r{number}", LATER, summary, kept_since=LATEST)
        state.runs.begin("past", website_id, "backfill", NOW + 400 * second)
        state.runs.end("past", LATER, {"status": "done", "requests": {"zenovay": 9}}, kept_since=LATEST)
        state.runs.begin("killed", website_id, "incremental", NOW + 401 * second)

    with store.reading() as state:
        costs = state.runs.requests("site", ahead=ahead)
        assert costs[:-1] == [(NOW + ahead + number * second, number) for number in range(2, 301)]
        assert costs[-1] == (NOW + timedelta(days=2), 301)
        assert state.runs.requests("other", ahead=ahead) == []


def test_the_last_success_is_the_start_of_an_incremental_run_that_ended_well(store: Store) -> None:
    with store.transaction() as state:
        website_id = state.runs.website("site").id
        for name, kind, status in (
            ("r1", "incremental", "done"),
            ("r2", "incremental", "partial"),
            ("r3", "incremental", "incomplete"),
            ("r4", "backfill", "done"),
            ("r5", "incremental", None),
        ):
            started = NOW + timedelta(minutes=int(name[1:]))
            state.runs.begin(name, website_id, kind, started)
            if status:
                state.runs.end(name, LATER, {"run": name, "status": status}, kept_since=LATEST)

    with store.reading() as state:
        assert state.runs.last_success("site", now=LATER) == NOW + timedelta(minutes=2)
        assert state.runs.last_success("other", now=LATER) is None
        killed = state.runs.last("site", 1)[0]
        assert (killed["run"], killed["status"], killed["ended"]) == ("r5", None, None)


def test_a_stop_is_in_force_until_its_time_and_for_its_account_alone(
    store: Store, state_url: str, clock: FakeClock
) -> None:
    with store.transaction() as state:
        assert state.limits.stop("hubspot", NOW) is None
        state.limits.remember_stop("hubspot", Stop(LATER, "quota spent"))

    with store.reading() as state:
        assert state.limits.stop("hubspot", NOW) == Stop(LATER, "quota spent")
        assert state.limits.stop("hubspot", LATER) is None
        assert state.limits.stop("zenovay", NOW) is None
    with read_state(state_url, clock, {"hubspot": "another account"}) as other:
        assert other
        assert other.limits.stop("hubspot", NOW) is None

    with store.transaction() as state:
        state.limits.remember_stop("hubspot", None)
    with store.reading() as state:
        assert state.limits.stop("hubspot", NOW) is None


DAY = timedelta(days=1)
LONGEST = {"daily": DAY, "monthly": 31 * DAY, "move": DAY, "wait": timedelta(hours=1)}


@pytest.mark.parametrize("kind", LONGEST)
def test_a_stop_lasts_as_long_as_its_kind_can_and_no_longer(
    store: Store, clock: FakeClock, kind: str
) -> None:
    with store.transaction() as state:
        state.limits.remember_stop("hubspot", Stop(NOW + 400 * DAY, "wait", kind, "a header"))

    until = NOW + LONGEST[kind]
    with store.reading() as state:
        assert state.limits.stops() == [("hubspot", Stop(until, "wait", kind, "a header"))]
        assert state.limits.stop("hubspot", until - timedelta(seconds=1)) is not None
        assert state.limits.stop("hubspot", until) is None


@pytest.mark.parametrize("kind", LONGEST)
def test_a_stop_that_a_clock_made_which_was_put_back_since_is_none(
    store: Store, clock: FakeClock, kind: str
) -> None:
    with store.transaction() as state:
        state.limits.remember_stop("hubspot", Stop(NOW + timedelta(minutes=30), "wait", kind))

    with store.reading() as state:
        assert state.limits.stop("hubspot", NOW - 5 * DAY) is None
        assert state.limits.stop("hubspot", NOW) is not None


@pytest.mark.parametrize(
    ("kind", "until", "holds"),
    [
        (None, timedelta(minutes=59), True),
        (None, timedelta(hours=2), False),
        ("daily", timedelta(hours=23), True),
        ("daily", 5 * DAY, False),
        ("nonsense", timedelta(hours=2), False),
    ],
)
def test_a_stop_of_an_earlier_version_holds_if_it_is_a_short_one(
    store: Store, state_url: str, kind: str | None, until: timedelta, *, holds: bool
) -> None:
    with store.transaction() as state:
        state.limits.remember_stop("hubspot", Stop(NOW + until, "wait"))
    with connect(state_url) as earlier, earlier.begin():
        facts = {"stop_made": None, "stop_said_by": None, "stop_kind": kind}
        earlier.execute(update(limits).values(facts))
    with store.reading() as state:
        assert (state.limits.stop("hubspot", NOW) is not None) is holds


def test_a_clock_far_ahead_of_ours_is_not_taken_up_from_the_state(store: Store) -> None:
    for ahead, taken in ((3 * timedelta(hours=1), True), (DAY, False), (-400 * DAY, True)):
        with store.transaction() as state:
            state.limits.remember_quota("zenovay", replace(QUOTA, ahead=ahead))
        with store.reading() as state:
            found = state.limits.quota("zenovay")
            assert found
            assert found.ahead == (ahead if taken else timedelta(0))


def test_when_the_last_request_was_sent_is_not_forgotten_in_silence(store: Store) -> None:
    with store.transaction() as state:
        state.limits.remember_sent("zenovay", [microseconds(EARLIER), microseconds(NOW)], stated=None)
        state.limits.remember_sent("zenovay", [], stated=None)
        assert state.limits.last_sent("zenovay") == NOW
        assert state.limits.last_sent("hubspot") is None


class Sent:
    """A pace that knows when requests were sent."""

    stated = 12

    def __init__(self) -> None:
        self.others: list[int] = []

    def history(self) -> list[int]:
        return [microseconds(EARLIER), microseconds(NOW) + 1]

    def count_others(self, history: Sequence[int]) -> None:
        self.others = list(history)


QUOTA = Quota(used=17, limit=10_000, resets_at=LATER, ahead=timedelta(seconds=-3))


class Counted:
    """A budget that knows how many requests of the month are used."""

    def __init__(self) -> None:
        self.quota = QUOTA

    def count_others(self, requests: int) -> None:
        self.quota = replace(self.quota, used=self.quota.used + requests)


def test_every_commit_writes_down_when_requests_were_sent_and_how_many(store: Store) -> None:
    store.keep({"hubspot": Sent()}, {"zenovay": Counted()})
    with store.transaction():
        pass

    with store.reading() as state:
        assert state.limits.quota("zenovay") == state.limits.latest_quota("zenovay") == QUOTA
        assert state.limits.quota("hubspot") is None
        assert state.limits.sent("hubspot") == [microseconds(EARLIER), microseconds(NOW) + 1]
        assert state.limits.sent("zenovay") == []
        assert (state.limits.stated("hubspot"), state.limits.stated("zenovay")) == (12, None)


def test_requests_beside_a_run_count_once_for_both(store: Store, clock: FakeClock) -> None:
    pace, budget = Sent(), Counted()
    store.keep({"zenovay": pace}, {"zenovay": budget})
    with store.transaction():
        pass
    with store.beside() as state:
        state.limits.count_beside("zenovay", microseconds(NOW), since=microseconds(EARLIER))
        state.limits.count_beside("zenovay", 7, since=0)
        state.limits.count_beside("zenovay", microseconds(LATER), since=microseconds(EARLIER), announced=7)
        asked = state.limits.quota("zenovay")
    clock.advance(LEARN_S)
    for _ in range(2):
        with store.transaction():
            pass

    with store.reading() as state:
        assert asked == state.limits.quota("zenovay") == replace(QUOTA, used=QUOTA.used + 2)
        assert state.limits.beside("zenovay") == ([microseconds(NOW), microseconds(LATER)], 0)
    assert budget.quota == replace(QUOTA, used=QUOTA.used + 2)
    assert pace.others == [microseconds(NOW), microseconds(LATER)]


def test_a_commit_that_fails_leaves_the_requests_beside_it_to_the_next(store: Store) -> None:
    budget = Counted()
    store.keep({}, {"zenovay": budget})
    with store.beside() as state:
        state.limits.count_beside("zenovay", 1, since=0)
    with pytest.raises(KeyboardInterrupt), store.transaction():
        raise KeyboardInterrupt
    with store.transaction():
        pass

    assert budget.quota.used == QUOTA.used + 1


def test_what_was_sent_beside_a_run_leaves_the_window(store: Store) -> None:
    with store.beside() as state:
        state.limits.count_beside("zenovay", 5, since=0)
        state.limits.count_beside("zenovay", 70, since=10)

    with store.reading() as state:
        assert state.limits.beside("zenovay") == ([70], 2)


def test_facts_with_a_long_beginning_in_common_are_kept_apart(store: Store) -> None:
    one, other = "told_month_" + "w" * 200 + "1", "told_month_" + "w" * 200 + "2"
    with store.transaction() as state:
        state.notebook.put(one, "one")
        state.notebook.put(other, "other")

    with store.reading() as state:
        assert (state.notebook.get(one), state.notebook.get(other)) == ("one", "other")


def test_facts_are_put_replaced_and_dropped(store: Store) -> None:
    with store.transaction() as state:
        assert state.notebook.get("name") is None
        state.notebook.put("name", "one")
        state.notebook.put("name", "two")
        state.notebook.put("other", "three")
        state.notebook.drop("other")
        state.notebook.drop("nothing")

    with store.reading() as state:
        assert (state.notebook.get("name"), state.notebook.get("other")) == ("two", None)


def write_everywhere_and_fail(state: Transaction) -> None:
    website_id = state.runs.website("site").id
    bad = Rejection("a", "no date", "NO_DATE", b"one")
    rows = page(row("a", LATER, email=ANN), row("b"), rejections=[bad])
    absorb(rows, website_id=website_id, anonymous=True, synced=BASIC_FIELDS, state=state, books=Books())
    settle(state, Outcome.CREATED)
    state.runs.close_window(KnownWebsite(website_id, watermark=LATER))
    state.notebook.put("name", "value")
    raise ZeroDivisionError


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    absorbed(store, row("a", EARLIER, email=ANN))
    with pytest.raises(ZeroDivisionError), store.transaction() as state:
        write_everywhere_and_fail(state)

    assert due(store) == [ANN]
    assert entry(store, ANN).confirmed is None
    with store.reading() as state:
        website = state.runs.website("site")
        assert website.watermark is None
        assert list(state.visitors.known(website.id, ["a", "b"])) == ["a"]
        assert list(state.rejections.listed()) == []
        assert state.notebook.get("name") is None


def test_what_is_written_while_only_reading_is_not_kept(store: Store) -> None:
    with store.reading() as state:
        state.notebook.put("name", "value")

    with store.reading() as state:
        assert state.notebook.get("name") is None


def test_nothing_is_written_without_the_lock(state_url: str, clock: FakeClock, store: Store) -> None:
    unlocked = type(store)(store._connection, clock=clock)

    with pytest.raises(LockedError), unlocked.transaction() as state:
        state.notebook.put("name", "value")
    with store.reading() as state:
        assert state.notebook.get("name") is None


def test_a_failure_of_the_database_shows_no_value(store: Store) -> None:
    absorbed(store, row("a", email=ANN))
    contact = Contact(ContactKey(ContactKind.EMAIL, ANN), facts(NOW, country="KR"))

    with pytest.raises(StateError) as failure, store.transaction() as state:
        state.ledger.add([(contact, b"fingerprint"), (contact, b"fingerprint")])
    assert ANN not in str(failure.value)


def test_looking_at_a_state_that_is_not_there_makes_none(sqlite_url: str, clock: FakeClock) -> None:
    with read_state(sqlite_url, clock) as state:
        assert state is None
    with read_state(sqlite_url, clock) as state:
        assert state is None
