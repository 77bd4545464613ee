"""Visitors who were not seen for long are pruned; what they come to stays."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock, World, opened, page, row
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from etl.fields import FIELDS, SyncedFields
from etl.instants import microseconds
from etl.kinds import COUNT, COUNTRY, FLAG, INSTANT, NUMBER, Kind
from etl.models.contact import ContactKey, ContactKind
from etl.models.verdict import Outcome, Verdict
from etl.models.visitor import Visitor
from etl.pipeline import retention
from etl.state.store import read_state
from etl.transform import contact, fingerprint, merge, remaining

if TYPE_CHECKING:
    from etl.models.contact import Parcel
    from etl.models.visitor import Facts, Value

ALL = SyncedFields(FIELDS)
ANN = ContactKey(ContactKind.EMAIL, "ann@example.com")
LONG_AGO = NOW - timedelta(days=100)
KEPT = timedelta(days=30)


def values(kind: Kind) -> st.SearchStrategy[Value]:
    drawn: dict[Kind, st.SearchStrategy[Any]] = {
        COUNT: st.integers(0, 3),
        NUMBER: st.integers(-2, 2) | st.sampled_from([0.5, 1.5]),
        FLAG: st.booleans(),
        COUNTRY: st.sampled_from(["CH", "FR", "KR"]),
        INSTANT: st.integers(0, 3).map(lambda step: microseconds(NOW) + step),
    }
    return drawn.get(kind, st.sampled_from(["a", "b", "c"]))


@st.composite
def rows(draw: st.DrawFn, visitor_id: str) -> Visitor:
    at = NOW + timedelta(seconds=draw(st.integers(0, 3)))
    stated: Facts = {field.name: draw(values(field.kind)) for field in FIELDS if draw(st.integers(0, 2)) != 0}
    return Visitor(visitor_id, at, stated)


@st.composite
def visitors(draw: st.DrawFn, number: int) -> Visitor:
    """Merged of one to three rows, so that its facts may be of other instants than itself."""
    found = draw(st.lists(rows(f"v{number}"), min_size=1, max_size=3))
    return reduce(lambda one, other: merge(one, other, ALL), found)


PEOPLE = st.integers(1, 4).flatmap(lambda count: st.tuples(*map(visitors, range(count))))


@given(st.data(), PEOPLE)
def test_what_remains_of_some_counts_as_they_did(data: st.DataObject, people: tuple[Visitor, ...]) -> None:
    pruned = [each for each in people if data.draw(st.booleans())]
    rest = [each for each in people if each not in pruned]
    remains = remaining(pruned, ALL)

    found = contact(ANN, rest, ALL, remains=remains)
    assert found == contact(ANN, people, ALL)
    assert fingerprint(found) == fingerprint(contact(ANN, people, ALL))


@given(st.data(), PEOPLE)
def test_it_does_not_matter_who_is_pruned_first(data: st.DataObject, people: tuple[Visitor, ...]) -> None:
    order = data.draw(st.permutations(people))
    remains: Facts | None = None
    for each in order:
        remains = remaining([each], ALL, remains)

    assert contact(ANN, [], ALL, remains=remains) == contact(ANN, people, ALL)
    assert remains == remaining(people, ALL)


@given(st.data(), PEOPLE)
def test_the_remains_of_two_contacts_are_those_of_all(
    data: st.DataObject, people: tuple[Visitor, ...]
) -> None:
    ours = [each for each in people if data.draw(st.booleans())]
    theirs = [each for each in people if each not in ours]

    both = remaining((), ALL, remaining(ours, ALL), remaining(theirs, ALL))
    assert both == remaining(people, ALL)


@pytest.fixture
def world(state_url: str) -> World:
    return World(state_url)


def kept(world: World) -> set[str]:
    """The visitors that the state holds."""
    with world.state() as state:
        website_id = state.runs.website("site").id
        return {name for name, _ in state.visitors.seen(website_id, after="", most=1000)}


def contacts(world: World) -> int:
    with opened(world.url, world.clock) as store, store.reading():
        return int(store._connection.execute(text("SELECT count(*) FROM contacts")).scalar_one())


def test_who_was_not_seen_for_long_is_pruned_and_counts_all_the_same(world: World) -> None:
    old = [row(f"old-{n}", LONG_AGO, email=ANN.value, country="FR", pageviews=10) for n in range(3)]
    young = row("young", email=ANN.value, pageviews=1)
    world.run(page(*old, young), retention=KEPT)
    sent = dict(world.crm.contacts["email", ANN.value])

    assert kept(world) == {"young"}
    assert (sent["zenovay_pageviews"], sent["country"]) == ("31", "France")
    again = world.run(page(*old, young), retention=KEPT)
    assert again.rows.out_of_window == 3
    assert len(world.crm.batches) == 1
    world.run(page(row("new", NOW, email=ANN.value, pageviews=5)), retention=KEPT)
    assert world.crm.contacts["email", ANN.value] == {**sent, "zenovay_pageviews": "36"}


def test_a_clock_that_is_ahead_prunes_nobody(world: World) -> None:
    rows_now = [row(f"v{n}") for n in range(5)]
    world.run(page(*rows_now, clock=NOW), retention=KEPT)
    world.run(page(clock=NOW + timedelta(days=365)), retention=KEPT)

    assert kept(world) == {each.id for each in rows_now}


def test_who_opted_out_is_remembered(world: World) -> None:
    world.run(page(row("out", LONG_AGO, opted_out=True), row("old", LONG_AGO)), retention=KEPT)

    assert kept(world) == {"out"}
    world.run(page(row("out", NOW, email=ANN.value)), retention=KEPT)
    assert ("email", ANN.value) not in world.crm.contacts


def test_a_stranger_whom_nobody_knows_vanishes_with_its_keys(world: World) -> None:
    def absent(parcel: Parcel) -> Verdict:
        return Verdict(parcel.contact_id, Outcome.ABSENT)

    world.crm.verdict = absent
    matched = frozenset({ContactKind.VISITOR, ContactKind.EMAIL})
    known = row("known", LONG_AGO, email=ANN.value, pageviews=3)
    world.run(page(row("a", LONG_AGO), row("b", LONG_AGO)), matched=matched)
    with opened(world.url, world.clock) as store, store.transaction() as state:
        entries = state.entries.by_key({ContactKey(ContactKind.VISITOR, name) for name in "ab"})
        one, other = sorted(entries.values())
        state.visitors.move(other.contact_id, one.contact_id)
        state.records.unite(one, other, remains=None)
        state.ledger.want([(one, None, None)])
    assert contacts(world) == 2
    world.run(page(known), matched=matched, retention=KEPT)

    assert kept(world) == set()
    assert contacts(world) == 1
    world.crm.verdict = lambda _: None
    world.run(page(row("new", email=ANN.value, pageviews=1)), retention=KEPT)
    assert world.crm.contacts["email", ANN.value]["zenovay_pageviews"] == "4"


def test_a_large_state_is_pruned_over_several_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP", 10)
    monkeypatch.setattr(retention, "MOST_STEPS", 2)
    old = [row(f"v{n:03}", LONG_AGO, pageviews=1) for n in range(0, 100, 2)]
    young = [row(f"v{n:03}", pageviews=1) for n in range(1, 100, 2)]
    world.run(page(*old, *young), retention=KEPT)
    left = [len(kept(world))]
    while left[-1] > len(young):
        world.run(page(), retention=KEPT)
        left.append(len(kept(world)))
        assert 0 <= left[-2] - left[-1] <= 20

    assert kept(world) == {each.id for each in young}
    assert len(left) == 5
    assert len(world.crm.batches) == 1


def test_what_is_kept_of_a_field_that_is_off_stays(world: World) -> None:
    first = SyncedFields(FIELDS)
    old = row("old", LONG_AGO, email=ANN.value, pageviews=2)
    old = old._replace(facts={**old.facts, "first_page": "/a"})
    world.run(page(old), retention=KEPT, synced=first)
    assert kept(world) == set()
    with read_state(world.url, FakeClock()) as state:
        assert state is not None
        (entry,) = state.entries.by_key({ANN}).values()
    assert entry.remains is not None
    assert entry.remains["first_page"] == "/a"
    world.run(page(row("new", email=ANN.value, pageviews=1)), retention=KEPT)
    later = row("later", email=ANN.value, pageviews=1)
    later = later._replace(facts={**later.facts, "first_page": "/b"})
    world.run(page(later), retention=KEPT, synced=first)
    sent = world.crm.contacts["email", ANN.value]
    assert (sent["zenovay_first_page"], sent["zenovay_pageviews"]) == ("/a", "4")
