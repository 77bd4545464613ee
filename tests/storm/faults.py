"""Faults to be struck by: answers that are wrong, cut, slow, or never come."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from etl.sandbox.wire import JSON, Call, Reply, json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

FOREVER = None
HTML = "text/html; charset=utf-8"


class Delivery(StrEnum):
    """How an answer leaves."""

    WHOLE = "whole"
    TRUNCATED = "truncated"
    """Half the body under the whole body's Content-Length, then the connection closes."""
    DRIP = "drip"
    RESET = "reset"
    """No answer; the connection is reset (RST)."""
    CLOSED = "closed"
    """No answer; the connection closes."""
    HANG = "hang"
    """No answer, until the client or the sandbox gives up."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request.

    With ``carried_out`` the request does its work first; ``status``, ``body`` and ``headers``, where given,
    then replace what would have been answered. Without it they are the answer. Times are in seconds.
    """

    status: int | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    carried_out: bool = False
    delivery: Delivery = Delivery.WHOLE
    drip_bytes: int = 1
    drip_s: float = 0.05

    @classmethod
    def answer(
        cls,
        status: int,
        value: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        carried_out: bool = False,
    ) -> Self:
        """``value``: None for no body, bytes or text as they are, anything else as JSON."""
        body, kind = _body(value)
        return cls(
            status=status,
            body=body,
            headers={"content-type": kind, **(headers or {})},
            carried_out=carried_out,
        )

    @classmethod
    def html(cls, status: int = 200) -> Self:
        return cls.answer(status, "<!doctype html><html><body><h1>Please wait</h1></body></html>")

    @classmethod
    def empty(cls, status: int = 200) -> Self:
        return cls.answer(status)

    @classmethod
    def not_utf8(cls, status: int = 200) -> Self:
        return cls.answer(status, b'{"results":["\xff\xfe"],"data":["\xe9"]}', headers={"content-type": JSON})

    @classmethod
    def unsuccessful(cls) -> Self:
        """``success: false`` with status 200."""
        problem = {"code": "INTERNAL_ERROR", "message": "Something went wrong"}
        return cls.answer(200, {"success": False, "error": problem})

    @classmethod
    def without_rows(cls) -> Self:
        """A JSON object with neither rows nor results."""
        return cls.answer(200, {"success": True, "message": "ok"})

    @classmethod
    def rate_limited(cls, policy: str = "TEN_SECONDLY_ROLLING", *, retry_after: str | None = None) -> Self:
        """HubSpot's 429."""
        body = {
            "status": "error",
            "message": f"You have reached your {policy.lower()} limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": "00000000-0000-4000-8000-000000000429",
            "policyName": policy,
            "category": "RATE_LIMITS",
        }
        return cls.answer(429, body, headers={} if retry_after is None else {"retry-after": retry_after})

    @classmethod
    def truncated(cls) -> Self:
        """Carried out; less arrives than Content-Length promises."""
        return cls(carried_out=True, delivery=Delivery.TRUNCATED)

    @classmethod
    def drip(cls, size: int = 1, every_s: float = 0.05) -> Self:
        """Carried out; ``size`` bytes of head and body arrive every ``every_s``."""
        return cls(carried_out=True, delivery=Delivery.DRIP, drip_bytes=size, drip_s=every_s)

    @classmethod
    def reset(cls) -> Self:
        return cls(delivery=Delivery.RESET)

    @classmethod
    def closed(cls) -> Self:
        return cls(delivery=Delivery.CLOSED)

    @classmethod
    def hang(cls) -> Self:
        return cls(delivery=Delivery.HANG)

    @classmethod
    def lost_reply(cls, delivery: Delivery = Delivery.RESET) -> Self:
        """Carried out, and then no answer: RESET, CLOSED or HANG."""
        return cls(carried_out=True, delivery=delivery)

    @property
    def silent(self) -> bool:
        """Whether no answer is sent."""
        return self.delivery in {Delivery.RESET, Delivery.CLOSED, Delivery.HANG}

    @property
    def shapes_reply(self) -> bool:
        """Whether the answer differs from that of a server without faults."""
        return not self.carried_out or bool(self.status or self.body is not None or self.headers)

    def applied_to(self, real: Reply) -> Reply:
        """The answer, made of what the request was answered with."""
        return Reply(
            status=self.status or real.status,
            body=real.body if self.body is None else self.body,
            headers={**real.headers, **{name.lower(): text for name, text in self.headers.items()}},
        )


def _body(value: Any) -> tuple[bytes, str]:
    if value is None:
        return b"", JSON
    if isinstance(value, bytes):
        return value, "application/octet-stream"
    if isinstance(value, str):
        return value.encode(), HTML
    return json_bytes(value), JSON


@dataclass(slots=True)
class _Rule:
    fault: Fault
    left: int | None
    path: str

    def strikes(self, call: Call) -> bool:
        return self.left != 0 and self.path in call.path


class Faults:
    """Rules in the order in which they were added; the first that strikes a request is used."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault, *, times: int | None = 1, path: str = "") -> None:
        """Apply ``fault`` to the next ``times`` requests (FOREVER: to all) whose path contains ``path``."""
        with self._lock:
            self._rules.append(_Rule(fault, times, path))

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def strike(self, call: Call) -> Fault | None:
        """The fault of this request, if any; it is then used up by one."""
        with self._lock:
            rule = next((rule for rule in self._rules if rule.strikes(call)), None)
            if rule is None:
                return None
            if rule.left is not None:
                rule.left -= 1
            return rule.fault
