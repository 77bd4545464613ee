"""Pages become visitors and contacts in the state, however the rows were cut and shuffled."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from fakes import NOW, FakeClock, facts, modelled, opened, page, row
from hypothesis import given
from hypothesis import strategies as st
from strategies import ROWS

from etl.fields import BASIC_FIELDS
from etl.models.summary import RowCounts
from etl.models.verdict import Outcome, Verdict
from etl.pipeline import Order
from etl.pipeline.absorb import absorb
from etl.pipeline.backlog import Backlog
from etl.pipeline.books import Books
from etl.transform import name_properties, properties

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl.models.contact import DueContact
    from etl.models.reading import Page
    from etl.models.visitor import Visitor
    from etl.state.store import Store

EARLIER = NOW - timedelta(hours=1)
LATER = NOW + timedelta(hours=1)
ANN = "ann@example.com"
BOB = "bob@example.com"


@pytest.fixture(scope="module")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state database that nothing was written to."""
    path = tmp_path_factory.mktemp("empty") / "state.db"
    with opened(f"sqlite:///{path}", FakeClock()):
        pass
    return path


@contextmanager
def copy_of(empty: Path) -> Iterator[Store]:
    with TemporaryDirectory() as folder:
        path = shutil.copy(empty, folder)
        with opened(f"sqlite:///{path}", FakeClock()) as store:
            yield store


@pytest.fixture
def store(empty_state: Path) -> Iterator[Store]:
    with copy_of(empty_state) as store:
        yield store


def absorbed(store: Store, pages: list[Page], *, website: str = "site", anonymous: bool = True) -> Books:
    """Absorb pages, each in a transaction of its own; the books agree with the ledger after each."""
    books = Books()
    with store.transaction() as state:
        website_id = state.runs.website(website).id
        for contact_id in state.ledger.due_ids():
            books.carry_over(contact_id)
    for each in pages:
        with store.transaction() as state:
            absorb(
                each,
                website_id=website_id,
                anonymous=anonymous,
                synced=BASIC_FIELDS,
                state=state,
                books=books,
            )
            books.balance(due=state.ledger.due_count())
    return books


def answer_all(store: Store, outcome: Outcome) -> None:
    """HubSpot says the same of everything that is due."""
    with store.transaction() as state:
        backlog = Backlog(Order("run", "incremental", "site"))
        backlog.look(state.ledger, flush=True)
        batch = backlog.next_batch(flush=True)
        state.ledger.settle([(each, Verdict(each.contact_id, outcome)) for each in batch])


def due(store: Store) -> list[DueContact]:
    with store.reading() as state:
        return state.ledger.due(after=0, most=1000)


def wanted_of_crm(store: Store) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (
            "email" if each.contact.key.kind == "email" else "zenovay_visitor_id",
            each.contact.key.value,
        ): properties(each.contact)
        | (name_properties(each.contact.key) if each.contact.key.kind == "visitor" else {})
        for each in due(store)
    }


@given(st.data(), st.lists(ROWS, max_size=10))
def test_any_cut_order_and_repetition_gives_the_contacts_of_one_page(
    empty_state: Path, data: st.DataObject, rows: list[Visitor]
) -> None:
    repeated = rows + data.draw(st.lists(st.sampled_from(rows), max_size=4) if rows else st.just([]))
    shuffled = data.draw(st.permutations(repeated))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    pages = [page(*shuffled[start:end]) for start, end in pairwise([0, *cuts, len(shuffled)])]

    with copy_of(empty_state) as store:
        absorbed(store, pages)
        assert wanted_of_crm(store) == modelled(rows)


def test_rows_are_counted_by_what_became_of_their_visitors(store: Store) -> None:
    books = absorbed(
        store,
        [
            page(
                row("known", email=ANN),
                row("known", LATER, email=ANN),
                row("nameless"),
                row("out", email=BOB, opted_out=True),
                row("out", LATER),
                out_of_window=3,
            )
        ],
        anonymous=False,
    )

    assert books.rows == RowCounts(read=8, accepted=2, out_of_window=3, anonymous=1, opted_out=2)
    assert books.contacts().touched == 1


def test_reading_a_page_again_makes_nothing_due_and_touches_its_contacts(store: Store) -> None:
    rows = page(row("a", email=ANN), row("b"))
    absorbed(store, [rows])
    before = due(store)
    books = absorbed(store, [rows])

    assert due(store) == before
    assert (books.contacts().touched, books.contacts().carried_over) == (2, 0)


def test_visitors_of_two_websites_with_one_address_are_one_contact(store: Store) -> None:
    absorbed(store, [page(row("a", EARLIER, email=ANN, country="FR", pageviews=2))], website="one")
    absorbed(store, [page(row("a", LATER, email=ANN, pageviews=5))], website="two")

    (contact,) = (each.contact for each in due(store))
    assert contact.facts == facts(LATER, country="FR", pageviews=7)


def test_a_visitor_who_becomes_known_moves_to_the_contact_of_the_address(store: Store) -> None:
    absorbed(store, [page(row("a", EARLIER, pageviews=2))])
    absorbed(store, [page(row("a", NOW, email=ANN, pageviews=3))])

    assert [(each.contact.key.value, each.contact.facts["pageviews"]) for each in due(store)] == [(ANN, 3)]


def test_a_visitor_who_changes_the_address_leaves_the_others_of_the_old_one_behind(store: Store) -> None:
    absorbed(store, [page(row("a", email=ANN, pageviews=2), row("b", email=ANN, pageviews=40))])
    absorbed(store, [page(row("b", LATER, email=BOB))])

    views = {each.contact.key.value: each.contact.facts["pageviews"] for each in due(store)}
    assert views == {ANN: 2, BOB: 40}


def test_a_visitor_who_opts_out_is_no_longer_due(store: Store) -> None:
    absorbed(store, [page(row("a", email=ANN))])
    books = absorbed(store, [page(row("a", LATER, opted_out=True))])

    assert due(store) == []
    assert (books.contacts().touched, books.contacts().carried_over) == (0, 0)


def test_a_visitor_who_opts_in_again_is_due_again(store: Store) -> None:
    absorbed(store, [page(row("a", EARLIER, email=ANN, opted_out=True))])
    absorbed(store, [page(row("a", LATER, opted_out=False))])

    assert [each.contact.key.value for each in due(store)] == [ANN]


def test_a_contact_that_a_visitor_joins_and_leaves_again_balances(store: Store) -> None:
    """It was due for the visitor who came; with the visitor gone HubSpot holds what it should."""
    absorbed(store, [page(row("a", email=ANN, pageviews=2))])
    answer_all(store, Outcome.CREATED)
    absorbed(store, [page(row("b", email=ANN, pageviews=40))])

    absorbed(store, [page(row("b", LATER, email=BOB))])


def test_a_contact_that_was_due_for_a_visitor_who_left_balances_within_one_run(store: Store) -> None:
    absorbed(store, [page(row("a", email=ANN, pageviews=2))])
    answer_all(store, Outcome.CREATED)

    absorbed(store, [page(row("b", email=ANN, pageviews=40)), page(row("b", LATER, email=BOB))])


def test_a_contact_that_is_again_what_hubspot_refused_balances(store: Store) -> None:
    absorbed(store, [page(row("a", email=ANN, pageviews=2))])
    answer_all(store, Outcome.REJECTED)
    absorbed(store, [page(row("b", email=ANN, pageviews=40))])

    absorbed(store, [page(row("b", LATER, email=BOB))])

    assert [each.contact.key.value for each in due(store)] == [BOB]


def test_a_contact_of_two_websites_balances_once_nameless_ones_are_no_longer_sent(sqlite_url: str) -> None:
    with opened(sqlite_url, FakeClock()) as store:
        absorbed(store, [page(row("a", pageviews=2))], website="one")
        absorbed(store, [page(row("a", pageviews=40))], website="two")
        answer_all(store, Outcome.CREATED)

    with opened(sqlite_url, FakeClock(), anonymous=False) as store:
        absorbed(store, [page(row("a", LATER))], website="one", anonymous=False)

        assert due(store) == []
