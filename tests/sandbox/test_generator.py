"""The generated visitors: deterministic, realistic, and as bad as asked for."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.sandbox import Visitors
from etl.sandbox.generator import Mix
from etl.sandbox.rows import instant_of

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
CLEAN = Mix(
    returning=0, known=0, second_device=0, opted_out=0, nulls=0, without_pageviews=0, other_offsets=0, bad=0
)


def email_of(row: dict[str, Any]) -> str | None:
    address = row.get("email") or row.get("identity", {}).get("email")
    return address if address is None else str(address)


def test_the_same_seed_gives_the_same_rows() -> None:
    assert Visitors(3, NOW).rows(200) == Visitors(3, NOW).rows(200)
    assert Visitors(3, NOW).rows(200) != Visitors(4, NOW).rows(200)


def test_rows_lie_in_the_window_oldest_first() -> None:
    since, until = NOW - timedelta(days=3), NOW
    rows = Visitors(7, NOW, CLEAN).rows(500, between=(since, until))
    instants = [instant_of(row) for row in rows]
    assert instants == sorted(instants)
    assert since.timestamp() <= instants[0]
    assert instants[-1] <= until.timestamp()
    assert all(row["visited_at"].endswith("Z") for row in rows)


def test_a_clean_mix_has_only_complete_rows_of_new_visitors() -> None:
    rows = Visitors(7, NOW, CLEAN).rows(500)
    assert len({row["id"] for row in rows}) == 500
    assert all(row["country_code"] and row["pageviews"] > 0 and email_of(row) is None for row in rows)


def test_a_row_states_every_documented_field() -> None:
    rows = Visitors(7, NOW).rows(2000)
    stated = [row for row in rows if row.get("country_code")]
    for name in ("country_name", "city", "device_type", "browser", "os", "landing_page"):
        assert all(row[name] and isinstance(row[name], str) for row in stated), name
    assert {row["had_interaction"] for row in stated} == {True, False}
    assert {row["value_score"] for row in stated} == set(range(101))
    assert any(row["value_score"] is None and row["had_interaction"] is None for row in rows)
    pages = {row["landing_page"] for row in rows}
    assert all(page.startswith("/") for page in pages)
    assert {mark for page in pages for mark in "?#" if mark in page} == {"?", "#"}
    referrers = {row["referrer"] for row in rows}
    assert None in referrers
    assert any("?" in str(referrer) for referrer in referrers)


def test_the_usual_mix_has_a_bit_of_everything() -> None:
    rows = Visitors(7, NOW).rows(5000)
    visitors: dict[str, set[str]] = {}
    for row in rows:
        address = email_of(row)
        if address and row.get("id"):
            visitors.setdefault(address.strip().lower(), set()).add(row["id"])
    assert Counter(row.get("country_code") for row in rows).most_common(1)[0][0] == "US"
    assert all(address.endswith("@example.test") for address in visitors)
    assert any(len(ids) > 1 for ids in visitors.values()), "people on two devices"
    assert any("email" in row for row in rows)
    assert any("identity" in row for row in rows)
    assert any((email_of(row) or "").strip() != (email_of(row) or "").strip().lower() for row in rows)
    assert any(row.get("country_code") is None for row in rows)
    assert any("pageviews" not in row for row in rows)
    assert any(row.get("gpc_opted_out") for row in rows)
    assert any(str(row.get("visited_at", ""))[-6] in "+-" for row in rows if row.get("visited_at"))
    bad = [
        row
        for row in rows
        if not row.get("id")
        or instant_of(row) == float("inf")
        or not isinstance(row.get("pageviews", 0), int)
        or row.get("pageviews", 0) < 0
    ]
    assert 15 < len(bad) < 110


def test_visitors_return_in_later_calls() -> None:
    visitors = Visitors(7, NOW, Mix(bad=0))
    first = {row["id"] for row in visitors.rows(300)}
    second = {row["id"] for row in visitors.rows(300, between=(NOW, NOW + timedelta(days=1)))}
    assert first & second
