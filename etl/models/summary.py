"""The books of a run, and how it ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

if TYPE_CHECKING:
    from datetime import date, datetime

    from etl.models.contact import ContactKind
    from etl.models.difference import Difference
    from etl.models.reading import Window


RunKind = Literal["incremental", "backfill", "undo"]


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
    excluded: int = 0


@dataclass(slots=True)
class ContactCounts:
    touched: int = 0
    carried_over: int = 0
    unchanged: int = 0
    created: int = 0
    updated: int = 0
    rejected: int = 0
    deferred: int = 0
    absent: int = 0
    kept: int = 0


@dataclass(slots=True)
class ValueCounts:
    """Values of properties that are not this program's own: left to others, and written over."""

    kept: int = 0
    replaced: int = 0


@dataclass(slots=True)
class RequestCounts:
    zenovay: int = 0
    hubspot: int = 0


MadeFate = Literal["left", "archived", "changed", "gone", "deferred"]
"""``changed``: somebody has, so that it is left; ``gone``: it was not there any more."""


@dataclass(frozen=True, slots=True)
class MadeContact:
    """A contact that the run which is undone had made, and what becomes of it."""

    key: str
    kind: ContactKind
    record: str | None
    fate: MadeFate


@dataclass(slots=True)
class UndoneCounts:
    """Contacts, by what became of what ``run`` did to them; one can be both restored and changed.

    ``restored`` have everything back, now or before, that nobody changed since; on ``changed`` something
    stays that somebody changed since. ``gone`` are not in HubSpot any more. ``created`` were made by the run;
    ``archived`` are those of them that this undo put into the recycle bin. ``left`` have another record now
    than the one that was written to, or none that is known.
    """

    run: str
    restored: int = 0
    changed: int = 0
    gone: int = 0
    created: int = 0
    archived: int = 0
    left: int = 0


class PastRun(NamedTuple):
    """A run as the state remembers it.

    ``number`` is what its verdicts are kept under; None for one of an older version. ``contacts`` is how many
    it said to have created or updated.
    """

    run: str
    kind: str
    website: str
    started: datetime
    number: int | None
    contacts: int


@dataclass(slots=True)
class RunSummary:
    """The books of one run over one website; what ``--json`` prints.

    ``portal_name`` is what the user calls the HubSpot account, where there are several; it is not kept.
    ``is_news`` is not printed: it marks warnings that nobody was told of today. Nor is ``is_cut_short``: an
    error kept it from doing everything. Nor are ``notes``: those of
    the warnings that need nobody. ``portal`` is the id of the HubSpot account; None as long as that is not
    known. ``degraded`` says why the source's answer was not believed, where it was not. ``differences`` are
    what a dry run would do. ``undo`` and ``made`` belong to a run that undoes another one.
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
    values: ValueCounts = field(default_factory=ValueCounts)
    requests: RequestCounts = field(default_factory=RequestCounts)
    watermark_before: datetime | None = None
    watermark_after: datetime | None = None
    elapsed_s: float = 0.0
    warnings: list[str] = field(default_factory=list)
    is_news: bool = False
    is_cut_short: bool = False
    portal: int | None = None
    portal_name: str | None = None
    degraded: str | None = None
    notes: tuple[str, ...] = ()
    differences: list[Difference] = field(default_factory=list)
    undo: UndoneCounts | None = None
    made: list[MadeContact] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The website, with its portal where there are several."""
        return place_of(self.portal_name, self.website)

    @property
    def concerns(self) -> list[str]:
        """The warnings that need a person."""
        return [warning for warning in self.warnings if warning not in self.notes]

    @property
    def has_changes(self) -> bool:
        """Whether a dry run would change anything in HubSpot."""
        return any(each.changes_hubspot for each in self.differences)

    def as_object(self) -> dict[str, Any]:
        """The object of ``--json``; those of a dry run and of an undo name people."""
        told = self.as_dict()
        if self.dry_run:
            told["differences"] = [each.as_object() for each in self.differences]
        if self.undo:
            told["created_contacts"] = [asdict(each) for each in self.made]
        return told

    def as_dict(self) -> dict[str, Any]:
        """What is logged and stored of it, keys in their fixed order."""
        window = self.window
        return {
            "run": self.run or None,
            "kind": self.kind,
            "website": self.website or None,
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
            "portal": self.portal,
            "degraded": self.degraded,
            "values": asdict(self.values),
            **({"undo": asdict(self.undo)} if self.undo else {}),
            **({"portal_name": self.portal_name} if self.portal_name else {}),
        }


def place_of(portal: str | None, website: str) -> str:
    """How people are told of a website of a portal that has a name; just the website where it has none."""
    return f"{portal}/{website}" if portal else website


@dataclass(frozen=True, slots=True)
class Failing:
    """So many runs of a website in a row that ended neither done nor partial, since the start of the first.

    ``exit_code`` and ``reason`` are the last one's; of one that was killed nobody knows them.
    """

    since: datetime
    runs: int
    exit_code: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class SyncedDay:
    """What the sync did on one day (UTC), over all websites. ``requests`` are those to Zenovay."""

    day: date
    created: int = 0
    updated: int = 0
    rejected: int = 0
    requests: int = 0


@overload
def utc_text(instant: datetime) -> str: ...
@overload
def utc_text(instant: None) -> None: ...
def utc_text(instant: datetime | None) -> str | None:
    """ISO 8601 with a Z, to the microsecond where there are any."""
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc_second(instant: datetime) -> str:
    """As ``utc_text``, for sentences: without fractions of a second."""
    return utc_text(instant.replace(microsecond=0))
