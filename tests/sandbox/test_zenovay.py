"""The sandbox's Zenovay against its contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fakes import FakeClock

from etl.sandbox import Sandbox, ZenovayWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SITE = "site_sandbox"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox(zenovay=ZenovayWorld(clock=clock)) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"X-API-Key": sandbox.zenovay.api_key}
    with httpx.Client(base_url=sandbox.zenovay_url, headers=headers) as client:
        yield client


def visit(name: str, age: timedelta) -> dict[str, Any]:
    return {"id": name, "last_seen": (NOW - age).isoformat()}


def fetch(client: httpx.Client, **params: Any) -> list[Any]:
    body = client.get(f"/analytics/{SITE}/visitors", params=params).raise_for_status().json()
    rows: list[Any] = body["data"]["visitors"]
    return rows


def ids(client: httpx.Client, **params: Any) -> list[str]:
    return [row["id"] for row in fetch(client, **params)]


@pytest.mark.parametrize(
    ("range_", "expected"),
    [
        ({}, ["now", "hours", "days"]),
        ({"range": "24h"}, ["now", "hours"]),
        ({"range": "7d"}, ["now", "hours", "days"]),
        ({"timeRange": "30d"}, ["now", "hours", "days", "weeks"]),
        ({"range": "90d"}, ["now", "hours", "days", "weeks", "months"]),
        ({"range": "1y"}, ["now", "hours", "days", "weeks", "months", "most of a year"]),
    ],
)
def test_a_window_reaches_back_from_now(
    sandbox: Sandbox, client: httpx.Client, range_: dict[str, str], expected: list[str]
) -> None:
    ages = {"now": 0, "hours": 0.5, "days": 6, "weeks": 29, "months": 80, "most of a year": 364, "older": 400}
    sandbox.zenovay.add_rows(SITE, [visit(name, timedelta(days=age)) for name, age in ages.items()])
    assert ids(client, **range_) == expected


def test_the_edge_of_a_window_belongs_to_it(sandbox: Sandbox, client: httpx.Client) -> None:
    edge, outside = timedelta(hours=24), timedelta(hours=24, seconds=1)
    sandbox.zenovay.add_rows(SITE, [visit("in", edge), visit("out", outside)])
    assert ids(client, range="24h") == ["in"]


def test_rows_without_a_readable_time_are_always_served(sandbox: Sandbox, client: httpx.Client) -> None:
    odd: list[Any] = [None, 7, "x", [], {}, {"last_seen": "nonsense"}, {"visited_at": 5}, {"n": 10**30}]
    sandbox.zenovay.add_rows(SITE, [visit("old", timedelta(days=2)), *odd])
    assert fetch(client, range="24h") == odd


def test_rows_are_served_as_they_are(sandbox: Sandbox, client: httpx.Client) -> None:
    row = {"id": "\ud800", "last_seen": NOW.isoformat(), "nested": {"list": [None, True, 1.5, "ü"]}}
    sandbox.zenovay.websites[SITE] = [row]
    assert fetch(client) == [row]


def test_a_row_without_offset_is_in_utc_and_mixed_offsets_compare(
    sandbox: Sandbox, client: httpx.Client
) -> None:
    rows = [
        {"id": "first", "visited_at": "2026-03-10T11:00:00"},
        {"id": "last", "visited_at": "2026-03-10T06:30:00-05:00"},
        {"id": "middle", "visited_at": "2026-03-10T20:15:00+09:00"},
    ]
    sandbox.zenovay.add_rows(SITE, rows)
    assert ids(client) == ["last", "middle", "first"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"limit": 3}, range(3)),
        ({"limit": 3, "offset": 2}, range(2, 5)),
        ({"limit": 5000}, range(1000)),
        ({}, range(100)),
        ({"offset": 1100, "limit": 1000}, range(1100, 1150)),
        ({"offset": 5000}, range(0)),
        ({"page": 2, "per_page": 10}, range(10, 20)),
        ({"page": 2, "per_page": 500}, range(100, 200)),
        ({"per_page": 5}, range(5)),
    ],
)
def test_pages(sandbox: Sandbox, client: httpx.Client, params: dict[str, int], expected: range) -> None:
    sandbox.zenovay.add_rows(SITE, [visit(str(number), timedelta(seconds=number)) for number in range(1150)])
    assert ids(client, **params) == [str(number) for number in expected]


def test_pagination_says_whether_more_follows(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.zenovay.add_rows(SITE, [visit(str(number), timedelta()) for number in range(4)])
    seen = [
        client.get(f"/analytics/{SITE}/visitors", params={"limit": 2, "offset": offset}).json()
        for offset in (0, 2)
    ]
    assert [body["data"]["pagination"] for body in seen] == [
        {"limit": 2, "offset": 0, "has_more": True},
        {"limit": 2, "offset": 2, "has_more": False},
    ]


@pytest.mark.parametrize(
    "params", [{"range": "2d"}, {"limit": "x"}, {"limit": 0}, {"offset": -1}, {"page": 0}, {"range": "7D"}]
)
def test_bad_parameters_are_refused(client: httpx.Client, params: dict[str, Any]) -> None:
    assert client.get(f"/analytics/{SITE}/visitors", params=params).status_code == 400


@pytest.mark.parametrize("count", [5, 3000])
def test_the_newest_come_first(sandbox: Sandbox, client: httpx.Client, count: int) -> None:
    """On both sides of the size from which arrangements are reused."""
    given = [visit(str(number), timedelta(minutes=(number * 7) % count)) for number in range(count)]
    sandbox.zenovay.websites[SITE] = given
    expected = [row["id"] for row in sorted(given, key=lambda row: row["last_seen"], reverse=True)]
    for _ in range(2):
        assert ids(client, limit=1000) == expected[:1000]


def test_rows_added_or_replaced_later_are_noticed(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.zenovay.websites[SITE] = [visit(f"n{number}", timedelta(hours=1)) for number in range(2500)]
    assert ids(client, limit=1) == ["n0"]
    sandbox.zenovay.add_rows(SITE, [visit("fresh", timedelta())])
    assert ids(client, limit=1) == ["fresh"]
    sandbox.zenovay.websites[SITE] = [visit("other", timedelta())]
    assert ids(client) == ["other"]


def test_an_answer_and_its_clock(sandbox: Sandbox, client: httpx.Client) -> None:
    row = visit("a", timedelta())
    sandbox.zenovay.add_rows(SITE, [row])
    sandbox.zenovay.skew = timedelta(hours=5)
    reply = client.get(f"/analytics/{SITE}/visitors")
    assert reply.json() == {
        "success": True,
        "data": {"visitors": [row], "pagination": {"limit": 100, "offset": 0, "has_more": False}},
        "timestamp": "2026-03-10T17:00:00.000Z",
    }
    assert reply.headers["date"] == "Tue, 10 Mar 2026 17:00:00 GMT"
    sandbox.zenovay.skew = timedelta(hours=25)
    assert ids(client, range="24h") == []


@pytest.mark.parametrize("headers", [{"X-API-Key": "{key}"}, {"Authorization": "Bearer {key}"}])
def test_the_key_comes_in_either_header(sandbox: Sandbox, headers: dict[str, str]) -> None:
    filled = {name: text.format(key=sandbox.zenovay.api_key) for name, text in headers.items()}
    assert httpx.get(f"{sandbox.zenovay_url}/websites", headers=filled).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "zv_wrong"}, {"Authorization": "Basic zv"}])
def test_a_wrong_key_is_refused_and_not_counted(sandbox: Sandbox, headers: dict[str, str]) -> None:
    reply = httpx.get(f"{sandbox.zenovay_url}/analytics/{SITE}/visitors", headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert sandbox.zenovay.month_used == 0


def test_access_to_websites(sandbox: Sandbox, client: httpx.Client) -> None:
    sandbox.zenovay.websites["theirs"] = []
    sandbox.zenovay.foreign_websites = {"theirs"}
    seen = {site: client.get(f"/analytics/{site}/visitors") for site in ("theirs", "nobodys")}
    codes = {site: (reply.status_code, reply.json()["error"]["code"]) for site, reply in seen.items()}
    assert codes == {"theirs": (403, "FORBIDDEN"), "nobodys": (404, "NOT_FOUND")}
    sandbox.zenovay.paid_plan = False
    reply = client.get(f"/analytics/{SITE}/visitors")
    assert reply.status_code == 403
    assert reply.json() == {
        "success": False,
        "error": {
            "code": "API_PAID_PLAN_REQUIRED",
            "message": "API key access requires a paid plan",
            "timestamp": "2026-03-10T12:00:00.000Z",
        },
    }


def test_the_other_endpoints(sandbox: Sandbox, client: httpx.Client) -> None:
    rows = [{**visit("a", timedelta(minutes=1)), "pageviews": 3}, visit("a", timedelta(days=1)), {"id": "b"}]
    sandbox.zenovay.add_rows(SITE, rows)
    listed = client.get("/websites").json()["data"]["websites"]
    assert [website["id"] for website in listed] == [SITE]
    summary = client.get(f"/analytics/{SITE}", params={"range": "7d"}).json()["data"]
    assert summary["summary"] == {"total_visitors": 3, "total_page_views": 3, "unique_visitors": 2}
    assert [day["visitors"] for day in summary["daily_stats"]] == [1, 1]
    usage = client.get("/usage").json()["data"]
    assert usage["usage"]["monthly_requests"] == 3
    live = httpx.get(f"{sandbox.url}/live/ZV_SANDBOX")
    assert live.json()["live_visitors"] == 2
    assert httpx.get(f"{sandbox.url}/e/live/ZV_OTHER").status_code == 404
    assert client.get("/nonsense").status_code == 404
    assert client.post("/websites").status_code == 404


def test_a_month_has_its_quota(sandbox: Sandbox, clock: FakeClock, client: httpx.Client) -> None:
    assert not [name for name in client.get("/usage").headers if name.startswith("x-usage")]
    sandbox.zenovay.requests_per_month = 10
    sandbox.zenovay.month_used = 8
    last = [client.get(path) for path in ("/usage", "/analytics/nobodys/visitors", "/usage")]
    assert [reply.status_code for reply in last] == [200, 404, 429]
    assert last[2].json()["error"]["code"] == "MONTHLY_LIMIT_EXCEEDED"
    assert last[2].headers["x-usage-monthly"] == "11"
    assert last[2].headers["x-usage-limit"] == "10"
    assert last[2].headers["x-usage-reset"] == "2026-04-01T00:00:00.000Z"
    wait = timedelta(seconds=int(last[2].headers["retry-after"]))
    assert NOW + wait == datetime(2026, 4, 1, tzinfo=UTC)
    clock.advance(wait.total_seconds())
    assert client.get("/usage").headers["x-usage-monthly"] == "1"
