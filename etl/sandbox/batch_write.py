"""POST …/batch/upsert and …/batch/update: what HubSpot accepts, writes, and answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from etl.sandbox.batch_inputs import all_traced, inputs_to_write
from etl.sandbox.contacts import EMAIL, comparable
from etl.sandbox.hubspot_errors import (
    VALIDATION,
    BadValue,
    RowRefusedError,
    bad_values,
    invalid,
    not_unique,
    refused,
)
from etl.sandbox.hubspot_schema import stored_value
from etl.sandbox.wire import instant_text, json_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.sandbox.batch_inputs import Input
    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Reply

_NAMES = (EMAIL, "firstname", "lastname")
_STRICT_VERSION = "2026-09"


class BatchWrite:
    """One request; an update unless it ``creates``. ``reply`` raises RefusedError for the whole batch."""

    def __init__(self, world: HubSpotWorld, *, version: str, creates: bool) -> None:
        self._world = world
        self._strict = version == _STRICT_VERSION
        self._creates = creates
        self._started = world.now()

    def reply(self, body: dict[str, Any]) -> Reply:
        if "inputs" not in body:
            return json_reply(self._answer([], []))
        inputs = inputs_to_write(body["inputs"])
        self._check(inputs)
        results: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        with self._world.store.all_or_nothing():
            for each in inputs:
                try:
                    results.append(self._written(each))
                except RowRefusedError as objection:
                    if not all_traced(inputs):
                        raise refused(objection.status, objection.category, objection.message) from objection
                    errors.append(objection.as_json(each.trace_id))
        self._world.random.shuffle(results)
        self._world.random.shuffle(errors)
        return json_reply(self._answer(results, errors), status=207 if errors else 200)

    def _check(self, inputs: Sequence[Input]) -> None:
        """Raises RefusedError where one input forbids all of them."""
        for name in {each.id_property for each in inputs} - {None}:
            if not self._creates:
                raise not_unique(str(name))
            self._world.schema.require_unique(str(name))
        seen: set[tuple[str, str]] = set()
        for each in inputs:
            identity = self._identity(each)
            if identity in seen:
                raise invalid(f"Duplicate IDs found in batch input: [{each.id}]. IDs must be unique")
            seen.add(identity)

    def _identity(self, each: Input) -> tuple[str, str]:
        """What no other input may have."""
        if each.id_property is None and self._world.merged_twice == "refused":
            return "", self._world.store.successor(each.id)
        return each.id_property or "", comparable(each.id_property, each.id)

    def _written(self, each: Input) -> dict[str, Any]:
        """The contact that was created or updated. Raises RowRefusedError."""
        for address in each.addresses:
            if objection := self._world.objection(address):
                raise objection
        found = self._world.store.find(each.id_property, each.id)
        if found is None and each.id_property is None:
            raise RowRefusedError("OBJECT_NOT_FOUND", f"No contact has the ID {each.id}.", ids=[each.id])
        properties = self._properties(each, found)
        self._refuse_taken(properties, found)
        if found is None:
            return self._created(each, properties)
        self._world.store.update(found, properties, now=self._world.now())
        return self._result(each, found, new=False)

    def _created(self, each: Input, properties: dict[str, str]) -> dict[str, Any]:
        self._refuse_archived(properties)
        self._refuse_incomplete(properties)
        status = {"hs_marketable_status": "true"} if self._world.marketing_contacts else {}
        contact_id = self._world.store.create({**properties, **status}, now=self._world.now())
        return self._result(each, contact_id, new=True)

    def _properties(self, each: Input, found: str | None) -> dict[str, str]:
        """What is to be stored. Raises RowRefusedError with every value that is wrong."""
        wanted = dict(each.properties)
        if found is None and each.id_property is not None:
            wanted.setdefault(each.id_property, each.id)
        kept = {name: self._stored(name, value) for name, value in wanted.items()}
        if wrong := [value for value in kept.values() if isinstance(value, BadValue)]:
            raise bad_values(wrong)
        stored = {name: str(value) for name, value in kept.items()}
        if found is not None and self._world.store.is_secondary(found, stored.get(EMAIL, "")):
            del stored[EMAIL]
        return stored

    def _stored(self, name: str, value: str) -> str | BadValue:
        definition = self._world.schema.active(name)
        if definition is None:
            return BadValue(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
        rule = self._world.validation_rules.get(name) if self._strict else None
        if rule is not None and value and not re.fullmatch(rule, value):
            message = f'{value} does not follow the validation rule "{rule}" of property "{name}".'
            return BadValue(name, "PROPERTY_VALIDATION_RULE_VIOLATED", message)
        return stored_value(definition, value)

    def _refuse_taken(self, properties: dict[str, str], found: str | None) -> None:
        for name, owner in self._world.store.conflicts(properties, found):
            if name == EMAIL:
                message = f"Contact already exists. Existing ID: {owner}"
                raise RowRefusedError("CONFLICT", message, status=409)
            whom = found or "a new contact"
            message = f"Cannot set {name}={properties[name]} on {whom}. {owner} already has that value."
            raise bad_values([BadValue(name, "CONFLICTING_UNIQUE_VALUE", message)], status=409)

    def _refuse_archived(self, properties: dict[str, str]) -> None:
        """Where it would be a new contact with a value of one in the recycle bin."""
        if self._world.archived_upsert == "new":
            return
        store = self._world.store
        for name in self._world.schema.unique_names():
            value = properties.get(name)
            if value and (owner := store.find_archived(name, value)):
                message = f"Contact already exists. Existing ID: {owner}"
                raise RowRefusedError("CONFLICT", message, status=409)

    def _refuse_incomplete(self, properties: dict[str, str]) -> None:
        asked = self._world.required_properties if self._strict else set()
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
        stated = {"new": new} if self._creates else {}
        traced = {"objectWriteTraceId": each.trace_id} if each.trace_id else {}
        return {**self._world.shown(contact_id, names), **stated, **traced}
