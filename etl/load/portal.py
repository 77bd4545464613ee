"""Whose token it is."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.models.portal import Portal

if TYPE_CHECKING:
    from etl.load.client import HubSpotClient
    from etl.network.reply import Reply

_LONGEST_WORD = 100
_UNSAID = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
)


def read_portal(client: HubSpotClient) -> Portal | None:
    """The portal that the token opens; None where HubSpot does not say it, as without the scope for it.

    https://developers.hubspot.com/docs/api-reference/account-account-info-v3/guide
    Raises AccessRefusedError (401) and UnavailableError.
    """
    return client.send(
        "GET", client.account_path, read=_portal, expects=_UNSAID, where="HubSpot account details"
    )


def _portal(reply: Reply) -> Portal | None:
    said = reply.json() if reply.ok else None
    number = said.get("portalId") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(number, int) or isinstance(number, bool):
        return None
    return Portal(number, _word(said.get("accountType")), _word(said.get("uiDomain")))


def _word(value: Any) -> str | None:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_WORD:
        return None
    return value if value.isascii() and value.isprintable() else None
