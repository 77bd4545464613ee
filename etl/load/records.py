"""Single records: looked at, and merged."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.load.complaints import Complaint, listed
from etl.load.lookup import read_contacts
from etl.load.statuses import WRITE_SCOPE, object_of
from etl.load.verdicts import properties_in, record_in, texts_in
from etl.models.contact import RECORD_ID
from etl.models.record import ShownContact

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from etl.load.client import HubSpotClient
    from etl.network.reply import Reply

MARKETING = "hs_marketable_status"
_REFUSALS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})


def look(client: HubSpotClient, record: str) -> ShownContact | None:
    """The record behind an id, which may have another one now; None where there is none. Raises SyncError."""
    result = _read(client, record, "firstname", "lastname")
    now = record_in(result) if result else None
    if result is None or now is None:
        return None
    return ShownContact(now, texts_in(result))


def is_marketing(client: HubSpotClient, record: str) -> bool | None:
    """Whether a record is a marketing contact; None where HubSpot does not say. Raises SyncError."""
    result = _read(client, record, MARKETING)
    said = properties_in(result).get(MARKETING) if result else None
    return None if not isinstance(said, str) or not said else said.lower() == "true"


def clear(client: HubSpotClient, record: str, names: Collection[str]) -> None:
    """Empty properties of a record. Raises SyncError."""
    cleared = {"id": record, "objectWriteTraceId": record, "properties": dict.fromkeys(names, "")}
    client.send(
        "POST",
        f"{client.contacts_path}/batch/update",
        body={"inputs": [cleared]},
        read=lambda _reply: None,
        expects=_REFUSALS,
        where="HubSpot batch/update",
    )


def archive(client: HubSpotClient, records: Sequence[str]) -> None:
    """Put up to 100 records into the recycle bin; what is there already, or gone, is no matter.

    https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch/post-crm-v3-objects-contacts-batch-archive
    Raises SyncError.
    """
    client.send(
        "POST",
        f"{client.contacts_path}/batch/archive",
        body={"inputs": [{"id": record} for record in records]},
        read=lambda _reply: None,
        where="HubSpot batch/archive",
        scope=WRITE_SCOPE,
    )


def merge(client: HubSpotClient, primary: str, other: str) -> str | None:
    """The id of what both records are from now on; None where HubSpot refuses that. Raises SyncError.

    https://developers.hubspot.com/docs/api/crm/contacts: at most 250 merges a record, and no way back.
    """
    return client.send(
        "POST",
        f"{client.contacts_path}/merge",
        body={"primaryObjectId": primary, "objectIdToMerge": other},
        read=_merged,
        expects=_REFUSALS,
        where="HubSpot merge",
    )


def _merged(reply: Reply) -> str | None:
    said = object_of(reply)
    return record_in(said) if reply.ok else None


def _read(client: HubSpotClient, record: str, *properties: str) -> Mapping[str, Any] | None:
    answer = read_contacts(client, RECORD_ID, [record], properties=properties)
    if isinstance(answer, Complaint):
        return None
    return next((each for each in listed(answer.get("results")) if isinstance(each, dict)), None)
