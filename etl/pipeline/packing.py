"""Making parcels of contacts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl import transform
from etl.models.contact import EMAIL, RECORD, RECORD_ID, Contact, DueContact, Parcel

if TYPE_CHECKING:
    from etl.fields import SyncedFields
    from etl.models.contact import ContactKind
    from etl.models.dossier import Standing
    from etl.pipeline.order import Order

_ID_PROPERTIES = {EMAIL: "email", RECORD: RECORD_ID}


def packed(due: DueContact, order: Order) -> Parcel:
    """A contact as it sets out, before it is known what of it is written; nothing, if it is not wanted."""
    kind, value = due.contact.key
    wanted = transform.properties(due.contact, order.synced) if due.fingerprint else {}
    return Parcel(
        due.contact_id,
        id_property(kind, order.synced),
        value,
        wanted,
        due.fingerprint,
        transform.name_properties(due.contact.key),
        due.known,
        due.unanswered,
        due.record,
        is_matched=kind in order.matched,
        recreate=order.recreate and kind is not RECORD,
        is_sure=due.is_sure,
        wanted=wanted,
        written=due.written,
    )


def id_property(kind: ContactKind, synced: SyncedFields) -> str:
    """The property by which HubSpot finds contacts of a kind."""
    return _ID_PROPERTIES.get(kind) or synced.visitor_id


def as_due(standing: Standing) -> DueContact:
    """A contact as the ledger would hand it out; one that is wanted no more has no facts."""
    entry = standing.entry
    return DueContact(
        entry.contact_id,
        Contact(entry.key, standing.facts or {}),
        entry.wanted or b"",
        entry.confirmed is not None,
        entry.unanswered,
        entry.record,
        bool(entry.confirmed),
        entry.written,
    )
