"""POST …/batch/upsert: what HubSpot accepts, writes, and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.sandbox.contacts import EMAIL, comparable
from etl.sandbox.hubspot_errors import VALIDATION, BadValue, RowRefusedError, bad_values, invalid, refused
from etl.sandbox.hubspot_schema import normal_address, stored_value
from etl.sandbox.wire import instant_text, json_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Reply

MOST_INPUTS = 100
_NAMES = (EMAIL, "firstname", "lastname")
_STRICT_VERSION = "2026-09"


@dataclass(frozen=True, slots=True)
class Input:
    """One well-formed element of ``inputs``; without ``id_property`` the id is HubSpot's own."""

    id: str
    id_property: str | None
    properties: dict[str, str]
    trace_id: str | None

    @property
    def addresses(self) -> set[str]:
        """The addresses that it names, as HubSpot keeps them."""
        named = {self.properties.get(EMAIL, ""), self.id if self.id_property == EMAIL else ""}
        return {normal_address(address) for address in named if address}


class Upsert:
    """One request. ``reply`` raises RefusedError where the whole batch is refused."""

    def __init__(self, world: HubSpotWorld, *, version: str) -> None:
        self._world = world
        self._version = version
        self._started = world.now()

    def reply(self, body: dict[str, Any]) -> Reply:
        if "inputs" not in body:
            return json_reply(self._answer([], []))
        inputs = self._inputs(body["inputs"])
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        with self._world.store.all_or_nothing():
            for each in inputs:
                try:
                    results.append(self._written(each))
                except RowRefusedError as objection:
                    if not _all_traced(inputs):
                        raise refused(objection.status, objection.category, objection.message) from objection
                    errors.append(objection.as_json(each.trace_id))
        self._world.random.shuffle(results)
        self._world.random.shuffle(errors)
        return json_reply(self._answer(results, errors), status=207 if errors else 200)

    def _inputs(self, raw: Any) -> list[Input]:
        if not isinstance(raw, list):
            raise invalid("Invalid input JSON: inputs must be a list")
        if not raw:
            raise invalid("Some required fields were not set: [inputs]")
        if len(raw) > MOST_INPUTS:
            raise invalid(f"The maximum batch size is {MOST_INPUTS}; {len(raw)} inputs were given.")
        inputs = [_input(each) for each in raw]
        for name in {each.id_property for each in inputs} - {None}:
            self._world.schema.require_unique(str(name))
        seen: set[tuple[str, str]] = set()
        for each in inputs:
            identity = each.id_property or "", comparable(each.id_property, each.id)
            if identity in seen:
                raise invalid(f"Duplicate IDs found in batch input: [{each.id}]. IDs must be unique")
            seen.add(identity)
        return inputs

    def _written(self, each: Input) -> dict[str, Any]:
        """The contact that was created or updated. Raises RowRefusedError."""
        for address in each.addresses:
            if objection := self._world.objection(address):
                raise objection
        store, now = self._world.store, self._world.now()
        found = store.find(each.id_property, each.id)
        properties = self._properties(each, found)
        self._refuse_taken(properties, found)
        if found is not None:
            store.update(found, properties, now=now)
            return self._result(each, found, new=False)
        if each.id_property is None:
            raise RowRefusedError("OBJECT_NOT_FOUND", f"No contact has the ID {each.id}.")
        self._refuse_incomplete(properties)
        return self._result(each, store.create(properties, now=now), new=True)

    def _properties(self, each: Input, found: str | None) -> dict[str, str]:
        """What is to be stored. Raises RowRefusedError with every value that is wrong."""
        wanted = dict(each.properties)
        if found is None and each.id_property is not None:
            wanted.setdefault(each.id_property, each.id)
        kept = {name: self._stored(name, value) for name, value in wanted.items()}
        if wrong := [value for value in kept.values() if isinstance(value, BadValue)]:
            raise bad_values(wrong)
        stored = {name: str(value) for name, value in kept.items()}
        if found is not None and self._is_secondary(found, stored.get(EMAIL)):
            del stored[EMAIL]
        return stored

    def _stored(self, name: str, value: str) -> str | BadValue:
        definition = self._world.schema.active(name)
        if definition is None:
            return BadValue(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
        return stored_value(definition, value)

    def _is_secondary(self, contact_id: str, address: str | None) -> bool:
        """Whether the address is the contact's own, but not its primary one: then it stays secondary."""
        store = self._world.store
        return (
            bool(address)
            and store.by_id[contact_id].get(EMAIL) != address
            and store.find(EMAIL, str(address)) == contact_id
        )

    def _refuse_taken(self, properties: dict[str, str], found: str | None) -> None:
        for name in self._world.schema.unique_names():
            value = properties.get(name)
            owner = self._world.store.find(name, value) if value else None
            if owner is None or owner == found:
                continue
            if name == EMAIL:
                message = f"Contact already exists. Existing ID: {owner}"
                raise RowRefusedError("CONFLICT", message, status=409)
            message = (
                f"Cannot set {name}={value} on {found or 'a new contact'}. {owner} already has that value."
            )
            raise bad_values([BadValue(name, "CONFLICTING_UNIQUE_VALUE", message)], status=409)

    def _refuse_incomplete(self, properties: dict[str, str]) -> None:
        asked = self._world.required_properties if self._version == _STRICT_VERSION else set()
        if missing := sorted(name for name in asked if not properties.get(name)):
            message = f"Required properties are missing: {', '.join(missing)}"
            raise RowRefusedError("MISSING_REQUIRED_PROPERTY", message)
        if not self._world.nameless_allowed and not any(properties.get(name) for name in _NAMES):
            message = "A contact must have at least one of these properties set: email, firstname, lastname"
            raise RowRefusedError(VALIDATION, message)

    def _answer(self, results: list[Any], errors: list[Any]) -> dict[str, Any]:
        answer = {
            "status": "COMPLETE",
            "startedAt": instant_text(self._started),
            "completedAt": instant_text(self._world.now()),
            "results": results,
        }
        return {**answer, "numErrors": len(errors), "errors": errors} if errors else answer

    def _result(self, each: Input, contact_id: str, *, new: bool) -> dict[str, Any]:
        names = dict.fromkeys((*each.properties, EMAIL, each.id_property or EMAIL))
        traced = {"objectWriteTraceId": each.trace_id} if each.trace_id else {}
        return {**self._world.object_json(contact_id, names), "new": new, **traced}


def _input(raw: Any) -> Input:
    if not isinstance(raw, dict):
        raise invalid("Invalid input JSON: an input must be an object")
    properties, contact_id = raw.get("properties"), raw.get("id")
    if not isinstance(contact_id, str) or not contact_id.strip() or not isinstance(properties, dict):
        raise invalid("Some required fields were not set: [id, properties]")
    for name, value in properties.items():
        if not isinstance(value, str):
            message = f"Invalid input JSON: Cannot deserialize value of type `java.lang.String` for {name}"
            raise invalid(message)
    return Input(
        id=contact_id,
        id_property=_optional_text(raw, "idProperty"),
        properties=properties,
        trace_id=_optional_text(raw, "objectWriteTraceId"),
    )


def _optional_text(raw: dict[str, Any], name: str) -> str | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(f"Invalid input JSON: {name} must be a string")
    return value or None


def _all_traced(inputs: Sequence[Input]) -> bool:
    traces = {each.trace_id for each in inputs}
    return None not in traces and len(traces) == len(inputs)
