"""A contact: what HubSpot should hold of a person, and how it travels there."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

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


NAMES = ("firstname", "lastname")
"""The properties of a person's name."""


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


class Waiting(NamedTuple):
    """Since when the longest waits that may be looked at again: as absent, or for what was kept of it.

    ``due`` says whether there is any that waits for nothing.
    """

    absent: Mapping[ContactKind, datetime | None]
    kept: datetime | None
    due: bool


Texts = dict[str, str]
"""Texts of properties, by their names, as HubSpot takes and shows them."""


class Written(NamedTuple):
    """What this program remembers of its writing to a record.

    ``last`` is what HubSpot confirmed last of each property, and ``maybe`` what it may hold of ours instead:
    it was sent without a verdict, or belonged to a contact that turned out to be the same. ``kept`` are texts
    of ours that gave way to somebody else's; ``kept_at`` is when that was seen last, in microseconds, and
    None where the other text was the same.
    """

    last: Mapping[str, str] = MappingProxyType({})
    maybe: tuple[Mapping[str, str], ...] = ()
    kept: Mapping[str, str] = MappingProxyType({})
    kept_at: int | None = None

    def ours(self, name: str) -> list[str]:
        """The texts of a property that may be of this program."""
        return [texts[name] for texts in (self.last, *self.maybe) if name in texts]

    def is_doubtful(self, name: str) -> bool:
        """Whether HubSpot may hold another text of ours than the last that it confirmed."""
        return any(name in texts for texts in self.maybe)


NOTHING_WRITTEN = Written()


class LedgerEntry(NamedTuple):
    """What is wanted of a contact and what HubSpot said of it, as fingerprints.

    ``absent`` is the one for which nobody was found; ``record`` is HubSpot's id of the contact, once it has
    told it, ``made`` whether this program created it. ``remains`` are the facts of visitors that are not kept
    any more. ``unanswered`` counts the runs in a row in which HubSpot's answer left it out. ``written`` is
    what this program remembers of its writing.
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
    written: Written = NOTHING_WRITTEN


class DueContact(NamedTuple):
    """A contact whose wanted fingerprint HubSpot has neither confirmed nor refused.

    ``unanswered`` counts the runs in a row in which HubSpot's answer left it out. ``is_sure`` says that
    HubSpot holds what it confirmed last, as far as this program can know.
    """

    contact_id: int
    contact: Contact
    fingerprint: bytes
    known: bool
    unanswered: int
    record: str | None = None
    is_sure: bool = False
    written: Written = NOTHING_WRITTEN


class Way(StrEnum):
    """What is to be done next for a contact."""

    LOOK = "look"
    """See whether it is there, and what HubSpot holds."""

    UPDATE = "update"
    """Write to the record that it is known to be."""

    UPSERT = "upsert"
    """Write by its key; the contact is made where it is not there."""

    KEEP = "keep"
    """Nothing: what it would have written gives way to what is there."""


LOOK, UPDATE, UPSERT, KEEP = Way


class Parcel(NamedTuple):
    """A due contact, on its way.

    ``id_property`` and ``id_value`` are its key, which tells nothing once its ``record`` is known.
    ``properties`` are the texts to be written, of ``wanted``, which are all of them. ``name_properties`` are
    to be added only if HubSpot refuses to create the contact without a name. ``known`` says that HubSpot has
    confirmed this contact before. ``unanswered`` runs in a row HubSpot's answer left it out: it goes in a
    request of its own. ``is_matched`` says that it must not be made, ``recreate`` that it may be made anew
    where its record is gone, ``is_lost`` that this is so.

    ``asks`` are the properties that have to be looked at before anything is written; with none, only whether
    it is there; None where nothing has to be. ``shown`` is what HubSpot then showed of them, None for no such
    contact. ``before`` is what will be replaced, and ``replaces`` names what of it is not this program's own
    property. ``kept`` are the texts that give way, of which ``yields`` names those that differ.
    """

    contact_id: int
    id_property: str
    id_value: str
    properties: Texts
    fingerprint: bytes
    name_properties: Mapping[str, str] = MappingProxyType({})
    known: bool = False
    unanswered: int = 0
    record: str | None = None
    is_matched: bool = False
    recreate: bool = False
    is_lost: bool = False
    is_sure: bool = False
    wanted: Mapping[str, str] = MappingProxyType({})
    written: Written = NOTHING_WRITTEN
    asks: tuple[str, ...] | None = None
    is_seen: bool = False
    shown: Mapping[str, str] | None = None
    before: Mapping[str, str] = MappingProxyType({})
    replaces: tuple[str, ...] = ()
    kept: Mapping[str, str] = MappingProxyType({})
    yields: tuple[str, ...] = ()

    @property
    def way(self) -> Way:
        if self.asks is not None and not self.is_seen:
            return LOOK
        if self.record is None:
            return UPSERT
        return UPDATE if self.properties else KEEP

    @property
    def is_nameless(self) -> bool:
        """Whether HubSpot makes no contact of its key: that takes an address or a name."""
        return bool(self.name_properties) and self.id_property != EMAIL.value

    @property
    def found_by(self) -> tuple[str, str]:
        """The property by which HubSpot is asked for it, and its value."""
        return (self.id_property, self.id_value) if self.record is None else (RECORD_ID, self.record)
