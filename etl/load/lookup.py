"""Finding contacts without writing: batch/read, and what it says of each that was asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from etl.instants import parsed
from etl.load.complaints import complaint, listed
from etl.load.statuses import READ_SCOPE, complaint_in, object_of, results_of
from etl.load.verdicts import EMAIL, OTHER_EMAILS, identities, normalised, record_in, texts_in
from etl.models.contact import RECORD_ID
from etl.models.record import ShownContact
from etl.models.verdict import Sight

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from etl.load.client import HubSpotClient
    from etl.load.complaints import Complaint
    from etl.models.contact import Parcel
    from etl.network.reply import Reply

WHERE = "HubSpot batch/read"
_MOST_ALONE = 10
"""So many of a request that HubSpot says nothing of are asked for one by one."""
_MOST_DIGITS = 14


def read_contacts(
    client: HubSpotClient,
    id_property: str,
    ids: Sequence[str],
    *,
    properties: Collection[str] = (),
    with_history: Collection[str] = (),
) -> Mapping[str, Any] | Complaint:
    """The reply of batch/read, or HubSpot's complaint of the whole request (400).

    At most 100 ids, 50 ``with_history``; ``RECORD_ID`` reads by record ids.
    """
    body: dict[str, Any] = {
        "inputs": [{"id": each} for each in ids],
        "properties": sorted({id_property, EMAIL, OTHER_EMAILS, *properties}),
        "propertiesWithHistory": sorted(with_history),
    }
    if id_property != RECORD_ID:
        body["idProperty"] = id_property
    return client.send(
        "POST",
        f"{client.contacts_path}/batch/read",
        body=body,
        read=results_or_complaint,
        expects=frozenset({HTTPStatus.BAD_REQUEST}),
        where=WHERE,
        scope=READ_SCOPE,
    )


def presence(parcels: Sequence[Parcel], body: Mapping[str, Any]) -> Sight:
    """What batch/read says of ``parcels``: found, or explicitly not. Pure; leaves out what it does not say.

    HubSpot names the ids that it did not find in ``context.ids``, which its OpenAPI document of contacts
    does not promise; where it does not, a reply that has nothing but such errors beside its results speaks
    for all that are left. A record that was merged comes back under another id: it can only be told where
    that is the only one.
    """
    results, errors = listed(body.get("results")), listed(body.get("errors"))
    shown = {
        pair: ShownContact(record, texts_in(each))
        for each in results
        if isinstance(each, dict) and (record := record_in(each)) is not None
        for pair in identities(each)
    }
    complaints = [complaint(each) for each in errors]
    absences = [each for each in complaints if "not_found" in each.words or "not found" in each.words]
    named = {value.strip().lower() for each in absences for _, value in each.identities}
    nameless = not any(each.identities for each in absences)
    speaks_for_all = bool(absences) and len(absences) == len(complaints) and nameless
    found: dict[int, ShownContact] = {}
    missing: set[int] = set()
    if len(parcels) == len(results) == 1 and parcels[0].record is not None:
        found.update((parcels[0].contact_id, each) for each in shown.values())
    for parcel in parcels:
        by, value = parcel.found_by
        seen = shown.get((by, normalised(by, value)))
        if seen is not None:
            found[parcel.contact_id] = seen
        elif speaks_for_all or value.strip().lower() in named:
            missing.add(parcel.contact_id)
    return Sight(found, frozenset(missing))


def read_well(parcels: Sequence[Parcel], read: Callable[[Sequence[Parcel]], Sight]) -> Sight:
    """What ``read`` says of ``parcels`` by their records; once more one by one of those that it leaves out.

    They were merged, and come back under another id: only alone it is known whose that is.
    """
    sight = read(parcels)
    unsaid = [each for each in parcels if each.contact_id not in sight.found.keys() | sight.missing]
    if len(parcels) > 1 and len(unsaid) <= _MOST_ALONE:
        for parcel in unsaid:
            sight = sight.beside(read([parcel]))
    return sight


def results_or_complaint(reply: Reply) -> Mapping[str, Any] | Complaint:
    """The body of a 2xx, or what HubSpot has against the whole request."""
    if reply.ok:
        return results_of(reply)
    object_of(reply)
    return complaint_in(reply)


def instant_in(value: Any) -> datetime | None:
    """An instant as HubSpot writes it: ISO 8601, or milliseconds since 1970; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return datetime.fromtimestamp(int(value) / 1000, UTC) if len(value) <= _MOST_DIGITS else None
    return parsed(value) if isinstance(value, str) else None
