"""The values that travel through the job, in the words of the glossary."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from etl.errors import SyncError


@dataclass(frozen=True, slots=True)
class Window:
    """``[since, until)`` asked of the source, and the relative ``range`` that was asked to cover it."""

    since: datetime
    until: datetime
    range: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """A valid row, or several rows of one visitor id merged.

    ``country`` is an ISO 3166-1 alpha-2 code. Each fact that a row may leave out carries the instant of the
    row that stated it (``…_at``), so that merging does not depend on the order of rows.
    ``opted_out`` is None until a row says something explicit.
    """

    id: str
    last_seen: datetime
    pageviews: int | None = None
    country: str | None = None
    country_at: datetime | None = None
    email: str | None = None
    email_at: datetime | None = None
    opted_out: bool | None = None
    opted_out_at: datetime | None = None


class ContactKind(StrEnum):
    """What a contact is keyed by."""

    EMAIL = "email"
    VISITOR = "visitor"


@dataclass(frozen=True, slots=True)
class ContactKey:
    """The e-mail address (trimmed, lower-cased), else the visitor id."""

    kind: ContactKind
    value: str


@dataclass(frozen=True, slots=True)
class Contact:
    """What HubSpot should hold: facts of all visitors that share the key."""

    key: ContactKey
    last_seen: datetime
    country: str | None
    pageviews: int | None


@dataclass(frozen=True, slots=True)
class KnownVisitor:
    """A visitor as the state holds it, and the contact that it belongs to, if HubSpot should hear of it."""

    visitor: Visitor
    contact_id: int | None
    key: ContactKey | None
    due: bool


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What is wanted of a contact and what HubSpot said of it, as fingerprints."""

    contact_id: int
    key: ContactKey
    wanted: bytes | None
    confirmed: bytes | None
    refused: bytes | None
    blocked: bool
    due: bool


@dataclass(frozen=True, slots=True)
class DueContact:
    """A contact whose wanted fingerprint HubSpot has neither confirmed nor refused."""

    contact_id: int
    contact: Contact
    fingerprint: bytes
    known: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class Parcel:
    """A due contact, ready to be delivered.

    ``properties`` are texts, as HubSpot wants them. ``name_properties`` are to be added only if HubSpot
    refuses to create the contact without a name. ``known`` says that HubSpot has confirmed this contact
    before. ``alone`` asks for a request of its own, because an earlier verdict could not be attributed.
    """

    contact_id: int
    id_property: str
    id_value: str
    properties: Mapping[str, str]
    fingerprint: bytes
    name_properties: Mapping[str, str] = field(default_factory=dict)
    known: bool = False
    alone: bool = False


class Outcome(StrEnum):
    """What HubSpot said of one contact."""

    CREATED = "created"
    UPDATED = "updated"
    REJECTED = "rejected"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Verdict:
    """HubSpot's answer on one contact.

    ``reason``, ``code`` and ``correlation_id`` belong to a rejection, ``reason`` to a deferral too.
    ``final`` marks a rejection that new facts do not lift (an address deleted under GDPR).
    ``alone`` marks a deferral that could not be attributed: next time the contact goes in its own request.
    """

    contact_id: int
    outcome: Outcome
    hubspot_id: str | None = None
    reason: str | None = None
    code: str | None = None
    correlation_id: str | None = None
    final: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verdict per parcel of a batch, and the error that must stop further deliveries, if any."""

    verdicts: tuple[Verdict, ...]
    stop: SyncError | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was refused. ``digest`` identifies the row's exact content, ``key`` names it to a person."""

    key: str
    reason: str
    code: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class RefusedThing:
    """An entry of the list of rejections. ``kind`` is "row" or "contact"."""

    key: str
    kind: str
    reason: str
    code: str
    attempts: int
    first: datetime
    last: datetime
    correlation_id: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """What one page of the source held. ``clock`` is the source's own, at the start of the extraction.

    ``read`` = ``out_of_window`` + len(``visitors``) + len(``rejections``). ``visitors`` has one entry per
    valid row inside the window, so an id may occur more than once.
    """

    window: Window
    clock: datetime
    read: int
    out_of_window: int
    visitors: tuple[Visitor, ...]
    rejections: tuple[Rejection, ...]


RunKind = Literal["incremental", "backfill"]


class Status(StrEnum):
    """How a run ended."""

    DONE = "done"
    PARTIAL = "partial"
    INCOMPLETE = "incomplete"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(slots=True)
class RowCounts:
    read: int = 0
    accepted: int = 0
    out_of_window: int = 0
    anonymous: int = 0
    opted_out: int = 0
    rejected: int = 0


@dataclass(slots=True)
class ContactCounts:
    touched: int = 0
    carried_over: int = 0
    unchanged: int = 0
    created: int = 0
    updated: int = 0
    rejected: int = 0
    deferred: int = 0


@dataclass(slots=True)
class RequestCounts:
    zenovay: int = 0
    hubspot: int = 0


@dataclass(slots=True)
class RunSummary:
    """The books of one run over one website; what ``--json`` prints."""

    run: str
    kind: RunKind
    website: str
    dry_run: bool
    status: Status = Status.DONE
    exit_code: int = 0
    reason: str | None = None
    window: Window | None = None
    rows: RowCounts = field(default_factory=RowCounts)
    contacts: ContactCounts = field(default_factory=ContactCounts)
    requests: RequestCounts = field(default_factory=RequestCounts)
    watermark_before: datetime | None = None
    watermark_after: datetime | None = None
    elapsed_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The object of ``--json``, keys in their fixed order."""
        window = self.window
        return {
            "run": self.run,
            "kind": self.kind,
            "website": self.website,
            "dry_run": self.dry_run,
            "status": self.status.value,
            "exit_code": self.exit_code,
            "reason": self.reason,
            "window": window
            and {"since": utc_text(window.since), "until": utc_text(window.until), "range": window.range},
            "rows": asdict(self.rows),
            "contacts": asdict(self.contacts),
            "requests": asdict(self.requests),
            "watermark": {"before": utc_text(self.watermark_before), "after": utc_text(self.watermark_after)},
            "elapsed_s": self.elapsed_s,
        }


@overload
def utc_text(instant: datetime) -> str: ...
@overload
def utc_text(instant: None) -> None: ...
def utc_text(instant: datetime | None) -> str | None:
    """ISO 8601 with a Z, to the microsecond where there are any."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
