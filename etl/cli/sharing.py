"""Limits that others keep, too: those of a fleet's keys and portals, in the place of a state's own."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.fleet.allowances import SharedDay, SharedMonth, SharedStops, Turns
from etl.fleet.claims import Claims
from etl.fleet.database import revision
from etl.fleet.grants import HUBSPOT, SEARCH, ZENOVAY
from etl.fleet.permits import permits, shared_rows
from etl.fleet.stops import key_row, portal_row, search_row
from etl.load.links import SEARCHES_A_SECOND
from etl.state.database import connect
from etl.state.urls import exists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.clock import Clock
    from etl.extract.budget import Terms
    from etl.fleet.permits import Permits
    from etl.settings import HubSpotSettings, Settings, Shared


@dataclass(frozen=True, slots=True)
class ZenovayLimits:
    """What a client of Zenovay keeps."""

    pace: Turns
    budget: SharedMonth


@dataclass(frozen=True, slots=True)
class HubSpotLimits:
    """What a client of HubSpot keeps."""

    pace: Turns
    search: Turns
    day: SharedDay


def is_kept(url: str, clock: Clock) -> bool:
    """Whether the shared rows are there. Raises StateError."""
    if not exists(url):
        return False
    with connect(url, clock=clock) as connection:
        return revision(connection) is not None


@contextmanager
def zenovay_limits(shared: Shared, settings: Settings, clock: Clock, terms: Terms) -> Iterator[ZenovayLimits]:
    """The limits of a key, for a command that may use so much of the month."""
    name = key_row(shared.key)
    with permits(shared.url, {name: ZENOVAY}, clock) as found:
        month = SharedMonth(found[name], clock, terms)
        limit = settings.zenovay.requests_per_minute
        yield ZenovayLimits(Turns(found[name], clock, title="Zenovay", limit=limit, counting=month), month)


@contextmanager
def hubspot_limits(
    shared: Shared, settings: HubSpotSettings, clock: Clock, *, insists: bool
) -> Iterator[HubSpotLimits]:
    """The limits of a portal; who ``insists`` obeys no stop, and no day that is said to be spent."""
    ten_seconds, second = portal_row(shared.portal), search_row(shared.portal)
    with permits(shared.url, {ten_seconds: HUBSPOT, second: SEARCH}, clock) as found:
        day = SharedDay(found[ten_seconds], clock, most=shared.requests_per_day, insists=insists)
        limit = settings.requests_per_10_seconds
        yield HubSpotLimits(
            Turns(found[ten_seconds], clock, title="HubSpot", limit=limit, counting=day),
            Turns(found[second], clock, title="HubSpot's search", limit=SEARCHES_A_SECOND),
            day,
        )


@contextmanager
def shared_stops(shared: Shared, clock: Clock, *, looks: bool = False) -> Iterator[SharedStops]:
    """The stops and the months that hold for all who use the key, and for all who use the portal.

    Who only ``looks`` claims no account, and is told all the same whose it is.
    """
    names = {"zenovay": key_row(shared.key), "hubspot": portal_row(shared.portal)}
    with permits(shared.url, {names["zenovay"]: ZENOVAY, names["hubspot"]: HUBSPOT}, clock) as found:
        by_api: dict[str, Permits] = {api: found[name] for api, name in names.items()}
        with shared_rows(shared.url, clock) as rows:
            yield SharedStops(by_api, clock, Claims(rows, shared.portal, shared.declared, looks))
