"""The inputs of HubSpot's batches, read from the body of a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.sandbox.contacts import EMAIL
from etl.sandbox.hubspot_errors import invalid
from etl.sandbox.hubspot_schema import normal_address

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_INPUTS = 100


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


def inputs_to_write(raw: Any) -> list[Input]:
    """Raises RefusedError where one of them is not well-formed."""
    if not isinstance(raw, list):
        raise invalid("Invalid input JSON: inputs must be a list")
    if not raw:
        raise invalid("Some required fields were not set: [inputs]")
    refuse_many(raw, most=MOST_INPUTS)
    return [_input(each) for each in raw]


def ids_of(body: dict[str, Any], *, most: int = MOST_INPUTS) -> list[str]:
    """The ids of inputs that are nothing else. Raises RefusedError."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        raise invalid("Some required fields were not set: [inputs]")
    refuse_many(inputs, most=most)
    ids = [each.get("id") if isinstance(each, dict) else None for each in inputs]
    if not all(isinstance(each, str) for each in ids):
        raise invalid("Some required fields were not set: [id]")
    return [str(each) for each in ids]


def refuse_many(inputs: Sequence[Any], *, most: int) -> None:
    if len(inputs) > most:
        raise invalid(f"The maximum batch size is {most}; {len(inputs)} inputs were given.")


def all_traced(inputs: Sequence[Input]) -> bool:
    """Whether every input has a trace id of its own."""
    traces = {each.trace_id for each in inputs}
    return None not in traces and len(traces) == len(inputs)


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
        id_property=optional_text(raw, "idProperty"),
        properties=properties,
        trace_id=optional_text(raw, "objectWriteTraceId"),
    )


def optional_text(raw: dict[str, Any], name: str) -> str | None:
    """None where it is absent or empty. Raises RefusedError where it is no text."""
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise invalid(f"Invalid input JSON: {name} must be a string")
    return value or None
