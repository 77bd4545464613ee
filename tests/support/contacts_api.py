"""HubSpot's endpoints for contacts, asked over HTTP under one of their two families of paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

OBJECTS = ("/crm/objects/2026-03/contacts", "/crm/v3/objects/contacts")
STRICT = "/crm/objects/2026-09/contacts"


@dataclass(frozen=True, slots=True)
class ContactsApi:
    """Every method makes one request; ``objects`` is the path of the contacts."""

    client: httpx.Client
    objects: str = OBJECTS[0]

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.client.post(f"{self.objects}/{path}", json=body)

    def upsert(self, *inputs: Any) -> httpx.Response:
        return self.post("batch/upsert", {"inputs": list(inputs)})

    def update(self, *inputs: Any) -> httpx.Response:
        return self.post("batch/update", {"inputs": list(inputs)})

    def read(
        self,
        *ids: str,
        by: str | None = None,
        properties: tuple[str, ...] = (),
        history: tuple[str, ...] = (),
        archived: bool = False,
    ) -> httpx.Response:
        body: dict[str, Any] = {
            "inputs": [{"id": each} for each in ids],
            "properties": list(properties),
            "propertiesWithHistory": list(history),
        }
        named = {"idProperty": by} if by else {}
        path = "batch/read?archived=true" if archived else "batch/read"
        return self.post(path, body | named)

    def search(self, *groups: list[dict[str, Any]], **more: Any) -> httpx.Response:
        """Each group is a list of filters."""
        asked = {
            "filterGroups": [{"filters": group} for group in groups],
            "sorts": [],
            "limit": 200,
            "after": "0",
            "properties": [],
        }
        return self.post("search", asked | more)

    def found(self, *groups: list[dict[str, Any]], **more: Any) -> list[str]:
        """The ids that a search answers, in its order."""
        reply = self.search(*groups, **more)
        assert reply.status_code == 200, reply.text
        return [each["id"] for each in reply.json()["results"]]

    def merge(self, primary: str, other: str) -> httpx.Response:
        return self.post("merge", {"primaryObjectId": primary, "objectIdToMerge": other})

    def erase(self, value: str, *, by: str | None = None) -> httpx.Response:
        return self.post("gdpr-delete", {"objectId": value} | ({"idProperty": by} if by else {}))

    def archive(self, contact_id: str) -> httpx.Response:
        return self.client.delete(f"{self.objects}/{contact_id}")

    def archive_batch(self, *ids: str) -> httpx.Response:
        return self.post("batch/archive", {"inputs": [{"id": each} for each in ids]})


def change(record_id: str, /, *, trace: str | None = "", **properties: Any) -> dict[str, Any]:
    """An input of an update with a trace id of its own, unless ``trace`` is None or another one."""
    return _traced({"id": record_id, "properties": properties}, trace)


def entry(name: str, /, *, by: str = "email", trace: str | None = "", **properties: Any) -> dict[str, Any]:
    """The same for an upsert."""
    return _traced({"id": name, "idProperty": by, "properties": properties}, trace)


def where(name: str, operator: str, value: str | None = None, **more: Any) -> dict[str, Any]:
    """A filter of a search."""
    given = {} if value is None else {"value": value}
    return {"propertyName": name, "operator": operator, **given, **more}


def _traced(built: dict[str, Any], trace: str | None) -> dict[str, Any]:
    return built if trace is None else built | {"objectWriteTraceId": trace or f"trace of {built['id']}"}
