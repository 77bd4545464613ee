"""Why a contact would be sent now, or not: judged as a run would judge it. Pure.

The first finding is the answer; the others are what else there is to be said.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.instants import instant
from etl.models.contact import KEEP, RECORD, VISITOR, ContactKey, Parcel
from etl.models.verdict import DEFERRED, GONE, Verdict
from etl.pipeline import writing
from etl.pipeline.packing import as_due, packed
from etl.pipeline.sighting import sort_out
from etl.transform import is_due, is_wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from etl.fields import SyncedFields
    from etl.models.contact import LedgerEntry
    from etl.models.dossier import Dossier, Met, Standing
    from etl.models.verdict import RefusedThing, Sight
    from etl.pipeline.order import Order


class Reason(StrEnum):
    """Why, for programs; ``etl.cli.explaining.words`` says it to people."""

    NEW = "new"
    CHANGED = "changed"
    DOUBTED = "doubted"
    """HubSpot may hold something else than it confirmed."""

    CONFIRMED = "confirmed"
    EQUAL = "equal"
    """It is due, and HubSpot shows all of it already."""

    KEPT = "kept"
    REFUSED = "refused"
    BLOCKED = "blocked"
    ABSENT = "absent"
    GONE = "gone"
    DESERTED = "deserted"
    """Nobody belongs to the contact any more."""

    OPTED_OUT = "opted_out"
    EXCLUDED = "excluded"
    ANONYMOUS = "anonymous"
    FORGOTTEN = "forgotten"
    NEXT_ROW = "next_row"
    """The settings let the visitor in by now: its next row makes it a contact."""

    PRUNED = "pruned"
    MOVED = "moved"
    ANOTHER_KEY = "another_key"
    ROW_REFUSED = "row_refused"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """A reason, and whether the contact is sent for it.

    ``properties`` are those that it is about, ``visitor_id`` is whom. ``at`` is when it ends by itself, or
    since when it is so: see ``etl.cli.explaining.words``. ``other`` is the key of the contact that a visitor
    belongs to, ``linked_to`` the record that the link to it names, and ``record`` what HubSpot has of the
    contact itself. ``refusal`` is what was said.
    """

    reason: Reason
    sends: bool = False
    properties: tuple[str, ...] = ()
    at: datetime | None = None
    visitor_id: str | None = None
    other: ContactKey | None = None
    linked_to: str | None = None
    record: str | None = None
    refusal: RefusedThing | None = None


def findings(
    dossier: Dossier, order: Order, *, now: datetime, foreseen: Parcel | Verdict | None = None
) -> tuple[Finding, ...]:
    """At least one. ``foreseen`` is what would become of the contact by what HubSpot shows."""
    found = [
        *_of_key(dossier, order),
        *_of_contact(dossier, order, now, foreseen),
        *_of_strays(dossier, order),
        *_of_rows(dossier),
    ]
    return tuple(sorted(dict.fromkeys(found), key=_is_aside)) or (
        Finding(Reason.UNKNOWN, at=dossier.pruned_to),
    )


_ASIDE = (Reason.MOVED, Reason.DESERTED, Reason.ANOTHER_KEY, Reason.PRUNED, Reason.ROW_REFUSED)
"""These answer only where nothing else does, in this order."""


def _is_aside(finding: Finding) -> int:
    return _ASIDE.index(finding.reason) + 1 if finding.reason in _ASIDE else 0


def parcel_of(dossier: Dossier, standing: Standing, order: Order, *, now: datetime) -> Parcel:
    """The contact as the next run would send it: once what time and settings have changed is taken up."""
    due = as_due(standing)
    if _reconsiders(standing.entry, dossier, order, now):
        due = due._replace(written=due.written._replace(kept={}, kept_at=None))
    if _renamed(standing, dossier, order):
        due = due._replace(is_sure=False)
    return packed(due, order)


def foresee(parcel: Parcel, sights: Iterable[Sight], synced: SyncedFields) -> Parcel | Verdict | None:
    """What becomes of a parcel by what one look after another shows; None where that is not known."""
    looked = writing.prepared(parcel, synced, look=True)
    for sight in sights:
        result = sort_out([looked], sight)
        for found, shown in result.found:
            return writing.found(found, found.record or shown.record, shown.properties, synced)
        for _, verdict in result.settled:
            return None if verdict.outcome is DEFERRED else verdict
        (looked,) = result.onward
        if looked.is_seen:
            return looked
    return None


def looked_for_again(parcel: Parcel, sight: Sight) -> Parcel | None:
    """What is looked for next where its record is not there: whoever has its key."""
    onward = sort_out([parcel], sight).onward
    return next((each._replace(asks=parcel.asks) for each in onward if not each.is_seen), None)


def changed(parcel: Parcel, synced: SyncedFields) -> tuple[str, ...]:
    """The properties that we want otherwise than HubSpot confirmed them last."""
    last = parcel.written.last
    return tuple(
        name
        for name, text in parcel.wanted.items()
        if name not in last or not synced.same(name, text, last[name])
    )


def _of_key(dossier: Dossier, order: Order) -> Iterator[Finding]:
    if dossier.forgotten:
        yield Finding(Reason.FORGOTTEN)
    key = dossier.key
    if key in order.exclusions.visitors or ("@" in key and order.exclusions.cover_address(key.lower())):
        yield Finding(Reason.EXCLUDED)


def _of_contact(
    dossier: Dossier, order: Order, now: datetime, foreseen: Parcel | Verdict | None
) -> Iterator[Finding]:
    standing = dossier.contact
    if standing is None:
        return
    entry = standing.entry
    if entry.wanted is None:
        yield Finding(Reason.DESERTED, record=entry.record)
        return
    if dossier.members and not entry.remains and all(_is_excluded(each, order) for each in dossier.members):
        yield Finding(Reason.EXCLUDED)
        return
    yield from _of_standing(standing, dossier, order, now, foreseen)
    if entry.remains:
        yield Finding(Reason.PRUNED)
    yield from _of_other_key(standing, dossier)


def _of_other_key(standing: Standing, dossier: Dossier) -> Iterator[Finding]:
    """What led to the contact, where that is not its own key: a visitor, or what HubSpot said."""
    entry, given = standing.entry, dossier.key
    if given == entry.record or given in (entry.key.value, entry.key.value.lower()):
        return
    left = {each.entry.key: each.entry.record for each in dossier.others.values()}
    by = next(
        (met for met in dossier.members if given.lower() in (met.visitor.id.lower(), met.visitor.email)), None
    )
    if by is None:
        yield Finding(Reason.ANOTHER_KEY, other=entry.key)
    else:
        yield Finding(
            Reason.MOVED,
            visitor_id=by.visitor.id,
            other=entry.key,
            linked_to=by.linked_to,
            record=left.get(ContactKey(VISITOR, by.visitor.id)),
        )


def _is_excluded(met: Met, order: Order) -> bool:
    country = met.visitor.facts.get("country")
    return met.visitor.excluded or order.exclusions.cover(
        visitor_id=met.visitor.id,
        email=met.visitor.email,
        country=country if isinstance(country, str) else None,
    )


def _of_standing(
    standing: Standing,
    dossier: Dossier,
    order: Order,
    now: datetime,
    foreseen: Parcel | Verdict | None,
) -> Iterator[Finding]:
    entry = standing.entry
    again = list(_again(standing, dossier, order, now))
    if not (entry.due or again):
        yield from _at_rest(standing, dossier, order, foreseen)
        return
    if entry.key.kind is VISITOR and not order.anonymous:
        yield Finding(Reason.ANONYMOUS, visitor_id=entry.key.value)
        return
    seen = list(_foreseen(foreseen, entry, ends=now + order.recheck))
    yield from seen
    parcel = parcel_of(dossier, standing, order, now=now)
    if entry.due:
        yield Finding(_why_due(entry), sends=True, properties=changed(parcel, order.synced))
    answered = {each.reason for each in seen}
    yield from (each for each in again if each.reason not in answered)
    if Reason.KEPT not in answered.union(each.reason for each in again):
        yield from _kept(parcel, order, foreseen)


def _why_due(entry: LedgerEntry) -> Reason:
    if entry.confirmed is None:
        return Reason.NEW
    return Reason.CHANGED if entry.confirmed else Reason.DOUBTED


def _foreseen(foreseen: Parcel | Verdict | None, entry: LedgerEntry, *, ends: datetime) -> Iterator[Finding]:
    """What a look at HubSpot makes of a contact that is due, where nothing is sent then."""
    if isinstance(foreseen, Verdict):
        if foreseen.outcome is GONE:
            yield Finding(Reason.GONE, record=entry.record)
        else:
            yield Finding(Reason.ABSENT, at=ends)
    elif foreseen is not None and foreseen.way is KEEP:
        if foreseen.yields:
            yield Finding(Reason.KEPT, properties=foreseen.yields, at=ends)
        else:
            yield Finding(Reason.EQUAL)


def _again(standing: Standing, dossier: Dossier, order: Order, now: datetime) -> Iterator[Finding]:
    """What makes a contact due when the next run begins; see ``etl.pipeline.recheck``."""
    entry = standing.entry
    kind = entry.key.kind
    if standing.gone and order.recreate and kind is not RECORD:
        yield Finding(Reason.GONE, sends=True, record=entry.record)
    if standing.absent_at is not None and kind is not RECORD:
        wait = order.recheck if kind in order.matched else timedelta(0)
        if standing.absent_at < now - wait:
            yield Finding(Reason.ABSENT, sends=True)
    if _reconsiders(entry, dossier, order, now):
        yield Finding(Reason.KEPT, sends=True, properties=tuple(entry.written.kept))
    if not entry.due and (renamed := _renamed(standing, dossier, order)):
        yield Finding(Reason.CHANGED, sends=True, properties=renamed)


def _reconsiders(entry: LedgerEntry, dossier: Dossier, order: Order, now: datetime) -> bool:
    kept, kept_at = entry.written.kept, entry.written.kept_at
    if not kept or not is_due(
        wanted=entry.wanted, confirmed=None, refused=entry.refused, blocked=entry.blocked
    ):
        return False
    is_old = kept_at is not None and instant(kept_at) < now - order.recheck
    return is_old or bool(dossier.reruled & kept.keys())


def _renamed(standing: Standing, dossier: Dossier, order: Order) -> tuple[str, ...]:
    """The new names of properties that the contact has."""
    entry = standing.entry
    if entry.confirmed is None or not is_due(
        wanted=entry.wanted, confirmed=None, refused=entry.refused, blocked=entry.blocked
    ):
        return ()
    had = {*(standing.facts or {}), *(["visitor_id"] if entry.key.kind is VISITOR else [])}
    return tuple(prop for name, prop in order.synced.mapping().items() if name in dossier.renamed & had)


def _at_rest(
    standing: Standing, dossier: Dossier, order: Order, foreseen: Parcel | Verdict | None
) -> Iterator[Finding]:
    """Why a contact is not due, which is whatever keeps it from being so by itself."""
    entry = standing.entry
    by_itself: dict[Reason, dict[str, Any]] = {
        Reason.GONE if standing.gone else Reason.BLOCKED: {"blocked": entry.blocked},
        Reason.REFUSED: {"refused": entry.refused},
        Reason.ABSENT: {"absent": entry.absent},
        Reason.CONFIRMED: {"confirmed": entry.confirmed},
    }
    nothing: dict[str, Any] = {"confirmed": None, "refused": None, "absent": None, "blocked": False}
    causes = [
        reason for reason, fact in by_itself.items() if not is_due(wanted=entry.wanted, **(nothing | fact))
    ]
    refusal = next((each for each in dossier.rejections if each.kind == "contact"), None)
    kept = list(_kept(packed(as_due(standing), order), order, foreseen)) if Reason.CONFIRMED in causes else []
    yield from kept
    for reason in causes[-1:] if kept else causes[:1]:
        at = standing.absent_at + order.recheck if reason is Reason.ABSENT and standing.absent_at else None
        said = refusal if reason in (Reason.GONE, Reason.BLOCKED, Reason.REFUSED) else None
        yield Finding(reason, at=at, refusal=said, record=entry.record)


def _kept(parcel: Parcel, order: Order, foreseen: Parcel | Verdict | None) -> Iterator[Finding]:
    """What we want as it gave way to somebody else's when that was looked at last."""
    kept_at, same = parcel.written.kept_at, order.synced.same
    shown = foreseen.shown if isinstance(foreseen, Parcel) else None
    names = tuple(
        name
        for name, text in parcel.written.kept.items()
        if same(name, text, parcel.wanted.get(name, ""))
        and (shown is None or not same(name, text, shown.get(name, "")))
    )
    if names and kept_at is not None:
        yield Finding(Reason.KEPT, properties=names, at=instant(kept_at) + order.recheck)


def _of_strays(dossier: Dossier, order: Order) -> Iterator[Finding]:
    left = dossier.contact.entry.record if dossier.contact else None
    for met in dossier.strays:
        about, visitor = met.visitor.id, met.visitor
        home = dossier.others.get(met.contact_id) if met.contact_id is not None else None
        if home is not None:
            key = home.entry.key
            yield Finding(Reason.MOVED, visitor_id=about, other=key, linked_to=met.linked_to, record=left)
        elif visitor.opted_out:
            yield Finding(Reason.OPTED_OUT, visitor_id=about, at=visitor.opted_out_at)
        elif _is_excluded(met, order):
            yield Finding(Reason.EXCLUDED, visitor_id=about)
        elif not is_wanted(visitor, anonymous=order.anonymous, linked_to=met.linked_to):
            yield Finding(Reason.ANONYMOUS, visitor_id=about)
        else:
            yield Finding(Reason.NEXT_ROW, visitor_id=about)


def _of_rows(dossier: Dossier) -> Iterator[Finding]:
    yield from (
        Finding(Reason.ROW_REFUSED, visitor_id=each.key, refusal=each)
        for each in dossier.rejections
        if each.kind == "row"
    )
