"""The sandbox as one thing: a Zenovay, a HubSpot and a team to tell, on one port of loopback."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.sandbox.arrivals import Arrivals
from etl.sandbox.generator import Visitors
from etl.sandbox.hubspot import HubSpotWorld
from etl.sandbox.team import TeamWorld
from etl.sandbox.zenovay import DEFAULT_WEBSITE, PATH, ZenovayWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

_POPULATED = timedelta(days=30)


class Sandbox:
    """Serves from ``__enter__`` to ``__exit__``, which does not wait for requests in progress.

    The port is taken when the object is made; 0 takes a free one. ``around`` may wrap the whole application.
    Raises SettingsError where the web server is not installed or the port cannot be used.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        seed: int = 7,
        zenovay: ZenovayWorld | None = None,
        hubspot: HubSpotWorld | None = None,
        team: TeamWorld | None = None,
        around: Callable[[ASGIApp], ASGIApp] = lambda application: application,
    ) -> None:
        try:
            from etl.sandbox.loopback import Loopback, application  # noqa: PLC0415  an extra
        except ImportError as exc:
            fix = "In the checkout: ~/.uv/bin/uv sync --locked --inexact --extra sandbox"
            raise SettingsError(f"The sandbox needs {exc.name}, which is not installed.", fix=fix) from exc
        self.zenovay = zenovay or ZenovayWorld(clock=SystemClock())
        self._visitors = Visitors(seed, self.zenovay.now())
        self.hubspot = hubspot or HubSpotWorld(clock=SystemClock(), seed_value=seed)
        self.team = team or TeamWorld(clock=SystemClock())
        worlds = application(self.zenovay, self.hubspot, self.team)
        self._loopback = Loopback(around(worlds), port=port)
        self.url = f"http://127.0.0.1:{self._loopback.port}"
        self.zenovay_url = self.url + PATH
        self.hubspot_url = self.url
        self.website = DEFAULT_WEBSITE

    def __enter__(self) -> Self:
        self._loopback.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loopback.stop()

    @property
    def slack_url(self) -> str:
        """The webhook of the team's channel."""
        return self.url + self.team.slack_path

    @property
    def ping_url(self) -> str:
        """What the team's check expects pings at."""
        return self.url + self.team.ping_path

    def environment(self) -> dict[str, str]:
        """The variables that point the program at this sandbox."""
        return {
            "ZENOVAY_API_KEY": self.zenovay.api_key,
            "ZENOVAY_WEBSITE_ID": self.website,
            "ZENOVAY_BASE_URL": self.zenovay_url,
            "HUBSPOT_ACCESS_TOKEN": self.hubspot.access_token,
            "HUBSPOT_BASE_URL": self.hubspot_url,
        }

    def watching_environment(self) -> dict[str, str]:
        """The variables that make the program tell this sandbox's team."""
        return {
            "SLACK_WEBHOOK_URL": self.slack_url,
            "SYNC_NOTIFY": "slack",
            "SYNC_PING_URL": self.ping_url,
        }

    def populate(self, count: int) -> None:
        """Add ``count`` more generated rows of the last 30 days to the default website."""
        now = self.zenovay.now()
        rows = self._visitors.rows(count, between=(now - _POPULATED, now))
        self.zenovay.add_rows(self.website, rows)

    def arrivals(self, pause: timedelta) -> Arrivals:
        """Rows that are added to the default website inside, one after each ``pause``; some come back."""
        return Arrivals(self.zenovay, self.website, self._visitors, pause=pause)
