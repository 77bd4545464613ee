"""Whose a value is, told apart whatever happens: lost replies, doubts, fields that are off, new records."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, World, page, row

from etl.errors import UnavailableError
from etl.fields import BASIC, SyncedFields
from etl.models.verdict import Outcome, Verdict
from etl.policies import Policy

if TYPE_CHECKING:
    from etl.models.reading import Page
    from etl.models.summary import RunSummary

ANN = "ann@example.test"
KEY = ("email", ANN)
WITHOUT_COUNTRY = SyncedFields([field for field in BASIC if field.name != "country"])
ONLY_COUNTRY = SyncedFields([field for field in BASIC if field.name == "country"])
OVERWRITING = SyncedFields(
    [replace(field, write=Policy.OVERWRITE) if field.name == "country" else field for field in BASIC]
)


@pytest.fixture
def world(state_url: str) -> World:
    return World(state_url)


def seen(hours_ago: int, country: str) -> Page:
    return page(row("a", NOW - timedelta(hours=hours_ago), email=ANN, country=country, pageviews=1))


def people(count: int, hours_ago: int, country: str) -> list[Page]:
    at = NOW - timedelta(hours=hours_ago)
    rows = [row(f"v{n}", at, email=f"p{n}@example.test", country=country, pageviews=1) for n in range(count)]
    return [page(*rows[start : start + 100]) for start in range(0, count, 100)]


def without_reply(world: World, page: Page, **order: Any) -> None:
    world.crm.lose_replies = True
    assert world.run(page, **order).exit_code == 4
    world.crm.lose_replies = False


def test_a_text_without_a_reply_stays_ours_also_after_a_resync(world: World) -> None:
    world.run(seen(9, "FR"))
    without_reply(world, seen(8, "DE"))
    with world.state() as state:
        state.ledger.forget_confirmations()
    world.run(page())
    world.run(seen(7, "US"))
    assert world.crm.contacts[KEY]["country"] == "United States"


def test_a_text_of_a_field_that_is_off_for_a_while_stays_ours(world: World) -> None:
    world.run(seen(9, "FR"))
    with world.state() as state:
        state.ledger.forget_confirmations()
    world.run(page(), synced=WITHOUT_COUNTRY)
    world.run(seen(7, "US"))
    assert world.crm.contacts[KEY]["country"] == "United States"


def test_a_text_without_a_reply_stays_ours_when_its_policy_changes(world: World) -> None:
    world.run(seen(9, "FR"), synced=OVERWRITING)
    without_reply(world, seen(8, "DE"), synced=OVERWRITING)
    world.run(seen(7, "US"))
    assert world.crm.contacts[KEY]["country"] == "United States"


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_contact_without_any_fact_is_made_all_the_same(world: World, *, dry_run: bool) -> None:
    summary = world.run(
        page(row("a", NOW - timedelta(hours=1), email=ANN)), synced=ONLY_COUNTRY, dry_run=dry_run
    )
    assert (summary.exit_code, summary.contacts.created) == (0, 1)


def carried_over(world: World, count: int, **order: Any) -> RunSummary:
    """A run over contacts whose countries have changed during an outage. Its looks are counted anew."""
    world.run(*people(count, 9, "FR"))
    world.crm.outage = UnavailableError("HubSpot is away.")
    world.run(*people(count, 8, "DE"))
    world.crm.outage = None
    world.crm.looks.clear()
    return world.run(page(), **order)


@pytest.mark.parametrize(("most", "updated"), [(0.3, 0), (1.0, 1100)])
def test_what_the_brake_keeps_back_is_looked_at_once(world: World, most: float, updated: int) -> None:
    """More of them than are looked up at a time: they are not to be handed out again and again."""
    summary = carried_over(world, 1100, max_changed=most)
    assert (summary.contacts.updated, summary.contacts.deferred) == (updated, 1100 - updated)
    assert len(world.crm.looks) == 11


def test_the_brake_holds_where_nothing_has_to_be_looked_at(world: World) -> None:
    """What is overwritten by policy, and was written by us before, is known without a look."""
    world.run(*people(120, 9, "FR"), synced=OVERWRITING)
    world.crm.looks.clear()
    summary = world.run(*people(120, 8, "DE"), synced=OVERWRITING)
    assert (summary.exit_code, summary.contacts.updated, world.crm.looks) == (3, 0, [])
    assert world.run(page(), synced=OVERWRITING, max_changed=1.0).contacts.updated == 120


def test_what_was_refused_is_not_taken_for_ours(world: World) -> None:
    """HubSpot did not take our text; who types the same later on is somebody else."""
    world.crm.verdict = lambda parcel: Verdict(parcel.contact_id, Outcome.REJECTED, None, "no", "INVALID")
    world.run(seen(9, "FR"))
    world.crm.verdict = lambda _: None
    world.crm.contacts[KEY] = {"country": "France"}
    world.run(seen(8, "US"))
    assert world.crm.contacts[KEY]["country"] == "France"
