"""HubSpot: the way there, whose portal it is, what the token may do, the properties."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from etl.cli import wiring
from etl.cli.checks.finding import NotCheckedError, Probe
from etl.cli.checks.way import BRIEF, way
from etl.errors import SettingsError
from etl.load.access import prove_read_access, prove_write_access
from etl.load.portal import read_portal
from etl.load.properties import Properties, raise_for
from etl.load.words import HubSpotWords
from etl.pipeline.ownership import recognise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from etl.cli.checks.state import StateChecks
    from etl.clock import Clock
    from etl.load.client import HubSpotClient
    from etl.models.portal import Portal
    from etl.settings import Settings, Shared


class HubSpotChecks:
    """``stack`` closes what is opened."""

    def __init__(self, settings: Settings, state: StateChecks, clock: Clock, stack: ExitStack) -> None:
        self._settings = settings.hubspot
        self._shared = settings.shared
        self._wanted = wiring.wanted_of(settings.sync)
        self._state = state
        self._clock = clock
        self._stack = stack

    def probes(self) -> Iterator[Probe]:
        """Whose portal it is comes before all that could be wrong with it."""
        yield Probe("hubspot route", self._way, opens=True)
        yield Probe("hubspot portal", self._portal)
        yield Probe("hubspot read scope", lambda: self._granted(prove_read_access))
        yield Probe("hubspot write scope", lambda: self._granted(prove_write_access))
        yield Probe("hubspot properties", self._properties)

    @cached_property
    def client(self) -> HubSpotClient:
        opened = wiring.hubspot_beside(self._settings, self._clock, self._shared, BRIEF)
        return self._stack.enter_context(opened)

    def _way(self) -> str:
        return way(self._settings.base_url, "HubSpot", "HUBSPOT_BASE_URL")

    def _portal(self) -> str:
        """Whose token it is, and whether the state is that portal's."""
        met = read_portal(self.client)
        whose = str(met) if met else "HubSpot does not say which portal the token opens"
        try:
            owner = self._state.owner()
        except NotCheckedError:
            return f"{whose}; the state cannot be read, so that it may be another portal's"
        recognised = recognise(owner, met=met, credential=self.client.credential, words=HubSpotWords())
        if recognised.doubt:
            raise SettingsError(recognised.doubt)
        if met and self._shared:
            self._claimable(met, self._shared)
        return whose

    def _claimable(self, met: Portal, shared: Shared) -> None:
        """Raises SettingsError where the account is another portal's of the file, too."""
        from etl.cli import sharing  # noqa: PLC0415 -- a fleet alone needs it

        if sharing.is_kept(shared.url, self._clock):
            with sharing.shared_stops(shared, self._clock, looks=True) as shares:
                shares.claim(met.id)

    def _granted(self, prove: Callable[[HubSpotClient], None]) -> str:
        prove(self.client)
        return "granted"

    def _properties(self) -> str:
        raise_for(Properties(self.client, self._wanted).verify())
        return f"all {len(self._wanted)} are there, with the right types"
