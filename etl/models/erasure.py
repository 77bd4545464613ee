"""What leads to a person, and all that is kept of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from etl.models.contact import EMAIL, RECORD, VISITOR, ContactKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Lead(NamedTuple):
    """A contact by its own key; where it is only another key, ``into`` is the contact that it leads to.

    ``remains``: there are facts of visitors that are not kept any more.
    """

    contact_id: int
    key: ContactKey
    into: int | None
    record: str | None
    remains: bool

    @property
    def leads_to(self) -> int:
        return self.contact_id if self.into is None else self.into


class Trace(NamedTuple):
    """A visitor on one website, the address that it states and the contact that it belongs to."""

    website_id: int
    visitor_id: str
    email: str | None
    contact_id: int | None


class Screened(NamedTuple):
    """What of a visitor tells whether the settings leave it out, and whether they did."""

    visitor_id: str
    email: str | None
    country: str | None
    excluded: bool


@dataclass(slots=True)
class Person:
    """All that is kept of somebody: the ids of contacts, and what leads to them.

    ``aliases`` are keys of somebody else's contact that only a visitor of this person has brought there,
    ``shared`` those of ``addresses`` that are somebody else's as well. ``owned`` are the records that are
    surely this person's, ``unrecorded`` the addresses of this person that have no such record.
    """

    contacts: set[int] = field(default_factory=set)
    aliases: set[int] = field(default_factory=set)
    visitors: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    records: set[str] = field(default_factory=set)
    owned: set[str] = field(default_factory=set)
    unrecorded: set[str] = field(default_factory=set)

    def add(self, keys: Iterable[ContactKey]) -> None:
        kept = {EMAIL: self.addresses, VISITOR: self.visitors, RECORD: self.records}
        for key in keys:
            kept[key.kind].add(key.value)

    @property
    def keys(self) -> Iterator[ContactKey]:
        """What leads to nobody but this person."""
        for address in self.addresses - self.shared:
            yield ContactKey(EMAIL, address)
        for visitor_id in self.visitors:
            yield ContactKey(VISITOR, visitor_id)
        for record in self.records:
            yield ContactKey(RECORD, record)


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much the state holds of somebody."""

    visitors: int = 0
    contacts: int = 0
    rejections: int = 0
