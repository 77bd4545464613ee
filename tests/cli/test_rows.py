"""Rows and pages as nasty as they come, from outside: what the CRM holds, and what is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from loopback import Loopback, Served
from program import news, row

if TYPE_CHECKING:
    from loopback import Asked
    from program import Program

SOUND = 20
POISONS = {
    "a raw line feed": b'"bad\nrow"',
    "a raw tab": b'"bad\trow"',
    "a NUL": b'"bad\x00row"',
    "a byte that is no text": b'"caf\xe9"',
    "a number of 5,000 digits": b"9" * 5000,
    "1,500 brackets": b"[" * 1500 + b"]" * 1500,
    "not a number": b"NaN",
    "half a surrogate pair": b'"\\ud800"',
}


def page(*rows: dict[str, Any] | bytes) -> bytes:
    """A body of the newest shape; a row of bytes stands as it is."""
    written = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in rows]
    return (
        b'{"success":true,"data":{"visitors":['
        + b",".join(written)
        + b'],"pagination":{"limit":1000,"offset":0,"has_more":false}}}'
    )


def poisoned(field: str, poison: bytes) -> bytes:
    """A sound row, but for one field."""
    return json.dumps(row(0) | {field: "POISON"}).encode().replace(b'"POISON"', poison)


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS.keys())
@pytest.mark.parametrize(("field", "is_read"), [("city", False), ("id", True)])
def test_a_poisoned_row_takes_no_other_with_it(
    program: Program, poison: bytes, field: str, *, is_read: bool
) -> None:
    body = page(*(row(number) for number in range(1, SOUND + 1)), poisoned(field, poison))
    with Loopback(lambda _: Served(body)) as zenovay:
        ended = program.run(ZENOVAY_BASE_URL=zenovay.url)

    assert ended.exit_code == (3 if is_read else 0)
    assert len(program.sandbox.hubspot.contacts) == SOUND + (not is_read)
    assert ended.summary["rows"]["rejected"] == is_read
    assert len(zenovay.asked) == 1


def test_a_list_that_stays_unreadable_costs_two_requests_and_tells_the_place(program: Program) -> None:
    body = page(row(1), b"oops")
    with Loopback(lambda _: Served(body)) as zenovay:
        ended = program.run(ZENOVAY_BASE_URL=zenovay.url)

    assert ended.exit_code == 6
    assert len(zenovay.asked) == 2
    assert "cannot be read at byte" in ended.summary["reason"]
    assert ended.summary["watermark"]["after"] is None


def test_a_server_that_reckons_with_the_limit_asked_for_loses_no_row(program: Program) -> None:
    zenovay = program.sandbox.zenovay
    zenovay.max_limit, zenovay.more_reckoned_as_asked = 100, True
    program.visitors(*(row(number) for number in range(250)))

    ended = program.run()

    assert ended.exit_code == 0
    assert len(program.sandbox.hubspot.contacts) == 250
    (told,) = news(ended.summary)
    assert "ZENOVAY_PAGE_SIZE=100" in told
    assert zenovay.visitor_requests == 3


@pytest.mark.parametrize(("count", "told"), [(100, True), (57, False)])
def test_a_list_that_may_have_been_cut_is_told(program: Program, count: int, *, told: bool) -> None:
    rows = [row(number) for number in range(count)]

    def answer(_: Asked) -> Served:
        return Served(json.dumps({"data": rows}).encode())

    with Loopback(answer) as zenovay:
        ended = program.run(ZENOVAY_BASE_URL=zenovay.url)

    assert ended.exit_code == 0
    assert len(program.sandbox.hubspot.contacts) == count
    assert [("may have been cut" in each) for each in news(ended.summary)] == [True] * told


def test_what_people_send_for_a_value_is_read_or_refused_and_never_taken_for_another(
    program: Program,
) -> None:
    body = page(
        row(1, country_code="T1", country_name="France", pageviews="1,234"),
        row(2, country_code="XK", pageviews="N/A"),
        row(3, country_code="UK", email="\u200bann@example.test"),
        row(4, country_code="GBR", email="ANN@example.test\ufeff"),
        row(5, email="null", pageviews="17.0"),
        row(6) | {"id": "undefined"},
        row(7) | {"last_seen": "1712012310234"},
        row(8) | {"last_seen": "1970-01-01T00:00:00Z"},
    )

    with Loopback(lambda _: Served(body)) as zenovay:
        ended = program.run(ZENOVAY_BASE_URL=zenovay.url)

    held = program.sandbox.hubspot.snapshot()
    assert {key: (facts.get("country"), facts.get("zenovay_pageviews")) for key, facts in held.items()} == {
        "v000001": ("France", "1234"),
        "v000002": ("Kosovo", None),
        "ann@example.test": ("United Kingdom", "6"),
        "v000005": ("Switzerland", "17"),
    }
    assert (ended.exit_code, ended.summary["rows"]["rejected"]) == (3, 3)
    assert {each["code"] for each in program("rejections", "--json").value} == {"no_id", "bad_last_seen"}


def test_a_day_of_a_backfill_is_no_number(program: Program) -> None:
    for text in ("1712012310", "1712012310234", "20260207", "2026-W06"):
        ended = program("backfill", "--from", text)
        assert ended.exit_code == 2
        assert "--from is neither a date nor" in ended.stderr
