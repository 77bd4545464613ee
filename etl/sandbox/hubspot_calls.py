"""What every endpoint of HubSpot's asks of a request first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from etl.sandbox.hubspot_errors import invalid, refused

if TYPE_CHECKING:
    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Call, RefusedError

READ = "crm.objects.contacts.read"
WRITE = "crm.objects.contacts.write"


def allow(world: HubSpotWorld, call: Call, *scopes: str) -> None:
    """Raises RefusedError where the path has no such version, or the token none of the scopes."""
    version = call.parts["version"]
    dated = call.path.startswith(("/crm/objects/", "/crm/properties/"))
    if version not in world.versions or dated is version.startswith("v"):
        raise unknown_path()
    world.require(*scopes)


def unknown_path() -> RefusedError:
    return refused(404, "OBJECT_NOT_FOUND", "No endpoint answers this path.")


def asks_for_archived(call: Call) -> bool:
    return call.params.get("archived") == "true"


def json_object(call: Call) -> dict[str, Any]:
    """The body. Raises RefusedError where it is none."""
    try:
        body = orjson.loads(call.body)
    except ValueError as exc:
        raise invalid(f"Invalid input JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise invalid("Invalid input JSON: expected an object")
    return body
