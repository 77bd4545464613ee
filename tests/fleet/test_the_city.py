"""The city itself: it counts exactly, is in trouble when told, and its books show what a run did wrong."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from benchmarks.city import findings
from benchmarks.city.books import HUBSPOT, ZENOVAY, Books, Limit, Request
from benchmarks.city.declared import settle
from benchmarks.city.opened import open_city
from benchmarks.city.plan import CityPlan, city_of, read_plan
from benchmarks.city.report import facts, table
from benchmarks.city.simulation import Course, Death, Phase, Script
from benchmarks.city.visits import Visits
from benchmarks.city.windows import Window
from hypothesis import given
from hypothesis import strategies as st

from etl.settings import load_fleet

if TYPE_CHECKING:
    from pathlib import Path

PLAN = city_of(portals=2, sites=4, keys=1, per_minute=5, per_10_s=3)
CONTACTS = "/crm/objects/2026-03/contacts/batch"
ANN = {"id": "w0000-0@example.test", "idProperty": "email", "properties": {"zenovay_pageviews": "3"}}


def request(at: float, process: int, what: str, website: str = "", *, took: float = 0.1) -> Request:
    side, who = (ZENOVAY, "k0") if website else (HUBSPOT, "p000")
    return Request(at, at + took, process, process, side, who, what, website, 200)


def books(*requests: Request) -> Books:
    return Books(requests, {}, {}, {}, 0.0)


@given(st.lists(st.integers(0, 400), max_size=60), st.integers(1, 8), st.integers(1, 90))
def test_a_window_counts_what_came_in_it_and_nothing_else(
    instants: list[int], limit: int, seconds: int
) -> None:
    instants.sort()
    window = Window(limit, float(seconds))
    counts = [
        sum(instant - seconds < other for other in instants[: number + 1])
        for number, instant in enumerate(instants)
    ]

    waits = [window.arrive(float(instant)) for instant in instants]

    assert [wait > 0 for wait in waits] == [count > limit for count in counts]
    assert window.exceeded == sum(count > limit for count in counts)
    assert window.peak == max(counts, default=0)


def test_who_waits_as_long_as_told_is_let_in() -> None:
    window = Window(2, 10.0)
    assert [window.arrive(at) for at in (0.0, 3.0, 4.0)] == [0.0, 0.0, 9.0]
    assert window.arrive(13.0 + 1e-6) == 0.0


def test_a_plan_survives_being_written() -> None:
    assert read_plan(PLAN.written()) == PLAN


def test_a_city_keeps_books_of_who_asked_for_what() -> None:
    with open_city(PLAN) as city, httpx.Client() as client:
        key, token = city.plan.keys[0].secret, city.plan.portals[0].token
        page = client.get(f"{city.zenovay_url}/analytics/w0000/visitors", headers={"X-API-Key": key})
        answer = client.post(
            f"{city.hubspot_url}{CONTACTS}/upsert",
            headers={"Authorization": f"Bearer {token}"},
            json={"inputs": [ANN, {**ANN, "id": "w0001-0@example.test"}]},
        )
        seen = city.books()

    assert len(page.json()["data"]["visitors"]) >= 9
    assert answer.json()["results"][0]["new"] is True
    assert [(each.process, each.who, each.what, each.website) for each in seen.requests] == [
        (os.getpid(), "k0", "first page", "w0000"),
        (os.getpid(), "p000", "upsert", ""),
    ]
    assert findings.strangers(seen, PLAN) == ["w0001-0"]
    assert "w0000-0" not in findings.lost(seen, PLAN)
    assert "w0000-1" in findings.lost(seen, PLAN)


def test_limits_are_kept_apart_and_refusals_are_told() -> None:
    with open_city(PLAN) as city, httpx.Client() as client:
        key, (first, second) = city.plan.keys[0].secret, (each.token for each in city.plan.portals)
        usage = [client.get(f"{city.zenovay_url}/usage", headers={"X-API-Key": key}) for _ in range(6)]
        asked = [(first, "/account-info/v3/details")] * 4 + [(second, "/account-info/v3/details")]
        details = [
            client.get(city.hubspot_url + path, headers={"Authorization": f"Bearer {token}"})
            for token, path in asked
        ]
        seen = city.books()

    assert [each.status_code for each in usage] == [200] * 5 + [429]
    assert usage[-1].json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert 59 <= int(usage[-1].headers["Retry-After"]) <= 61
    assert usage[-1].headers["X-Usage-Monthly"] == "6"
    assert [each.status_code for each in details] == [200, 200, 200, 429, 200]
    assert details[3].json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert findings.exceeded(seen) == {"k0/minute": 1, "p000/10 s": 1}


def test_troubles_begin_and_end_when_ordered() -> None:
    with open_city(PLAN) as city, httpx.Client() as client:
        headers = {"Authorization": f"Bearer {city.plan.portals[0].token}"}
        details = f"{city.hubspot_url}/account-info/v3/details"
        city.begin("down", "p000")
        down = client.get(details, headers=headers)
        city.begin("revoked", "p000")
        revoked = client.get(details, headers=headers)
        city.begin("gone", "p000")
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(details, headers=headers)
        city.mend("p000")
        mended = client.get(details, headers=headers)

    assert [each.status_code for each in (down, revoked, mended)] == [503, 401, 200]


def test_visits_come_with_time_and_some_come_back() -> None:
    visits, began = Visits(PLAN.sites[0], 1000.0), 1000.0
    assert visits.count(began) == 0
    assert visits.count(began + 600) == visits.count(began) + 9
    assert visits.expected(began + 250) == {"w0000-0": 3, "w0000-1": 2}


def test_runs_one_after_another_are_no_overlap() -> None:
    assert not findings.overlaps(
        books(
            request(0, 1, "account"),
            request(1, 1, "first page", "w0000"),
            request(2, 1, "upsert"),
            request(3, 2, "first page", "w0002"),
            request(4, 2, "read"),
            request(5, 1, "first page", "w0000"),
            request(6, 1, "upsert"),
        ),
        PLAN,
    )


def test_a_run_that_goes_on_after_another_has_begun_is_one() -> None:
    (found,) = findings.overlaps(
        books(
            request(0, 1, "first page", "w0000"),
            request(1, 2, "first page", "w0002"),
            request(2, 1, "upsert"),
        ),
        PLAN,
    )
    assert found.portal == "p000"


def test_two_websites_of_a_portal_read_at_once_are_one() -> None:
    assert findings.overlaps(
        books(request(0, 1, "first page", "w0000", took=2), request(1, 1, "first page", "w0002")), PLAN
    )
    assert not findings.overlaps(
        books(request(0, 1, "first page", "w0000", took=2), request(1, 1, "first page", "w0001")), PLAN
    )


def test_lateness_counts_from_the_start_before() -> None:
    plan = CityPlan(keys=PLAN.keys, portals=PLAN.portals, sites=PLAN.sites[:1])
    late = findings.lateness(
        books(request(100, 1, "first page", "w0000"), request(450, 1, "first page", "w0000")),
        plan,
        begun=0.0,
        ended=500.0,
    )
    assert late == {"w0000": [0.0, 50.0, 0.0]}
    assert findings.lateness(books(), plan, begun=0.0, ended=time.time(), without=["p000"]) == {}


def test_the_report_says_what_the_books_hold() -> None:
    plan = CityPlan(keys=PLAN.keys, portals=PLAN.portals, sites=PLAN.sites[:1])
    seen = books(
        request(100, 1, "first page", "w0000"),
        request(101, 1, "upsert"),
        request(450, 2, "first page", "w0000"),
    )
    course = Course(
        script=Script(plan),
        begun=0.0,
        calm=400.0,
        ended=500.0,
        troubled=("p001",),
        deaths=(Death(420.0, ("p000/w0000",)),),
        busy=Phase(400.0, 0.1, 1),
        quiet=Phase(100.0, 0.03, 1),
        connections=9,
        permits=3,
        exit_codes=(143,),
        books=replace(
            seen,
            limits={"k0/minute": Limit(5, 2, 0, 1), "p000/10 s": Limit(3, 1, 1, 2)},
            portals={"p000": {"w0000-0": "3", "w0009-0": "1"}, "p001": {}},
            websites={"w0000": {"w0000-0": 3, "w0000-1": 2}},
        ),
    )

    assert facts(course) == {
        "plan": "2 / 1 / 1 / 4",
        "length": "8, 1",
        "runs": "2, 0.00",
        "late": "0.0 / 50.0 / 50.0",
        "starved": "0",
        "overlaps": "0",
        "exceeded": "1",
        "peak": "2 of 3 (p000/10 s)",
        "lost": "1 / 1",
        "back": "30 / 30 (1 runs)",
        "silence": "350.0",
        "cpu": "100 / 30",
        "requests": "2 + 1 / 3",
        "connections": "9",
        "ended": "143",
    }
    assert len(table([course, course]).splitlines()) == len(facts(course)) + 1


def test_the_program_understands_what_a_city_declares(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_city(PLAN) as city:
        for name, value in settle(city, tmp_path, state_url=sqlite_url).items():
            monkeypatch.setenv(name, value)
        fleet = load_fleet()

    assert fleet.portals() == ("p000", "p001")
    assert fleet.remarks() == []
    assert fleet.tenant("p001", "w0003").every["w0003"].total_seconds() == 300
