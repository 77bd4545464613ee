"""HubSpot's refusals: of a request, of one input of a batch, of one property value."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.sandbox.wire import RefusedError, json_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

VALIDATION = "VALIDATION_ERROR"


def refused(status: int, category: str, message: str, **more: Any) -> RefusedError:
    """The refusal of a whole request; ``more`` goes into the body as it is."""
    body = {
        "status": "error",
        "message": message,
        "correlationId": str(uuid.uuid4()),
        "category": category,
        **more,
    }
    return RefusedError(json_reply(body, status=status))


def invalid(message: str) -> RefusedError:
    """400 VALIDATION_ERROR."""
    return refused(400, VALIDATION, message)


def not_unique(name: str) -> RefusedError:
    return invalid(f"The property '{name}' is not a unique property of CONTACT.")


class RowRefusedError(Exception):
    """One input of a batch is refused. ``status`` is that of the whole batch, should it be refused for it.

    ``ids`` are those that lead to nobody.
    """

    def __init__(self, category: str, message: str, *, status: int = 400, ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.category = category
        self.message = message
        self.status = status
        self.ids = ids

    def as_json(self, trace_id: str | None) -> dict[str, Any]:
        """An entry of ``errors`` in a 207."""
        context = {"ids": list(self.ids), "objectWriteTraceId": [trace_id] if trace_id else []}
        return {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": {name: listed for name, listed in context.items() if listed},
            "errors": [],
            "links": {},
        }


@dataclass(frozen=True, slots=True)
class BadValue:
    """What is wrong with one property value."""

    name: str
    error: str
    message: str

    def as_json(self) -> dict[str, Any]:
        return {
            "isValid": False,
            "message": self.message,
            "error": self.error,
            "name": self.name,
            "localizedErrorMessage": self.message,
        }


def bad_values(values: Sequence[BadValue], *, status: int = 400) -> RowRefusedError:
    listed = json.dumps([value.as_json() for value in values], separators=(",", ":"))
    return RowRefusedError(VALIDATION, f"Property values were not valid: {listed}", status=status)
