"""Answers that are not the API's own: of a proxy, a firewall, a login page, or a server at another place."""

from __future__ import annotations

import codecs
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from etl import jsontext
from etl.errors import AccessRefusedError, ContractBrokenError
from etl.network.failures import login_wanted
from etl.redact import vendor_text

if TYPE_CHECKING:
    from etl.errors import SyncError
    from etl.network.reply import Reply
    from etl.network.route import Route


def stranger(reply: Reply, route: Route) -> SyncError | None:
    """The error to raise where an answer is not the API's own; None where it may be."""
    status = reply.status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return _redirect(status, reply.header("location"), route)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return login_wanted(route)
    if status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        return AccessRefusedError(
            f"The network between here and {route.host} asks for a login (511, a captive portal).",
            fix="Log in to the network from this machine, or ask who runs it; nothing is lost.",
        )
    kind = kind_of(reply.body)
    if status == HTTPStatus.FORBIDDEN and kind in {"HTML", "text that is not JSON"}:
        return _page(status, kind, route)
    return None


def kind_of(body: bytes, offset: int | None = None) -> str:
    """What a body that is no JSON looks like, for a message.

    ``offset`` is the byte from which on it cannot be read, told where it was meant to be JSON.
    """
    start = body[:1000].removeprefix(codecs.BOM_UTF8).lstrip()
    if not start:
        return "an empty body"
    if jsontext.is_meant(body):
        return "JSON that cannot be read" if offset is None else f"JSON that cannot be read at byte {offset}"
    return "HTML" if start[:1] == b"<" else "text that is not JSON"


def _redirect(status: int, location: str, route: Route) -> ContractBrokenError:
    return ContractBrokenError(
        f"{route.host} answered with status {status}{_target(location, route)}.",
        fix=f"Check {route.setting}; redirects are not followed, they would carry the key elsewhere.",
    )


def _target(location: str, route: Route) -> str:
    """Where a redirect points: the host alone, as the rest may hold anything."""
    try:
        host = urlsplit(location.strip()).hostname
    except ValueError:
        return ", a redirect to no URL"
    if not location:
        return ""
    if host is None or host == urlsplit(route.url).hostname:
        return ", a redirect to another place on the same host"
    return f", a redirect to {vendor_text(host)}"


def _page(status: int, kind: str, route: Route) -> AccessRefusedError:
    between = f", by way of {route.proxy}" if route.proxy else ""
    return AccessRefusedError(
        f"{route.host} answered with status {status} ({kind}){between}, which is not how {route.api} refuses:"
        " a firewall or proxy in between does.",
        fix=f"Have the firewall or proxy let this machine ask {route.host}, and check {route.setting};"
        " the key need not be wrong.",
    )
