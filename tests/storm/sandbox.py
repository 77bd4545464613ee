"""The sandbox in its weather."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.clock import SystemClock
from etl.sandbox import Sandbox
from storm.weather import Weather
from storm.worlds import StormyHubSpot, StormyTeam, StormyZenovay

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from etl.clock import Clock
    from storm.log import Exchange


class Storm(Sandbox):
    """A Sandbox with worlds that can go wrong, and with a log of what they were asked.

    On a calm day it answers as the Sandbox does.
    """

    zenovay: StormyZenovay
    hubspot: StormyHubSpot
    team: StormyTeam

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        observers: Sequence[Callable[[Exchange], None]] = (),
    ) -> None:
        clock = clock or SystemClock()
        zenovay, hubspot = StormyZenovay(clock=clock), StormyHubSpot(clock=clock)
        team = StormyTeam(clock=clock)
        super().__init__(
            zenovay=zenovay,
            hubspot=hubspot,
            team=team,
            around=lambda within: Weather(within, zenovay, hubspot, team, observers),
        )
