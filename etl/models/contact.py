"""A contact: what HubSpot should hold of a person, and how it travels there."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.models.visitor import Facts, Visitor


class ContactKind(StrEnum):
    """What leads to a contact: an address, the id of a visitor, or the record that a link names."""

    EMAIL = "email"
    VISITOR = "visitor"
    RECORD = "record"


EMAIL, VISITOR, RECORD = ContactKind
"""By these names for what is done for every contact, as with the outcomes."""


RECORD_ID = "hs_object_id"
"""The property of a record's own id."""


class ContactKey(NamedTuple):
    """Leads to a contact: an e-mail address (trimmed, lower-cased), a visitor id, or a record's id.

    A contact keeps the best of its keys as its own; the others lead to it by way of rows of theirs.
    """

    kind: ContactKind
    value: str

    @property
    def rank(self) -> int:
        """The lower, the more it says of a person."""
        return _RANKS.index(self.kind)


_RANKS = (EMAIL, RECORD, VISITOR)


class Contact(NamedTuple):
    """What HubSpot should hold of a person: what its visitors come to, by the names of the fields."""

    key: ContactKey
    facts: Facts


class KnownVisitor(NamedTuple):
    """A visitor as the state holds it, and the contact that it belongs to, if HubSpot should hear of it."""

    visitor: Visitor
    contact_id: int | None
    due: bool


class Member(NamedTuple):
    """A visitor of a contact; the same id may be another visitor's on another website."""

    website_id: int
    visitor: Visitor


class LedgerEntry(NamedTuple):
    """What is wanted of a contact and what HubSpot said of it, as fingerprints.

    ``absent`` is the one for which nobody was found; ``record`` is HubSpot's id of the contact, once it has
    told it, ``made`` whether this program created it. ``remains`` are the facts of visitors that are not kept
    any more. ``unanswered`` counts the runs in a row in which HubSpot's answer left it out.
    """

    contact_id: int
    key: ContactKey
    wanted: bytes | None
    confirmed: bytes | None
    refused: bytes | None
    absent: bytes | None
    blocked: bool
    due: bool
    record: str | None = None
    made: bool = False
    remains: Facts | None = None
    unanswered: int = 0


class DueContact(NamedTuple):
    """A contact whose wanted fingerprint HubSpot has neither confirmed nor refused.

    ``unanswered`` counts the runs in a row in which HubSpot's answer left it out.
    """

    contact_id: int
    contact: Contact
    fingerprint: bytes
    known: bool
    unanswered: int
    record: str | None = None


class Way(StrEnum):
    """How a contact travels to HubSpot."""

    UPDATE = "update"
    """To the record that it is known to be."""

    UPSERT = "upsert"
    """By its key; the contact is made where it is not there."""

    MATCH = "match"
    """By its key, but it is never made."""


UPDATE, UPSERT, MATCH = Way


class Parcel(NamedTuple):
    """A due contact, ready to be delivered.

    ``id_property`` and ``id_value`` are its key, which tells nothing once its ``record`` is known.
    ``properties`` are texts, as HubSpot wants them. ``name_properties`` are to be added only if HubSpot
    refuses to create the contact without a name. ``known`` says that HubSpot has confirmed this contact
    before. ``unanswered`` runs in a row HubSpot's answer left it out: it goes in a request of its own.
    ``is_matched`` says that it must not be made, ``recreate`` that it is to be sent by its key once more
    where its record is gone.
    """

    contact_id: int
    id_property: str
    id_value: str
    properties: dict[str, str]
    fingerprint: bytes
    name_properties: Mapping[str, str] = MappingProxyType({})
    known: bool = False
    unanswered: int = 0
    record: str | None = None
    is_matched: bool = False
    recreate: bool = False

    @property
    def way(self) -> Way:
        if self.record is not None:
            return UPDATE
        return MATCH if self.is_matched else UPSERT
