"""The contact properties this program writes: whether HubSpot has them as they must be, and making them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from etl.errors import ContractBrokenError, SetupError
from etl.load.statuses import (
    CHECK_ADDRESS,
    SCHEMA_READ_SCOPE,
    SCHEMA_WRITE_SCOPE,
    complaint_in,
    object_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.fields import SyncedFields
    from etl.load.client import HubSpotClient
    from etl.network.reply import Reply

log = logging.getLogger(__name__)

NOBODY = "visitor-sync-check@nobody.invalid"
GROUP = "zenovay"
SETUP = "Run `visitor-sync setup`."

_FIELD_TYPES = {"string": "text", "number": "number", "datetime": "date", "bool": "booleancheckbox"}
_YES_AND_NO = [
    {"label": "Yes", "value": "true", "displayOrder": 0, "hidden": False},
    {"label": "No", "value": "false", "displayOrder": 1, "hidden": False},
]
"""HubSpot refuses a bool property that does not come with these two values."""

State = Literal["missing", "archived", "wrong_type", "not_unique", "unique", "read_only"]


@dataclass(frozen=True, slots=True)
class WantedProperty:
    """A property as it must be. ``setting`` is the variable that names it.

    ``in_forms``: people's forms fill it, so that it must not be unique: HubSpot drops what another has.
    """

    name: str
    label: str
    type: Literal["string", "number", "datetime", "bool"]
    setting: str
    unique: bool = False
    in_forms: bool = False

    def definition(self) -> dict[str, Any]:
        """As HubSpot makes it."""
        definition: dict[str, Any] = {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": _FIELD_TYPES[self.type],
            "groupName": GROUP,
            "hasUniqueValue": self.unique,
        }
        if self.in_forms:
            definition["formField"] = True
        if self.type == "bool":
            definition["options"] = _YES_AND_NO
        return definition


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one property, and what to do about it."""

    property: str
    state: State
    what: str
    fix: str


def wanted_properties(synced: SyncedFields, link_property: str | None = None) -> tuple[WantedProperty, ...]:
    """The properties of the fields that are on, of the visitor id, and the one that links are learnt from."""
    of_fields = (
        WantedProperty(field.property_name, field.label, field.kind.property_type, field.setting)
        for field in synced.fields
    )
    visitor_id = WantedProperty(
        synced.visitor_id, "Zenovay visitor id", "string", "SYNC_VISITOR_ID_PROPERTY", unique=True
    )
    if link_property is None:
        return (*of_fields, visitor_id)
    link = WantedProperty(
        link_property, "Zenovay visitor id (form)", "string", "SYNC_LINK_PROPERTY", in_forms=True
    )
    return (*of_fields, visitor_id, link)


def visitor_id_of(wanted: Sequence[WantedProperty]) -> str:
    """The property by which HubSpot finds contacts without an address."""
    return next(each.name for each in wanted if each.unique)


def link_property_of(wanted: Sequence[WantedProperty]) -> str | None:
    """The property that links are learnt from; None where that is not wanted."""
    return next((each.name for each in wanted if each.in_forms), None)


class Properties:
    """Reads and creates contact properties."""

    def __init__(self, client: HubSpotClient, wanted: Sequence[WantedProperty]) -> None:
        self._client = client
        self._wanted = tuple(wanted)

    def verify(self) -> list[Problem]:
        """What is wrong, in the order of the properties; empty if all is well. One request each.

        Raises AccessRefusedError where the token may not read properties, ContractBrokenError where HubSpot
        knows neither them nor contacts, and UnavailableError.
        """
        found = [problem for wanted in self._wanted for problem in self._problems(wanted)]
        if len(found) == len(self._wanted) and all(_is_missing(problem) for problem in found):
            self._find_contacts()
        return found

    def _find_contacts(self) -> None:
        """Tell a HubSpot that was never set up from a wrong base URL or version: both say 404 to every name.

        Asks for a contact that cannot exist, and updates nothing.
        """
        for tail, body in (
            ("read", {"inputs": [{"id": NOBODY}], "idProperty": "email"}),
            ("update", {"inputs": []}),
        ):
            path = f"{self._client.contacts_path}/batch/{tail}"
            if self._status(path, body) != HTTPStatus.NOT_FOUND:
                return
        raise ContractBrokenError("HubSpot answered 404 to everything that was asked.", fix=CHECK_ADDRESS)

    def _status(self, path: str, body: dict[str, Any]) -> int:
        return self._client.send(
            "POST",
            path,
            body=body,
            read=lambda reply: reply.status,
            expects=frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}),
            where="HubSpot contacts",
        )

    def install(self) -> list[str]:
        """Create what is missing; the names of the properties created. Safe to repeat.

        Raises SetupError where a property exists and cannot be used as it is: its type and uniqueness cannot
        be changed, so that is for a person to decide.
        """
        missing = [wanted for wanted in self._wanted if self._must_be_made(wanted)]
        if missing:
            self._post("/groups", {"name": GROUP, "label": "Zenovay"}, where="HubSpot property groups")
        created = [wanted.name for wanted in missing if self._create(wanted)]
        for wanted in self._wanted:
            raise_for([_hidden(wanted) if _is_missing(each) else each for each in self._problems(wanted)])
        return created

    def _must_be_made(self, wanted: WantedProperty) -> bool:
        found = self._problems(wanted)
        if any(_is_missing(problem) for problem in found):
            return True
        raise_for(found)
        return False

    def _problems(self, wanted: WantedProperty) -> list[Problem]:
        return problems(wanted, self._definition(wanted.name))

    def _create(self, wanted: WantedProperty) -> bool:
        created = self._post("", wanted.definition(), where=f"HubSpot property {wanted.name}")
        if created:
            log.info("property created", extra={"action": "property_created", "property": wanted.name})
        return created

    def _definition(self, name: str) -> dict[str, Any] | None:
        return self._client.send(
            "GET",
            f"{self._client.properties_path}/{quote(name, safe='')}",
            read=lambda reply: None if reply.status == HTTPStatus.NOT_FOUND else object_of(reply),
            expects=frozenset({HTTPStatus.NOT_FOUND}),
            where=f"HubSpot property {name}",
            scope=SCHEMA_READ_SCOPE,
        )

    def _post(self, tail: str, body: dict[str, Any], *, where: str) -> bool:
        """Whether something was created; False if it was there already."""
        return self._client.send(
            "POST",
            f"{self._client.properties_path}{tail}",
            body=body,
            read=lambda reply: _was_created(reply, where=where),
            expects=frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT}),
            where=where,
            scope=SCHEMA_WRITE_SCOPE,
        )


def problems(wanted: WantedProperty, found: dict[str, Any] | None) -> list[Problem]:
    """What keeps ``found`` from being used as ``wanted``; None means that it does not exist."""
    name = wanted.name
    other = _other_name(wanted)
    if found is None:
        return [Problem(name, "missing", f"HubSpot has no contact property {name}.", SETUP)]
    if found.get("archived") is True:
        return [_archived(wanted, f"The HubSpot property {name} is archived.")]
    seen: list[Problem] = []
    if found.get("type") != wanted.type:
        what = f"The HubSpot property {name} has the type {_word(found.get('type'))}, not {wanted.type}."
        seen.append(Problem(name, "wrong_type", what, f"{other}."))
    if wanted.unique and found.get("hasUniqueValue") is not True:
        what = f"The HubSpot property {name} was not made to hold unique values."
        seen.append(Problem(name, "not_unique", what, f"That cannot be changed: s{other[1:]}."))
    if wanted.in_forms and found.get("hasUniqueValue") is True:
        what = f"The HubSpot property {name} holds unique values, which HubSpot drops where another has one."
        seen.append(Problem(name, "unique", what, f"That cannot be changed: s{other[1:]}."))
    if _is_read_only(found):
        what = f"The HubSpot property {name} is read-only."
        seen.append(Problem(name, "read_only", what, f"{other}."))
    return seen


def raise_for(found: Sequence[Problem]) -> None:
    """Raises one SetupError that names all of ``found``; nothing if there is nothing."""
    if found:
        fixes = " ".join(dict.fromkeys(problem.fix for problem in found))
        raise SetupError(" ".join(problem.what for problem in found), fix=fixes)


def _is_missing(problem: Problem) -> bool:
    return problem.state == "missing"


def _hidden(wanted: WantedProperty) -> Problem:
    """HubSpot does not show archived properties, and does not make another of the same name."""
    return _archived(
        wanted, f"HubSpot neither shows nor makes the property {wanted.name}; it may be archived."
    )


def _archived(wanted: WantedProperty, what: str) -> Problem:
    other = _other_name(wanted)
    return Problem(
        wanted.name, "archived", what, f"Restore it in HubSpot's property settings, or s{other[1:]}."
    )


def _other_name(wanted: WantedProperty) -> str:
    return f"Set {wanted.setting} to another name and run `visitor-sync setup`"


def _is_read_only(found: dict[str, Any]) -> bool:
    metadata = found.get("modificationMetadata")
    read_only = metadata.get("readOnlyValue") if isinstance(metadata, dict) else None
    return read_only is True or found.get("calculated") is True


def _was_created(reply: Reply, *, where: str) -> bool:
    """409 is HubSpot's answer for what exists already; some versions say so with 400."""
    if reply.ok:
        return True
    said = complaint_in(reply)
    if reply.status == HTTPStatus.CONFLICT or "already exists" in said.words:
        return False
    raise ContractBrokenError(
        f"{where}: HubSpot refused to create it ({said.code}).",
        fix="Create it by hand in HubSpot's property settings, or give it another name in the settings.",
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else "unknown"
