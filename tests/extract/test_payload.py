"""Bodies: the documented shapes are read, and everything else is said to be unreadable, without a value."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.extract.account import ListedWebsite, Usage, read_usage, read_websites
from etl.extract.payload import UnreadableBodyError, read_payload

ROWS = [{"id": "v1"}, {"id": "v2"}]
BLOCK = {"limit": 100, "offset": 0, "has_more": True}


@pytest.mark.parametrize(
    ("body", "has_more"),
    [
        ({"success": True, "data": {"visitors": ROWS, "pagination": BLOCK}}, True),
        ({"success": True, "data": {"visitors": ROWS}, "pagination": BLOCK}, True),
        ({"data": {"visitors": ROWS, "pagination": {"has_more": False}}}, False),
        ({"data": ROWS}, None),
        ({"data": ROWS, "pagination": BLOCK}, True),
        ({"visitors": ROWS}, None),
        ({"visitors": ROWS, "pagination": {"has_more": False}, "error": None}, False),
        ({"visitors": ROWS, "pagination": {}}, None),
        ({"visitors": ROWS, "pagination": {"has_more": "yes"}}, None),
        ({"visitors": ROWS, "pagination": [True]}, None),
    ],
)
def test_every_documented_shape_is_read(body: Any, *, has_more: bool | None) -> None:
    payload = read_payload(body)
    assert (payload.rows, payload.has_more, payload.clock) == (ROWS, has_more, None)


@pytest.mark.parametrize(
    ("timestamp", "clock"),
    [
        ("2026-02-07T12:00:00.000Z", datetime(2026, 2, 7, 12, tzinfo=UTC)),
        ("2026-02-07T13:00:00+01:00", datetime(2026, 2, 7, 12, tzinfo=UTC)),
        ("soon", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", None),
        (1770451500, None),
        (None, None),
    ],
)
def test_the_timestamp_is_the_clock_where_it_can_be_one(timestamp: Any, clock: datetime | None) -> None:
    assert read_payload({"data": [], "timestamp": timestamp}).clock == clock


@pytest.mark.parametrize(
    ("body", "saw"),
    [
        (None, "null instead of an object"),
        ([], "a list instead of an object"),
        ("anna@example.com", "a text instead of an object"),
        (True, "a truth value instead of an object"),
        (7.5, "a number instead of an object"),
        ({}, "an object without keys and no rows"),
        ({"a": "secret", "b": 2}, "an object with the keys a, b and no rows"),
        ({"data": None}, "an object with the keys data and no rows"),
        ({"data": {"visitors": None}}, "an object with the keys data, data.visitors and no rows"),
        ({"data": {"visitors": {}}}, "an object with the keys data, data.visitors and no rows"),
        ({"anna@example.com": 1}, "an object with the keys <address> and no rows"),
        (dict.fromkeys("abcdefghij"), "an object with the keys a, b, c, d, e, f, g, h, … and no rows"),
        ({"success": False, "data": ROWS}, "success:false with a status of success"),
        (
            {"success": False, "error": {"code": "INTERNAL", "message": "secret"}},
            "success:false (INTERNAL) with a status of success",
        ),
        (
            {"error": "secret", "code": "OOPS", "data": []},
            "an error (OOPS) with a status of success",
        ),
    ],
)
def test_any_other_body_is_unreadable_and_its_keys_are_all_that_is_told(body: Any, saw: str) -> None:
    with pytest.raises(UnreadableBodyError) as caught:
        read_payload(body)
    assert str(caught.value) == saw


KEYS = ["success", "data", "visitors", "pagination", "has_more", "timestamp", "error", "code"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(st.characters(), max_size=5),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON)
@example({"@": None})
def test_any_json_is_a_payload_or_unreadable(body: Any) -> None:
    try:
        told = str(read_payload(body).has_more)
    except UnreadableBodyError as unreadable:
        told = str(unreadable)
    assert "@" not in told


@given(JSON)
@example({"@": None})
def test_any_json_is_an_account_or_unreadable(body: Any) -> None:
    for read in (read_websites, read_usage):
        with suppress(UnreadableBodyError):
            read(body)


SITE = {"id": "w1", "domain": "example.com", "name": "Example", "tracking_code": "ZV_1", "created_at": None}


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "data": {"websites": [SITE, {"name": "no id"}, None]}},
        {"websites": [SITE]},
        {"data": [SITE]},
    ],
)
def test_websites_are_read_from_every_envelope(body: Any) -> None:
    assert read_websites(body) == [ListedWebsite("w1", tracking_code="ZV_1")]


def test_usage_is_read_from_the_newest_envelope_and_a_flat_one() -> None:
    body = {
        "usage": {
            "monthly_requests": 8640,
            "monthly_limit": 10000,
            "monthly_remaining": 1360,
            "monthly_reset_at": "2026-03-01T00:00:00Z",
        },
        "rate_limits": {"requests_per_minute": 30},
        "subscription": {"tier": "pro"},
    }
    usage = Usage(8640, 10000, datetime(2026, 3, 1, tzinfo=UTC), 30)
    assert read_usage({"success": True, "data": body}) == usage
    assert read_usage(body) == usage


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"usage": 7, "rate_limits": None}}])
def test_usage_that_is_not_told_is_unknown(body: Any) -> None:
    assert read_usage(body) == Usage()
