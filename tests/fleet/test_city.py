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
BACK_WITHIN_S = 120.0


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
    with staged(Script(plan(), workers=3, concurrency=2), tmp_path) as opened:
        yield opened


def until(holds: Callable[[], bool], *, within_s: float, what: str) -> None:
    end = time.monotonic() + within_s
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


def run_now(stage: Stage, *portals: str) -> float:
    """At once, so that a start of the program is waited for but once. Returns when that was."""
    asked = time.time()
    with ThreadPoolExecutor(len(portals)) as threads:
        list(threads.map(lambda portal: stage.command("run", portal, "--now"), portals))
    return asked


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_portals_are_synced_whatever_befalls_their_neighbours_and_workers(stage: Stage) -> None:
    stage.city.begin("down", DOWN)
    stage.city.begin("revoked", REVOKED)
    stage.command("pause", PAUSED)
    for _ in range(3):
        stage.start_worker()
    asked = run_now(stage, *CALM, DOWN, REVOKED)
    until(lambda: are_read(stage, CALM, since=asked), within_s=60, what="calm portals are read")

    run_now(stage, *CALM)
    until(lambda: stage.kill_busy(CALM), within_s=70, what="a worker is at work")
    stage.start_worker()
    death = stage.deaths[0]
    cut = [website for portal, _, website in (each.partition("/") for each in death.cut) if portal in CALM]
    until(
        lambda: all(findings.read_again(stage.city.books(), each, death.at) for each in cut),
        within_s=BACK_WITHIN_S,
        what="what a dead worker ran is taken up",
    )
    before = stage.city.books()
    assert before.portals[PAUSED] == before.portals[DOWN] == before.portals[REVOKED] == {}
    assert not any(each.website in websites_of(PAUSED) for each in before.requests)

    stage.command("resume", PAUSED)
    for name in (DOWN, REVOKED):
        stage.city.mend(name)
    stage.city.fall_quiet()
    asked = time.time()
    stage.settle([portal.name for portal in stage.script.plan.portals])
    books = stage.city.books()
    assert are_read(stage, [portal.name for portal in stage.script.plan.portals], since=asked)
    assert findings.overlaps(books, stage.script.plan) == []
    assert findings.exceeded(books) == {}
    assert findings.lost(books, stage.script.plan) == []
    assert findings.strangers(books, stage.script.plan) == []
    assert stage.workers.stop() == [143] * 3


def websites_of(portal: str) -> set[str]:
    return {site.website for site in plan().sites_of(portal)}
