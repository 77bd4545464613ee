"""A HubSpot account: contacts, properties, the token and what it may do."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.sandbox.contacts import BOOKKEEPING, Contacts
from etl.sandbox.hubspot_errors import RowRefusedError, refused
from etl.sandbox.hubspot_schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from etl.clock import Clock
    from etl.sandbox.wire import Call

ACCESS_TOKEN = "pat-sandbox-00000000-0000-4000-8000-000000000000"  # noqa: S105  the key of a toy on loopback
PORTAL = 8675309
SCOPES = frozenset(
    {
        "crm.objects.contacts.read",
        "crm.objects.contacts.write",
        "crm.schemas.contacts.read",
        "crm.schemas.contacts.write",
        "oauth",
    }
)


@dataclass(slots=True, kw_only=True)
class HubSpotWorld:
    """The account as it is; every attribute may be set at any time, from any thread."""

    clock: Clock
    seed_value: int = 7
    access_token: str = ACCESS_TOKEN
    scopes: set[str] = field(default_factory=lambda: set(SCOPES))
    """``oauth`` is the scope of the account's own description."""
    versions: set[str] = field(default_factory=lambda: {"2026-03", "2026-09", "v3"})
    portal_id: int = PORTAL
    nameless_allowed: bool = False
    """Whether a contact may be created without e-mail address, first name and last name."""
    required_properties: set[str] = field(default_factory=set)
    """What version 2026-09 asks of a new contact."""
    gdpr_deleted: set[str] = field(default_factory=set)
    """Addresses, in lower case."""

    schema: Schema = field(default_factory=Schema)
    store: Contacts = field(init=False)
    random: random.Random = field(init=False)
    """The order of the results."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.store = Contacts(self.schema)
        self.random = random.Random(self.seed_value)

    @property
    def contacts(self) -> dict[str, dict[str, str]]:
        """A copy: properties by HubSpot id."""
        with self.lock:
            return {contact_id: dict(properties) for contact_id, properties in self.store.by_id.items()}

    def seed(self, properties: Mapping[str, str]) -> str:
        """A contact that was there before; its HubSpot id. ``hs_additional_emails`` may be given."""
        with self.lock:
            email = properties.get("email")
            normal = {**properties, "email": email.strip().lower()} if email else dict(properties)
            return self.store.create(normal, now=self.now())

    def delete(self, contact_id: str) -> None:
        with self.lock:
            self.store.delete(contact_id)

    def now(self) -> datetime:
        return self.clock.now()

    def admit(self, call: Call) -> None:
        """Raises RefusedError where the token is wrong."""
        if call.bearer != self.access_token:
            message = "Authentication credentials not found or not valid."
            raise refused(401, "INVALID_AUTHENTICATION", message)

    def headers(self) -> Mapping[str, str]:
        return {}

    def objection(self, address: str) -> RowRefusedError | None:
        """Why no contact may have ``address``, which is in lower case."""
        if address not in self.gdpr_deleted:
            return None
        message = f"Contact {address} was permanently deleted under GDPR and cannot be created or updated."
        return RowRefusedError("GDPR_DELETED", message)

    def require(self, *alternatives: str) -> None:
        """Raises RefusedError where the token has none of the scopes."""
        if self.scopes.intersection(alternatives):
            return
        detail = {
            "message": "One or more of the following scopes are required.",
            "context": {"requiredGranularScopes": list(alternatives)},
        }
        message = "This app hasn't been granted all required scopes to make this call."
        raise refused(403, "MISSING_SCOPES", message, errors=[detail])

    def object_json(self, contact_id: str, names: Iterable[str]) -> dict[str, Any]:
        """A contact as answers show it, with the named properties."""
        stored = self.store.by_id[contact_id]
        return {
            "id": contact_id,
            "properties": {name: stored[name] for name in (*names, *sorted(BOOKKEEPING)) if name in stored},
            "createdAt": stored["createdate"],
            "updatedAt": stored["lastmodifieddate"],
            "archived": False,
        }
