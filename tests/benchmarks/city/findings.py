"""What the books say of the program: whether its runs overlapped, came in time, lost or misplaced anybody."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from .books import HUBSPOT, ZENOVAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .books import Books, Request
    from .plan import CityPlan

BEGINNING = "first page"
_OF_CONTACTS = frozenset({"read", "upsert", "update"})


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two requests for one portal that two runs must have sent at once."""

    portal: str
    first: Request
    second: Request


def by_portal(books: Books, plan: CityPlan) -> dict[str, list[Request]]:
    """The requests that runs of a portal sent, in their order."""
    owner = {site.website: site.portal for site in plan.sites}
    grouped: dict[str, list[Request]] = defaultdict(list)
    for request in books.requests:
        portal = request.who if request.side == HUBSPOT else owner.get(request.website)
        if portal:
            grouped[portal].append(request)
    return grouped


def overlaps(books: Books, plan: CityPlan) -> list[Overlap]:
    """Runs of a portal that ran at once.

    A run begins by asking for the first page of a website. So of the requests that one process sends between
    those of others one is such a beginning, where any of them is about contacts; else it goes on with a run
    while another's has begun. And no run reads two websites at once.
    """
    found: list[Overlap] = []
    for portal, requests in by_portal(books, plan).items():
        found += _torn_apart(portal, requests)
        found += _two_websites(portal, requests)
    return found


def _torn_apart(portal: str, requests: Sequence[Request]) -> Iterator[Overlap]:
    turns = [list(turn) for _, turn in groupby(requests, key=lambda request: request.process)]
    for before, turn in pairwise(turns):
        asked = {request.what for request in turn}
        if BEGINNING not in asked and asked & _OF_CONTACTS:
            yield Overlap(portal, before[-1], turn[0])


def _two_websites(portal: str, requests: Sequence[Request]) -> Iterator[Overlap]:
    pages = [request for request in requests if request.side == ZENOVAY and request.answered]
    for before, after in pairwise(pages):
        if after.arrived < before.answered and after.website != before.website:
            yield Overlap(portal, before, after)


def starts(books: Books) -> dict[str, list[float]]:
    """The instants at which each website was read, in their order; refused ones as well."""
    found: dict[str, list[float]] = defaultdict(list)
    for request in books.requests:
        if request.what == BEGINNING:
            found[request.website].append(request.arrived)
    return found


def read_again(books: Books, website: str, after: float) -> float | None:
    """The seconds from an instant until a website was read the next time; None if it was not."""
    return next((at - after for at in starts(books).get(website, ()) if at > after), None)


def lateness(
    books: Books, plan: CityPlan, *, begun: float, ended: float, without: Iterable[str] = ()
) -> dict[str, list[float]]:
    """By website, the seconds by which each start came later than its interval after the one before.

    The first is late if it comes after one interval from ``begun`` on, and ``ended`` counts as a start that
    is not yet late. ``without``: portals that do not count.
    """
    spared, seen = set(without), starts(books)
    return {
        site.website: [
            max(0.0, after - before - site.every_s)
            for before, after in pairwise([begun, *seen.get(site.website, ()), ended])
        ]
        for site in plan.sites
        if site.portal not in spared
    }


def exceeded(books: Books) -> dict[str, int]:
    """The requests that came too early, by limit."""
    return {name: limit.exceeded for name, limit in books.limits.items() if limit.exceeded}


def lost(books: Books, plan: CityPlan, *, without: Iterable[str] = ()) -> list[str]:
    """Visitors that were told and are not in their portal, or not with their latest page views."""
    spared = set(without)
    return [
        visitor
        for site in plan.sites
        if site.portal not in spared
        for visitor, views in books.websites.get(site.website, {}).items()
        if books.portals[site.portal].get(visitor) != str(views)
    ]


def strangers(books: Books, plan: CityPlan) -> list[str]:
    """Contacts in a portal that no website of it was told to have been visited by."""
    known: Mapping[str, set[str]] = {portal.name: set() for portal in plan.portals}
    for site in plan.sites:
        known[site.portal].update(books.websites.get(site.website, ()))
    return [
        visitor
        for portal, there in books.portals.items()
        for visitor in there
        if visitor not in known[portal]
    ]
