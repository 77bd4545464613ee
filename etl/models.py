"""The values that travel through the job, in the words of the glossary.

Those that are made for every row and contact are named tuples: a frozen dataclass takes twice as long to make
and ten times as long to compare.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

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


class Visitor(NamedTuple):
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


EMAIL, VISITOR = ContactKind
"""By these names for what is done for every contact, as with the outcomes."""


class ContactKey(NamedTuple):
    """The e-mail address (trimmed, lower-cased), else the visitor id."""

    kind: ContactKind
    value: str


class Contact(NamedTuple):
    """What HubSpot should hold: facts of all visitors that share the key."""

    key: ContactKey
    last_seen: datetime
    country: str | None
    pageviews: int | None


class KnownVisitor(NamedTuple):
    """A visitor as the state holds it, and the contact that it belongs to, if HubSpot should hear of it."""

    visitor: Visitor
    contact_id: int | None
    key: ContactKey | None
    due: bool


class LedgerEntry(NamedTuple):
    """What is wanted of a contact and what HubSpot said of it, as fingerprints."""

    contact_id: int
    key: ContactKey
    wanted: bytes | None
    confirmed: bytes | None
    refused: bytes | None
    blocked: bool
    due: bool


class DueContact(NamedTuple):
    """A contact whose wanted fingerprint HubSpot has neither confirmed nor refused."""

    contact_id: int
    contact: Contact
    fingerprint: bytes
    known: bool
    alone: bool


class Parcel(NamedTuple):
    """A due contact, ready to be delivered.

    ``properties`` are texts, as HubSpot wants them. ``name_properties`` are to be added only if HubSpot
    refuses to create the contact without a name. ``known`` says that HubSpot has confirmed this contact
    before. ``alone`` asks for a request of its own, because an earlier verdict could not be attributed.
    """

    contact_id: int
    id_property: str
    id_value: str
    properties: dict[str, str]
    fingerprint: bytes
    name_properties: Mapping[str, str] = MappingProxyType({})
    known: bool = False
    alone: bool = False


class Outcome(StrEnum):
    """What HubSpot said of one contact."""

    CREATED = "created"
    UPDATED = "updated"
    REJECTED = "rejected"
    DEFERRED = "deferred"


CREATED, UPDATED, REJECTED, DEFERRED = Outcome
"""By these names for what is done for every contact: Python 3.11 looks a member up in Python."""

TAKEN = (CREATED, UPDATED)
"""HubSpot holds the contact as it was sent."""


class Verdict(NamedTuple):
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
class Listing:
    """What was seen of the order in which the source lists a website's rows.

    ``newest_first`` is None until enough of it was read to its end. ``strays`` names the few rows that are
    known to stand out of that order.
    """

    newest_first: bool | None = None
    strays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sweep:
    """A reading of the newest range to its end, whatever the order. Instants of the source's clock.

    ``last`` is when the one before began, ``interval`` how often one is wanted, ``read_at`` the last run.
    """

    last: datetime
    interval: timedelta
    read_at: datetime

    def is_due(self, clock: datetime) -> bool:
        """Whether the next run, as far from this one as this one is from the last, would be too late."""
        pause = min(max(clock - self.read_at, timedelta(0)), self.interval / 24)
        return clock + pause > self.last + self.interval


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a backfill has come, so that another process can go on from there.

    ``offset`` is the place in the list, ``tail`` names the rows read last. Where the list is newest first,
    every row of the window that was last seen after ``reached`` is absorbed; None where no order helps.
    While the place is still searched for, ``tail`` is empty, and ``past`` is an offset behind it, if known.
    """

    offset: int
    tail: tuple[str, ...]
    reached: datetime | None
    past: int | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill that has begun: its window, how far it has come, and the requests that it has cost."""

    number: int
    since: datetime
    until: datetime
    started: datetime
    mark: Mark | None
    requests: int


@dataclass(frozen=True, slots=True)
class Website:
    """What the state holds of a website. All instants are of the source's clock.

    ``swept`` is the last reading of the whole newest range. ``traffic`` counts rows by slot, see
    ``etl.traffic``. ``degraded_since`` and ``degraded_why`` tell of answers that fall short.
    """

    id: int
    watermark: datetime | None = None
    swept: datetime | None = None
    listing: Listing = Listing()
    traffic: Mapping[int, int] = field(default_factory=dict)
    degraded_since: datetime | None = None
    degraded_why: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What is asked of the source: a ``Window``, but for what only the source's clock tells.

    Without ``since`` the window begins ``initial`` before that clock, without ``until`` it ends at it.
    ``listing`` is the order as earlier readings saw it, ``sweep`` the daily reading of everything.
    ``past``: the window lies anywhere in the past, so that its place in the list has to be found; ``mark``
    is how far an earlier reading of the same window had come.
    """

    website: str
    since: datetime | None = None
    until: datetime | None = None
    initial: timedelta = timedelta(days=30)
    listing: Listing = Listing()
    sweep: Sweep | None = None
    past: bool = False
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What one page of the source held. ``clock`` is the source's own, at the start of the extraction.

    ``read`` = ``out_of_window`` + len(``visitors``) + len(``rejections``). ``visitors`` has one entry per
    valid row inside the window, so an id may occur more than once. Rows that an earlier page held are left
    out, unless the reading had to begin anew: then ``restarted`` says that this is again the first page.
    ``traffic`` counts all rows by ``Traffic``'s slots. ``mark`` is where a backfill stands behind the page.
    """

    window: Window
    clock: datetime
    read: int
    out_of_window: int
    visitors: tuple[Visitor, ...]
    rejections: tuple[Rejection, ...]
    traffic: Mapping[int, int] = field(default_factory=dict)
    mark: Mark | None = None
    restarted: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """What a reading that came to its end can say of itself.

    Every row that the source listed as seen at ``horizon`` or later was read. ``swept``: the newest range
    was read to its end, whatever the order.
    """

    window: Window
    clock: datetime
    horizon: datetime
    listing: Listing
    swept: bool = False


@dataclass(frozen=True, slots=True)
class Quota:
    """The requests of a month that an API allows: ``used`` so far, anew at ``resets_at``.

    ``limit`` is the API's own word, None where it has said nothing. ``ahead`` is how far the API's clock,
    by which ``resets_at`` is meant, is ahead of ours.
    """

    used: int
    limit: int | None
    resets_at: datetime
    ahead: timedelta = timedelta(0)


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
    """The books of one run over one website; what ``--json`` prints.

    ``is_news`` is not printed: it marks warnings that nobody was told of today.
    """

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
    warnings: list[str] = field(default_factory=list)
    is_news: bool = False

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
            "warnings": self.warnings,
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
