"""What HubSpot said."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.models.summary import utc_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from etl.errors import SyncError
    from etl.models.contact import ContactKey, Parcel
    from etl.models.record import ShownContact, Version


class Outcome(StrEnum):
    """What HubSpot said of one contact."""

    CREATED = "created"
    UPDATED = "updated"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    ABSENT = "absent"
    """Nobody in HubSpot has the key, and the contact must not be made."""

    GONE = "gone"
    """The record that HubSpot confirmed once is not there any more."""

    KEPT = "kept"
    """What HubSpot holds is somebody else's and stays; nothing had to be written."""


CREATED, UPDATED, REJECTED, DEFERRED, ABSENT, GONE, KEPT = Outcome
"""By these names for what is done for every contact: Python 3.11 looks a member up in Python."""


TAKEN = (CREATED, UPDATED)
"""HubSpot holds the contact as it was sent."""

SETTLED = (*TAKEN, KEPT)
"""Nothing is left to be done for the contact as it is."""

REFUSED = (REJECTED, GONE)
"""HubSpot does not take the contact, for a reason that is listed."""


class Verdict(NamedTuple):
    """HubSpot's answer on one contact.

    ``record`` is the id under which HubSpot has it, and ``kin`` are other keys that lead to a record which
    came back under another id than it was sent to: it was merged, maybe with one that another contact is.
    ``reason``, ``code`` and ``correlation_id`` belong to a rejection, ``reason`` to a deferral too.
    ``final`` marks a rejection that new facts do not lift (an address deleted under GDPR).
    ``unanswered`` marks a deferral although HubSpot did answer: next time the contact goes by itself.
    ``lost`` marks one whose record is not there any more: it may be under its key.
    """

    contact_id: int
    outcome: Outcome
    record: str | None = None
    reason: str | None = None
    code: str | None = None
    correlation_id: str | None = None
    final: bool = False
    unanswered: bool = False
    kin: tuple[ContactKey, ...] = ()
    lost: bool = False

    def is_new_to(self, parcel: Parcel) -> bool:
        """Whether it tells a record that the contact was not known to be."""
        return self.record is not None and self.record != parcel.record


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verdict per parcel of a batch, and the error that must stop further deliveries, if any."""

    verdicts: tuple[Verdict, ...]
    stop: SyncError | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What HubSpot shows of the contacts that were looked for.

    ``found`` by contact id, and those that it says are ``missing``; of the others it says nothing. ``stop``
    is the error that must stop all further requests, if any.
    """

    found: Mapping[int, ShownContact]
    missing: frozenset[int] = frozenset()
    stop: SyncError | None = None

    def beside(self, other: Sight) -> Sight:
        """What both show, which are of different contacts; without a stop."""
        return Sight({**self.found, **other.found}, self.missing | other.missing)


class Recollection(NamedTuple):
    """What HubSpot shows of contacts, and what properties of theirs held before.

    ``versions`` by contact id and property, the latest first. HubSpot's clock is ``ahead`` of ours.
    """

    sight: Sight
    versions: Mapping[int, Mapping[str, tuple[Version, ...]]]
    ahead: timedelta


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

    def as_object(self) -> dict[str, Any]:
        """The object of ``--json``."""
        return {**asdict(self), "first": utc_text(self.first), "last": utc_text(self.last)}
