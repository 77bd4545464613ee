"""What HubSpot's endpoints answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.jsontext import parse
from etl.sandbox.hubspot_errors import VALIDATION, RefusedError, refusal
from etl.sandbox.upsert import MOST_INPUTS, Upsert
from etl.sandbox.wire import instant_text, json_reply

if TYPE_CHECKING:
    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Call, Reply

_READ = "crm.objects.contacts.read"
_WRITE = "crm.objects.contacts.write"
_SCHEMA_READ = ("crm.schemas.contacts.read", "crm.schemas.contacts.write", _READ, _WRITE)
_SCHEMA_WRITE = "crm.schemas.contacts.write"


class HubSpotEndpoints:
    """Each method answers one admitted request."""

    def __init__(self, world: HubSpotWorld) -> None:
        self._world = world

    def upsert(self, call: Call) -> Reply:
        with self._world.lock:
            try:
                return self._refusal(call, _WRITE) or Upsert(self._world, call).reply()
            except RefusedError as refused:
                return refused.reply(call.number)

    def read(self, call: Call) -> Reply:
        """Contacts by a unique value, or by HubSpot's id; unknown ones are one error of a 207."""
        with self._world.lock:
            try:
                return self._refusal(call, _READ) or self._read(call)
            except RefusedError as refused:
                return refused.reply(call.number)

    def property(self, call: Call) -> Reply:
        with self._world.lock:
            if refused := self._refusal(call, *_SCHEMA_READ):
                return refused
            name = call.parts["name"]
            definition = self._world.schema.definitions.get(name)
            if definition is None or definition.archived != (call.params.get("archived") == "true"):
                message = f'Property "{name}" does not exist'
                return refusal(404, "OBJECT_NOT_FOUND", message, number=call.number)
            return json_reply(definition.as_json())

    def properties(self, call: Call) -> Reply:
        """GET lists the properties, POST creates one."""
        with self._world.lock:
            if call.method == "GET":
                return self._refusal(call, *_SCHEMA_READ) or self._list(call)
            try:
                return self._refusal(call, _SCHEMA_WRITE) or self._create(call)
            except RefusedError as refused:
                return refused.reply(call.number)

    def groups(self, call: Call) -> Reply:
        """GET lists the property groups, POST creates one."""
        with self._world.lock:
            schema = self._world.schema
            if call.method == "GET":
                listed = {"results": [schema.group_json(name) for name in schema.groups]}
                return self._refusal(call, *_SCHEMA_READ) or json_reply(listed)
            try:
                refused = self._refusal(call, _SCHEMA_WRITE)
                return refused or json_reply(schema.create_group(_object(call)), status=201)
            except RefusedError as exc:
                return exc.reply(call.number)

    def token_description(self, call: Call) -> Reply:
        """Whose token it is and what it may do."""
        try:
            asked = _object(call).get("tokenKey")
        except RefusedError as refused:
            return refused.reply(call.number)
        if not self._world.token_description_offered or asked != self._world.access_token:
            return self.unknown(call)
        scopes = sorted(self._world.scopes)
        return json_reply({"userId": 1, "hubId": self._world.portal_id, "appId": 1, "scopes": scopes})

    def account(self, call: Call) -> Reply:
        """Which portal it is."""
        version = call.parts["version"]
        if version not in self._world.versions:
            return self.unknown(call)
        if not self._world.account_details_offered:
            message = "This app hasn't been granted all required scopes to make this call."
            return refusal(403, "MISSING_SCOPES", message, number=call.number)
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

    def unknown(self, call: Call) -> Reply:
        return refusal(404, "OBJECT_NOT_FOUND", "No endpoint answers this path.", number=call.number)

    def _refusal(self, call: Call, *scopes: str) -> Reply | None:
        version = call.parts["version"]
        dated = call.path.startswith(("/crm/objects/", "/crm/properties/"))
        if version not in self._world.versions or dated is version.startswith("v"):
            return self.unknown(call)
        return self._world.unscoped(call, *scopes)

    def _list(self, call: Call) -> Reply:
        archived = call.params.get("archived") == "true"
        definitions = self._world.schema.definitions.values()
        return json_reply({"results": [each.as_json() for each in definitions if each.archived == archived]})

    def _create(self, call: Call) -> Reply:
        definition = self._world.schema.create(_object(call), now=self._world.now())
        return json_reply(definition.as_json(), status=201)

    def _read(self, call: Call) -> Reply:
        asked = _asked(call)
        if asked.id_property is not None:
            definition = self._world.schema.active(asked.id_property)
            if definition is None or not definition.unique:
                message = f"The property '{asked.id_property}' is not a unique property of CONTACT."
                raise RefusedError(400, VALIDATION, message)
        found = {value: self._world.store.find(asked.id_property, value) for value in asked.ids}
        contacts = dict.fromkeys(contact_id for contact_id in found.values() if contact_id)
        shown = [self._world.object_json(contact_id, asked.properties) for contact_id in contacts]
        if self._world.shuffle_results:
            self._world.random.shuffle(shown)
        missing = [value for value, contact_id in found.items() if contact_id is None]
        return self._found(shown, missing)

    def _found(self, shown: list[dict[str, Any]], missing: list[str]) -> Reply:
        now = instant_text(self._world.now())
        body: dict[str, Any] = {"status": "COMPLETE", "startedAt": now, "completedAt": now, "results": shown}
        if missing:
            body |= {"numErrors": 1, "errors": [_not_found(missing)]}
        return json_reply(body, status=207 if missing else 200, deliberate=self._world.null_values)


@dataclass(frozen=True, slots=True)
class _Asked:
    ids: list[str]
    id_property: str | None
    properties: list[str]


def _asked(call: Call) -> _Asked:
    body = _object(call)
    inputs, properties = body.get("inputs"), body.get("properties", [])
    if not isinstance(inputs, list) or not isinstance(properties, list):
        raise RefusedError(400, VALIDATION, "Some required fields were not set: [inputs, properties]")
    if len(inputs) > MOST_INPUTS:
        message = f"The maximum batch size is {MOST_INPUTS}; {len(inputs)} inputs were given."
        raise RefusedError(400, VALIDATION, message)
    ids = [each.get("id") if isinstance(each, dict) else None for each in inputs]
    if not all(isinstance(each, str) for each in ids):
        raise RefusedError(400, VALIDATION, "Some required fields were not set: [id]")
    return _Asked(
        ids=[str(each) for each in ids],
        id_property=body.get("idProperty") or None,
        properties=[str(name) for name in properties],
    )


def _object(call: Call) -> dict[str, Any]:
    try:
        body = parse(call.body)
    except ValueError as exc:
        raise RefusedError(400, VALIDATION, f"Invalid input JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise RefusedError(400, VALIDATION, "Invalid input JSON: expected an object")
    return body


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
