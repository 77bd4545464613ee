"""What a delivery would do, for dry runs: it reads, and writes nothing."""

from __future__ import annotations

from http import HTTPStatus
from itertools import groupby
from typing import TYPE_CHECKING, Any

from etl.errors import SyncError
from etl.load.complaints import Complaint, complaint, listed
from etl.load.side import HubSpotSide
from etl.load.statuses import READ_SCOPE, complaint_in, object_of, results_of
from etl.load.verdicts import EMAIL, OTHER_EMAILS, deferred, identities, normalised
from etl.models.verdict import Delivery, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.load.client import HubSpotClient
    from etl.models.contact import Parcel
    from etl.network.reply import Reply

_WHERE = "HubSpot batch/read"
_UNSAID = "HubSpot did not say whether it has this contact."


class Preview(HubSpotSide):
    """Takes the place of HubSpotContacts in a dry run, and stops where the real run would stop."""

    def deliver(self, batch: Sequence[Parcel]) -> Delivery:
        """What would become of each parcel: contacts confirmed before are not looked up again."""
        verdicts = {parcel.contact_id: _would(parcel, Outcome.UPDATED) for parcel in batch if parcel.known}
        stop: SyncError | None = None
        try:
            self._setup.before_first()
            unknown = sorted((each for each in batch if not each.known), key=lambda each: each.id_property)
            for id_property, parcels in groupby(unknown, key=lambda each: each.id_property):
                verdicts |= self._look_up(id_property, list(parcels))
        except SyncError as error:
            stop = error
        why = stop.what if stop else _UNSAID
        return Delivery(tuple(verdicts.get(each.contact_id) or deferred(each, why) for each in batch), stop)

    def _look_up(self, id_property: str, parcels: Sequence[Parcel]) -> dict[int, Verdict]:
        answer = read_contacts(self._client, id_property, [parcel.id_value for parcel in parcels])
        if isinstance(answer, Complaint):
            raise self._setup.disprove(answer)
        return presence(parcels, answer)


def read_contacts(
    client: HubSpotClient, id_property: str, ids: Sequence[str]
) -> Mapping[str, Any] | Complaint:
    """The reply of batch/read, or HubSpot's complaint of the whole request (400). At most 100 ids."""
    return client.send(
        "POST",
        f"{client.contacts_path}/batch/read",
        body={
            "idProperty": id_property,
            "inputs": [{"id": each} for each in ids],
            "properties": sorted({id_property, EMAIL, OTHER_EMAILS}),
            "propertiesWithHistory": [],
        },
        read=_answer,
        expects=frozenset({HTTPStatus.BAD_REQUEST}),
        where=_WHERE,
        scope=READ_SCOPE,
    )


def presence(parcels: Sequence[Parcel], body: Mapping[str, Any]) -> dict[int, Verdict]:
    """What batch/read says of ``parcels``: found, or explicitly not. Pure; leaves out what it does not say.

    HubSpot names the ids that it did not find in ``context.ids``, which its OpenAPI document of contacts
    does not promise; where it does not, a reply that has nothing but such errors beside its results speaks
    for all that are left.
    """
    results, errors = listed(body.get("results")), listed(body.get("errors"))
    found = {pair for each in results if isinstance(each, dict) for pair in identities(each)}
    complaints = [complaint(each) for each in errors]
    missing = [each for each in complaints if "not_found" in each.words or "not found" in each.words]
    named = {value.strip().lower() for each in missing for _, value in each.identities}
    nameless = not any(each.identities for each in missing)
    speaks_for_all = bool(missing) and len(missing) == len(complaints) and nameless
    verdicts = {}
    for parcel in parcels:
        if (parcel.id_property, normalised(parcel.id_property, parcel.id_value)) in found:
            verdicts[parcel.contact_id] = _would(parcel, Outcome.UPDATED)
        elif speaks_for_all or parcel.id_value.strip().lower() in named:
            verdicts[parcel.contact_id] = _would(parcel, Outcome.CREATED)
    return verdicts


def _answer(reply: Reply) -> Mapping[str, Any] | Complaint:
    if reply.ok:
        return results_of(reply)
    object_of(reply)
    return complaint_in(reply)


def _would(parcel: Parcel, outcome: Outcome) -> Verdict:
    return Verdict(parcel.contact_id, outcome)
