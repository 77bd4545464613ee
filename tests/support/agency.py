"""An installation with several portals: a sandbox for each, and one visitor-sync.toml."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from program import OURS, Installed, row
from storm import Storm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass
class Agency(Installed):
    """``visitor-sync`` for portals of which each is a sandbox of its own, with a key of its own."""

    folder: Path
    portals: dict[str, Storm]
    settings: dict[str, str] = field(default_factory=dict)
    sites: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The websites of a portal, where it has not just that of its sandbox."""

    @property
    def base(self) -> Path:
        return self.folder / "state.db"

    def state_file(self, portal: str) -> Path:
        return self.folder / "portals" / f"{portal}.db"

    def declare(self, *, every: str = "5m") -> None:
        (self.folder / "visitor-sync.toml").write_text(
            "\n".join(
                f"""
                [[keys]]
                name = "key-{name}"
                key_env = "{name.upper()}_KEY"
                base_url = "{storm.zenovay_url}"
                requests_per_minute = 1000

                [[portals]]
                name = "{name}"
                token_env = "{name.upper()}_TOKEN"
                base_url = "{storm.hubspot_url}"
                requests_per_10_seconds = 1000
                """
                + "".join(
                    f"""
                [[sites]]
                website = "{website}"
                portal = "{name}"
                key = "key-{name}"
                every = "{every}"
                """
                    for website in self.websites(name)
                )
                for name, storm in self.portals.items()
            )
        )

    def websites(self, portal: str) -> tuple[str, ...]:
        return self.sites.get(portal, (self.portals[portal].website,))

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        secrets = {
            name: secret
            for portal, storm in self.portals.items()
            for name, secret in (
                (f"{portal.upper()}_KEY", storm.zenovay.api_key),
                (f"{portal.upper()}_TOKEN", storm.hubspot.access_token),
            )
        }
        own = {"SYNC_STATE_URL": f"sqlite:///{self.base}", "HOME": str(self.folder)}
        return inherited | secrets | own | self.settings | dict(extra or {})

    def visitors(self, *numbers: int) -> None:
        """Each website of each portal has these."""
        for portal, storm in self.portals.items():
            for website in self.websites(portal):
                storm.zenovay.websites.setdefault(website, [])
                storm.zenovay.add_rows(website, [row(number) for number in numbers])


@contextmanager
def agency(folder: Path, *names: str) -> Iterator[Agency]:
    """Portals of these names, whose HubSpot is set up, and which are declared."""
    with ExitStack() as stack:
        portals = {name: stack.enter_context(Storm()) for name in names}
        for name, storm in portals.items():
            storm.hubspot.access_token, storm.zenovay.api_key = f"pat-eu1-{name}", f"zv_{name}"
            storm.hubspot.portal_id += sum(map(ord, name))
            storm.hubspot.install_properties()
        made = Agency(folder, portals)
        made.declare()
        yield made
