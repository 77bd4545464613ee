"""What a dry run shows of a contact: HubSpot's values beside ours. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.models.contact import EMAIL, RECORD, RECORD_ID, VISITOR
from etl.models.difference import Difference, ValueChange
from etl.models.verdict import ABSENT, CREATED, DEFERRED, GONE, KEPT, REJECTED, UPDATED

if TYPE_CHECKING:
    from etl.fields import SyncedFields
    from etl.models.contact import Parcel
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


def difference(parcel: Parcel, verdict: Verdict, *, synced: SyncedFields) -> Difference:
    """What would become of a contact that was looked at."""
    changes = _changes(parcel, synced) if verdict.outcome in (CREATED, UPDATED, KEPT) else ()
    action = _ACTIONS[verdict.outcome]
    if action == "update" and not changes:
        action = "unchanged"
    kind = _KINDS.get(parcel.id_property, VISITOR)
    return Difference(parcel.id_value, kind, parcel.record, action, changes, verdict.reason)


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
        by_people=bool(ours or old) and not any(synced.same(name, each, old or "") for each in ours),
    )
