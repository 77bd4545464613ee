"""Holding the sandbox, and with it the program, to HubSpot's published OpenAPI documents."""

from __future__ import annotations

import functools
import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storm import Exchange

VARIABLE = "HUBSPOT_OPENAPI_DIR"
HOST = "https://api.hubapi.com"
DOCUMENTS = {
    "/crm/objects/2026-03/": "hubspot-contacts-2026-03.json",
    "/crm/v3/objects/": "hubspot-contacts-v3.json",
    "/crm/properties/2026-03/": "hubspot-properties-2026-03.json",
    "/crm/v3/properties/": "hubspot-properties-v3.json",
}
SENT_BY_CLIENTS = (
    "BatchInputSimplePublicObjectBatchInputUpsert",
    "SimplePublicObjectBatchInputUpsert",
    "BatchReadInputSimplePublicObjectId",
    "BatchInputSimplePublicObjectBatchInput",
    "SimplePublicObjectBatchInput",
    "BatchInputSimplePublicObjectId",
    "SimplePublicObjectId",
    "PublicObjectSearchRequest",
    "FilterGroup",
    "Filter",
    "PublicMergeInput",
    "PublicGdprDeleteInput",
    "PropertyCreate",
    "PropertyGroupCreate",
)
SORT = {
    "type": "object",
    "required": ["propertyName", "direction"],
    "properties": {
        "propertyName": {"type": "string"},
        "direction": {"type": "string", "enum": ["ASCENDING", "DESCENDING"]},
    },
    "additionalProperties": False,
}
"""A sort as HubSpot's guide writes it; its document knows names of properties only."""


@dataclass(slots=True)
class _Asked:
    """A request as openapi-core wants to see it."""

    path: str
    method: str
    parameters: RequestParameters
    content_type: str
    body: bytes | None
    host_url: str = HOST


@dataclass(slots=True)
class _Answered:
    status_code: int
    content_type: str
    headers: Headers
    data: bytes | None


class OpenApiObserver:
    """Give it to a Storm; ``problems`` then lists what the documents do not allow.

    Requests count only where the sandbox accepted them: others are malformed on purpose. Answers count
    unless they are deliberately wrong. ``checked`` is the number of documented exchanges.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.checked = 0
        self._folder = documents()
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        document = next((name for start, name in DOCUMENTS.items() if exchange.path.startswith(start)), None)
        if document is None or exchange.deliberate:
            return
        with self._lock:
            self.checked += 1
            self.problems += _problems(_loaded(self._folder / document), exchange)

    def assert_clean(self) -> None:
        assert self.checked, "no exchange was checked"
        assert not self.problems, "\n".join(self.problems)


@contextmanager
def observed() -> Iterator[list[OpenApiObserver]]:
    """What to give a Storm as ``observers``: one where the documents are there, else none.

    Fails at its end if an exchange was not as documented.
    """
    observers = [OpenApiObserver()] if os.environ.get(VARIABLE) else []
    yield observers
    for observer in observers:
        assert not observer.problems, "\n".join(observer.problems)


def documents() -> Path:
    """The folder that HUBSPOT_OPENAPI_DIR names; skips the test without it."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(
            "HUBSPOT_OPENAPI_DIR is not set: HubSpot's OpenAPI documents are not part of this repository"
        )
    return Path(folder)


@functools.cache
def _loaded(path: Path) -> OpenAPI:
    """The document, stricter on what clients send, and silent on security, which the sandbox checks.

    It gives answers without content an empty one, which is none to the validator.
    """
    document = json.loads(path.read_bytes())
    schemas = document["components"]["schemas"]
    for name in SENT_BY_CLIENTS:
        if name in schemas:
            schemas[name]["additionalProperties"] = False
    if "PublicObjectSearchRequest" in schemas:
        sorts = schemas["PublicObjectSearchRequest"]["properties"]["sorts"]
        sorts["items"] = {"anyOf": [sorts["items"], SORT]}
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
            operation["responses"].get("204", {}).pop("content", None)
    return OpenAPI.from_dict(document)


def _problems(document: OpenAPI, exchange: Exchange) -> list[str]:
    asked, answered = _asked(exchange), _answered(exchange)
    found: list[str] = []
    if 200 <= exchange.status < 300:
        found += _complaint(exchange, "request", document.validate_request, asked)
    found += _complaint(exchange, "answer", document.validate_response, asked, answered)
    return found


def _complaint(exchange: Exchange, what: str, validate: Any, *shown: Any) -> list[str]:
    try:
        validate(*shown)
    except OpenAPIError as exc:
        causes = [str(error) for error in getattr(exc.__cause__, "schema_errors", ())] or [str(exc)]
        return [f"{what} of {exchange.method} {exchange.path} ({exchange.status}): {'; '.join(causes)[:500]}"]
    return []


def _asked(exchange: Exchange) -> _Asked:
    return _Asked(
        path=exchange.path,
        method=exchange.method.lower(),
        parameters=RequestParameters(
            query=ImmutableMultiDict(parse_qsl(exchange.query)),
            header=Headers(dict(exchange.request_headers)),
        ),
        content_type=exchange.request_headers.get("content-type", ""),
        body=exchange.request_body or None,
    )


def _answered(exchange: Exchange) -> _Answered:
    return _Answered(
        status_code=exchange.status,
        content_type=exchange.response_headers.get("content-type", ""),
        headers=Headers(dict(exchange.response_headers)),
        data=exchange.response_body or None,
    )
