"""The filters of a search: which contacts they let through."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from etl.sandbox.hubspot_errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from etl.sandbox.hubspot_schema import Definition, Schema

MOST_GROUPS = 5
MOST_FILTERS_A_GROUP = 6
MOST_FILTERS = 18

Comparable = str | Decimal | datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS = re.compile(r"-?\d{1,15}", re.ASCII)
_OF_ONE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda held, asked: held == asked,
    "NEQ": lambda held, asked: held != asked,
    "LT": lambda held, asked: held < asked,
    "LTE": lambda held, asked: held <= asked,
    "GT": lambda held, asked: held > asked,
    "GTE": lambda held, asked: held >= asked,
}
_OF_MANY: dict[str, Callable[[Any, Any], bool]] = {
    "IN": lambda held, asked: held in asked,
    "NOT_IN": lambda held, asked: held not in asked,
}
_TOKENS = {"CONTAINS_TOKEN": True, "NOT_CONTAINS_TOKEN": False}
_PRESENCE = {"HAS_PROPERTY": True, "NOT_HAS_PROPERTY": False}


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; a contact without a value of the property meets NOT_HAS_PROPERTY only."""

    name: str
    met: Callable[[str | None], bool]


FilterGroups = list[list[Filter]]


def filter_groups(raw: Any, schema: Schema) -> FilterGroups:
    """Raises RefusedError where HubSpot would not search for that."""
    if not isinstance(raw, list) or not all(_is_group(each) for each in raw):
        raise invalid("Invalid input JSON: filterGroups must be a list of objects with a list of filters")
    groups = [[_filter(each, schema) for each in group["filters"]] for group in raw]
    sizes = [len(group) for group in groups]
    if len(groups) > MOST_GROUPS or sum(sizes) > MOST_FILTERS or max(sizes, default=0) > MOST_FILTERS_A_GROUP:
        message = (
            f"At most {MOST_GROUPS} filterGroups with {MOST_FILTERS_A_GROUP} filters each, "
            f"{MOST_FILTERS} in all."
        )
        raise invalid(message)
    return groups


def passes(groups: FilterGroups, contact: Mapping[str, str]) -> bool:
    """Whether one group lets the contact through with all its filters; without groups everybody passes."""
    return not groups or any(all(each.met(contact.get(each.name)) for each in group) for group in groups)


def searchable(schema: Schema, name: Any) -> Definition:
    """Raises RefusedError where there is no such property."""
    definition = schema.active(name) if isinstance(name, str) else None
    if definition is None:
        raise invalid(f"There was a problem with the request. Property '{name}' does not exist.")
    return definition


def comparable_value(definition: Definition, text: str) -> Comparable:
    """A value as search compares it: instants, numbers, texts without their case. Raises RefusedError."""
    try:
        if definition.type in {"datetime", "date"}:
            return _instant(text)
        if definition.type == "number" or definition.name == "hs_object_id":
            return Decimal(text)
    except (ValueError, OverflowError, InvalidOperation) as exc:
        raise invalid(f"'{text}' is no value of property '{definition.name}'.") from exc
    return text.lower()


def _is_group(raw: Any) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("filters"), list)


def _filter(raw: Any, schema: Schema) -> Filter:
    if not isinstance(raw, dict):
        raise invalid("Invalid input JSON: a filter must be an object")
    definition = searchable(schema, raw.get("propertyName"))
    condition = _condition(raw, definition)
    operator = raw["operator"]
    if operator in _PRESENCE:
        return Filter(definition.name, condition)
    return Filter(definition.name, lambda held: held is not None and condition(held))


def _condition(raw: Mapping[str, Any], definition: Definition) -> Callable[[Any], bool]:
    """What a value must be like."""
    operator = raw.get("operator")
    if operator in _PRESENCE:
        wanted = _PRESENCE[operator]
        return lambda held: (held is not None) is wanted
    if operator in _TOKENS:
        wanted, pattern = _TOKENS[operator], _text(raw, "value").lower()
        return lambda held: _contains(held.lower(), pattern) is wanted
    if operator == "BETWEEN":
        low, high = (comparable_value(definition, _text(raw, name)) for name in ("value", "highValue"))
        return lambda held: _within(comparable_value(definition, held), low, high)
    if operator in _OF_MANY:
        asked = [comparable_value(definition, each) for each in _texts(raw)]
        return lambda held: _OF_MANY[operator](comparable_value(definition, held), asked)
    if operator in _OF_ONE:
        one = comparable_value(definition, _text(raw, "value"))
        return lambda held: _OF_ONE[operator](comparable_value(definition, held), one)
    raise invalid(f"Invalid input JSON: '{operator}' is no operator")


def _within(held: Any, low: Any, high: Any) -> bool:
    return bool(low <= held <= high)


def _contains(held: str, pattern: str) -> bool:
    """Whether the value or one of its words is as asked for; ``*`` stands for anything."""
    words = re.split(r"[^\w*]+", held)
    return any(fnmatchcase(word, pattern) for word in (held, *words))


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(f"Invalid input JSON: operator {raw['operator']} needs a {name}")
    return value


def _texts(raw: Mapping[str, Any]) -> list[str]:
    values = raw.get("values")
    if not isinstance(values, list) or not values or not all(isinstance(each, str) for each in values):
        raise invalid(f"Invalid input JSON: operator {raw['operator']} needs values")
    return values


def _instant(text: str) -> datetime:
    if _MILLISECONDS.fullmatch(text):
        return _EPOCH + timedelta(milliseconds=int(text))
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
