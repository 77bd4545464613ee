"""HubSpot's deletion under GDPR: a contact for good, with all that belongs to it.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/basic/post-crm-v3-objects-contacts-gdpr-delete
An address that nobody has is blocked all the same, and nobody can have it from then on.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from etl.load.statuses import WRITE_SCOPE, object_of

if TYPE_CHECKING:
    from etl.load.client import HubSpotClient
    from etl.network.reply import Reply


def erase_record(client: HubSpotClient, record: str) -> None:
    """Delete the record. It is well if it is not there any more: an earlier attempt may have done it.

    Raises AccessRefusedError, UnavailableError and ContractBrokenError.
    """
    _erase(client, {"objectId": record})


def erase_address(client: HubSpotClient, address: str) -> None:
    """Delete whoever has the address, and block it. Raises as ``erase_record`` does."""
    _erase(client, {"objectId": address, "idProperty": "email"})


def _erase(client: HubSpotClient, body: dict[str, str]) -> None:
    client.send(
        "POST",
        f"{client.contacts_path}/gdpr-delete",
        body=body,
        read=_done,
        expects=frozenset({HTTPStatus.NOT_FOUND}),
        where="HubSpot gdpr-delete",
        scope=WRITE_SCOPE,
    )


def _done(reply: Reply) -> None:
    """A 404 has HubSpot's own body; a page of somebody else's says nothing of the contact."""
    if not reply.ok:
        object_of(reply)
