"""The way to one API, as the settings and the environment say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import SettingsError
from etl.network.proxies import proxy_for
from etl.network.urls import authority, checked

if TYPE_CHECKING:
    from etl.network.proxies import Proxy


@dataclass(frozen=True, slots=True)
class Route:
    """``api`` is its name for people, ``setting`` the variable that holds ``url``, its base URL."""

    api: str
    setting: str
    url: str
    proxy: Proxy | None

    @property
    def host(self) -> str:
        return authority(self.url)

    @property
    def next_hop(self) -> str:
        """Whom a connection is made to, for a message."""
        return str(self.proxy or self.host)

    def __str__(self) -> str:
        return f"{self.host} through {self.proxy}" if self.proxy else f"{self.host} directly"


def credential(text: str, *, setting: str) -> str:
    """``text``, which can stand in a header. Raises SettingsError for what no key or token is."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise SettingsError(f"{setting} is empty or holds a character that no key has.", fix="Copy it again.")
    return text


def route_to(url: str, *, api: str, setting: str, fix: str = "Leave it unset for the real API.") -> Route:
    """Raises SettingsError for a base URL that may not be called, and for a proxy that cannot be used."""
    try:
        plain = checked(url)
    except ValueError as exc:
        raise SettingsError(f"{setting} {exc}.", fix=fix) from exc
    return Route(api, setting, plain, proxy_for(plain))
