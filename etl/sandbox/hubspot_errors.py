"""HubSpot's refusals: of a request, of one input of a batch, of one property value."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from etl.sandbox.wire import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PORTAL = 8675309
VALIDATION = "VALIDATION_ERROR"
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


class ErrorContext(StrEnum):
    """How an error of a 207 names its input; only LIST is as published."""

    LIST = "list"
    STRING = "string"
    ABSENT = "absent"


def correlation_id(number: int) -> str:
    """The same id for the same request of the same sandbox run."""
    return str(uuid.uuid5(_NAMESPACE, f"visitor-sync-sandbox-{number}"))


def refusal(
    status: int,
    category: str,
    message: str,
    *,
    number: int,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Reply:
    """A refused request; ``more`` goes into the body as it is."""
    body = {
        "status": "error",
        "message": message,
        "correlationId": correlation_id(number),
        "category": category,
        **more,
    }
    return json_reply(body, status=status, headers=headers)


class RefusedError(Exception):
    """The whole request is refused; nothing is written."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.message = message
        self.more = more

    def reply(self, number: int) -> Reply:
        return refusal(self.status, self.category, self.message, number=number, **self.more)


class RowRefusedError(Exception):
    """One input of a batch is refused. ``owner`` is the contact that holds the address or value wanted."""

    def __init__(self, category: str, message: str, *, owner: str | None = None) -> None:
        super().__init__(message)
        self.category = category
        self.message = message
        self.owner = owner


@dataclass(frozen=True, slots=True)
class BadValue:
    """What is wrong with one property value."""

    name: str
    error: str
    message: str
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "isValid": False,
            "message": self.message,
            "error": self.error,
            "name": self.name,
            "localizedErrorMessage": self.message,
            "portalId": PORTAL,
            **self.more,
        }


def bad_values(values: Sequence[BadValue], *, owner: str | None = None) -> RowRefusedError:
    listed = json.dumps([value.as_json() for value in values], separators=(",", ":"))
    return RowRefusedError(VALIDATION, f"Property values were not valid: {listed}", owner=owner)


def row_error(refused: RowRefusedError, trace_id: str | None, *, style: ErrorContext) -> dict[str, Any]:
    """An entry of ``errors`` in a 207."""
    error: dict[str, Any] = {
        "status": "error",
        "category": refused.category,
        "message": refused.message,
        "context": {},
        "errors": [],
        "links": {},
    }
    if style is ErrorContext.ABSENT:
        del error["context"]
    elif trace_id is not None:
        error["context"] = {"objectWriteTraceId": trace_id if style is ErrorContext.STRING else [trace_id]}
    return error
