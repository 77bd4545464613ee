"""The contacts of the account, findable by every unique value and by every id they had before a merge."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from etl.sandbox.history import API, CRM_UI, MERGE, History, combined, grown
from etl.sandbox.hubspot_schema import normal_address
from etl.sandbox.search_index import SearchIndex
from etl.sandbox.wire import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from etl.sandbox.history import Source
    from etl.sandbox.hubspot_schema import Schema

EMAIL = "email"
SECONDARY = "hs_additional_emails"
FIRST_ID = 501
MOST_MERGES = 250
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Archived:
    """A contact in the recycle bin."""

    properties: dict[str, str]
    since: str


class Contacts:
    """Properties by HubSpot id. Methods that take an id want that of a contact, not one that was merged."""

    def __init__(self, schema: Schema, *, lag_s: Callable[[], float]) -> None:
        self.by_id: dict[str, dict[str, str]] = {}
        self.recycle_bin: dict[str, Archived] = {}
        self.histories: dict[str, History] = {}
        self.merges: dict[str, int] = {}
        """How many merges made a contact; none is 0."""
        self.index = SearchIndex(lag_s)
        self._schema = schema
        self._owners: dict[_Key, str] = {}
        self._surviving: dict[str, tuple[_Key, ...]] = {}
        self._merged_into: dict[str, str] = {}
        self._next_id = FIRST_ID

    def find(self, id_property: str | None, value: str) -> str | None:
        """The id of the contact that owns ``value``; secondary addresses and merged ids lead to it."""
        if id_property is None:
            contact_id = self.successor(value)
            return contact_id if contact_id in self.by_id else None
        return self._owners.get((id_property, comparable(id_property, value)))

    def find_archived(self, id_property: str | None, value: str) -> str | None:
        """The same in the recycle bin."""
        if id_property is None:
            contact_id = self.successor(value)
            return contact_id if contact_id in self.recycle_bin else None
        key = (id_property, comparable(id_property, value))
        owners = (
            contact_id
            for contact_id, archived in self.recycle_bin.items()
            if key in self._keys(contact_id, archived.properties)
        )
        return next(owners, None)

    def successor(self, contact_id: str) -> str:
        """The id that ``contact_id`` has now, after all merges."""
        while contact_id in self._merged_into:
            contact_id = self._merged_into[contact_id]
        return contact_id

    def conflicts(self, properties: Mapping[str, str], contact_id: str | None) -> Iterator[tuple[str, str]]:
        """The unique values of ``properties`` that another contact owns: the property and the owner."""
        for name in self._schema.unique_names():
            value = properties.get(name)
            owner = self.find(name, value) if value else None
            if owner is not None and owner != contact_id:
                yield name, owner

    def is_secondary(self, contact_id: str, address: str) -> bool:
        """Whether the address is the contact's own, but not its primary one: then it stays secondary."""
        primary = self.by_id[contact_id].get(EMAIL)
        return bool(address) and primary != address and self.find(EMAIL, address) == contact_id

    def addresses(self, contact_id: str) -> set[str]:
        """All addresses of a contact, archived or not."""
        archived = self.recycle_bin.get(contact_id)
        properties = archived.properties if archived else self.by_id[contact_id]
        return {value for name, value in self._keys(contact_id, properties) if name == EMAIL}

    def create(self, properties: Mapping[str, str], *, now: datetime, source: Source = API) -> str:
        contact_id = self._new_id()
        stamp = instant_text(now)
        own = {"hs_object_id": contact_id, "createdate": stamp, "lastmodifieddate": stamp}
        self._put(contact_id, {**properties, **own}, now=now, source=source)
        return contact_id

    def update(
        self, contact_id: str, properties: Mapping[str, str], *, now: datetime, source: Source = API
    ) -> None:
        """The empty text clears a property."""
        changed = {**self.by_id[contact_id], **properties, "lastmodifieddate": instant_text(now)}
        self._put(contact_id, changed, now=now, source=source)

    def archive(self, contact_id: str, *, now: datetime) -> None:
        self.recycle_bin[contact_id] = Archived(self._taken_out(contact_id, now=now), instant_text(now))

    def restore(self, contact_id: str, *, now: datetime) -> None:
        """Without the unique values that others have taken up meanwhile."""
        held = self.recycle_bin.pop(contact_id).properties
        keys = self._keys(contact_id, held)
        others = {key: self._owners[key] for key in keys if key in self._owners}
        free = {name: text for name, text in held.items() if not self.find(name, text)}
        self._put(contact_id, {**free, "lastmodifieddate": instant_text(now)}, now=now, source=CRM_UI)
        self._owners |= others

    def delete(self, contact_id: str, *, now: datetime) -> None:
        """For good, from the recycle bin too."""
        if contact_id in self.by_id:
            self._taken_out(contact_id, now=now)
        for kept in (self.recycle_bin, self.histories, self._surviving):
            kept.pop(contact_id, None)

    def merge(self, primary: str, other: str, *, now: datetime, survives: bool) -> str:
        """The id of the new contact.

        With ``survives`` a unique value of ``other`` goes on finding it where ``primary`` has its own.
        """
        owned = [key for name in (primary, other) for key in self._surviving.pop(name, ())]
        winner, loser = (self._taken_out(each, now=now) for each in (primary, other))
        merged_id = self._new_id()
        if survives:
            owned += [key for key in self._keys(other, loser) if key[0] != EMAIL and key[0] in winner]
        self._surviving[merged_id] = tuple(owned)
        self.merges[merged_id] = self.merges.pop(primary, 0) + self.merges.pop(other, 0) + 1
        self._merged_into |= {primary: merged_id, other: merged_id}
        self.histories[merged_id] = combined(*(self.histories.pop(each, ()) for each in (primary, other)))
        own = {"hs_object_id": merged_id, "lastmodifieddate": instant_text(now)}
        self._put(merged_id, {**_merged(winner, loser), **own}, now=now, source=MERGE)
        return merged_id

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Undo every creation and update of the block if it raises."""
        before = dict(self.by_id), dict(self._owners), dict(self.histories)
        undo_index = self.index.saved()
        try:
            yield
        except BaseException:
            self.by_id, self._owners, self.histories = before
            undo_index()
            raise

    def _new_id(self) -> str:
        self._next_id += 1
        return str(self._next_id - 1)

    def _put(self, contact_id: str, properties: Mapping[str, str], *, now: datetime, source: Source) -> None:
        self._taken_out(contact_id, now=now)
        after = {name: text for name, text in properties.items() if text}
        history = self.histories.get(contact_id, ())
        self.histories[contact_id] = grown(history, after, at=now, source=source)
        self.by_id[contact_id] = after
        self._owners.update(dict.fromkeys(self._keys(contact_id, after), contact_id))

    def _taken_out(self, contact_id: str, *, now: datetime) -> dict[str, str]:
        """What the contact held, which then is none any more and owns nothing."""
        before = self.by_id.pop(contact_id, None)
        self.index.note(contact_id, before, at=now)
        for key in self._keys(contact_id, before or {}):
            if self._owners.get(key) == contact_id:
                del self._owners[key]
        return before or {}

    def _keys(self, contact_id: str, properties: Mapping[str, str]) -> list[_Key]:
        unique = self._schema.unique_names()
        keys = [(name, comparable(name, properties[name])) for name in unique if name in properties]
        keys += [(EMAIL, normal_address(address)) for address in _addresses(properties.get(SECONDARY, ""))]
        return [*keys, *self._surviving.get(contact_id, ())]


def comparable(id_property: str | None, value: str) -> str:
    """``value`` as HubSpot compares it with others."""
    return normal_address(value) if id_property == EMAIL else value.strip()


def _addresses(listed: str) -> list[str]:
    return [address for address in listed.split(";") if address.strip()]


def _merged(winner: Mapping[str, str], loser: Mapping[str, str]) -> dict[str, str]:
    """What the contact made of both holds: all addresses, and the earlier date of creation."""
    merged = {**loser, **winner}
    listed = (held.get(name, "") for held in (winner, loser) for name in (EMAIL, SECONDARY))
    further = [address for text in listed for address in _addresses(text)]
    if secondary := [each for each in dict.fromkeys(further) if each != merged.get(EMAIL)]:
        merged[SECONDARY] = ";".join(secondary)
    created = (held["createdate"] for held in (winner, loser))
    return {**merged, "createdate": min(created, key=datetime.fromisoformat)}
