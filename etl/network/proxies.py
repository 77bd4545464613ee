"""Which proxy the environment wants between us and a URL.

The variables of curl and requests: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY. Written in lower case
they come first, and an empty one counts as not set. As there, they hold for addresses of this machine too.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from etl.errors import SettingsError, installing
from etl.network.urls import HOST, is_host, is_port

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROXY = re.compile(
    rf"(?:([a-z][a-z0-9+.-]*)://)?(?:([^\s/?#]*)@)?({HOST})(?::([0-9]{{1,5}}))?/?", re.IGNORECASE | re.ASCII
)
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_ENTRY = re.compile(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})")
_EXAMPLE = (
    "Write it like http://proxy.example.test:3128, with %XX for special characters in user and password."
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """``scheme`` is http, https or socks5h; ``variable`` is the one that names it."""

    variable: str
    scheme: str
    host: str
    port: int
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it is, without user and password."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """What it wants to see, and nobody behind it may."""
        if self.credentials is None:
            return {}
        return {"Proxy-Authorization": f"Basic {b64encode(':'.join(self.credentials).encode()).decode()}"}

    def __str__(self) -> str:
        return f"the proxy {self.url} ({self.variable})"


def proxy_for(url: str, environment: Mapping[str, str] = os.environ) -> Proxy | None:
    """The proxy for ``url``, a checked base URL; None for a direct connection.

    Raises SettingsError for a proxy that cannot be used, with its variable and without its value.
    """
    parts = urlsplit(url)
    named = _first((f"{parts.scheme}_proxy", "all_proxy"), environment)
    if named is None:
        return None
    port = parts.port or _PORTS[parts.scheme]
    excused = _first(("no_proxy",), environment)
    if excused and any(_covers(each, parts.hostname or "", port) for each in re.split(r"[\s,]+", excused[1])):
        return None
    return _parsed(*named)


def without_proxy(host: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that keep ``host``, and all hosts that were so far, from being asked through a proxy."""
    excused = _first(("no_proxy",), environment)
    value = f"{excused[1]},{host}" if excused else host
    return {"NO_PROXY": value, "no_proxy": value}


def _first(names: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The first variable that is set, and its value."""
    for name in names:
        for variable in (name, name.upper()):
            if value := environment.get(variable, "").strip():
                return variable, value
    return None


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means ``host``: ``*``, a name and all below it, an address, a network."""
    if entry == "*":
        return True
    matched = _ENTRY.fullmatch(entry)
    if matched and int(matched[2]) != port:
        return False
    name = (matched[1] if matched else entry).strip("[]").lower()
    try:
        address = ip_address(host)
    except ValueError:
        name, host = name.removeprefix("*").strip("."), host.rstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False


def _parsed(variable: str, value: str) -> Proxy:
    matched = _PROXY.fullmatch(value)
    if matched is None or not is_host(matched[3]) or not is_port(matched[4]):
        raise SettingsError(f"{variable} is not the URL of a proxy.", fix=_EXAMPLE)
    scheme = (matched[1] or "http").lower()
    if scheme not in _PORTS:
        raise SettingsError(
            f"{variable} names a kind of proxy that is unknown here.",
            fix="It may begin with http://, https://, socks5:// or socks5h://.",
        )
    if scheme.startswith("socks"):
        _require_socks(variable)
        scheme = "socks5h"  # names are left to the proxy in either case
    user, colon, password = (matched[2] or "").partition(":")
    return Proxy(
        variable=variable,
        scheme=scheme,
        host=matched[3].lower(),
        port=int(matched[4] or _PORTS[scheme]),
        credentials=(unquote(user), unquote(password)) if user or colon else None,
    )


def _require_socks(variable: str) -> None:
    if find_spec("socks") and find_spec("socksio"):
        return
    raise SettingsError(
        f"{variable} names a SOCKS proxy, and the package for that is not installed.",
        fix=f"Install the extra `socks`, in the checkout by `{installing('socks')}`, name an HTTP proxy"
        " instead, or list the host in NO_PROXY.",
    )
