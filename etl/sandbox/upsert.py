"""POST …/batch/upsert: what HubSpot accepts, writes, and answers."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.sandbox.contacts import EMAIL, comparable
from etl.sandbox.hubspot_errors import (
    VALIDATION,
    BadValue,
    ErrorContext,
    RefusedError,
    RowRefusedError,
    bad_values,
    row_error,
)
from etl.sandbox.hubspot_schema import normal_address, stored_value
from etl.sandbox.wire import instant_text, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Call, Reply

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
    def identity(self) -> tuple[str, str]:
        name = self.id_property or ""
        return name, comparable(name, self.id)


@dataclass(frozen=True, slots=True)
class _Written:
    input: Input
    contact_id: str
    new: bool


@dataclass(frozen=True, slots=True)
class _Failed:
    input: Input
    refused: RowRefusedError


class Upsert:
    """One request. ``reply`` raises RefusedError where the whole batch is refused."""

    def __init__(self, world: HubSpotWorld, call: Call) -> None:
        self._world = world
        self._call = call
        self._started = world.now()

    def reply(self) -> Reply:
        body = self._body()
        if "inputs" not in body:
            return json_reply(self._answer([], []), deliberate=True)
        inputs = self._inputs(body["inputs"])
        with self._world.store.all_or_nothing():
            outcomes = [self._outcome(each) for each in inputs]
            failed = [outcome for outcome in outcomes if isinstance(outcome, _Failed)]
            self._refuse_whole(inputs, failed)
        written = [outcome for outcome in outcomes if isinstance(outcome, _Written)]
        return self._partial(written, failed)

    def _body(self) -> dict[str, Any]:
        try:
            body = json.loads(self._call.body)
        except ValueError as exc:
            raise RefusedError(400, VALIDATION, f"Invalid input JSON: {exc}") from exc
        if not isinstance(body, dict):
            raise RefusedError(400, VALIDATION, "Invalid input JSON on line 1, column 1: expected an object")
        return body

    def _inputs(self, raw: Any) -> list[Input]:
        if not isinstance(raw, list):
            raise RefusedError(400, VALIDATION, "Invalid input JSON: inputs must be a list")
        if not raw and not self._world.empty_batch_accepted:
            raise RefusedError(400, VALIDATION, "Some required fields were not set: [inputs]")
        if len(raw) > MOST_INPUTS:
            self._violation("too_many_inputs", str(len(raw)))
            message = f"The maximum batch size is {MOST_INPUTS}; {len(raw)} inputs were given."
            raise RefusedError(400, VALIDATION, message)
        inputs = [self._input(each) for each in raw]
        self._check_id_properties(inputs)
        self._check_duplicates(inputs)
        self._check_traces(inputs)
        return inputs

    def _input(self, raw: Any) -> Input:
        if not isinstance(raw, dict):
            raise RefusedError(400, VALIDATION, "Invalid input JSON: an input must be an object")
        properties, contact_id = raw.get("properties"), raw.get("id")
        if not isinstance(contact_id, str) or not contact_id.strip() or not isinstance(properties, dict):
            raise RefusedError(400, VALIDATION, "Some required fields were not set: [id, properties]")
        for name, value in properties.items():
            self._check_text(name, value)
        return Input(
            id=contact_id,
            id_property=self._optional_text(raw, "idProperty"),
            properties=properties,
            trace_id=self._optional_text(raw, "objectWriteTraceId"),
        )

    def _check_text(self, name: str, value: Any) -> None:
        if isinstance(value, str):
            return
        kind = "null_value" if value is None else "not_a_text"
        if isinstance(value, float) and not math.isfinite(value):
            kind = "nan_value"
        self._violation(kind, name)
        message = f"Invalid input JSON: Cannot deserialize value of type `java.lang.String` for {name}"
        raise RefusedError(400, VALIDATION, message)

    def _optional_text(self, raw: dict[str, Any], name: str) -> str | None:
        value = raw.get(name)
        if value is not None and not isinstance(value, str):
            raise RefusedError(400, VALIDATION, f"Invalid input JSON: {name} must be a string")
        return value or None

    def _check_id_properties(self, inputs: Sequence[Input]) -> None:
        for name in {each.id_property for each in inputs} - {None}:
            definition = self._world.schema.active(str(name))
            if definition is None or not definition.unique:
                self._violation("id_property_not_unique", str(name))
                message = f"The property '{name}' is not a unique property of CONTACT."
                raise RefusedError(400, VALIDATION, message)

    def _check_duplicates(self, inputs: Sequence[Input]) -> None:
        seen: set[tuple[str, str]] = set()
        for each in inputs:
            if each.identity in seen:
                self._violation("duplicate_id", each.identity[0])
                message = f"Duplicate IDs found in batch input: [{each.id}]. IDs must be unique"
                raise RefusedError(400, VALIDATION, message)
            seen.add(each.identity)

    def _check_traces(self, inputs: Sequence[Input]) -> None:
        if not _all_traced(inputs):
            self._violation("missing_trace_id", "objectWriteTraceId is absent or not unique")

    def _outcome(self, each: Input) -> _Written | _Failed:
        try:
            return self._write(each)
        except RowRefusedError as refused:
            return _Failed(each, refused)

    def _write(self, each: Input) -> _Written:
        self._refuse_addresses(each)
        store, now = self._world.store, self._world.now()
        found = store.find(each.id_property, each.id)
        properties = self._properties(each, found)
        self._refuse_taken(properties, found)
        if found is not None:
            store.update(found, properties, now=now)
            return _Written(each, found, new=False)
        if each.id_property is None:
            raise RowRefusedError("OBJECT_NOT_FOUND", f"No contact has the ID {each.id}.")
        self._refuse_incomplete(properties)
        return _Written(each, store.create(properties, now=now), new=True)

    def _refuse_addresses(self, each: Input) -> None:
        for address in _addresses(each):
            if address in self._world.gdpr_deleted:
                message = (
                    f"Contact {address} was permanently deleted under GDPR and cannot be created or updated."
                )
                raise RowRefusedError("GDPR_DELETED", message)
            if address in self._world.refused_addresses:
                raise RowRefusedError(VALIDATION, self._world.refused_addresses[address])

    def _properties(self, each: Input, found: str | None) -> dict[str, str]:
        """What is to be stored. Raises RowRefusedError with every value that is wrong."""
        wanted = dict(each.properties)
        if found is None and each.id_property is not None:
            wanted.setdefault(each.id_property, each.id)
        stored: dict[str, str] = {}
        wrong: list[BadValue] = []
        for name, value in wanted.items():
            kept = self._stored(name, value)
            if isinstance(kept, BadValue):
                wrong.append(kept)
            else:
                stored[name] = kept
        if wrong:
            raise bad_values(wrong)
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
                raise RowRefusedError("CONFLICT", message, owner=owner)
            message = (
                f"Cannot set {name}={value} on {found or 'a new contact'}. {owner} already has that value."
            )
            raise bad_values([BadValue(name, "CONFLICTING_UNIQUE_VALUE", message)], owner=owner)

    def _refuse_incomplete(self, properties: dict[str, str]) -> None:
        if self._call.parts["version"] == _STRICT_VERSION:
            missing = sorted(name for name in self._world.required_properties if not properties.get(name))
            if missing:
                message = f"Required properties are missing: {', '.join(missing)}"
                raise RowRefusedError("MISSING_REQUIRED_PROPERTY", message)
        if not self._world.nameless_allowed and not any(properties.get(name) for name in _NAMES):
            message = "A contact must have at least one of these properties set: email, firstname, lastname"
            raise RowRefusedError(VALIDATION, message)

    def _refuse_whole(self, inputs: Sequence[Input], failed: Sequence[_Failed]) -> None:
        owners = [failure.refused.owner for failure in failed if failure.refused.owner]
        if owners and self._world.conflicts_as_409:
            raise RefusedError(409, "CONFLICT", f"Contact already exists. Existing ID: {owners[0]}")
        if failed and not _all_traced(inputs):
            refused = failed[0].refused
            raise RefusedError(409 if refused.owner else 400, refused.category, refused.message)

    def _partial(self, written: Sequence[_Written], failed: Sequence[_Failed]) -> Reply:
        world = self._world
        results = [self._result(outcome) for outcome in written]
        style = ErrorContext(world.error_context)
        errors = [row_error(failure.refused, failure.input.trace_id, style=style) for failure in failed]
        if world.shuffle_results:
            world.random.shuffle(results)
            world.random.shuffle(errors)
        dropped = min(world.results_dropped, len(results))
        del results[len(results) - dropped :]
        unpublished = bool(dropped) or world.null_values or (bool(errors) and style is not ErrorContext.LIST)
        return json_reply(
            self._answer(results, errors), status=207 if errors else 200, deliberate=unpublished
        )

    def _answer(self, results: list[Any], errors: list[Any]) -> dict[str, Any]:
        answer = {
            "status": "COMPLETE",
            "startedAt": instant_text(self._started),
            "completedAt": instant_text(self._world.now()),
            "results": results,
        }
        return {**answer, "numErrors": len(errors), "errors": errors} if errors else answer

    def _result(self, outcome: _Written) -> dict[str, Any]:
        names = dict.fromkeys((*outcome.input.properties, EMAIL, outcome.input.id_property or EMAIL))
        result = self._world.object_json(outcome.contact_id, list(names))
        result["new"] = outcome.new
        if self._world.echo_trace_ids and outcome.input.trace_id:
            result["objectWriteTraceId"] = outcome.input.trace_id
        return result

    def _violation(self, kind: str, detail: str) -> None:
        self._world.log.violation(kind, detail, self._call)


def identities(body: Any) -> Iterator[tuple[str, str]]:
    """The contacts that a request is about, as far as it can be read."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    for each in inputs if isinstance(inputs, list) else ():
        if isinstance(each, dict) and isinstance(each.get("id"), str):
            name = str(each.get("idProperty") or "")
            yield name, comparable(name, each["id"])


def _all_traced(inputs: Sequence[Input]) -> bool:
    traces = {each.trace_id for each in inputs}
    return None not in traces and len(traces) == len(inputs)


def _addresses(each: Input) -> set[str]:
    addresses = {each.properties.get(EMAIL, "")}
    if each.id_property == EMAIL:
        addresses.add(each.id)
    return {normal_address(address) for address in addresses if address}
