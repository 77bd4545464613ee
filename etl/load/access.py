"""Proof that the token may read and write contacts, without writing anything."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from etl.load.lookup import read_contacts
from etl.load.properties import NOBODY
from etl.load.verdicts import EMAIL

if TYPE_CHECKING:
    from etl.load.client import HubSpotClient


def prove_read_access(client: HubSpotClient) -> None:
    """Look for a contact that cannot exist. Raises AccessRefusedError without the scope."""
    read_contacts(client, EMAIL, [NOBODY])


def prove_write_access(client: HubSpotClient) -> None:
    """Upsert no inputs. Raises AccessRefusedError without the scope.

    HubSpot asks for the scope before it looks at the body, so both 200 and 400 prove it.
    """
    client.send(
        "POST",
        f"{client.contacts_path}/batch/upsert",
        body={"inputs": []},
        read=lambda _reply: None,
        expects=frozenset({HTTPStatus.BAD_REQUEST}),
        where="HubSpot batch/upsert of nothing",
    )
