"""The limits of both sides of the sandbox, on a clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fakes import FakeClock

from etl.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 12, 30, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def zenovay(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"X-API-Key": sandbox.zenovay.api_key}
    with httpx.Client(base_url=sandbox.zenovay_url, headers=headers) as client:
        yield client


@pytest.fixture
def hubspot(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {sandbox.hubspot.access_token}"}
    with httpx.Client(base_url=sandbox.hubspot_url, headers=headers) as client:
        yield client


PROPERTY = "/crm/properties/2026-03/contacts/email"


def test_zenovay_counts_a_sliding_minute(sandbox: Sandbox, clock: FakeClock, zenovay: httpx.Client) -> None:
    sandbox.zenovay.requests_per_minute = 2
    first = zenovay.get("/usage")
    clock.advance(40)
    second = zenovay.get("/usage")
    third = zenovay.get("/usage")
    assert [reply.status_code for reply in (first, second, third)] == [200, 200, 429]
    assert [reply.headers["x-ratelimit-remaining"] for reply in (first, second, third)] == ["1", "0", "0"]
    assert third.headers["x-ratelimit-limit"] == "2"
    assert third.headers["retry-after"] == "20"
    assert int(third.headers["x-ratelimit-reset"]) == int((clock.now() + timedelta(seconds=20)).timestamp())
    assert third.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert [violation.kind for violation in sandbox.zenovay.violations] == ["rate_limited"]
    clock.advance(20)
    assert zenovay.get("/usage").status_code == 200
    assert zenovay.get("/usage").status_code == 429


def test_zenovay_states_the_wait_where_it_is_told_to(sandbox: Sandbox, zenovay: httpx.Client) -> None:
    world = sandbox.zenovay
    world.requests_per_minute = 0
    world.send_retry_after, world.retry_after_in_body, world.retry_after_in_message = False, True, True
    for shape, where in (
        ("envelope", "error"),
        ("lowercase", "error"),
        ("detailed", "error"),
        ("flat", None),
    ):
        world.error_shape = shape
        reply = zenovay.get("/usage")
        body: dict[str, Any] = reply.json()
        holder = body[where] if where else body
        message = body["error"] if where is None else holder["message"]
        assert "retry-after" not in reply.headers
        assert holder["retry_after"] == 1
        assert message == "Rate limit exceeded. Try again in 1 seconds."


def test_zenovay_counts_a_month(sandbox: Sandbox, clock: FakeClock, zenovay: httpx.Client) -> None:
    sandbox.zenovay.requests_per_month = 10
    sandbox.zenovay.month_used = 8
    last = [zenovay.get(path) for path in ("/usage", "/analytics/nobodys/visitors", "/usage")]
    assert [reply.status_code for reply in last] == [200, 404, 429]
    assert last[2].json()["error"]["code"] == "MONTHLY_LIMIT_EXCEEDED"
    assert last[2].headers["x-usage-monthly"] == "11"
    assert last[2].headers["x-usage-limit"] == "10"
    assert last[2].headers["x-usage-reset"] == "2027-01-01T00:00:00.000Z"
    assert last[2].headers["retry-after"] == str(36 * 3600)
    clock.advance(36 * 3600)
    assert zenovay.get("/usage").headers["x-usage-monthly"] == "1"


def test_zenovay_headers_can_be_left_out(sandbox: Sandbox, zenovay: httpx.Client) -> None:
    world = sandbox.zenovay
    assert not [name for name in zenovay.get("/usage").headers if name.startswith(("x-rate", "x-usage"))]
    world.requests_per_minute, world.requests_per_month = 5, 100
    world.send_remaining = False
    names = set(zenovay.get("/usage").headers)
    assert {"x-ratelimit-limit", "x-ratelimit-reset", "x-usage-monthly", "x-request-id"} <= names
    assert "x-ratelimit-remaining" not in names
    world.send_rate_headers = world.send_usage_headers = False
    assert not [name for name in zenovay.get("/usage").headers if name.startswith(("x-rate", "x-usage"))]


def test_hubspot_counts_ten_rolling_seconds(
    sandbox: Sandbox, clock: FakeClock, hubspot: httpx.Client
) -> None:
    sandbox.hubspot.requests_per_10_seconds = 2
    replies = [hubspot.get(PROPERTY) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    body = replies[2].json()
    assert (body["policyName"], body["category"]) == ("TEN_SECONDLY_ROLLING", "RATE_LIMITS")
    assert replies[0].headers["x-hubspot-ratelimit-max"] == "2"
    assert replies[0].headers["x-hubspot-ratelimit-remaining"] == "1"
    assert replies[0].headers["x-hubspot-ratelimit-interval-milliseconds"] == "10000"
    assert "retry-after" not in replies[2].headers
    sandbox.hubspot.send_retry_after = True
    clock.advance(7.5)
    assert hubspot.get(PROPERTY).headers["retry-after"] == "3"
    clock.advance(2.5)
    assert hubspot.get(PROPERTY).status_code == 200
    assert [violation.kind for violation in sandbox.hubspot.violations] == ["rate_limited"] * 2


def test_hubspot_counts_a_second(sandbox: Sandbox, clock: FakeClock, hubspot: httpx.Client) -> None:
    sandbox.hubspot.requests_per_second = 1
    assert hubspot.get(PROPERTY).status_code == 200
    assert hubspot.get(PROPERTY).json()["policyName"] == "SECONDLY"
    clock.advance(1)
    assert hubspot.get(PROPERTY).status_code == 200


def test_hubspot_counts_a_day_of_the_account(
    sandbox: Sandbox, clock: FakeClock, hubspot: httpx.Client
) -> None:
    world = sandbox.hubspot
    world.requests_per_day, world.day_used, world.send_retry_after = 10, 9, True
    world.time_zone = timezone(timedelta(hours=2))
    assert hubspot.get(PROPERTY).headers["x-hubspot-ratelimit-daily-remaining"] == "0"
    refused = hubspot.get(PROPERTY)
    assert (refused.status_code, refused.json()["policyName"]) == (429, "DAILY")
    assert refused.headers["retry-after"] == str(10 * 3600 + 1)
    clock.advance(10 * 3600)
    assert hubspot.get(PROPERTY).headers["x-hubspot-ratelimit-daily-remaining"] == "9"
    world.send_rate_headers = False
    assert not [name for name in hubspot.get(PROPERTY).headers if name.startswith("x-hubspot")]
