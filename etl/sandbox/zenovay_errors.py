"""Zenovay's refusals, in each of the shapes its documentation shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from etl.sandbox.wire import Reply, json_reply


class ErrorShape(StrEnum):
    """Where an error's code and message stand in the body."""

    ENVELOPE = "envelope"
    """``{"success":false,"error":{"code","message","timestamp"}}``"""
    LOWERCASE = "lowercase"
    """``{"error":{"code","message"}}``, the code in lower case"""
    DETAILED = "detailed"
    """``{"error":{"code","message","status","details","request_id"}}``, the code in lower case"""
    FLAT = "flat"
    """``{"error":message,"code"}``"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """``wait_s`` belongs to a 429; ``in_header``, ``in_body`` and ``in_message`` say where it is stated."""

    status: int
    code: str
    message: str
    wait_s: int | None = None
    in_header: bool = True
    in_body: bool = False
    in_message: bool = False

    def reply(self, shape: ErrorShape, *, timestamp: str, request_id: str) -> Reply:
        body = self._body(shape, timestamp, request_id)
        headers = {"retry-after": str(self.wait_s)} if self.in_header and self.wait_s is not None else {}
        return json_reply(body, status=self.status, headers=headers)

    def _body(self, shape: ErrorShape, timestamp: str, request_id: str) -> dict[str, Any]:
        waiting = {"retry_after": self.wait_s} if self.in_body and self.wait_s is not None else {}
        message = self.message
        if self.in_message and self.wait_s is not None:
            message = f"{message} Try again in {self.wait_s} seconds."
        if shape is ErrorShape.FLAT:
            return {"error": message, "code": self.code, **waiting}
        if shape is ErrorShape.ENVELOPE:
            error = {"code": self.code, "message": message, "timestamp": timestamp, **waiting}
            return {"success": False, "error": error}
        error = {"code": self.code.lower(), "message": message, **waiting}
        if shape is ErrorShape.DETAILED:
            error |= {"status": self.status, "details": None, "request_id": request_id}
        return {"error": error}
