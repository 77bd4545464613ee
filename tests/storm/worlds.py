"""The two accounts and the team, with all that may be odd of them; any attribute may be set at any time."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.sandbox import HubSpotWorld, TeamWorld, ZenovayWorld
from etl.sandbox.contacts import comparable
from etl.sandbox.history import BOOKKEEPING
from etl.sandbox.hubspot_errors import VALIDATION, RowRefusedError
from etl.sandbox.hubspot_schema import Definition
from etl.sandbox.rows import instant_of
from etl.sandbox.search_pace import SearchPace
from etl.sandbox.wire import Reply, json_bytes
from etl.sandbox.zenovay import timestamp
from storm.conduct import creates, offences, operation, writes_a_batch, written
from storm.faults import Faults
from storm.log import Recorded, Violation, json_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from etl.sandbox.wire import Call

VISITOR_ID = "zenovay_visitor_id"
MOST_SEARCHES = 5
"""In any second."""
_UNWELCOME = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 429: "rate_limited"}


@dataclass(kw_only=True)
class StormyZenovay(ZenovayWorld):
    """``dialect``: ``newest``, ``guide`` (``{"data":[…]}``) or ``visitors`` (``{"visitors":[…]}``).

    ``order``: ``newest_first``, ``as_given`` or ``shuffled``. ``now()`` is ``frozen_at``, where it is given,
    plus ``skew``; ``timestamp_skew`` and ``date_skew`` say how far the two clocks of an answer are off it.
    """

    frozen_at: datetime | None = None
    timestamp_skew: timedelta = timedelta()
    date_skew: timedelta = timedelta()
    send_date: bool = True
    send_usage_headers: bool = True
    dialect: str = "newest"
    order: str = "newest_first"
    more_reckoned_as_asked: bool = False
    """``has_more`` is reckoned with the limit that was asked for, not with the one that was kept."""
    latency_s: float = 0.0
    faults: Faults = field(default_factory=Faults)
    requests: list[Recorded] = field(default_factory=list)

    @property
    def visitor_requests(self) -> int:
        """How many requests asked for visitors, whatever they were answered."""
        return sum(entry.path.endswith("/visitors") for entry in self.requests)

    def now(self) -> datetime:
        return (self.frozen_at or self.clock.now()) + self.skew

    def date(self) -> datetime | None:
        """What the ``Date`` header says."""
        return self.now() + self.date_skew if self.send_date else None

    def headers(self) -> dict[str, str]:
        stated = super().headers()
        if self.send_usage_headers:
            return stated
        return {name: text for name, text in stated.items() if not name.startswith("x-usage")}

    def rows_since(self, website: str, since: datetime) -> list[Any]:
        if self.order == "newest_first":
            return super().rows_since(website, since)
        with self.lock:
            rows = list(self.websites[website])
        if self.order == "shuffled":
            random.Random(7).shuffle(rows)
        return [row for row in rows if instant_of(row) >= since.timestamp()]

    @contextmanager
    def working_on(self, _call: Call) -> Iterator[None]:
        yield

    def reshaped(self, call: Call, reply: Reply) -> Reply:
        """The answer as this server gives it."""
        odd = self.timestamp_skew or self.dialect != "newest" or self.more_reckoned_as_asked
        if not odd or reply.status != 200:
            return reply
        body = json_of(reply.body)
        body["timestamp"] = timestamp(self.now() + self.timestamp_skew)
        if call.path.endswith("/visitors"):
            body = self._page(call, body)
        return replace(reply, body=json_bytes(body))

    def _page(self, call: Call, body: dict[str, Any]) -> dict[str, Any]:
        pagination = body["data"]["pagination"]
        if self.more_reckoned_as_asked:
            website = call.path.split("/")[-2]
            asked = int(call.params.get("limit", "100"))
            pagination["has_more"] = pagination["offset"] + asked < len(self.websites[website])
        rows = body["data"]["visitors"]
        return {"guide": {"data": rows}, "visitors": {"visitors": rows}}.get(self.dialect, body)


@dataclass(kw_only=True)
class StormyHubSpot(HubSpotWorld):
    """``results_dropped`` results of each batch are missing from its answer; they are written all the same.

    With ``nulls`` properties without a value appear as null. ``error_context`` says how an error of a 207
    names its input: ``list`` as published, ``string`` or ``absent``.
    """

    results_dropped: int = 0
    echo_trace_ids: bool = True
    nulls: bool = False
    error_context: str = "list"
    refused_addresses: dict[str, str] = field(default_factory=dict)
    """Address, in lower case, to the message with which it is refused."""
    latency_s: float = 0.0
    faults: Faults = field(default_factory=Faults)
    requests: list[Recorded] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    busy: set[tuple[str, str]] = field(default_factory=set)
    """The contacts that requests in progress write to: how each is named, and its record."""
    _arrivals: SearchPace = field(default_factory=SearchPace)

    @property
    def counted(self) -> Counter[tuple[str, str]]:
        """How many requests there were, by verb and path."""
        return Counter((entry.method, entry.path) for entry in self.requests)

    @property
    def creating_calls(self) -> int:
        """How many requests could have made a contact, whatever they were answered."""
        return sum(creates(entry) for entry in self.requests)

    @property
    def upserts(self) -> list[Any]:
        """The JSON bodies of all upserts, whatever they were answered."""
        return self._bodies("batch/upsert")

    @property
    def updates(self) -> list[Any]:
        """The same of all updates."""
        return self._bodies("batch/update")

    @property
    def reads(self) -> list[Any]:
        """The same of all looks."""
        return self._bodies("batch/read")

    @property
    def upserted_inputs(self) -> int:
        """How many inputs all upserts held."""
        return sum(len(body["inputs"]) for body in self.upserts)

    @property
    def updated_inputs(self) -> int:
        """How many inputs all updates held."""
        return sum(len(body["inputs"]) for body in self.updates)

    def contact(self, *, visitor_id: str) -> dict[str, str] | None:
        with self.lock:
            found = self.store.find(VISITOR_ID, visitor_id)
            return dict(self.store.by_id[found]) if found else None

    def snapshot(self) -> dict[str, dict[str, str]]:
        """Properties by e-mail address, else by visitor id, without HubSpot's ids and times."""
        return {_key(contact): _facts(contact) for contact in self.contacts.values()}

    def install_properties(self) -> None:
        """The group and the properties that the program needs, as its set-up makes them."""
        needed = (
            Definition("zenovay_last_seen", "datetime", "date", "zenovay", "Zenovay last seen"),
            Definition("zenovay_pageviews", "number", "number", "zenovay", "Zenovay page views"),
            Definition(VISITOR_ID, "string", "text", "zenovay", "Zenovay visitor id", unique=True),
        )
        with self.lock:
            self.schema.groups.setdefault("zenovay", "Zenovay")
            for definition in needed:
                self.schema.add(definition)

    def date(self) -> datetime:
        return self.now()

    def admit(self, call: Call) -> None:
        self.violations += offences(call)
        if operation(call.path) == "search":
            self._arrivals.add(self.now())
            if (count := self._arrivals.count(self.now())) > MOST_SEARCHES:
                self.violations.append(Violation("too_many_searches", f"{count} in a second"))
        super().admit(call)

    def objection(self, address: str) -> RowRefusedError | None:
        if address in self.refused_addresses:
            return RowRefusedError(VALIDATION, self.refused_addresses[address])
        return super().objection(address)

    @contextmanager
    def working_on(self, call: Call) -> Iterator[None]:
        """While the request is in progress."""
        wanted = set(self._identities(call))
        with self.lock:
            clash, held = wanted & self.busy, wanted - self.busy
            self.busy |= held
        try:
            if clash:
                self.violations.append(Violation("same_contact_twice", f"{len(clash)} contacts"))
            yield
        finally:
            with self.lock:
                self.busy -= held

    def reshaped(self, call: Call, reply: Reply) -> Reply:
        """The answer as this HubSpot gives it; what was wrong with the request is noted."""
        if reply.status in _UNWELCOME:
            self.violations.append(Violation(_UNWELCOME[reply.status], call.path))
        body = json_of(reply.body)
        if reply.status not in {200, 207} or not isinstance(body, dict):
            return reply
        shaped = self._result(body) if operation(call.path) == "merge" else self._results(call, body)
        return reply if shaped == body else replace(reply, body=json_bytes(shaped))

    def _results(self, call: Call, body: dict[str, Any]) -> dict[str, Any]:
        if "results" not in body:
            return body
        shaped = {**body, "results": [self._result(each) for each in body["results"]]}
        if writes_a_batch(call.path):
            shaped["results"] = shaped["results"][self.results_dropped :]
        if "errors" in body:
            shaped["errors"] = [self._error(each) for each in body["errors"]]
        return shaped

    def _bodies(self, asked: str) -> list[Any]:
        return [entry.body for entry in self.requests if operation(entry.path) == asked]

    def _result(self, result: dict[str, Any]) -> dict[str, Any]:
        shaped = dict(result)
        if not self.echo_trace_ids:
            shaped.pop("objectWriteTraceId", None)
        if self.nulls and "properties" in result:
            shaped["properties"] = dict.fromkeys(("city", "firstname", "lastname")) | result["properties"]
        return shaped

    def _error(self, error: dict[str, Any]) -> dict[str, Any]:
        context = error["context"]
        if self.error_context == "absent":
            return {name: value for name, value in error.items() if name != "context"}
        if self.error_context == "string" and "objectWriteTraceId" in context:
            return {**error, "context": {name: listed[0] for name, listed in context.items()}}
        return error

    def _identities(self, call: Call) -> Iterator[tuple[str, str]]:
        for name, value in written(call):
            yield name, comparable(name, value)
            with self.lock:
                owner = self.store.find(name or None, value)
            if owner is not None:
                yield "hs_object_id", owner


@dataclass(kw_only=True)
class StormyTeam(TeamWorld):
    """A Slack and a ping service that can be out of order."""

    latency_s: float = 0.0
    faults: Faults = field(default_factory=Faults)
    requests: list[Recorded] = field(default_factory=list)

    def date(self) -> datetime:
        return self.now()

    @contextmanager
    def working_on(self, _call: Call) -> Iterator[None]:
        yield

    def reshaped(self, _call: Call, reply: Reply) -> Reply:
        return reply


def _key(contact: Mapping[str, str]) -> str:
    return contact.get("email") or contact.get(VISITOR_ID) or f"hubspot:{contact['hs_object_id']}"


def _facts(contact: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in contact.items() if name not in BOOKKEEPING}
