"""A HubSpot account: contacts, properties, the token and what it may do."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from etl.sandbox.contacts import EMAIL, Contacts
from etl.sandbox.history import BOOKKEEPING, CRM_UI, FORM, versions
from etl.sandbox.hubspot_errors import RowRefusedError, refused
from etl.sandbox.hubspot_schema import Schema, normal_address, writable
from etl.sandbox.search_pace import SearchPace

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
    """The account as it is; every attribute may be set at any time, from any thread.

    What people do in the CRM are methods; they raise KeyError for a contact that is not there, and follow
    the ids of merged ones.
    """

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
    validation_rules: dict[str, str] = field(default_factory=dict)
    """Property to the regular expression that version 2026-09 holds the whole of a value against."""
    marketing_contacts: bool = False
    """Whether contacts that the API creates count as marketing contacts."""
    gdpr_deleted: set[str] = field(default_factory=set)
    """Addresses, in lower case, that no contact may have any more."""
    archived_upsert: Literal["new", "conflict"] = "new"
    """What comes of an upsert with a unique value of a contact in the recycle bin."""
    merged_twice: Literal["written", "refused"] = "written"
    """What comes of a batch in which two record ids lead to one contact."""
    unique_survives_merge: bool = True
    """Whether the loser's unique value still finds the contact where the primary has its own."""
    index_lag_s: float = 0.0
    """How long after a write search still shows what was there before."""
    searches_per_second: int | None = 5
    """None is no limit."""
    form_conflict: Literal["dropped", "refused"] = "dropped"
    """What comes of a submitted unique value that another contact owns, or of the whole submission."""
    form_snippet: str = ""
    """What the company has put at the end of the page with its form."""
    form_submissions: int = 0
    """How many there were, refused ones too."""

    schema: Schema = field(default_factory=Schema)
    store: Contacts = field(init=False)
    search_pace: SearchPace = field(default_factory=SearchPace)
    random: random.Random = field(init=False)
    """The order of the results."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.store = Contacts(self.schema, lag_s=lambda: self.index_lag_s)
        self.random = random.Random(self.seed_value)

    @property
    def contacts(self) -> dict[str, dict[str, str]]:
        """A copy: properties by HubSpot id."""
        with self.lock:
            return {contact_id: dict(properties) for contact_id, properties in self.store.by_id.items()}

    def seed(self, properties: Mapping[str, str]) -> str:
        """A contact that was there before; its HubSpot id. ``hs_additional_emails`` may be given."""
        with self.lock:
            return self.store.create(_normal(properties), now=self.now(), source=CRM_UI)

    def edit(self, record_id: str, **properties: str) -> None:
        """What a person types; the empty text clears."""
        with self.lock:
            contact_id = self.known(record_id)
            self.store.update(contact_id, _normal(properties), now=self.now(), source=CRM_UI)

    def submit(self, values: Mapping[str, str]) -> str | None:
        """The form, filled in: writes what is not empty and good to the contact that has the address.

        The id of the contact; None where the submission was refused and nothing is written.
        """
        with self.lock:
            self.form_submissions += 1
            wanted = writable(self.schema, values)
            address = wanted.get(EMAIL)
            if address is None or self.objection(address):
                return None
            found = self.store.find(EMAIL, address)
            taken = {name for name, _ in self.store.conflicts(wanted, found)}
            if taken and self.form_conflict == "refused":
                return None
            if found is None:
                return self.store.create(_without(wanted, taken), now=self.now(), source=FORM)
            self.store.update(found, _without(wanted, {EMAIL, *taken}), now=self.now(), source=FORM)
            return found

    def archive(self, record_id: str) -> None:
        """Into the recycle bin."""
        with self.lock:
            self.store.archive(self.known(record_id), now=self.now())

    def restore(self, record_id: str) -> None:
        """Out of the recycle bin, without the unique values that others have taken up meanwhile."""
        with self.lock:
            self.store.restore(self.store.successor(record_id), now=self.now())

    def merge(self, primary: str, other: str) -> str:
        """The id of the contact that the two have become."""
        with self.lock:
            both = self.known(primary), self.known(other)
            return self.store.merge(*both, now=self.now(), survives=self.unique_survives_merge)

    def erase(self, record_id: str) -> None:
        """Delete for good, archived or not, and block the addresses for ever."""
        with self.lock:
            contact_id = self.store.successor(record_id)
            self.gdpr_deleted |= self.store.addresses(contact_id)
            self.store.delete(contact_id, now=self.now())

    def delete(self, record_id: str) -> None:
        """For good, as if it had never been."""
        with self.lock:
            self.store.delete(self.known(record_id), now=self.now())

    def known(self, record_id: str) -> str:
        """The id that the contact has now. Raises KeyError where it is not there."""
        contact_id = self.store.find(None, record_id)
        if contact_id is None:
            raise KeyError(record_id)
        return contact_id

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

    def shown(self, contact_id: str, names: Iterable[str], *, past: Iterable[str] = ()) -> dict[str, Any]:
        """A contact as answers show it: the named properties, and all earlier values of ``past``."""
        archived = self.store.recycle_bin.get(contact_id)
        stored = archived.properties if archived else self.store.by_id[contact_id]
        history = self.store.histories.get(contact_id, ())
        earlier = {name: versions(history, name) for name in past}
        return {
            **object_json(stored, names),
            **({"archived": True, "archivedAt": archived.since} if archived else {}),
            **({"propertiesWithHistory": earlier} if earlier else {}),
        }


def object_json(stored: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    """A contact that is not archived, with the named properties."""
    return {
        "id": stored["hs_object_id"],
        "properties": {name: stored[name] for name in (*names, *sorted(BOOKKEEPING)) if name in stored},
        "createdAt": stored["createdate"],
        "updatedAt": stored["lastmodifieddate"],
        "archived": False,
    }


def _without(properties: Mapping[str, str], names: set[str]) -> dict[str, str]:
    return {name: text for name, text in properties.items() if name not in names}


def _normal(properties: Mapping[str, str]) -> dict[str, str]:
    email = properties.get("email")
    return {**properties, "email": normal_address(email)} if email else dict(properties)
