"""What HubSpot's endpoints for properties and the account answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.sandbox.hubspot_calls import READ, WRITE, allow, asks_for_archived, json_object, unknown_path
from etl.sandbox.hubspot_errors import refused
from etl.sandbox.wire import json_reply

if TYPE_CHECKING:
    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Call, Reply

_SCHEMA_READ = ("crm.schemas.contacts.read", "crm.schemas.contacts.write", READ, WRITE)
_SCHEMA_WRITE = "crm.schemas.contacts.write"


class HubSpotEndpoints:
    """Each method answers one admitted request, or raises RefusedError."""

    def __init__(self, world: HubSpotWorld) -> None:
        self._world = world

    def property(self, call: Call) -> Reply:
        allow(self._world, call, *_SCHEMA_READ)
        name = call.parts["name"]
        definition = self._world.schema.definitions.get(name)
        if definition is None or definition.archived != asks_for_archived(call):
            raise refused(404, "OBJECT_NOT_FOUND", f'Property "{name}" does not exist')
        return json_reply(definition.as_json())

    def properties(self, call: Call) -> Reply:
        """GET lists the properties, POST creates one."""
        if call.method == "GET":
            allow(self._world, call, *_SCHEMA_READ)
            definitions = self._world.schema.definitions.values()
            shown = [each.as_json() for each in definitions if each.archived == asks_for_archived(call)]
            return json_reply({"results": shown})
        allow(self._world, call, _SCHEMA_WRITE)
        definition = self._world.schema.create(json_object(call), now=self._world.now())
        return json_reply(definition.as_json(), status=201)

    def groups(self, call: Call) -> Reply:
        """GET lists the property groups, POST creates one."""
        schema = self._world.schema
        if call.method == "GET":
            allow(self._world, call, *_SCHEMA_READ)
            return json_reply({"results": [schema.group_json(name) for name in schema.groups]})
        allow(self._world, call, _SCHEMA_WRITE)
        return json_reply(schema.create_group(json_object(call)), status=201)

    def account(self, call: Call) -> Reply:
        """Which portal it is."""
        if call.parts["version"] not in self._world.versions:
            raise unknown_path()
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
        raise unknown_path()
