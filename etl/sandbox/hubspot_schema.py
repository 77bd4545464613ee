"""The contact properties of the account: their definitions, and the values that they take."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.sandbox.hubspot_errors import BadValue, invalid, not_unique, refused
from etl.sandbox.wire import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_TEXT = 65_536
MOST_UNIQUE = 10
LONGEST_ADDRESS = 254
FLAG_OPTIONS = (("true", "Yes"), ("false", "No"))
"""What a bool needs."""
MARKETABLE_OPTIONS = (("true", "Marketing contact"), ("false", "Non-marketing contact"))
BUILT_IN_AT = datetime(2020, 1, 1, tzinfo=UTC)

_FIELD_TYPES = {
    "string": {"text", "textarea", "html", "file", "phonenumber", "calculation_equation"},
    "number": {"number", "calculation_equation"},
    "datetime": {"date"},
    "date": {"date"},
    "bool": {"booleancheckbox", "calculation_equation"},
    "enumeration": {"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"},
    "phone_number": {"phonenumber", "text"},
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_MILLISECONDS = re.compile(r"-?\d{1,15}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ADDRESS = re.compile(r"[^\s@\"(),:;<>\[\]\\]+@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Definition:
    """A property as HubSpot describes it."""

    name: str
    type: str = "string"
    field_type: str = "text"
    group: str = "contactinformation"
    label: str = ""
    description: str = ""
    options: tuple[tuple[str, str], ...] = ()
    """Values and their labels, of a bool or an enumeration."""
    unique: bool = False
    read_only: bool = False
    archived: bool = False
    built_in: bool = False
    form_field: bool = False
    """Whether forms may ask for it."""
    created: datetime = BUILT_IN_AT

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "label": self.label or self.name,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [
                {"value": value, "label": label, "displayOrder": order, "hidden": False}
                for order, (value, label) in enumerate(self.options)
            ],
            "archived": self.archived,
            "hasUniqueValue": self.unique,
            "hidden": False,
            "hubspotDefined": self.built_in,
            "formField": self.form_field,
            "createdAt": instant_text(self.created),
            "updatedAt": instant_text(self.created),
            "modificationMetadata": {
                "archivable": not self.built_in,
                "readOnlyDefinition": self.built_in,
                "readOnlyOptions": self.built_in,
                "readOnlyValue": self.read_only,
            },
        }


def standard_properties() -> dict[str, Definition]:
    """What an account has before anybody adds to it (the part that matters here)."""
    texts = ("country", "firstname", "lastname", "city", "company", "phone", "hs_country_region_code")
    fixed_texts = ("hs_object_id", "hs_additional_emails", "hs_analytics_source", "ip_country")
    times = ("createdate", "lastmodifieddate", "hs_lastmodifieddate", "hs_analytics_last_timestamp")
    definitions = [
        Definition("email", unique=True),
        *(Definition(name) for name in texts),
        *(Definition(name, read_only=True) for name in fixed_texts),
        *(Definition(name, "datetime", "date", read_only=True) for name in times),
        Definition("hs_analytics_num_page_views", "number", "number", read_only=True),
        Definition(
            "hs_marketable_status", "enumeration", "radio", options=MARKETABLE_OPTIONS, read_only=True
        ),
    ]
    return {each.name: replace(each, built_in=True, form_field=not each.read_only) for each in definitions}


@dataclass(slots=True)
class Schema:
    """Definitions by name, and the groups they may belong to."""

    definitions: dict[str, Definition] = field(default_factory=standard_properties)
    groups: dict[str, str] = field(default_factory=lambda: {"contactinformation": "Contact information"})

    def add(self, definition: Definition) -> None:
        """Take a definition as it is, without asking whether HubSpot would."""
        self.definitions[definition.name] = definition

    def archive(self, name: str) -> None:
        self.definitions[name] = replace(self.definitions[name], archived=True)

    def active(self, name: str) -> Definition | None:
        definition = self.definitions.get(name)
        return None if definition is None or definition.archived else definition

    def require_unique(self, name: str) -> None:
        """Raises RefusedError where contacts cannot be found by the property."""
        definition = self.active(name)
        if definition is None or not definition.unique:
            raise not_unique(name)

    def unique_names(self) -> list[str]:
        return [name for name, definition in self.definitions.items() if definition.unique]

    def create(self, wanted: Mapping[str, Any], *, now: datetime) -> Definition:
        """The new property. Raises RefusedError."""
        self._check(wanted)
        name = wanted["name"]
        if name in self.definitions:
            raise refused(409, "OBJECT_ALREADY_EXISTS", f"A property named '{name}' already exists.")
        definition = Definition(
            name=name,
            type=wanted["type"],
            field_type=wanted["fieldType"],
            group=wanted["groupName"],
            label=wanted["label"],
            description=wanted.get("description", ""),
            options=_options(wanted),
            unique=wanted.get("hasUniqueValue", False),
            form_field=wanted.get("formField", False),
            created=now,
        )
        custom = [each for each in self.definitions.values() if each.unique and not each.built_in]
        if definition.unique and len(custom) >= MOST_UNIQUE:
            raise invalid(f"You have reached the limit of {MOST_UNIQUE} unique properties for CONTACT.")
        self.add(definition)
        return definition

    def create_group(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The new group. Raises RefusedError."""
        _require(wanted, "name", "label")
        name = wanted["name"]
        if name in self.groups:
            raise refused(409, "OBJECT_ALREADY_EXISTS", f"A property group named '{name}' already exists.")
        self.groups[name] = wanted["label"]
        return self.group_json(name)

    def group_json(self, name: str) -> dict[str, Any]:
        return {"name": name, "label": self.groups[name], "displayOrder": -1, "archived": False}

    def _check(self, wanted: Mapping[str, Any]) -> None:
        _require(wanted, "name", "label", "type", "fieldType", "groupName")
        if not _NAME.fullmatch(wanted["name"]):
            raise invalid(f"Property name '{wanted['name']}' is not valid.")
        if wanted["fieldType"] not in _FIELD_TYPES.get(wanted["type"], ()):
            message = f"Invalid field type '{wanted['fieldType']}' for property type '{wanted['type']}'."
            raise invalid(message)
        if wanted["groupName"] not in self.groups:
            raise invalid(f"The property group '{wanted['groupName']}' does not exist.")
        for flag in ("hasUniqueValue", "formField"):
            if not isinstance(wanted.get(flag, False), bool):
                raise invalid(f"{flag} must be a boolean.")
        values = [value for value, _ in _options(wanted)]
        if wanted["type"] == "bool" and set(values) != {value for value, _ in FLAG_OPTIONS}:
            raise invalid("Boolean properties must have exactly two options: true, false.")
        if wanted["type"] == "enumeration" and not values:
            raise invalid("Enumeration properties must have at least one option.")


def _require(wanted: Mapping[str, Any], *names: str) -> None:
    missing = [name for name in names if not isinstance(wanted.get(name), str) or not wanted[name]]
    if missing:
        raise invalid(f"Some required fields were not set: [{', '.join(missing)}]")


def _options(wanted: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Values and labels, in the order in which they are shown. Raises RefusedError."""
    stated = wanted.get("options", [])
    if not isinstance(stated, list) or not all(_is_option(each) for each in stated):
        raise invalid("Some required fields were not set: [displayOrder, hidden, label, value]")
    ordered = sorted(stated, key=lambda option: int(option["displayOrder"]))
    return tuple((option["value"], option["label"]) for option in ordered)


def _is_option(stated: Any) -> bool:
    return (
        isinstance(stated, dict)
        and isinstance(stated.get("label"), str)
        and isinstance(stated.get("value"), str)
        and isinstance(stated.get("hidden"), bool)
        and isinstance(stated.get("displayOrder"), int)
    )


def normal_address(text: str) -> str:
    """How HubSpot compares and keeps an e-mail address."""
    return text.strip().lower()


def stored_value(definition: Definition, value: str) -> str | BadValue:
    """The value as HubSpot keeps it, or what is wrong with it. The empty text clears, whatever the type."""
    name = definition.name
    if definition.read_only:
        message = f'"{name}" is a read only property; its value cannot be set.'
        return BadValue(name, "READ_ONLY_VALUE", message)
    if len(value) > LONGEST_TEXT:
        message = f"The value is too long: {len(value)} characters, at most {LONGEST_TEXT} are allowed."
        return BadValue(name, "PROPERTY_VALUE_TOO_LONG", message)
    kind = _KINDS.get("email" if name == "email" else definition.type)
    if not value or kind is None:
        return value
    error, complaint, kept = kind
    try:
        return kept(definition, value)
    except (ValueError, OverflowError):
        return BadValue(name, error, complaint.format(value))


def writable(schema: Schema, values: Mapping[str, str]) -> dict[str, str]:
    """Of ``values``, as HubSpot keeps them, those that can be written and are not empty."""
    kept: dict[str, str] = {}
    for name, value in values.items():
        definition = schema.active(name)
        stored = stored_value(definition, value) if definition else ""
        if stored and isinstance(stored, str):
            kept[name] = stored
    return kept


def _address(_definition: Definition, value: str) -> str:
    address = normal_address(value)
    if len(address) > LONGEST_ADDRESS or not _ADDRESS.fullmatch(address) or ".." in address:
        raise ValueError
    return address


def _number(_definition: Definition, value: str) -> str:
    if not _DECIMAL.fullmatch(value):
        raise ValueError
    return value


def _datetime(_definition: Definition, value: str) -> str:
    if _MILLISECONDS.fullmatch(value):
        return instant_text(_EPOCH + timedelta(milliseconds=int(value)))
    instant = datetime.fromisoformat(value)
    if "T" not in value or instant.tzinfo is None:
        raise ValueError
    return instant_text(instant.astimezone(UTC))


def _option(definition: Definition, value: str) -> str:
    if value not in dict(definition.options):
        raise ValueError
    return value


_KINDS: dict[str, tuple[str, str, Callable[[Definition, str], str]]] = {
    "email": ("INVALID_EMAIL", "Email address {} is invalid", _address),
    "number": ("INVALID_DOUBLE", "{} was not a valid number.", _number),
    "datetime": ("INVALID_LONG", "{} was not a valid long.", _datetime),
    "bool": ("INVALID_OPTION", "{} was not one of the allowed options", _option),
    "enumeration": ("INVALID_OPTION", "{} was not one of the allowed options", _option),
}
"""The error, its message, and how a value is kept: ValueError and OverflowError mean that it is not."""
