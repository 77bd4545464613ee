"""HubSpot: the portals, told apart by their tokens, and what each holds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from .answer import Answer, in_json
from .faults import OUTAGES, SLOW_S
from .visits import DOMAIN
from .windows import Window

if TYPE_CHECKING:
    from .answer import Call
    from .faults import Faults
    from .plan import CityPlan, PortalPlan

DAY_S = 86_400.0
_SEARCHES_PER_SECOND = 5
_NOW = "2026-01-01T00:00:00Z"
_TYPES = {"zenovay_last_seen": "datetime", "zenovay_pageviews": "number"}
_UNIQUE = "zenovay_visitor_id"


class Records:
    """The contacts of a portal. An address and a visitor id lead to a record, which has a number."""

    def __init__(self) -> None:
        self.properties: dict[int, dict[str, str]] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def find(self, by: str | None, value: str) -> int | None:
        if by is None:
            number = int(value)
            return number if number in self.properties else None
        return self._numbers.get((by, value.lower()))

    def write(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """The result; None for a record that is not there."""
        by = given.get("idProperty")
        number = self.find(by, given["id"])
        new = number is None
        if number is None:
            if by is None:
                return None
            number = len(self.properties) + 1
            self.properties[number] = {by: given["id"]}
        kept = self.properties[number]
        kept.update(given["properties"])
        for name in ("email", _UNIQUE):
            if name in kept:
                self._numbers[name, kept[name].lower()] = number
        shown = {**kept, "hs_object_id": str(number)}
        trace = {"objectWriteTraceId": given["objectWriteTraceId"]} if "objectWriteTraceId" in given else {}
        result = {"id": str(number), "properties": shown, "createdAt": _NOW, "updatedAt": _NOW}
        return {**result, "archived": False, **({"new": new} if by else {}), **trace}

    def visitors(self) -> dict[str, str | None]:
        """The page views of every visitor that a record names."""
        return {
            kept.get("email", kept.get(_UNIQUE, "")).removesuffix(DOMAIN): kept.get("zenovay_pageviews")
            for kept in self.properties.values()
        }


class Portal:
    """A HubSpot account."""

    def __init__(self, plan: PortalPlan) -> None:
        self.name, self._number = plan.name, plan.number
        self.ten_seconds = Window(plan.per_10_s, 10.0)
        self.day = Window(plan.per_day, DAY_S)
        self.second = Window(_SEARCHES_PER_SECOND, 1.0)
        self.records = Records()

    def over(self, what: str, now: float) -> str:
        """Count a request. Returns the policy that it breaks, if any."""
        if what == "search":
            return "SECONDLY" if self.second.arrive(now) else ""
        ten_seconds, day = self.ten_seconds.arrive(now), self.day.arrive(now)
        if day:
            return "DAILY"
        return "TEN_SECONDLY_ROLLING" if ten_seconds else ""

    def headers(self) -> bytes:
        ten, day = self.ten_seconds, self.day
        return (
            f"X-HubSpot-RateLimit-Max: {ten.limit}\r\nX-HubSpot-RateLimit-Remaining: {ten.left}\r\n"
            f"X-HubSpot-RateLimit-Interval-Milliseconds: 10000\r\n"
            f"X-HubSpot-RateLimit-Daily: {day.limit}\r\nX-HubSpot-RateLimit-Daily-Remaining: {day.left}\r\n"
        ).encode()

    def reply(self, call: Call, what: str) -> Answer:
        if what == "account":
            said = {"portalId": self._number, "accountType": "STANDARD", "uiDomain": "app.hubspot.com"}
            return Answer(self.name, what, 200, in_json(said))
        if what == "property":
            return Answer(self.name, what, 200, in_json(_property(call.path.rpartition("/")[2])))
        asked = orjson.loads(call.body) if call.body else {}
        if what == "search":
            return Answer(self.name, what, 200, in_json({"total": 0, "results": []}))
        if what == "read":
            return self._read(asked)
        if what in {"upsert", "update"}:
            return self._written(asked["inputs"], what)
        return _refused(self.name, what, 404, "OBJECT_NOT_FOUND")

    def _read(self, asked: dict[str, Any]) -> Answer:
        by, ids = asked.get("idProperty"), [each["id"] for each in asked["inputs"]]
        found = {each: self.records.find(by, each) for each in ids}
        results = [
            {
                "id": str(number),
                "properties": {**self.records.properties[number], "hs_object_id": str(number)},
            }
            for number in dict.fromkeys(filter(None, found.values()))
        ]
        missing = [each for each, number in found.items() if number is None]
        errors = [{"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": missing}}]
        return self._batch("read", results, errors if missing else [])

    def _written(self, inputs: list[dict[str, Any]], what: str) -> Answer:
        written = [self.records.write(each) for each in inputs]
        errors = [
            {
                "status": "error",
                "category": "OBJECT_NOT_FOUND",
                "context": {"objectWriteTraceId": [each.get("objectWriteTraceId")], "ids": [each["id"]]},
            }
            for each, result in zip(inputs, written, strict=True)
            if result is None
        ]
        return self._batch(what, [each for each in written if each], errors)

    def _batch(self, what: str, results: list[Any], errors: list[Any]) -> Answer:
        said: dict[str, Any] = {
            "status": "COMPLETE",
            "startedAt": _NOW,
            "completedAt": _NOW,
            "results": results,
        }
        if errors:
            said |= {"numErrors": len(errors), "errors": errors}
        return Answer(self.name, what, 207 if errors else 200, in_json(said))


class Portals:
    """All of them, behind one address."""

    def __init__(self, plan: CityPlan, faults: Faults) -> None:
        self.by_token = {each.token: Portal(each) for each in plan.portals}
        self._faults = faults

    def answer(self, call: Call) -> Answer:
        portal, what = self.by_token.get(call.secret), _asked(call)
        if portal is None:
            return _refused("nobody", what, 401, "INVALID_AUTHENTICATION")
        trouble = self._faults.of(portal.name, call.at)
        if trouble == "revoked":
            return _refused(portal.name, what, 401, "INVALID_AUTHENTICATION")
        policy = portal.over(what, call.at)
        if trouble in {"gone", "down"}:
            return Answer(portal.name, what, OUTAGES[trouble])
        if policy:
            return _refused(portal.name, what, 429, "RATE_LIMITS", policyName=policy, errorType="RATE_LIMIT")
        delay_s = SLOW_S if trouble == "slow" else 0.0
        return replace(portal.reply(call, what), headers=portal.headers(), delay_s=delay_s)


def _asked(call: Call) -> str:
    if call.path.startswith("/account-info/"):
        return "account"
    if "/properties/" in call.path:
        return "property" if call.method == "GET" else "setup"
    return call.path.rpartition("/")[2]


def _property(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": _TYPES.get(name, "string"),
        "hasUniqueValue": name == _UNIQUE,
        "options": [],
    }


def _refused(who: str, what: str, status: int, category: str, **more: str) -> Answer:
    said = {"status": "error", "message": "Refused.", "category": category, **more}
    return Answer(who, what, status, in_json(said))
