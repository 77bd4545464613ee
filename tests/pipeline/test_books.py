"""Counting each contact once, by its last verdict."""

from __future__ import annotations

import pytest

from etl.errors import BooksDoNotBalanceError
from etl.models.summary import ContactCounts, RowCounts
from etl.models.verdict import Outcome, Verdict
from etl.pipeline.books import Books


@pytest.fixture
def books() -> Books:
    return Books()


def settle(books: Books, contact_id: int, outcome: Outcome, *, due_again: bool = False) -> None:
    books.settle([Verdict(contact_id, outcome)], due={contact_id} if due_again else set())


def test_books_that_were_never_written_in_balance(books: Books) -> None:
    books.balance(due=0)
    assert books.contacts() == ContactCounts()


def test_a_due_contact_is_deferred_until_a_verdict_says_otherwise(books: Books) -> None:
    books.touch(1, due=True)
    assert books.contacts() == ContactCounts(touched=1, deferred=1)
    books.balance(due=1)

    settle(books, 1, Outcome.CREATED)
    assert books.contacts() == ContactCounts(touched=1, created=1)
    books.balance(due=0)


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (Outcome.CREATED, ContactCounts(touched=1, created=1)),
        (Outcome.UPDATED, ContactCounts(touched=1, updated=1)),
        (Outcome.REJECTED, ContactCounts(touched=1, rejected=1)),
        (Outcome.DEFERRED, ContactCounts(touched=1, deferred=1)),
    ],
)
def test_every_verdict_has_its_column(books: Books, outcome: Outcome, counts: ContactCounts) -> None:
    books.touch(1, due=True)
    settle(books, 1, outcome)

    assert books.contacts() == counts
    assert books.newly_rejected == (outcome is Outcome.REJECTED)


def test_the_last_verdict_counts(books: Books) -> None:
    books.touch(1, due=True)
    settle(books, 1, Outcome.UPDATED, due_again=True)
    assert books.contacts() == ContactCounts(touched=1, deferred=1)

    settle(books, 1, Outcome.REJECTED)
    assert books.contacts() == ContactCounts(touched=1, rejected=1)


@pytest.mark.parametrize("later", [Outcome.UPDATED, Outcome.REJECTED, Outcome.CREATED])
@pytest.mark.parametrize("in_flight", [True, False], ids=["while in flight", "after its verdict"])
def test_what_was_created_in_this_run_stays_created(books: Books, later: Outcome, *, in_flight: bool) -> None:
    books.touch(1, due=True)
    settle(books, 1, Outcome.CREATED, due_again=in_flight)
    books.touch(1, due=True)
    assert books.contacts() == ContactCounts(touched=1, deferred=1)
    books.balance(due=1)

    settle(books, 1, later)
    assert books.contacts() == ContactCounts(touched=1, created=1)
    books.balance(due=0)


def test_a_created_contact_that_is_due_once_more_in_vain_stays_created(books: Books) -> None:
    books.touch(1, due=True)
    settle(books, 1, Outcome.CREATED)
    for number in range(2):
        books.touch(1, due=True)
        books.touch(1, due=False) if number else books.relieve(1)
        assert books.contacts() == ContactCounts(touched=1, created=1)


def test_a_verdict_stays_when_a_row_says_nothing_new(books: Books) -> None:
    books.touch(1, due=True)
    settle(books, 1, Outcome.CREATED)
    books.touch(1, due=False)

    assert books.contacts() == ContactCounts(touched=1, created=1)


def test_a_contact_that_was_due_before_and_is_touched_counts_as_touched(books: Books) -> None:
    books.carry_over(1)
    books.carry_over(2)
    books.touch(2, due=True)

    assert books.contacts() == ContactCounts(touched=1, carried_over=1, deferred=2)


def test_a_contact_that_is_no_longer_wanted_counts_nowhere_whatever_hubspot_says(books: Books) -> None:
    books.carry_over(1)
    books.forget(1)
    settle(books, 1, Outcome.UPDATED)

    assert books.contacts() == ContactCounts()


def test_contacts_with_large_ids_count_like_others(books: Books) -> None:
    books.touch(1_000_000, due=False)
    books.touch(1, due=False)

    assert books.contacts() == ContactCounts(touched=2, unchanged=2)


@pytest.mark.parametrize("column", ["accepted", "out_of_window", "anonymous", "opted_out", "rejected"])
def test_rows_balance_in_every_column(books: Books, column: str) -> None:
    books.rows = RowCounts(read=3, **{column: 3})
    books.balance(due=0)

    books.rows = RowCounts(read=4, **{column: 3})
    with pytest.raises(BooksDoNotBalanceError, match="4 rows were read, 3 are accounted for"):
        books.balance(due=0)


def test_books_that_contradict_the_ledger_do_not_balance(books: Books) -> None:
    books.touch(1, due=True)

    with pytest.raises(BooksDoNotBalanceError, match="1 contacts are deferred, the ledger says 2"):
        books.balance(due=2)
