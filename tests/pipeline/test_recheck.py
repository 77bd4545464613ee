"""What strangers cost where nobody is made: one look at each, and again after a while, so many a day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import World, page, row

from etl.models.contact import ContactKind
from etl.pipeline import recheck

if TYPE_CHECKING:
    from collections.abc import Iterable

BATCH = 100
MATCHING: dict[str, Any] = {"matched": frozenset({ContactKind.EMAIL, ContactKind.VISITOR})}
RECHECK = timedelta(days=7)


@pytest.fixture
def world(state_url: str) -> World:
    return World(state_url)


def run(world: World, ids: Iterable[str] = (), **order: Any) -> list[str]:
    """A run to which these strangers are new. Returns who was looked for, in order."""
    now = world.clock.now()
    world.crm.looks.clear()
    world.run(page(*(row(each, now) for each in ids), clock=now), recheck=RECHECK, **(MATCHING | order))
    assert world.crm.batches == []
    return [parcel.id_value for batch in world.crm.looks for parcel in batch]


def test_a_day_of_strangers_takes_a_request_a_run_and_so_many_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A twelfth of a day of 288 runs with 20,000 strangers, behind which there are more than enough."""
    runs, strangers, rechecked = 24, 69, 1250
    monkeypatch.setattr(recheck, "RECHECKED_A_DAY", rechecked)
    run(world, (f"old-{n}" for n in range(2 * rechecked)))
    world.clock.advance(8 * 86_400)
    before, looked_for = world.crm.requests, 0
    for number in range(runs):
        looked_for += len(run(world, (f"new-{number}-{n}" for n in range(strangers))))
        world.clock.advance(300)

    assert looked_for == runs * strangers + rechecked
    assert world.crm.requests - before <= runs + -(-rechecked // BATCH)
    assert world.crm.contacts == {}


def test_who_was_absent_longest_is_looked_for_first_and_so_many_a_day(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recheck, "RECHECKED_A_DAY", 5)
    for hour in (3, 1, 2, 0):  # named in another order than that in which they come
        assert run(world, (f"{hour}-{n}" for n in range(3)))
        world.clock.advance(3600)
    assert run(world) == []
    world.clock.advance(8 * 86_400)

    assert set(run(world)) == {"3-0", "3-1", "3-2", "1-0", "1-1"}
    assert run(world) == []
    world.clock.advance(86_400)
    assert set(run(world)) == {"1-2", "2-0", "2-1", "2-2", "0-0"}
    assert run(world) == []
    world.clock.advance(86_400)
    assert set(run(world)) == {"0-1", "0-2"}
    world.clock.advance(86_400)
    assert run(world) == []


def test_who_was_to_be_looked_for_when_the_run_ended_is_so_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recheck, "RECHECKED_A_DAY", 5)
    run(world, (f"{n}" for n in range(8)))
    world.clock.advance(8 * 86_400)
    world.crm.shows_nothing = True
    assert len(run(world)) == 5
    world.crm.shows_nothing = False

    assert len(run(world)) == 5
    assert run(world) == []


def test_strangers_cost_no_look_at_others_that_are_not_matched(world: World) -> None:
    """Those with an address are made here, and none of them is absent."""
    matched = {"matched": frozenset({ContactKind.VISITOR})}
    run(world, (f"{n}" for n in range(10)), **matched)
    assert run(world, **matched) == []
