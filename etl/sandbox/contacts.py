"""The contacts of the account, findable by every unique value."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.sandbox.hubspot_schema import normal_address
from etl.sandbox.wire import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from etl.sandbox.hubspot_schema import Schema

EMAIL = "email"
SECONDARY = "hs_additional_emails"
BOOKKEEPING = frozenset({"hs_object_id", "createdate", "lastmodifieddate"})
"""What HubSpot itself sets."""
FIRST_ID = 501


class Contacts:
    """Properties by HubSpot id. Writes go through ``create``, ``update`` and ``delete``."""

    def __init__(self, schema: Schema) -> None:
        self.by_id: dict[str, dict[str, str]] = {}
        self._schema = schema
        self._owners: dict[tuple[str, str], str] = {}
        self._next_id = FIRST_ID

    def find(self, id_property: str | None, value: str) -> str | None:
        """The id of the contact that owns ``value``; secondary addresses lead to their owner."""
        if id_property is None:
            return value if value in self.by_id else None
        return self._owners.get((id_property, comparable(id_property, value)))

    def create(self, properties: Mapping[str, str], *, now: datetime) -> str:
        contact_id = str(self._next_id)
        self._next_id += 1
        stamp = instant_text(now)
        own = {"hs_object_id": contact_id, "createdate": stamp, "lastmodifieddate": stamp}
        self._put(contact_id, {**{name: text for name, text in properties.items() if text}, **own})
        return contact_id

    def update(self, contact_id: str, properties: Mapping[str, str], *, now: datetime) -> None:
        merged = {**self.by_id[contact_id], **properties, "lastmodifieddate": instant_text(now)}
        self._put(contact_id, {name: text for name, text in merged.items() if text})

    def delete(self, contact_id: str) -> None:
        self._put(contact_id, None)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Undo every write of the block if it raises."""
        before = dict(self.by_id), dict(self._owners)
        try:
            yield
        except BaseException:
            self.by_id, self._owners = before
            raise

    def _put(self, contact_id: str, properties: dict[str, str] | None) -> None:
        before = self.by_id.pop(contact_id, None)
        for key in self._keys(before or {}):
            if self._owners.get(key) == contact_id:
                del self._owners[key]
        if properties is not None:
            self.by_id[contact_id] = properties
            self._owners.update(dict.fromkeys(self._keys(properties), contact_id))

    def _keys(self, properties: Mapping[str, str]) -> list[tuple[str, str]]:
        unique = self._schema.unique_names()
        keys = [(name, comparable(name, properties[name])) for name in unique if name in properties]
        secondary = properties.get(SECONDARY, "").split(";")
        return keys + [(EMAIL, normal_address(address)) for address in secondary if address.strip()]


def comparable(id_property: str | None, value: str) -> str:
    """``value`` as HubSpot compares it with others."""
    return normal_address(value) if id_property == EMAIL else value.strip()
