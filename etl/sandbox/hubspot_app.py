"""What HubSpot's endpoints answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from etl.sandbox.hubspot_errors import invalid, refused
from etl.sandbox.upsert import MOST_INPUTS, Upsert
from etl.sandbox.wire import instant_text, json_reply

if TYPE_CHECKING:
    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Call, RefusedError, Reply

_READ = "crm.objects.contacts.read"
_WRITE = "crm.objects.contacts.write"
_SCHEMA_READ = ("crm.schemas.contacts.read", "crm.schemas.contacts.write", _READ, _WRITE)
_SCHEMA_WRITE = "crm.schemas.contacts.write"


class HubSpotEndpoints:
    """Each method answers one admitted request, or raises RefusedError."""

    def __init__(self, world: HubSpotWorld) -> None:
        self._world = world

    def upsert(self, call: Call) -> Reply:
        self._allow(call, _WRITE)
        return Upsert(self._world, version=call.parts["version"]).reply(_object(call))

    def read(self, call: Call) -> Reply:
        """Contacts by a unique value, or by HubSpot's id; unknown ones are one error of a 207."""
        self._allow(call, _READ)
        body = _object(call)
        ids, by = _ids(body), body.get("idProperty") or None
        if by is not None:
            self._world.schema.require_unique(by)
        found = {value: self._world.store.find(by, value) for value in ids}
        names = [str(name) for name in body.get("properties", [])]
        contacts = dict.fromkeys(contact_id for contact_id in found.values() if contact_id)
        shown = [self._world.object_json(contact_id, names) for contact_id in contacts]
        self._world.random.shuffle(shown)
        now = instant_text(self._world.now())
        answer: dict[str, Any] = {
            "status": "COMPLETE",
            "startedAt": now,
            "completedAt": now,
            "results": shown,
        }
        missing = [value for value, contact_id in found.items() if contact_id is None]
        if not missing:
            return json_reply(answer)
        return json_reply({**answer, "numErrors": 1, "errors": [_not_found(missing)]}, status=207)

    def property(self, call: Call) -> Reply:
        self._allow(call, *_SCHEMA_READ)
        name = call.parts["name"]
        definition = self._world.schema.definitions.get(name)
        if definition is None or definition.archived != _archived(call):
            raise refused(404, "OBJECT_NOT_FOUND", f'Property "{name}" does not exist')
        return json_reply(definition.as_json())

    def properties(self, call: Call) -> Reply:
        """GET lists the properties, POST creates one."""
        if call.method == "GET":
            self._allow(call, *_SCHEMA_READ)
            definitions = self._world.schema.definitions.values()
            shown = [each.as_json() for each in definitions if each.archived == _archived(call)]
            return json_reply({"results": shown})
        self._allow(call, _SCHEMA_WRITE)
        definition = self._world.schema.create(_object(call), now=self._world.now())
        return json_reply(definition.as_json(), status=201)

    def groups(self, call: Call) -> Reply:
        """GET lists the property groups, POST creates one."""
        schema = self._world.schema
        if call.method == "GET":
            self._allow(call, *_SCHEMA_READ)
            return json_reply({"results": [schema.group_json(name) for name in schema.groups]})
        self._allow(call, _SCHEMA_WRITE)
        return json_reply(schema.create_group(_object(call)), status=201)

    def account(self, call: Call) -> Reply:
        """Which portal it is."""
        if call.parts["version"] not in self._world.versions:
            raise _unknown()
        self._world.require("oauth")
        return json_reply(
            {
                "portalId": self._world.portal_id,
                "accountType": "DEVELOPER_TEST",
                "timeZone": "Etc/UTC",
                "companyCurrency": "EUR",
                "uiDomain": "app.hubspot.com",
                "dataHostingLocation": "eu1",
            }
        )

    def unknown(self, _call: Call) -> Reply:
        raise _unknown()

    def _allow(self, call: Call, *scopes: str) -> None:
        """Raises RefusedError where the path has no such version, or the token none of the scopes."""
        version = call.parts["version"]
        dated = call.path.startswith(("/crm/objects/", "/crm/properties/"))
        if version not in self._world.versions or dated is version.startswith("v"):
            raise _unknown()
        self._world.require(*scopes)


def _unknown() -> RefusedError:
    return refused(404, "OBJECT_NOT_FOUND", "No endpoint answers this path.")


def _archived(call: Call) -> bool:
    return call.params.get("archived") == "true"


def _object(call: Call) -> dict[str, Any]:
    try:
        body = orjson.loads(call.body)
    except ValueError as exc:
        raise invalid(f"Invalid input JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise invalid("Invalid input JSON: expected an object")
    return body


def _ids(body: dict[str, Any]) -> list[str]:
    inputs = body.get("inputs")
    if not isinstance(inputs, list) or not isinstance(body.get("properties", []), list):
        raise invalid("Some required fields were not set: [inputs, properties]")
    if len(inputs) > MOST_INPUTS:
        raise invalid(f"The maximum batch size is {MOST_INPUTS}; {len(inputs)} inputs were given.")
    ids = [each.get("id") if isinstance(each, dict) else None for each in inputs]
    if not all(isinstance(each, str) for each in ids):
        raise invalid("Some required fields were not set: [id]")
    return [str(each) for each in ids]


def _not_found(ids: list[str]) -> dict[str, Any]:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some CONTACT objects, they may be deleted or not exist. "
        "Check that ids are valid.",
        "context": {"ids": ids},
        "errors": [],
        "links": {},
    }
