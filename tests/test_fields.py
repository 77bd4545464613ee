"""The synced fields: rules with their laws, kinds, and what follows from a declaration."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from fakes import NOW
from hypothesis import given
from hypothesis import strategies as st

from etl.extract.rows import read_row
from etl.fields import BASIC, EVERYTHING, FIELDS, OWN, SETS, SyncedFields, selected
from etl.instants import microseconds
from etl.kinds import COUNT, COUNTRY, FLAG, INSTANT, KINDS, LONGEST_TEXT, NUMBER, PAGE, TEXT, Kind, UnfitError
from etl.models.contact import ContactKey, ContactKind
from etl.models.visitor import Rejection, Visitor
from etl.rules import JOINS, TIMED, People, Rows, combined
from etl.transform import contact, fingerprint, merge, properties

ALL = SyncedFields(FIELDS)
ANN = ContactKey(ContactKind.EMAIL, "ann@example.com")
ORDERED = st.tuples(st.integers(-3, 3), st.integers(0, 3))


def of_rule(rule: Rows) -> st.SearchStrategy[list[Any]]:
    """Three statements of one kind."""
    if rule is Rows.ANY:
        one = st.tuples(st.booleans(), st.integers(0, 3))
        return st.lists(one, min_size=3, max_size=3)
    texts = st.tuples(st.sampled_from("abc"), st.integers(0, 3))
    numbers = st.lists(ORDERED, min_size=3, max_size=3)
    return numbers | st.lists(texts, min_size=3, max_size=3) if rule in TIMED else numbers


@pytest.mark.parametrize("rule", list(Rows))
@given(st.data())
def test_a_rule_is_commutative_associative_and_idempotent(rule: Rows, data: st.DataObject) -> None:
    join = JOINS[rule]
    one, other, third = data.draw(of_rule(rule))
    kept = (
        slice(None) if rule in {Rows.LATEST, Rows.FIRST} else slice(1)
    )  # the others do not keep the instant

    assert join(one, other)[kept] == join(other, one)[kept]
    assert join(join(one, other), third)[kept] == join(one, join(other, third))[kept]
    assert join(one, one) == one


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_field_uses_a_proven_rule_that_fits_its_kind(field: Any) -> None:
    assert field.rows in JOINS
    assert field.rows in field.kind.rows
    assert field.people in field.kind.people


@pytest.mark.parametrize("rule", list(People))
@given(st.data())
def test_the_visitors_of_a_contact_come_in_any_order(rule: People, data: st.DataObject) -> None:
    value: st.SearchStrategy[Any] = st.booleans() if rule is People.ANY else st.integers(0, 3)
    statement = st.tuples(value, st.integers(0, 2), st.integers(0, 2))
    stated = data.draw(st.lists(statement, min_size=1, max_size=4))

    assert len({combined(rule, order) for order in permutations(stated)}) == 1


@given(st.lists(st.floats(-(2**53), 2**53) | st.integers(-(2**53), 2**53), min_size=1, max_size=4))
def test_a_sum_does_not_depend_on_the_order(values: list[float]) -> None:
    sums = {combined(People.SUM, [(value, 0, 0) for value in order]) for order in permutations(values)}
    assert len(sums) == 1


@pytest.mark.parametrize(
    ("values", "total"), [((0.1, 0.2), "0.3"), ((0.1, 0.2, 0.3), "0.6"), ((0.5, 0.5), "1"), ((3, 4), "7")]
)
def test_a_sum_is_of_the_numbers_as_they_are_written(values: tuple[float, ...], total: str) -> None:
    summed, _ = combined(People.SUM, [(value, 0, 0) for value in values])
    assert KINDS["number"].write(summed) == total


def test_every_kind_has_rules_that_fit_it() -> None:
    for kind in KINDS.values():
        assert kind.rows
        assert set(kind.rows) <= set(JOINS)
        assert kind.people


@pytest.mark.parametrize(
    ("kind", "said", "read", "written"),
    [
        (TEXT, " Bern ", "Bern", "Bern"),
        (TEXT, "a\tb\x00c\ud800", "abc", "abc"),
        (TEXT, 7, "7", "7"),
        (TEXT, True, "true", "true"),
        (TEXT, "n/a", None, None),
        (TEXT, "é" * (LONGEST_TEXT + 1), "é" * LONGEST_TEXT, "é" * LONGEST_TEXT),
        (PAGE, "/docs?mail=ann@example.com#top", "/docs", "/docs"),
        (PAGE, "https://example.com/#token?x", "https://example.com/", "https://example.com/"),
        (PAGE, "?utm=1", None, None),
        (COUNTRY, "Switzerland", "CH", "Switzerland"),
        (COUNTRY, "Atlantis", None, None),
        (NUMBER, "1,234.50", 1234.5, "1234.5"),
        (NUMBER, 61.0, 61, "61"),
        (NUMBER, -0.0000001, -1e-07, "-0.0000001"),
        (NUMBER, "null", None, None),
        (COUNT, "17.0", 17, "17"),
        (FLAG, True, True, "true"),
        (FLAG, "no", False, "false"),
        (FLAG, 1, True, "true"),
        (FLAG, "-", None, None),
        (INSTANT, "2026-02-07T13:00:00+01:00", microseconds(NOW), "2026-02-07T12:00:00.000Z"),
        (INSTANT, "none", None, None),
    ],
)
def test_what_a_kind_reads_and_writes(kind: Kind, said: Any, read: Any, written: str | None) -> None:
    value = kind.read(said)
    assert value == read
    assert value is None or (type(value) in kind.holds and kind.write(value) == written)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (TEXT, {"name": "Bern"}),
        (TEXT, ["Bern"]),
        (TEXT, math.inf),
        (PAGE, 7),
        (COUNTRY, 756),
        (NUMBER, "many"),
        (NUMBER, True),
        (NUMBER, math.nan),
        (NUMBER, 2**54),
        (COUNT, -1),
        (COUNT, 7.5),
        (FLAG, 2),
        (FLAG, "perhaps"),
        (FLAG, 0.5),
        (INSTANT, 1738929600),
        (INSTANT, "yesterday"),
        (INSTANT, "1970-01-01"),
    ],
)
def test_what_is_not_of_the_kind(kind: Kind, said: Any) -> None:
    with pytest.raises(UnfitError):
        kind.read(said)


def test_an_instant_that_no_clock_shows_is_not_written() -> None:
    assert INSTANT.write(2**62) is None


def test_sets_and_names_turn_fields_on() -> None:
    names = {field.name: field.property_name for field in FIELDS}
    policies = dict.fromkeys(names)

    def turned_on(*wanted: str) -> list[str]:
        return [field.name for field in selected(wanted, own=(), properties=names, policies=policies)]

    assert turned_on("basic") == [field.name for field in BASIC] == ["country", "last_seen", "pageviews"]
    assert turned_on("city", "scoring") == [
        field.name for field in FIELDS if field.member == "scoring" or field.name == "city"
    ]
    assert turned_on(EVERYTHING) == list(names)
    assert turned_on(*SETS) == list(names)
    assert turned_on(OWN) == []


def row(**stated: Any) -> Visitor:
    read = read_row(
        {"id": "v", "visited_at": NOW.isoformat(), **stated},
        since=NOW - timedelta(days=1),
        ceiling=NOW + timedelta(days=1),
        synced=ALL,
    )
    assert isinstance(read, Visitor)
    return read


def test_a_field_that_a_row_misstates_is_a_rejection_that_quotes_nothing() -> None:
    stated = {"id": "v", "visited_at": NOW.isoformat(), "city": {"of": "ann@example.com"}}
    since, ceiling = NOW - timedelta(days=1), NOW + timedelta(days=1)

    refused = read_row(stated, since=since, ceiling=ceiling, synced=ALL)
    assert isinstance(refused, Rejection)
    assert (refused.code, refused.reason) == ("bad_city", "What the row says of city is not a text.")
    assert isinstance(
        read_row(stated, since=since, ceiling=ceiling), Visitor
    )  # a field that is off is not read


ROWS_OF_ONE = st.builds(
    lambda at, **stated: row(visited_at=(NOW + at * timedelta(milliseconds=1)).isoformat(), **stated),
    st.integers(0, 3),
    landing_page=st.sampled_from([None, "/a", "/b"]),
    value_score=st.none() | st.integers(0, 2),
    had_interaction=st.none() | st.booleans(),
    city=st.sampled_from([None, "Bern", "Genf"]),
)


@pytest.mark.parametrize("synced", [ALL, SyncedFields()], ids=["on", "off"])
@given(st.lists(ROWS_OF_ONE, min_size=3, max_size=3))
def test_visitors_merge_in_any_order_whether_a_field_is_on_or_off(
    synced: SyncedFields, rows: list[Visitor]
) -> None:
    one, other, third = rows
    both = merge(one, other, synced)

    assert both == merge(other, one, synced)
    assert merge(both, third, synced) == merge(one, merge(other, third, synced), synced)
    assert merge(both, one, synced) == merge(one, both, synced) == both


def test_the_first_touch_stays_and_the_last_moves_on() -> None:
    hour = timedelta(hours=1)
    rows = [
        row(visited_at=(NOW + at * hour).isoformat(), landing_page=page, had_interaction=engaged)
        for at, page, engaged in [
            (0, "/a", False),
            (-2, "/first", None),
            (2, None, True),
            (1, "/last", False),
        ]
    ]
    for order in permutations(rows):
        facts = reduce(lambda one, other: merge(one, other, ALL), order).facts
        assert (facts["first_page"], facts["last_page"], facts["engaged"]) == ("/first", "/last", True)
        assert facts["first_seen"] == microseconds(NOW - 2 * hour)
        assert facts["last_page@"] == microseconds(NOW + hour)


def test_a_fact_of_a_field_that_is_off_stays_as_it_was() -> None:
    known = row(city="Bern", value_score=7)
    later = row(visited_at=(NOW + timedelta(hours=1)).isoformat())._replace(facts={})

    merged = merge(known, later)
    assert merged.facts["city"] == "Bern"
    assert merge(merged, row(city="Genf"), ALL).facts["city"] == "Bern"  # said at the same instant
    assert contact(ANN, [merged]).facts.keys() == {"last_seen"}


def test_a_fact_that_was_kept_as_another_kind_counts_for_nothing() -> None:
    before = row()._replace(facts={"value_score": "high", "city": 7})

    assert properties(contact(ANN, [before], ALL), ALL) == {}
    assert contact(ANN, [before, row(city="Bern")], ALL).facts["city"] == "Bern"
    assert merge(before, row(value_score=3), ALL).facts["value_score"] == 3


def test_a_field_that_nobody_states_leaves_no_trace_in_the_fingerprint() -> None:
    basic = contact(ANN, [row(country="CH")])
    everything = contact(ANN, [row(country="CH", city="Bern")], ALL)

    assert fingerprint(contact(ANN, [row(country="CH")._replace(facts=basic.facts)], ALL)) == fingerprint(
        basic
    )
    assert fingerprint(everything) != fingerprint(basic)


def test_no_text_can_pass_for_another_field() -> None:
    one = contact(ANN, [row(city='Bern","os":"Linux')], ALL)
    other = contact(ANN, [row(city="Bern", os="Linux")], ALL)

    assert fingerprint(one) != fingerprint(other)


def test_everything_that_is_known_is_sent_under_its_property() -> None:
    stated = {
        "country_code": "CH",
        "pageviews": 3,
        "landing_page": "/docs?x=1",
        "referrer": "https://example.com/#y",
        "value_score": 61,
        "had_interaction": True,
        "city": "Bern",
        "device_type": "desktop",
        "browser": "Firefox",
        "os": "Linux",
    }
    assert properties(contact(ANN, [row(**stated)], ALL), ALL) == {
        "country": "Switzerland",
        "zenovay_last_seen": "2026-02-07T12:00:00.000Z",
        "zenovay_pageviews": "3",
        "zenovay_first_seen": "2026-02-07T12:00:00.000Z",
        "zenovay_first_page": "/docs",
        "zenovay_first_referrer": "https://example.com/",
        "zenovay_last_page": "/docs",
        "zenovay_last_referrer": "https://example.com/",
        "zenovay_value_score": "61",
        "zenovay_engaged": "true",
        "zenovay_city": "Bern",
        "zenovay_device": "desktop",
        "zenovay_browser": "Firefox",
        "zenovay_os": "Linux",
    }
