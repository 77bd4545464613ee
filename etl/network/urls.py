"""The base URLs of the two APIs."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

_LABEL = r"[a-z0-9_-]{1,63}"
HOST = rf"{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9a-f:.]+\]"
"""A host name or an address, as it stands in a URL; to be matched ignoring case, in ASCII."""

_BASE_URL = re.compile(
    rf"(https?)://({HOST})(?::([0-9]{{1,5}}))?((?:/[^\s?#\\]*)?)", re.IGNORECASE | re.ASCII
)
_LAST_PORT = 65_535


def checked(url: str) -> str:
    """``url`` with scheme and host in lower case, and without a slash at its end.

    Raises ValueError, with the end of a sentence that begins with the setting's name.
    """
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise ValueError("must be a URL without a user and a password in it")
    matched = _BASE_URL.fullmatch(url) if url.isascii() and url.isprintable() else None
    if matched is None or not is_host(matched[2]) or not is_port(matched[3]):
        raise ValueError("must be a URL that begins with https:// (or http:// for a sandbox on this machine)")
    scheme, host = matched[1].lower(), matched[2].lower()
    if scheme == "http" and not is_loopback(host):
        raise ValueError(
            "must be a URL that begins with https://, else the key would travel in clear;"
            " http:// is for a sandbox on this machine"
        )
    return f"{scheme}://{host}{':' + matched[3] if matched[3] else ''}{matched[4].rstrip('/')}"


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host``, as it stands in a URL, stays on this machine."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def is_host(host: str) -> bool:
    """Whether ``host``, which matches HOST, can be one: brackets hold an IPv6 address."""
    try:
        return not host.startswith("[") or isinstance(ip_address(host.strip("[]")), IPv6Address)
    except ValueError:
        return False


def is_port(port: str | None) -> bool:
    return port is None or 0 < int(port) <= _LAST_PORT


def origin(url: str) -> str:
    """Scheme, host and port of ``url``, which was checked."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def authority(url: str) -> str:
    """The host in ``url``, with the port if it states one."""
    return urlsplit(url).netloc
