"""Rows: every row is a visitor, a rejection with its reason, or outside the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import facts
from hypothesis import example, given
from hypothesis import strategies as st

from etl.extract.rows import digest, read_row
from etl.jsontext import parse
from etl.models.visitor import Rejection, Visitor

SINCE = datetime(2026, 2, 7, tzinfo=UTC)
CEILING = datetime(2026, 2, 8, tzinfo=UTC)
SEEN = datetime(2026, 2, 7, 8, 5, tzinfo=UTC)
ROW: dict[str, Any] = {"id": "v1", "visited_at": "2026-02-07T08:05:00.000Z"}

DOCUMENTED: dict[str, Any] = {
    "id": "v9f0c1d2-3344-4a5b-8c6d-7e8f90a1b2c3",
    "country_code": "CH",
    "country_name": "Switzerland",
    "city": "Bern",
    "device_type": "desktop",
    "browser": "Firefox",
    "os": "Linux",
    "value_score": 61,
    "visited_at": "2026-02-07T08:05:00.000Z",
    "landing_page": "/docs",
    "referrer": None,
    "had_interaction": True,
}


def read(row: Any) -> Visitor | Rejection | None:
    return read_row(row, since=SINCE, ceiling=CEILING)


def visitor(**fields: Any) -> Visitor:
    seen = read(ROW | fields)
    assert isinstance(seen, Visitor), seen
    return seen


def rejection(row: Any) -> Rejection:
    seen = read(row)
    assert isinstance(seen, Rejection), seen
    return seen


def test_the_documented_row_is_a_visitor_without_an_address_or_page_views() -> None:
    assert read(DOCUMENTED) == Visitor(DOCUMENTED["id"], SEEN, facts(SEEN, country="CH"))


def test_the_row_of_the_integration_guide_is_a_visitor() -> None:
    row: Any = {"id": "v1", "country": "Switzerland", "last_seen": "2026-02-07T08:05:00Z", "pageviews": 7}
    assert read(row) == Visitor("v1", SEEN, facts(SEEN, country="CH", pageviews=7))


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-07T08:05:00Z",
        "2026-02-07T08:05:00.000Z",
        "2026-02-07T08:05:00",
        "2026-02-07 08:05",
        " 2026-02-07t08:05:00z ",
        "2026-02-07T09:05:00+01:00",
        "2026-02-06T22:05:00-10:00",
        "2026-02-07T08:05:00.000000000+00:00",
        "20260207T080500Z",
        "20260207t0805z",
    ],
)
def test_last_seen_is_iso_8601_and_utc_where_no_offset_is_given(text: str) -> None:
    seen = visitor(visited_at=text)
    assert seen.last_seen == SEEN
    assert seen.last_seen.tzinfo is UTC


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"last_seen": "2026-02-07T10:00:00Z"}, SEEN.replace(hour=10, minute=0)),
        ({"last_seen": None}, SEEN),
    ],
)
def test_last_seen_goes_before_visited_at(fields: dict[str, Any], expected: datetime) -> None:
    assert visitor(**fields).last_seen == expected


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("2026-02-06T23:59:59.999999Z", False),
        ("2026-02-07T00:00:00Z", True),
        ("2026-02-07T23:59:59.999999Z", True),
        ("2026-02-08T00:00:00Z", False),
        ("2000-01-01T00:00:00Z", False),
        ("9999-12-31T23:59:59.999999Z", False),
    ],
)
def test_the_window_holds_its_start_and_not_its_ceiling(text: str, *, inside: bool) -> None:
    assert (read(ROW | {"visited_at": text}) is not None) == inside


def test_a_row_outside_the_window_is_not_rejected_whatever_else_is_wrong_with_it() -> None:
    assert read({"visited_at": "2026-01-01", "id": 7, "email": 7, "gpc_opted_out": 7}) is None


@pytest.mark.parametrize(
    ("row", "code", "reason"),
    [
        (None, "not_an_object", "not a JSON object"),
        ("v1", "not_an_object", "not a JSON object"),
        ([], "not_an_object", "not a JSON object"),
        ({}, "no_last_seen", "no last-seen time"),
        ({"id": "v1", "last_seen": None, "visited_at": None}, "no_last_seen", "no last-seen time"),
        (ROW | {"visited_at": ""}, "bad_last_seen", "cannot be read; expected ISO 8601"),
        (ROW | {"visited_at": "yesterday"}, "bad_last_seen", "time cannot be read"),
        (ROW | {"visited_at": "2026-02-30"}, "bad_last_seen", 'time "2026-02-30" cannot be read'),
        (ROW | {"visited_at": "0001-01-01T00:00:00+14:00"}, "bad_last_seen", "cannot be read"),
        (ROW | {"visited_at": "9999-12-31T23:59:59-14:00"}, "bad_last_seen", "cannot be read"),
        (ROW | {"visited_at": "9" * 100_000}, "bad_last_seen", "time cannot be read"),
        (ROW | {"visited_at": "\ud800"}, "bad_last_seen", "time cannot be read"),
        (ROW | {"visited_at": 1770451500}, "bad_last_seen", "not a text"),
        (ROW | {"id": None}, "no_id", "no visitor id"),
        (ROW | {"id": " \n "}, "no_id", "blank"),
        (ROW | {"id": 7}, "bad_id", "not a text"),
        (ROW | {"id": ["v1"]}, "bad_id", "not a text"),
        (ROW | {"id": "v\x001"}, "control_character", "visitor id holds a control"),
        (ROW | {"id": "v\x851"}, "control_character", "visitor id holds a control"),
        (ROW | {"id": "v\ud800"}, "bad_id", "surrogate"),
        (ROW | {"id": "v\ufffd1"}, "bad_id", "a byte that is no character"),
        (ROW | {"email": "anna\ufffd@example.com"}, "bad_email", "a byte that is no character"),
        *(
            (ROW | {"id": nobody}, "no_id", "word for nothing")
            for nobody in ("null", "undefined", "None", "NaN", "-", " N/A ")
        ),
        *(
            (ROW | {"visited_at": text}, "bad_last_seen", "cannot be read; expected ISO 8601")
            for text in (
                "1712012310234",
                "1712012310",
                "17120123102",
                "1712012310.234",
                "20260207",
                "202602070805",
                "2026-W06",
                "2026-W06-6",
                "2026W066",
                "2026-02-07108:05:00",
                "2026-02-07X08:05:00",
                "20260207108:05",
                "2026",
            )
        ),
        *(
            (ROW | {"visited_at": text}, "bad_last_seen", "lies before the year 2000")
            for text in ("0001-01-01T00:00:00Z", "1712-01-23", "1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z")
        ),
        (ROW | {"id": "v" * 513}, "text_too_long", "visitor id is longer than 512"),
        (ROW | {"gpc_opted_out": "true"}, "bad_opt_out", "neither true, false nor null"),
        (ROW | {"gpc_opted_out": 1}, "bad_opt_out", "neither true, false nor null"),
        (ROW | {"country_code": 756}, "bad_country", "not a text"),
        (ROW | {"country": {"code": "CH"}}, "bad_country", "not a text"),
        (ROW | {"email": 7}, "bad_email", "not a text"),
        (ROW | {"email": ["anna@example.com"]}, "bad_email", "not a text"),
        (ROW | {"email": "anna\n@example.com"}, "control_character", "address holds a control"),
        (ROW | {"email": "anna\udfff@example.com"}, "bad_email", "surrogate"),
        (ROW | {"email": "a" * 65_537}, "text_too_long", "address is longer"),
        *(
            (ROW | {"pageviews": views}, "bad_pageviews", "not a whole number")
            for views in (
                True,
                -1,
                1.5,
                float("nan"),
                float("inf"),
                2**53 + 1,
                1e300,
                "12,34",
                "1.234,0",
                "1 234",
                "7.5",
                "-1",
                "½",
                "²",
            )
        ),
        (ROW | {"pageviews": "9" * 5000}, "bad_pageviews", "not a whole number"),
        (ROW | {"pageviews": [7]}, "bad_pageviews", "not a whole number"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_rejections_say_why(row: Any, code: str, reason: str) -> None:
    refused = rejection(row)
    assert (refused.code, reason in refused.reason) == (code, True), refused
    assert refused.reason.endswith(".")


def test_a_rejection_is_named_by_its_id_and_else_by_its_digest() -> None:
    assert rejection(ROW | {"email": 7}).key == "v1"
    assert rejection(ROW | {"id": "v" * 300, "email": 7}).key == "v" * 200
    nameless = rejection(ROW | {"id": 7})
    assert nameless.key == f"row {nameless.digest.hex()[:12]}"
    assert len(nameless.digest) == 16


def test_the_digest_tells_contents_apart_and_not_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_row_nested_deeper_than_can_be_written_again_has_a_digest_of_its_surface() -> None:
    deep = parse(b"[" * 1000 + b"]" * 1000)
    assert read(ROW | {"traits": deep}) == Visitor("v1", SEEN, facts(SEEN))
    refused = rejection(ROW | {"traits": deep, "email": 7})
    assert refused.digest == rejection(ROW | {"traits": parse(b"[" * 1020 + b"]" * 1020), "email": 7}).digest
    assert refused.digest != rejection(ROW | {"traits": deep, "email": 8}).digest


def test_the_reason_quotes_no_address() -> None:
    for text in ("anna@example.com", "2026-02-07 anna@example.com", "1 " * 100):
        assert rejection(ROW | {"visited_at": text}).reason.count('"') == 0


@pytest.mark.parametrize(
    ("fields", "country"),
    [
        ({"country_code": "ch"}, "CH"),
        ({"country_code": None, "country": "Switzerland", "country_name": "France"}, "CH"),
        ({"country_name": "FRANCE"}, "FR"),
        *(
            ({"country_code": code, "country_name": "France"}, "FR")
            for code in ("XX", "T1", "", "-", "ZZ", "EU", 250, ["FR"])
        ),
        ({"country_code": "XX", "country": "Atlantis", "country_name": "France"}, "FR"),
        ({"country_code": "UK", "country_name": "Ireland"}, "GB"),
        ({"country_code": "EL"}, "GR"),
        ({"country_code": "GBR"}, "GB"),
        ({"country_code": "XK"}, "XK"),
        ({"country": "Korea, Republic of"}, "KR"),
        ({"country": "Atlantis"}, None),
        ({"country": ""}, None),
        ({"country": "\ud800"}, None),
        ({}, None),
    ],
)
def test_a_country_is_a_code_or_a_name_and_an_unknown_one_is_none(
    fields: dict[str, Any], country: str | None
) -> None:
    seen = visitor(**fields)
    assert seen.facts.get("country") == country


@pytest.mark.parametrize(
    ("fields", "views"),
    [
        ({"pageviews": 0}, 0),
        ({"pageviews": 2**53}, 2**53),
        ({"pageviews": 3.0}, 3),
        ({"pageviews": -0.0}, 0),
        ({"pageviews": " 007 "}, 7),
        ({"pageviews": "000"}, 0),
        ({"page_views": 4}, 4),
        ({"page_count": 5}, 5),
        ({"pageviews": None, "page_views": 4, "page_count": 5}, 4),
        ({"pageviews": "1,234"}, 1234),
        ({"pageviews": "12,345,678"}, 12_345_678),
        ({"pageviews": "17.0"}, 17),
        ({"pageviews": "1,234.00"}, 1234),
        *(
            ({"pageviews": nothing, "page_count": "9"}, 9)
            for nothing in ("", " ", "-", "null", "NULL", "N/A", "None", "undefined", "NaN")
        ),
        ({"pageviews": "N/A"}, None),
        ({"pageviews": None}, None),
        ({}, None),
    ],
)
def test_page_views_are_whole_numbers_or_unknown(fields: dict[str, Any], views: int | None) -> None:
    seen = visitor(**fields).facts.get("pageviews")
    assert seen == views
    assert type(seen) is type(views)


@pytest.mark.parametrize(
    ("fields", "email"),
    [
        ({"email": " Anna@Example.com\n"}, "anna@example.com"),
        ({"user_email": "b@example.com"}, "b@example.com"),
        ({"email": None, "identity": {"email": "c@example.com"}}, "c@example.com"),
        ({"identity": None, "user": {"email": "d@example.com"}}, "d@example.com"),
        ({"identity": "x", "user": [], "traits": {"email": "e@example.com"}}, "e@example.com"),
        ({"identity": {"email": None}, "user": {}, "traits": 7}, None),
        ({"email": "a@example.com", "user_email": "b@example.com"}, "a@example.com"),
        ({"email": "   "}, None),
        ({"email": "null", "user_email": "-", "traits": {"email": "e@example.com"}}, "e@example.com"),
        ({"email": "undefined"}, None),
        ({"email": "\ufeffanna\u200b@exa\u00admple.com\u200e"}, "anna@example.com"),
        ({"email": "\u00a0anna@example.com\u3000"}, "anna@example.com"),
        ({"email": "\u200b"}, None),
        ({"email": "not an address"}, "not an address"),
        ({"email": "jürgen@bücher.example"}, "jürgen@bücher.example"),
    ],
)
def test_an_address_is_trimmed_and_lower_cased_and_not_judged(
    fields: dict[str, Any], email: str | None
) -> None:
    seen = visitor(**fields)
    assert (seen.email, seen.email_at) == (email, SEEN if email else None)


@pytest.mark.parametrize("fields", [{}, {"email": 7}, {"pageviews": -1}, {"country": 7}])
def test_of_one_who_opted_out_nothing_is_kept(fields: dict[str, Any]) -> None:
    known = {"email": "a@example.com", "country": "CH", "pageviews": 3, "gpc_opted_out": True}
    assert visitor(**(known | fields)) == Visitor("v1", SEEN, {}, opted_out=True, opted_out_at=SEEN)


@pytest.mark.parametrize(("flag", "at"), [(False, SEEN), (None, None)])
def test_only_an_explicit_opt_in_is_one(*, flag: bool | None, at: datetime | None) -> None:
    seen = visitor(gpc_opted_out=flag)
    assert (seen.opted_out, seen.opted_out_at) == (flag, at)


@pytest.mark.parametrize(("text", "id_"), [(" v1 ", "v1"), ("v\u200b\u3000é", "v\u200b\u3000é"), ("7", "7")])
def test_an_id_is_trimmed(text: str, id_: str) -> None:
    assert visitor(id=text).id == id_


FIELDS = [
    "id",
    "visitor_id",
    "last_seen",
    "visited_at",
    "country_code",
    "country",
    "country_name",
    "pageviews",
    "page_views",
    "page_count",
    "email",
    "user_email",
    "identity",
    "user",
    "traits",
    "gpc_opted_out",
]
TEXTS = st.text(st.characters(), max_size=30) | st.sampled_from(
    ["2026-02-07T08:05:00Z", "CH", "a@b.c", "\ud800"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.dictionaries(st.sampled_from(FIELDS), JSON | st.just({"email": 7}), max_size=10)


@given(ROWS | ROWS.map(lambda row: {"id": "v1", "last_seen": "2026-02-07T08:05:00Z"} | row) | JSON)
@example({"id": "v1", "last_seen": "2026-02-07T08:05:00Z", "pageviews": 10**4000})
def test_any_row_is_a_visitor_a_rejection_or_out_of_the_window(row: Any) -> None:
    seen = read(row)
    if isinstance(seen, Visitor):
        assert SINCE <= seen.last_seen < CEILING
        assert seen.id == seen.id.strip() != ""
        assert seen.email is None or seen.email == seen.email.strip().lower() != ""
        assert (seen.email is None) == (seen.email_at is None)
        assert (seen.opted_out is None) == (seen.opted_out_at is None)
        seen.id.encode()
    elif seen is not None:
        assert seen.code
        assert "@" not in seen.reason
        assert len(seen.digest) == 16


@given(st.datetimes(min_value=datetime(2000, 1, 3), timezones=st.timezones()))  # noqa: DTZ001 -- it gets one
def test_any_instant_is_read_in_utc(stated: datetime) -> None:
    try:
        expected = stated.astimezone(UTC)
    except OverflowError:
        return
    seen = read_row(
        ROW | {"visited_at": stated.isoformat()},
        since=datetime.min.replace(tzinfo=UTC),
        ceiling=datetime.max.replace(tzinfo=UTC),
    )
    assert isinstance(seen, Visitor)
    assert abs(seen.last_seen - expected) < timedelta(seconds=1)
