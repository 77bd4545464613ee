"""Visitors become contacts: the laws, and the table of what is sent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING

import pytest
from fakes import NOW, facts, modelled, row
from hypothesis import given
from hypothesis import strategies as st
from strategies import ROWS, ROWS_OF_ONE

from etl.fields import BASIC_FIELDS, SyncedFields
from etl.instants import written
from etl.models.contact import Contact, ContactKey, ContactKind
from etl.transform import (
    contact,
    contact_key,
    fingerprint,
    is_due,
    is_wanted,
    merge,
    merge_all,
    name_properties,
    properties,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.models.visitor import Visitor

EARLIER = NOW - timedelta(hours=1)
LATER = NOW + timedelta(hours=1)
ANN = ContactKey(ContactKind.EMAIL, "ann@example.com")
NOBODY = ContactKey(ContactKind.VISITOR, "0123456789abcdef")

MERGED = st.lists(ROWS_OF_ONE, min_size=1, max_size=3).map(lambda rows: reduce(merge, rows))
CONTACTS = st.builds(
    lambda at, country, pageviews: Contact(ANN, facts(at, country=country, pageviews=pageviews)),
    st.integers(0, 3).map(lambda step: NOW + timedelta(microseconds=500 * step)),
    st.sampled_from([None, "FR", "KR"]),
    st.none() | st.integers(0, 2),
)


def person(key: ContactKey, at: datetime, country: str | None, pageviews: int | None) -> Contact:
    return Contact(key, facts(at, country=country, pageviews=pageviews))


def contacts_of(rows: Iterable[Visitor]) -> list[Contact]:
    people: defaultdict[ContactKey, list[Visitor]] = defaultdict(list)
    for visitor in merge_all({}, rows).values():
        if is_wanted(visitor, anonymous=True):
            people[contact_key(visitor)].append(visitor)
    return [contact(key, visitors) for key, visitors in people.items()]


def sent(rows: Iterable[Visitor]) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (
            "email" if each.key.kind is ContactKind.EMAIL else "zenovay_visitor_id",
            each.key.value,
        ): properties(each) | (name_properties(each.key) if each.key.kind is ContactKind.VISITOR else {})
        for each in contacts_of(rows)
    }


@given(MERGED, MERGED)
def test_merging_does_not_mind_which_comes_first(one: Visitor, other: Visitor) -> None:
    assert merge(one, other) == merge(other, one)


@given(MERGED, MERGED, MERGED)
def test_merging_does_not_mind_what_is_merged_first(a: Visitor, b: Visitor, c: Visitor) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(MERGED, MERGED)
def test_merging_again_changes_nothing(one: Visitor, other: Visitor) -> None:
    both = merge(one, other)

    assert merge(one, one) == one
    assert merge(both, one) == merge(both, other) == both


@given(st.data(), st.lists(ROWS, max_size=8))
def test_any_order_and_repetition_of_rows_gives_the_same_contacts(
    data: st.DataObject, rows: list[Visitor]
) -> None:
    repeated = rows + data.draw(st.lists(st.sampled_from(rows), max_size=4) if rows else st.just([]))
    shuffled = data.draw(st.permutations(repeated))

    assert sent(shuffled) == sent(rows) == modelled(rows)


@given(st.data(), st.lists(ROWS, max_size=8), st.integers(0, 8))
def test_rows_may_be_merged_onto_what_was_known(data: st.DataObject, rows: list[Visitor], cut: int) -> None:
    known = merge_all({}, rows[:cut])

    assert {**known, **merge_all(known, rows[cut:])} == merge_all({}, rows)


@given(CONTACTS, CONTACTS)
def test_the_fingerprint_changes_exactly_when_what_is_sent_changes(one: Contact, other: Contact) -> None:
    same_properties = properties(one) == properties(other)

    assert (fingerprint(one) == fingerprint(other)) == same_properties


def test_the_fingerprint_of_today_is_the_fingerprint_of_tomorrow() -> None:
    """Were it otherwise, an upgrade would send every contact once more."""
    assert fingerprint(person(ANN, NOW, "KR", 7)).hex() == "aafe90c2ad1bd88aa4a8193e9a3eaf45"


@pytest.mark.parametrize(
    ("rows", "country"),
    [
        pytest.param([row("v", EARLIER, country="FR"), row("v", LATER)], "FR", id="null does not replace"),
        pytest.param([row("v", EARLIER, country="FR"), row("v", LATER, country="KR")], "KR", id="later wins"),
        pytest.param([row("v", country="KR"), row("v", country="FR")], "FR", id="ties: alphabetically first"),
        pytest.param([row("v"), row("v", LATER)], None, id="nobody knows"),
    ],
)
def test_the_country_is_that_of_the_latest_row_that_states_one(
    rows: list[Visitor], country: str | None
) -> None:
    assert reduce(merge, rows).facts.get("country") == country


@pytest.mark.parametrize(
    ("said", "out"),
    [
        pytest.param([(EARLIER, True), (LATER, None)], True, id="silence lifts nothing"),
        pytest.param([(EARLIER, True), (LATER, False)], False, id="an explicit no lifts it"),
        pytest.param([(EARLIER, False), (LATER, True)], True, id="an explicit yes counts"),
        pytest.param([(EARLIER, True), (NOW, False), (LATER, True)], True, id="the latest word counts"),
        pytest.param([(NOW, False), (NOW, True)], True, id="in doubt, out"),
        pytest.param([(NOW, None)], None, id="nothing said"),
    ],
)
def test_an_opt_out_is_lifted_only_explicitly(
    *, said: list[tuple[datetime, bool | None]], out: bool | None
) -> None:
    merged = reduce(merge, [row("v", at, opted_out=word) for at, word in said])

    assert merged.opted_out is out
    assert is_wanted(merged, anonymous=True) is not out


def test_a_contact_adds_up_its_visitors() -> None:
    phone = row("phone", LATER, pageviews=3)
    laptop = row("laptop", NOW, country="KR", pageviews=4)
    tablet = row("tablet", EARLIER, country="FR")

    assert contact(ANN, [phone, laptop, tablet]) == person(ANN, LATER, "KR", 7)


def test_of_two_visitors_seen_at_once_the_alphabetically_first_country_counts() -> None:
    assert contact(ANN, [row("a", country="KR"), row("b", country="DE")]).facts["country"] == "DE"


def test_a_latest_visitor_counts_by_when_it_was_seen_and_not_by_when_its_country_was() -> None:
    roaming = merge(row("a", EARLIER, country="FR"), row("a", LATER))

    assert contact(ANN, [roaming, row("b", NOW, country="KR")]).facts["country"] == "FR"


def test_page_views_that_nobody_knows_are_unknown_and_zero_is_not() -> None:
    assert "pageviews" not in contact(ANN, [row("a"), row("b")]).facts
    assert contact(ANN, [row("a"), row("b", pageviews=0)]).facts["pageviews"] == 0


SEEN = {"zenovay_last_seen": "2026-02-07T12:00:00.000Z"}


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        pytest.param(
            person(ANN, NOW, "KR", 7),
            SEEN | {"country": "South Korea", "zenovay_pageviews": "7"},
            id="an address",
        ),
        pytest.param(person(ANN, NOW, None, None), SEEN, id="what is not known is left out"),
        pytest.param(person(ANN, NOW, None, 0), SEEN | {"zenovay_pageviews": "0"}, id="zero is known"),
        pytest.param(
            person(NOBODY, NOW, None, None),
            SEEN | {"zenovay_visitor_id": "0123456789abcdef"},
            id="the visitor id, on anonymous contacts alone",
        ),
        pytest.param(
            person(ANN, NOW + timedelta(microseconds=123_999), None, None),
            {"zenovay_last_seen": "2026-02-07T12:00:00.123Z"},
            id="milliseconds",
        ),
    ],
)
def test_what_is_sent(wanted: Contact, texts: dict[str, str]) -> None:
    assert properties(wanted) == texts


def test_properties_go_under_the_names_that_were_chosen() -> None:
    names = {"country": "land", "last_seen": "seen", "pageviews": "views"}
    renamed = [replace(field, property_name=names[field.name]) for field in BASIC_FIELDS.fields]

    wanted = person(NOBODY, NOW, "FR", 1)
    sent = properties(wanted, SyncedFields(renamed, visitor_id="visitor"))
    assert sent.keys() == {
        "land",
        "seen",
        "views",
        "visitor",
    }


def test_a_name_is_made_of_the_key_and_never_of_a_whole_address() -> None:
    assert name_properties(NOBODY) == {"firstname": "Visitor", "lastname": "01234567"}
    assert name_properties(ANN) == {"firstname": "Visitor", "lastname": "ann"}
    assert name_properties(ContactKey(ContactKind.RECORD, "501")) == {}


@pytest.mark.parametrize(
    ("visitor", "anonymous", "wanted"),
    [
        (row("v"), True, True),
        (row("v"), False, False),
        (row("v", email="ann@example.com"), False, True),
        (row("v", email="ann@example.com", opted_out=True), True, False),
        (row("v", email="ann@example.com", opted_out=False), False, True),
    ],
)
def test_who_is_wanted(visitor: Visitor, *, anonymous: bool, wanted: bool) -> None:
    assert is_wanted(visitor, anonymous=anonymous) is wanted


@pytest.mark.parametrize(
    ("wanted", "confirmed", "refused", "blocked", "due"),
    [
        (b"new", None, None, False, True),
        (b"new", b"old", None, False, True),
        (b"new", b"new", None, False, False),
        (b"new", None, b"new", False, False),
        (b"new", None, b"old", False, True),
        (b"new", None, b"old", True, False),
        (None, b"old", None, False, False),
    ],
)
def test_what_is_due(
    *, wanted: bytes | None, confirmed: bytes | None, refused: bytes | None, blocked: bool, due: bool
) -> None:
    assert is_due(wanted=wanted, confirmed=confirmed, refused=refused, blocked=blocked) is due


@given(st.datetimes(timezones=st.timezones(), min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)))  # noqa: DTZ001 -- hypothesis adds the zone
def test_an_instant_is_written_as_isoformat_writes_it(instant: datetime) -> None:
    expected = instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert written(instant) == expected
