"""A contact: what HubSpot should hold of a person, and how it travels there."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.models.visitor import Facts, Visitor


class ContactKind(StrEnum):
    """What a contact is keyed by."""

    EMAIL = "email"
    VISITOR = "visitor"


EMAIL, VISITOR = ContactKind
"""By these names for what is done for every contact, as with the outcomes."""


class ContactKey(NamedTuple):
    """The e-mail address (trimmed, lower-cased), else the visitor id."""

    kind: ContactKind
    value: str


class Contact(NamedTuple):
    """What HubSpot should hold: what the visitors that share the key come to, by the names of the fields."""

    key: ContactKey
    facts: Facts


class KnownVisitor(NamedTuple):
    """A visitor as the state holds it, and the contact that it belongs to, if HubSpot should hear of it."""

    visitor: Visitor
    contact_id: int | None
    key: ContactKey | None
    due: bool


class Member(NamedTuple):
    """A visitor of a contact; the same id may be another visitor's on another website."""

    website_id: int
    visitor: Visitor


class LedgerEntry(NamedTuple):
    """What is wanted of a contact and what HubSpot said of it, as fingerprints.

    ``unanswered`` counts the runs in a row in which HubSpot's answer left it out.
    """

    contact_id: int
    key: ContactKey
    wanted: bytes | None
    confirmed: bytes | None
    refused: bytes | None
    blocked: bool
    due: bool
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


class Parcel(NamedTuple):
    """A due contact, ready to be delivered.

    ``properties`` are texts, as HubSpot wants them. ``name_properties`` are to be added only if HubSpot
    refuses to create the contact without a name. ``known`` says that HubSpot has confirmed this contact
    before. ``unanswered`` runs in a row HubSpot's answer left it out: it goes in a request of its own.
    """

    contact_id: int
    id_property: str
    id_value: str
    properties: dict[str, str]
    fingerprint: bytes
    name_properties: Mapping[str, str] = MappingProxyType({})
    known: bool = False
    unanswered: int = 0
