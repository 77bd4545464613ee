"""What a dry run shows of contacts: HubSpot's values beside ours. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.models.contact import EMAIL, RECORD, RECORD_ID, VISITOR
from etl.models.difference import Difference, ValueChange
from etl.models.record import NOT_MADE
from etl.models.verdict import ABSENT, CREATED, DEFERRED, GONE, KEPT, REJECTED, UPDATED, Verdict
from etl.pipeline.writing import policy_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl.fields import SyncedFields
    from etl.models.contact import Parcel
    from etl.models.difference import Action
    from etl.models.verdict import Outcome

_ACTIONS: dict[Outcome, Action] = {
    CREATED: "create",
    UPDATED: "update",
    KEPT: "keep",
    ABSENT: "absent",
    GONE: "gone",
    REJECTED: "refused",
    DEFERRED: "deferred",
}
_DELIVERED: tuple[Action, ...] = ("create", "update", "keep", "unchanged")
_KINDS = {"email": EMAIL, RECORD_ID: RECORD}


class Differences:
    """What a dry run would do, one difference for each contact."""

    def __init__(self, synced: SyncedFields) -> None:
        self._synced = synced
        self._by_contact: dict[int, Difference] = {}

    def add(self, told: Iterable[tuple[Parcel, Verdict]], refused: Mapping[int, str]) -> None:
        """What became of contacts; ``refused`` is why some were refused before."""
        for parcel, verdict in told:
            shown = difference(parcel, verdict, synced=self._synced)
            shown = shown._replace(refused_before=refused.get(parcel.contact_id))
            before = self._by_contact.get(parcel.contact_id)
            self._by_contact[parcel.contact_id] = _combined(before, shown) if before else shown

    def hold_back(self, parcels: Iterable[Parcel], why: str) -> None:
        """These would change, but the run stops before."""
        for parcel in parcels:
            verdict = Verdict(parcel.contact_id, DEFERRED, reason=why)
            shown = difference(parcel, verdict, synced=self._synced)
            self._by_contact[parcel.contact_id] = shown._replace(changes=_changes(parcel, self._synced))

    def drop(self, contact_ids: Iterable[int]) -> None:
        """These turned out to be others."""
        for contact_id in contact_ids:
            self._by_contact.pop(contact_id, None)

    def listed(self) -> list[Difference]:
        """All of them, in the order of the contacts' ids."""
        return [shown for _, shown in sorted(self._by_contact.items())]


def difference(parcel: Parcel, verdict: Verdict, *, synced: SyncedFields) -> Difference:
    """What would become of a contact that was looked at."""
    changes = _changes(parcel, synced) if verdict.outcome in (CREATED, UPDATED, KEPT) else ()
    action = _ACTIONS[verdict.outcome]
    if action in ("update", "keep"):
        action = _effect(changes)
    kind = _KINDS.get(parcel.id_property, VISITOR)
    record = verdict.record or parcel.record
    if record and record.startswith(NOT_MADE):
        record = None
    return Difference(parcel.id_value, kind, record, action, changes, verdict.reason)


def _effect(changes: tuple[ValueChange, ...]) -> Action:
    """What writing comes to: what is written may be there already."""
    if any(not each.kept for each in changes):
        return "update"
    return "keep" if changes else "unchanged"


def _changes(parcel: Parcel, synced: SyncedFields) -> tuple[ValueChange, ...]:
    shown = parcel.shown or {}
    names = [
        name for name in parcel.wanted if not synced.same(name, parcel.wanted[name], shown.get(name, ""))
    ]
    return tuple(_change(parcel, name, shown.get(name) or None, synced) for name in names)


def _change(parcel: Parcel, name: str, old: str | None, synced: SyncedFields) -> ValueChange:
    ours = parcel.written.ours(name)
    return ValueChange(
        property=name,
        old=old,
        new=parcel.wanted[name],
        last=parcel.written.last.get(name),
        kept=name not in parcel.properties,
        by_people=parcel.shown is not None and _is_others(name, old or "", ours, synced),
        policy=policy_of(name, synced).value,
    )


def _is_others(name: str, held: str, ours: Sequence[str], synced: SyncedFields) -> bool:
    """Whether somebody made of a property what HubSpot holds there, "" for nothing."""
    return bool(ours or held) and not any(synced.same(name, each, held) for each in ours)


def _combined(before: Difference, after: Difference) -> Difference:
    """A contact to which something happens twice: later facts came when the first were as good as written."""
    if before.action not in _DELIVERED or after.action not in _DELIVERED:
        return after
    changes = {each.property: each for each in before.changes if not each.kept}
    for each in after.changes:
        first = changes.get(each.property)
        changes[each.property] = first._replace(new=each.new, kept=each.kept) if first else each
    return after._replace(
        action="create" if before.action == "create" else _effect(tuple(changes.values())),
        changes=tuple(changes.values()),
        refused_before=after.refused_before or before.refused_before,
    )
