"""Who a visitor is, case by case: what follows from links, merges and another portal."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fakes import row
from near_portal import LINK, MATCH, UPSERT, NearPortal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from near_portal import Mode

ANN = "ann@example.com"
BOB = "bob@example.com"


@pytest.fixture
def portal() -> Iterator[NearPortal]:
    portal = NearPortal()
    yield portal
    portal.close()


def seen(portal: NearPortal, visitor_id: str, pageviews: int, email: str | None = None) -> None:
    portal.arrive(row(visitor_id, portal.clock.now(), pageviews=pageviews, email=email))


def run(portal: NearPortal, mode: Mode = UPSERT) -> None:
    portal.clock.advance(300)
    summary, _ = portal.run(mode)
    assert summary
    assert summary.exit_code == 0, summary.reason


def views(portal: NearPortal) -> dict[str, str | None]:
    return {record: each.get("zenovay_pageviews") for record, each in portal.hubspot.contacts.items()}


def test_an_id_that_comes_back_to_a_record_is_its_again(portal: NearPortal) -> None:
    ann = portal.hubspot.seed({"email": ANN, LINK: "v1"})
    portal.clock.advance(60)
    bob = portal.hubspot.seed({"email": BOB, LINK: "v1"})
    seen(portal, "v1", 3)
    run(portal, MATCH)
    assert views(portal) == {ann: None, bob: "3"}
    for visitor_id in ("v2", "v1"):
        portal.hubspot.edit(ann, **{LINK: visitor_id})
        run(portal, MATCH)
    assert views(portal)[ann] == "3"


def test_a_link_taken_away_after_a_merge_counts_no_more_under_the_old_id(portal: NearPortal) -> None:
    ann, bob = portal.hubspot.seed({"email": ANN, LINK: "v1"}), portal.hubspot.seed({"email": BOB})
    seen(portal, "v1", 3)
    seen(portal, "v2", 4, BOB)
    run(portal, MATCH)
    both = portal.hubspot.merge(bob, ann)
    run(portal, MATCH)
    assert views(portal) == {both: "7"}
    portal.hubspot.edit(both, **{LINK: ""})
    run(portal, MATCH)
    seen(portal, "v1", 30)
    seen(portal, "v2", 5, BOB)
    run(portal, MATCH)
    assert views(portal) == {both: "5"}


def test_a_merge_is_found_by_the_link_alone(portal: NearPortal) -> None:
    ann, bob = portal.hubspot.seed({"email": ANN, LINK: "v1"}), portal.hubspot.seed({"email": BOB})
    seen(portal, "v1", 1)
    seen(portal, "v2", 2, ANN)
    run(portal, MATCH)
    assert views(portal) == {ann: "3", bob: None}
    seen(portal, "v1", 5)
    both = portal.hubspot.merge(bob, ann)
    run(portal, MATCH)
    assert views(portal) == {both: "7"}


def test_of_two_records_of_one_contact_the_one_that_was_told_last_is_asked(portal: NearPortal) -> None:
    seen(portal, "v1", 1, ANN)
    run(portal)
    portal.hubspot.archive(*portal.hubspot.contacts)
    anew = portal.hubspot.seed({"email": ANN, LINK: "v2"})
    seen(portal, "v2", 2)
    portal.clock.advance(300)
    _, client = portal.run()
    assert views(portal) == {anew: "3"}
    asked = Counter(client.asked)
    assert (asked["batch/read"], asked["batch/update"]) == (2, 2)


@pytest.mark.parametrize("seed", range(8))
def test_a_record_is_not_sent_again_while_who_it_turned_out_to_be_is_in_flight(
    portal: NearPortal, seed: int
) -> None:
    ann = portal.hubspot.seed({"email": ANN, LINK: "v2"})
    seen(portal, "v1", 3, ANN)
    seen(portal, "v2", 4)
    summary, _ = portal.run(seed=seed)
    assert summary
    assert summary.exit_code == 0, summary.reason
    assert views(portal) == {ann: "7"}


def move_to_another_portal(portal: NearPortal) -> None:
    """The ids of its records begin where those of the one before did."""
    with portal.state() as store, store.transaction() as state:
        owner = state.ownership.owner()
        assert owner
        state.ownership.put(replace(owner, released=True))
    portal.hubspot.portal_id += 1
    portal.empty()


def test_in_another_portal_a_contact_is_found_by_its_own_key_and_not_by_a_link(portal: NearPortal) -> None:
    seen(portal, "v1", 3)
    run(portal)
    (record,) = portal.hubspot.contacts
    portal.hubspot.edit(record, **{LINK: "v1"})
    seen(portal, "v1", 4)
    run(portal)
    move_to_another_portal(portal)
    run(portal)
    assert list(views(portal).values()) == ["4"]
    portal.hubspot.edit(record, **{LINK: "v1"})
    seen(portal, "v1", 5)
    run(portal)
    assert list(views(portal).values()) == ["5"]


def test_who_was_merged_in_one_portal_is_two_people_in_another(portal: NearPortal) -> None:
    seen(portal, "v1", 3, ANN)
    seen(portal, "v2", 4, BOB)
    run(portal)
    portal.hubspot.merge(*portal.hubspot.contacts)
    seen(portal, "v1", 5, ANN)
    run(portal)
    assert list(views(portal).values()) == ["9"]
    move_to_another_portal(portal)
    run(portal)
    assert {each["email"]: each["zenovay_pageviews"] for each in portal.hubspot.contacts.values()} == {
        ANN: "5",
        BOB: "4",
    }
