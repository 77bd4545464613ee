"""Tombstones, and what an erasure leaves, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes import NOW, FakeClock, opened, page, row

from etl.fields import BASIC_FIELDS
from etl.models.contact import EMAIL, RECORD, VISITOR, ContactKey
from etl.models.link import Link
from etl.pipeline.absorb import absorb
from etl.pipeline.books import Books
from etl.pipeline.forgetting import forget, found, joined, stay_away

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.models.visitor import Visitor
    from etl.state.store import Store, Transaction

ANN, BO = "ann@example.test", "bo@example.test"
KEYS = {ContactKey(EMAIL, ANN), ContactKey(VISITOR, ANN), ContactKey(RECORD, "501")}


@pytest.fixture
def store(state_url: str) -> Iterator[Store]:
    with opened(state_url, FakeClock()) as store:
        yield store


def absorbed(state: Transaction, *rows: Visitor, website: str = "site") -> None:
    absorb(
        page(*rows),
        website_id=state.runs.website(website).id,
        anonymous=True,
        synced=BASIC_FIELDS,
        state=state,
        books=Books(),
    )


def addresses(state: Transaction) -> set[str]:
    return {due.contact.key.value for due in state.ledger.due(after=0, most=100)}


def test_a_tombstone_is_found_by_its_key_alone(store: Store) -> None:
    with store.transaction() as state:
        assert state.forgotten.is_empty()
        assert state.forgotten.among(KEYS) == set()
        state.forgotten.bury([ContactKey(EMAIL, ANN)])
        state.forgotten.bury([ContactKey(EMAIL, ANN), ContactKey(RECORD, "501")])

    with store.reading() as state:
        assert not state.forgotten.is_empty()
        assert state.forgotten.among(KEYS) == {ContactKey(EMAIL, ANN), ContactKey(RECORD, "501")}


def test_many_keys_are_looked_up_at_once(store: Store) -> None:
    keys = [ContactKey(VISITOR, f"v{number}") for number in range(2500)]
    with store.transaction() as state:
        state.forgotten.bury(keys[::2])
        assert state.forgotten.among(keys) == set(keys[::2])


def test_the_secret_is_each_state_s_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    digests = []
    for name in ("one", "another"):
        path = tmp_path_factory.mktemp(name) / "state.db"
        with opened(f"sqlite:///{path}", FakeClock()) as store, store.transaction() as state:
            state.forgotten.bury([ContactKey(EMAIL, ANN)])
            digests.append(state.notebook.get("tombstones"))
    assert len(set(digests)) == 2


def test_an_id_of_a_contact_is_never_given_twice(store: Store) -> None:
    with store.transaction() as state:
        absorbed(state, row("v1", email=BO), row("v2", email=ANN))
        (ann,) = state.entries.by_key({ContactKey(EMAIL, ANN)}).values()
        forget([found({ContactKey(EMAIL, ANN)}, state)], synced=BASIC_FIELDS, state=state, books=Books())
        absorbed(state, row("v3", email="cy@example.test"))

        assert addresses(state) == {BO, "cy@example.test"}
        assert all(due.contact_id != ann.contact_id for due in state.ledger.due(after=0, most=9))


def test_the_same_visitor_id_on_another_website_is_erased_and_its_contact_stays(store: Store) -> None:
    with store.transaction() as state:
        absorbed(state, row("v1", email=ANN, pageviews=1))
        absorbed(state, row("v1", email=BO, pageviews=2), row("v9", email=BO, pageviews=4), website="other")
        forget([found({ContactKey(EMAIL, ANN)}, state)], synced=BASIC_FIELDS, state=state, books=Books())

        (bo,) = state.ledger.due(after=0, most=9)
        assert (bo.contact.key.value, bo.contact.facts["pageviews"]) == (BO, 4)
        assert list(state.erasure.traces(["v1"])) == []


def test_an_address_that_others_state_too_is_not_taken_along(store: Store) -> None:
    with store.transaction() as state:
        state.links.replace(["501"], [Link("v1", "501", NOW)])
        absorbed(state, row("v1", email=BO), row("v2", email=BO))
        person = found({ContactKey(RECORD, "501")}, state)

        assert (person.visitors, person.shared) == ({"v1"}, {BO})
        forget([person], synced=BASIC_FIELDS, state=state, books=Books())

        assert addresses(state) == {BO}
        assert state.forgotten.among([ContactKey(EMAIL, BO), ContactKey(VISITOR, "v1")]) == {
            ContactKey(VISITOR, "v1")
        }


def test_who_only_states_the_address_is_found_by_reading_all_visitors(store: Store) -> None:
    with store.transaction() as state:
        state.links.replace(["777"], [Link("v2", "777", NOW)])
        absorbed(state, row("v1", email=ANN), row("v2", email=ANN))
        person = found({ContactKey(EMAIL, ANN)}, state)
        assert person.visitors == {"v1"}
        joined([person], state)

        assert person.visitors == {"v1", "v2"}
        assert len(person.contacts) == 1


def test_a_contact_that_is_in_flight_while_it_is_erased_is_not_written_again(store: Store) -> None:
    books = Books()
    with store.transaction() as state:
        absorbed(state, row("v1"))
        (due,) = state.ledger.due(after=0, most=9)
        renewed = stay_away({"v1"}, (), synced=BASIC_FIELDS, state=state, books=books)

    assert renewed == {due.contact_id: None}
    assert books.erased == {due.contact_id}
