"""A HubSpot account: contacts, properties, the token, the limits, and its moods."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.jsontext import parse
from etl.sandbox.contacts import Contacts, facts
from etl.sandbox.faults import Faults
from etl.sandbox.hubspot_errors import PORTAL, ErrorContext, refusal
from etl.sandbox.hubspot_schema import Definition, Schema
from etl.sandbox.limits import RollingWindow, midnight_after
from etl.sandbox.upsert import identities
from etl.sandbox.wire import RequestLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date, tzinfo

    from etl.clock import Clock
    from etl.sandbox.wire import Call, Recorded, Reply, Violation

ACCESS_TOKEN = "pat-sandbox-00000000-0000-4000-8000-000000000000"  # noqa: S105  the key of a toy on loopback
SCOPES = frozenset(
    {
        "crm.objects.contacts.read",
        "crm.objects.contacts.write",
        "crm.schemas.contacts.read",
        "crm.schemas.contacts.write",
    }
)


@dataclass(slots=True, kw_only=True)
class HubSpotWorld:
    """The account as it is; every attribute may be set at any time, from any thread.

    ``now()`` is the server's clock: ``frozen_at``, else the given clock, plus ``skew``. Limits of None are
    off; the daily one ends at midnight in ``time_zone``.
    """

    clock: Clock
    seed_value: int = 7
    access_token: str = ACCESS_TOKEN
    scopes: set[str] = field(default_factory=lambda: set(SCOPES))
    versions: set[str] = field(default_factory=lambda: {"2026-03", "v3"})
    skew: timedelta = timedelta()
    frozen_at: datetime | None = None
    latency_s: float = 0.0

    nameless_allowed: bool = False
    """Whether a contact may be created without e-mail address, first name and last name."""
    conflicts_as_409: bool = False
    """Whether an address or unique value of another contact refuses the whole batch."""
    overlap_status: int | None = None
    """409 or 423 for a request about a contact that another request is working on."""
    empty_batch_accepted: bool = False
    """Whether an upsert of no inputs is answered 200 instead of 400."""
    shuffle_results: bool = True
    echo_trace_ids: bool = True
    results_dropped: int = 0
    """How many results of each batch are missing from its answer; they are written all the same."""
    null_values: bool = False
    """Whether properties without a value appear in answers as null."""
    error_context: ErrorContext | str = ErrorContext.LIST
    required_properties: set[str] = field(default_factory=set)
    """What version 2026-09 asks of a new contact."""
    token_description_offered: bool = True
    portal_id: int = PORTAL
    account_details_offered: bool = True
    """Whether the token may ask which portal it opens."""
    gdpr_deleted: set[str] = field(default_factory=set)
    refused_addresses: dict[str, str] = field(default_factory=dict)
    """Address, in lower case, to the message with which it is refused."""
    visitor_id_property: str = "zenovay_visitor_id"

    requests_per_10_seconds: int | None = None
    requests_per_second: int | None = None
    requests_per_day: int | None = None
    day_used: int = 0
    time_zone: tzinfo = UTC
    send_rate_headers: bool = True
    send_retry_after: bool = False
    send_date: bool = True

    faults: Faults = field(default_factory=Faults)
    log: RequestLog = field(default_factory=RequestLog)
    lock: threading.RLock = field(default_factory=threading.RLock)
    schema: Schema = field(default_factory=Schema)
    store: Contacts = field(init=False)
    random: random.Random = field(init=False)
    _ten_seconds: RollingWindow = field(default_factory=lambda: RollingWindow(10.0))
    _second: RollingWindow = field(default_factory=lambda: RollingWindow(1.0))
    _day: date | None = None
    _busy: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.store = Contacts(self.schema)
        self.random = random.Random(self.seed_value)

    @property
    def requests(self) -> list[Recorded]:
        return self.log.requests

    @property
    def violations(self) -> list[Violation]:
        """What a well-behaved client does not do.

        Kinds: ``rate_limited``, ``day_spent``, ``unauthorized``, ``missing_scope``, ``same_contact_twice``,
        ``too_many_inputs``, ``null_value``, ``nan_value``, ``not_a_text``, ``duplicate_id``,
        ``id_property_not_unique``, ``missing_trace_id``.
        """
        return self.log.violations

    @property
    def upserts(self) -> list[Any]:
        """The JSON bodies of all upserts, whatever they were answered."""
        return [entry.body for entry in self.requests if entry.path.endswith("/batch/upsert")]

    @property
    def upserted_inputs(self) -> int:
        """How many inputs all upserts held."""
        bodies = (body for body in self.upserts if isinstance(body, dict))
        return sum(len(body["inputs"]) for body in bodies if isinstance(body.get("inputs"), list))

    @property
    def contacts(self) -> dict[str, dict[str, str]]:
        """A copy: properties by HubSpot id."""
        with self.lock:
            return {contact_id: dict(properties) for contact_id, properties in self.store.by_id.items()}

    def contact(self, *, email: str | None = None, visitor_id: str | None = None) -> dict[str, str] | None:
        """The properties of the contact with this address, or else with this visitor id."""
        with self.lock:
            if email is not None:
                found = self.store.find("email", email)
            else:
                found = self.store.find(self.visitor_id_property, visitor_id or "")
            return dict(self.store.by_id[found]) if found else None

    def snapshot(self) -> dict[str, dict[str, str]]:
        """Properties by e-mail address, else by visitor id, without HubSpot's ids and times."""
        return {self._key(contact): facts(contact) for contact in self.contacts.values()}

    def seed(self, properties: Mapping[str, str]) -> str:
        """A contact that was there before; its HubSpot id. ``hs_additional_emails`` may be given."""
        with self.lock:
            email = properties.get("email")
            normal = {**properties, "email": email.strip().lower()} if email else dict(properties)
            return self.store.create(normal, now=self.now())

    def delete(self, contact_id: str) -> None:
        with self.lock:
            self.store.delete(contact_id)

    def install_properties(self) -> None:
        """The group and the properties that the program needs, as its set-up makes them."""
        with self.lock:
            self.schema.groups.setdefault("zenovay", "Zenovay")
            for definition in _needed(self.visitor_id_property):
                self.schema.add(definition)

    def now(self) -> datetime:
        return (self.frozen_at or self.clock.now()) + self.skew

    def date(self) -> datetime:
        """What the ``Date`` header says."""
        return self.now()

    def admit(self, call: Call) -> Reply | None:
        """Count the request; its refusal, if the token or the limits refuse it."""
        with self.lock:
            if call.bearer != self.access_token:
                self.log.violation("unauthorized", call.path, call)
                message = "Authentication credentials not found or not valid."
                return refusal(401, "INVALID_AUTHENTICATION", message, number=call.number)
            policy = self._exceeded_policy()
            return self._too_many(call, policy) if policy else None

    @contextmanager
    def working_on(self, call: Call) -> Iterator[Reply | None]:
        """While the request is in progress; yields its refusal if another is about the same contact."""
        wanted = set(self._identities(call))
        with self.lock:
            clash = wanted & self._busy
            held = wanted - self._busy
            self._busy |= held
            if clash:
                self.log.violation("same_contact_twice", f"{len(clash)} contacts", call)
        try:
            yield self._overlap(call) if clash and self.overlap_status else None
        finally:
            with self.lock:
                self._busy -= held

    def unscoped(self, call: Call, *alternatives: str) -> Reply | None:
        """The refusal of a token that has none of the scopes."""
        if self.scopes.intersection(alternatives):
            return None
        self.log.violation("missing_scope", alternatives[0], call)
        detail = {
            "message": "One or more of the following scopes are required.",
            "context": {"requiredGranularScopes": list(alternatives)},
        }
        message = "This app hasn't been granted all required scopes to make this call."
        return refusal(403, "MISSING_SCOPES", message, number=call.number, errors=[detail])

    def object_json(self, contact_id: str, names: Iterable[str]) -> dict[str, Any]:
        """A contact as answers show it, with the named properties."""
        stored = self.store.by_id[contact_id]
        shown: dict[str, str | None] = {name: stored[name] for name in names if name in stored}
        if self.null_values:
            shown |= {name: None for name in (*names, "firstname", "lastname") if name not in stored}
        for name in ("hs_object_id", "createdate", "lastmodifieddate"):
            shown[name] = stored[name]
        return {
            "id": contact_id,
            "properties": shown,
            "createdAt": stored["createdate"],
            "updatedAt": stored["lastmodifieddate"],
            "archived": False,
        }

    def dress(self, _call: Call, reply: Reply) -> Reply:
        """The answer with the headers that every answer of this side carries."""
        return replace(reply, headers={**self._headers(), **reply.headers})

    def _key(self, contact: Mapping[str, str]) -> str:
        own = contact.get("email") or contact.get(self.visitor_id_property)
        return own or f"hubspot:{contact['hs_object_id']}"

    def _identities(self, call: Call) -> Iterator[tuple[str, str]]:
        if not call.path.endswith("/batch/upsert"):
            return
        try:
            body = parse(call.body)
        except ValueError:
            return
        for name, value in identities(body):
            yield name, value
            owner = self.store.find(name or None, value)
            if owner is not None:
                yield "hs_object_id", owner

    def _overlap(self, call: Call) -> Reply:
        if self.overlap_status == 423:  # noqa: PLR2004  the status is the name
            return refusal(
                423, "LOCKED", "The contact is locked; try again in 2 seconds.", number=call.number
            )
        return refusal(
            409, "CONFLICT", "The contact is being changed by another request.", number=call.number
        )

    def _exceeded_policy(self) -> str | None:
        today = self.now().astimezone(self.time_zone).date()
        if self._day not in (None, today):
            self.day_used = 0
        self._day = today
        if self.requests_per_day is not None and self.day_used >= self.requests_per_day:
            return "DAILY"
        monotonic = self.clock.monotonic()
        if self._full(self._second, self.requests_per_second, monotonic):
            return "SECONDLY"
        if self._full(self._ten_seconds, self.requests_per_10_seconds, monotonic):
            return "TEN_SECONDLY_ROLLING"
        self.day_used += 1
        return None

    @staticmethod
    def _full(window: RollingWindow, limit: int | None, monotonic: float) -> bool:
        return limit is not None and not window.admit(monotonic, limit=limit)

    def _too_many(self, call: Call, policy: str) -> Reply:
        self.log.violation("day_spent" if policy == "DAILY" else "rate_limited", policy, call)
        monotonic = self.clock.monotonic()
        waits = {
            "DAILY": (midnight_after(self.now(), self.time_zone) - self.now()).total_seconds(),
            "SECONDLY": self._second.frees_in(monotonic),
            "TEN_SECONDLY_ROLLING": self._ten_seconds.frees_in(monotonic),
        }
        headers = {"retry-after": str(int(waits[policy]) + 1)} if self.send_retry_after else {}
        message = f"You have reached your {policy.lower()} limit."
        more = {"errorType": "RATE_LIMIT", "policyName": policy}
        return refusal(429, "RATE_LIMITS", message, number=call.number, headers=headers, **more)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if not self.send_rate_headers:
            return headers
        if self.requests_per_10_seconds is not None:
            used = self._ten_seconds.used(self.clock.monotonic())
            headers["x-hubspot-ratelimit-max"] = str(self.requests_per_10_seconds)
            headers["x-hubspot-ratelimit-remaining"] = str(max(0, self.requests_per_10_seconds - used))
            headers["x-hubspot-ratelimit-interval-milliseconds"] = "10000"
        if self.requests_per_day is not None:
            headers["x-hubspot-ratelimit-daily"] = str(self.requests_per_day)
            headers["x-hubspot-ratelimit-daily-remaining"] = str(self.requests_per_day - self.day_used)
        return headers


def _needed(visitor_id: str) -> tuple[Definition, ...]:
    return (
        Definition("zenovay_last_seen", "datetime", "date", "zenovay", "Zenovay last seen"),
        Definition("zenovay_pageviews", "number", "number", "zenovay", "Zenovay page views"),
        Definition(visitor_id, "string", "text", "zenovay", "Zenovay visitor id", unique=True),
    )
