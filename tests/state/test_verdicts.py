"""What runs did to contacts: kept as long as it can be undone, told by run and by contact."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, World, page, row

from etl.state.runs import KEPT_RUNS

if TYPE_CHECKING:
    from etl.models.deed import Deed

ANN = "ann@example.test"
DAY_S = 86_400


@pytest.fixture
def world(state_url: str) -> World:
    return World(state_url)


def run(world: World, pageviews: int, **order: Any) -> str:
    """A run in which Ann's views change; a day goes by. Returns its id."""
    now = world.clock.now()
    summary = world.run(page(row("a", now, email=ANN, pageviews=pageviews), clock=now), **order)
    world.clock.advance(DAY_S)
    return summary.run


def deeds(world: World, run: str) -> list[Deed]:
    with world.state() as state:
        number = state.verdicts.number(run)
        return state.verdicts.of_run(number) if number is not None else []


def test_a_run_is_remembered_for_as_long_as_it_can_be_undone(world: World) -> None:
    runs = [run(world, views, undo=timedelta(days=3)) for views in range(1, 6)]

    assert [len(deeds(world, each)) for each in runs] == [0, 1, 1, 1, 1]
    last = deeds(world, runs[-1])[0]
    assert (last.before["zenovay_pageviews"], last.after["zenovay_pageviews"]) == ("4", "5")


def test_where_nothing_is_to_be_kept_the_next_run_forgets(world: World) -> None:
    runs = [run(world, views, undo=timedelta(0)) for views in (1, 2)]
    assert [len(deeds(world, each)) for each in runs] == [0, 1]


def test_a_contact_remembers_the_runs_that_changed_it_latest_first(world: World) -> None:
    runs = [run(world, views) for views in (1, 2, 2, 3)]
    with world.state() as state:
        past = state.verdicts.of_contact(1)
    assert [each.run for each in past] == runs[::-1]
    assert [each.after.get("zenovay_pageviews") for each in past] == ["3", None, "2", None]


def test_runs_that_can_be_undone_are_kept_beyond_their_number(world: World) -> None:
    with world.state() as state:
        website = state.runs.website("site").id
        for number in range(KEPT_RUNS + 5):
            state.runs.begin(f"r{number}", website, "incremental", NOW + timedelta(seconds=number))
        state.runs.end("r9", NOW, {"run": "r9", "status": "done"}, kept_since=NOW + timedelta(seconds=2))
        kept = {each["run"] for each in state.runs.last("site", 2 * KEPT_RUNS)}
    assert [f"r{number}" in kept for number in range(4)] == [False, False, True, True]
