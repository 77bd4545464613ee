"""What a dry run shows of contacts: HubSpot's values beside ours. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from etl.models.contact import EMAIL, RECORD, RECORD_ID, VISITOR
from etl.models.difference import Difference, ValueChange
from etl.models.record import NOT_MADE
from etl.models.verdict import ABSENT, CREATED, DEFERRED, GONE, KEPT, REJECTED, SETTLED, UPDATED
from etl.pipeline.writing import policy_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.fields import SyncedFields
    from etl.models.contact import Parcel, Texts
    from etl.models.difference import Action
    from etl.models.verdict import Outcome, Verdict

_ACTIONS: dict[Outcome, Action] = {
    CREATED: "create",
    UPDATED: "update",
    KEPT: "keep",
    ABSENT: "absent",
    GONE: "gone",
    REJECTED: "refused",
    DEFERRED: "deferred",
}
_KINDS = {"email": EMAIL, RECORD_ID: RECORD}


class _Seen(NamedTuple):
    """A property as it was when it was looked at first: what HubSpot held, "" for nothing."""

    held: str
    last: str | None
    by_people: bool


@dataclass(slots=True)
class _Record:
    """What HubSpot held of a record before the run, and what is as good as written since."""

    seen: dict[str, _Seen] = field(default_factory=dict)
    written: Texts = field(default_factory=dict)

    def look(self, parcel: Parcel, synced: SyncedFields) -> None:
        for name in parcel.wanted.keys() - self.seen.keys():
            self.seen[name] = _seen(parcel, name, synced)


class Differences:
    """What a dry run would do, one difference for each contact, from what was before to how it ends."""

    def __init__(self, synced: SyncedFields) -> None:
        self._synced = synced
        self._records: dict[str, _Record] = {}
        self._by_contact: dict[int, Difference] = {}

    def add(self, told: Iterable[tuple[Parcel, Verdict]], refused: Mapping[int, str]) -> None:
        """What became of contacts; ``refused`` is why some were refused before."""
        for parcel, verdict in told:
            number, before = parcel.contact_id, self._by_contact.get(parcel.contact_id)
            shown = self._difference(parcel, verdict)
            if before is not None and before.action == "create" and shown.action in ("update", "unchanged"):
                shown = shown._replace(action="create")
            reason = refused.get(number) or (before.refused_before if before else None)
            self._by_contact[number] = shown._replace(refused_before=reason)

    def hold_back(self, parcels: Iterable[Parcel], why: str) -> None:
        """These would change, but the run stops before."""
        for parcel in parcels:
            record = self._record(parcel, parcel.record)
            changes = _changes(parcel, record, {**record.written, **parcel.properties}, self._synced)
            self._by_contact[parcel.contact_id] = _shown(parcel, parcel.record, "deferred", changes, why)

    def drop(self, contact_ids: Iterable[int]) -> None:
        """These turned out to be others."""
        for contact_id in contact_ids:
            self._by_contact.pop(contact_id, None)

    def listed(self) -> list[Difference]:
        """All of them, in the order of the contacts' ids."""
        return [shown for _, shown in sorted(self._by_contact.items())]

    def _difference(self, parcel: Parcel, verdict: Verdict) -> Difference:
        action, name = _ACTIONS[verdict.outcome], verdict.record or parcel.record
        if verdict.outcome not in SETTLED:
            return _shown(parcel, name, action, (), verdict.reason)
        record = self._record(parcel, name)
        if verdict.outcome is not KEPT:
            record.written |= {
                each: parcel.properties[each] for each in parcel.wanted.keys() & parcel.properties
            }
        changes = _changes(parcel, record, record.written, self._synced)
        return _shown(parcel, name, action if action == "create" else _effect(changes), changes)

    def _record(self, parcel: Parcel, name: str | None) -> _Record:
        record = self._records.setdefault(str(name), _Record())
        record.look(parcel, self._synced)
        return record


def _shown(
    parcel: Parcel,
    record: str | None,
    action: Action,
    changes: tuple[ValueChange, ...],
    reason: str | None = None,
) -> Difference:
    kind = _KINDS.get(parcel.id_property, VISITOR)
    is_there = record is not None and not record.startswith(NOT_MADE)
    return Difference(parcel.id_value, kind, record if is_there else None, action, changes, reason)


def _effect(changes: Sequence[ValueChange]) -> Action:
    """What writing comes to: what is written may be there already."""
    if any(not each.kept for each in changes):
        return "update"
    return "keep" if changes else "unchanged"


def _changes(
    parcel: Parcel, record: _Record, written: Mapping[str, str], synced: SyncedFields
) -> tuple[ValueChange, ...]:
    """The properties of which something else is ``written``, or wanted in vain, than was held."""
    texts = {**parcel.wanted, **{name: text for name, text in written.items() if name in record.seen}}
    return tuple(
        ValueChange(
            property=name,
            old=seen.held or None,
            new=text,
            last=seen.last,
            kept=name not in written,
            by_people=seen.by_people,
            policy=policy_of(name, synced).value,
        )
        for name, text in texts.items()
        if not synced.same(name, text, (seen := record.seen[name]).held)
    )


def _seen(parcel: Parcel, name: str, synced: SyncedFields) -> _Seen:
    ours, held = parcel.written.ours(name), (parcel.shown or {}).get(name, "")
    by_people = parcel.shown is not None and bool(ours or held) and not synced.is_among(name, held, ours)
    return _Seen(held, parcel.written.last.get(name), by_people)
