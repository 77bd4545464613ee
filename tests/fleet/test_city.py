"""Workers in a city of portals: some are down, refused or paused, a worker dies, the books are right."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from benchmarks.city import findings
from benchmarks.city.plan import CityPlan, city_of
from benchmarks.city.simulation import Script, staged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from benchmarks.city.simulation import Stage

DOWN, REVOKED, PAUSED, ALONE = "p001", "p002", "p003", "p005"
CALM = ("p000", "p004", ALONE)
WITHIN_S = 120.0
"""The promise after a death; the rest takes seconds."""


def plan() -> CityPlan:
    """Six portals and twenty websites; one key is shared by all portals but one."""
    dealt = city_of(
        portals=6,
        sites=20,
        keys=2,
        every_s=[60],
        pause_s=[20],
        latency_ms=(20, 120),
        per_minute=60,
        per_10_s=30,
    )
    sites = tuple(replace(site, key="k1" if site.portal == ALONE else "k0") for site in dealt.sites)
    return replace(dealt, sites=sites)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(Script(plan(), workers=2, concurrency=3), tmp_path) as opened:
        yield opened


def until(holds: Callable[[], bool], *, what: str) -> None:
    end = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def are_read(stage: Stage, portals: Collection[str], *, since: float) -> bool:
    """Whether every website of these portals was read since then."""
    seen = findings.starts(stage.city.books())
    return all(
        site.portal not in portals or max(seen.get(site.website, [0.0])) > since
        for site in stage.script.plan.sites
    )


def run_now(stage: Stage, *portals: str) -> None:
    """At once, so that a start of the program is waited for but once."""
    with ThreadPoolExecutor(len(portals)) as threads:
        list(threads.map(lambda portal: stage.command("run", portal, "--now"), portals))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_portals_are_synced_whatever_befalls_their_neighbours_and_workers(stage: Stage) -> None:
    stage.city.begin("down", DOWN)
    stage.city.begin("revoked", REVOKED)
    stage.command("pause", PAUSED)
    for _ in range(2):
        stage.start_worker()
    run_now(stage, *CALM, DOWN, REVOKED)
    until(lambda: stage.kill_busy(CALM), what="a worker is at work")
    stage.start_worker()
    until(lambda: are_read(stage, CALM, since=stage.deaths[0].at), what="a dead worker's runs are taken up")
    before = stage.city.books()
    assert before.portals[PAUSED] == before.portals[DOWN] == before.portals[REVOKED] == {}
    assert not any(each.website in websites_of(PAUSED) for each in before.requests)

    stage.command("resume", PAUSED)
    for name in (DOWN, REVOKED):
        stage.city.mend(name)
    stage.city.fall_quiet()
    everybody = [portal.name for portal in stage.script.plan.portals]
    assert stage.settle(everybody, within_s=WITHIN_S)
    assert stage.workers.stop() == [143] * 2
    books = stage.city.books()
    assert findings.overlaps(books, stage.script.plan) == []
    assert findings.exceeded(books) == {}
    assert findings.lost(books, stage.script.plan) == []
    assert findings.strangers(books, stage.script.plan) == []


def websites_of(portal: str) -> set[str]:
    return {site.website for site in plan().sites_of(portal)}
