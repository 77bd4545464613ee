"""What a finding is called, and what would change it. Texts of others stand in it as they are."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from etl.cli.people import at
from etl.models.contact import EMAIL, RECORD, VISITOR
from etl.models.summary import utc_second
from etl.models.verdict import UPDATED
from etl.pipeline.explaining import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from etl.fields import SyncedFields
    from etl.models.contact import ContactKey, ContactKind
    from etl.models.dossier import Dossier
    from etl.pipeline.explaining import Finding
    from etl.pipeline.order import Order
    from etl.state.verdicts import PastVerdict


class Command(NamedTuple):
    """What would change something, and what it would do."""

    command: str
    does: str


class Words:
    """Sentences on the findings of one dossier: for people, with ``now``, instants are also told relative."""

    def __init__(self, dossier: Dossier, order: Order, *, now: datetime | None) -> None:
        self._dossier = dossier
        self._order = order
        self._at = utc_second if now is None else partial(at, now=now)
        self._by_reason: Mapping[Reason, Callable[[Finding], str]] = {
            Reason.NEW: lambda _: "it is due, as HubSpot has never confirmed it",
            Reason.CHANGED: self._changed,
            Reason.DOUBTED: self._doubted,
            Reason.CONFIRMED: lambda _: "HubSpot confirmed it as it is, and no fact has changed since",
            Reason.EQUAL: lambda _: "it is due, and HubSpot holds all of it already",
            Reason.KEPT: self._kept,
            Reason.REFUSED: self._refused,
            Reason.BLOCKED: self._blocked,
            Reason.ABSENT: self._absent,
            Reason.GONE: self._gone,
            Reason.DESERTED: self._deserted,
            Reason.OPTED_OUT: self._opted_out,
            Reason.EXCLUDED: self._excluded,
            Reason.ANONYMOUS: self._anonymous,
            Reason.FORGOTTEN: lambda _: (
                "it was forgotten (visitor-sync forget), and its tombstone keeps it away"
            ),
            Reason.NEXT_ROW: self._next_row,
            Reason.PRUNED: self._pruned,
            Reason.MOVED: self._moved,
            Reason.ANOTHER_KEY: lambda each: f"{dossier.key} is another key of {named(each.other)}",
            Reason.ROW_REFUSED: self._row_refused,
            Reason.UNKNOWN: self._unknown,
        }

    def sentence(self, finding: Finding) -> str:
        return self._by_reason[finding.reason](finding)

    def _changed(self, finding: Finding) -> str:
        if not finding.properties:
            return "it is due, as facts have changed since HubSpot confirmed it"
        return f"it is due, as {', '.join(finding.properties)} changed since HubSpot confirmed it"

    def _doubted(self, finding: Finding) -> str:
        differing = f"; what differs from the last writing: {', '.join(finding.properties)}"
        return (
            "it is due, as HubSpot may hold something else than it confirmed: after visitor-sync resync, a"
            " renamed property, a merge there, or a delivery that got no answer"
            + differing
            * bool(finding.properties)
        )

    def _kept(self, finding: Finding) -> str:
        synced = self._order.synced
        rules = ", ".join(f"{name} ({_policy(name, synced)})" for name in finding.properties)
        if finding.sends:
            return f"it is looked at again, as the time or a changed policy asks: {rules} gave way before"
        until = f" before {self._at(finding.at)}, SYNC_RECHECK," if finding.at else ""
        return (
            f"what HubSpot holds of {rules} is somebody else's and stays; it is not looked at again{until}"
            " unless we want another value"
        )

    def _refused(self, finding: Finding) -> str:
        return f"HubSpot refused it as it is{_said(finding)}; it waits until its facts change, or a retry"

    def _blocked(self, finding: Finding) -> str:
        return f"HubSpot refused it for good{_said(finding)}; other facts change nothing, only a retry does"

    def _absent(self, finding: Finding) -> str:
        mode = f"{_mode(self._kind)}=match"
        if finding.sends:
            return f"it is looked for again: nobody in HubSpot was this contact ({mode}, SYNC_RECHECK)"
        again = f" it is looked for again after {self._at(finding.at)}, or" if finding.at else ""
        return (
            f"nobody in HubSpot is this contact, and none is made ({mode});{again} once its facts or links"
            " change (SYNC_RECHECK)"
        )

    @property
    def _kind(self) -> ContactKind:
        contact = self._dossier.contact
        return contact.entry.key.kind if contact else VISITOR

    def _gone(self, finding: Finding) -> str:
        what = f"record {finding.record} was deleted" if finding.record else "it was deleted"
        if finding.sends:
            return f"{what} in HubSpot, and it is made again (SYNC_RECREATE=always)"
        never = "SYNC_RECREATE=never" if not self._order.recreate else "only a link leads to it"
        return f"{what} in HubSpot, and it is not made again ({never})"

    def _deserted(self, finding: Finding) -> str:
        kept = f"; record {finding.record} in HubSpot stays as it is" if finding.record else ""
        return f"no visitor belongs to the contact any more{kept}"

    def _opted_out(self, finding: Finding) -> str:
        since = f" on {self._at(finding.at)}" if finding.at else ""
        return f"visitor {finding.visitor_id} opted out{since}; that holds until a row says otherwise"

    def _excluded(self, finding: Finding) -> str:
        who = f"visitor {finding.visitor_id}" if finding.visitor_id else "it"
        return f"{who} is excluded by the settings ([exclude] in visitor-sync.toml)"

    def _anonymous(self, finding: Finding) -> str:
        return f"visitor {finding.visitor_id} has neither link nor address (SYNC_ANONYMOUS=skip)"

    def _next_row(self, finding: Finding) -> str:
        return f"visitor {finding.visitor_id} belongs to no contact yet; its next row makes or finds one"

    def _pruned(self, _: Finding) -> str:
        return (
            "visitors of it were not seen for so long that they are not kept (SYNC_RETENTION); what they came"
            " to stays on the contact"
        )

    def _moved(self, finding: Finding) -> str:
        by = f"a link of record {finding.linked_to}" if finding.linked_to else "its address"
        left = f"; record {finding.record}, made for it before, stays as it is" if finding.record else ""
        who = f"visitor {finding.visitor_id}"
        if finding.visitor_id == self._dossier.key:
            who = f"{finding.visitor_id} is another key of {named(finding.other)}: the visitor"
        return f"{who} belongs to {named(finding.other)} by {by}{left}"

    def _row_refused(self, finding: Finding) -> str:
        return f"a row of visitor {finding.visitor_id} was refused and is not part of this{_said(finding)}"

    def _unknown(self, finding: Finding) -> str:
        if finding.at is None:
            return "the state knows nothing of it"
        return (
            "the state knows nothing of it; visitors last seen before"
            f" {self._at(finding.at)} are not kept (SYNC_RETENTION)"
        )

    def commands(self, found: Sequence[Finding], verdicts: Sequence[PastVerdict]) -> list[Command]:
        """What would change the answer, first; then what would undo or erase."""
        ways = [way for finding in found for way in self._ways(finding)]
        if replaced := next((each for each in verdicts if each.outcome is UPDATED and each.before), None):
            ways.append(Command(f"visitor-sync undo {replaced.run}", "puts back what that run replaced"))
        if self._dossier.contact or self._dossier.strays:
            key = shlex.quote(self._dossier.key)
            ways.append(Command(f"visitor-sync forget {key}", "erases the person from the state"))
        return list(dict.fromkeys(ways))

    def _ways(self, finding: Finding) -> Iterator[Command]:
        reason = finding.reason
        if finding.sends:
            yield Command("visitor-sync run --now", "sends it now")
        elif reason is Reason.KEPT:
            synced = self._order.synced
            for name in finding.properties:
                if field := synced.by_property.get(name):
                    yield Command(f"{field.write_setting}=overwrite", f"writes over {name} from then on")
        elif finding.refusal and reason in (Reason.REFUSED, Reason.BLOCKED, Reason.GONE, Reason.ROW_REFUSED):
            yield from self._retries(finding)
        elif reason is Reason.ABSENT:
            yield Command(f"{_mode(self._kind)}=upsert", "has contacts made that are not there")
        elif reason is Reason.ANONYMOUS:
            yield Command("SYNC_ANONYMOUS=upsert", "has a contact made for every visitor")
        elif reason is Reason.CONFIRMED:
            yield Command("visitor-sync resync", "sends all contacts once more, this one too")

    def _retries(self, finding: Finding) -> Iterator[Command]:
        assert finding.refusal  # noqa: S101 -- for mypy: the caller has looked
        key = shlex.quote(finding.refusal.key)
        if finding.reason is Reason.GONE and not self._order.recreate and self._kind is not RECORD:
            yield Command("SYNC_RECREATE=always", "has all made again that are gone")
        if finding.reason is Reason.ROW_REFUSED:
            yield Command(
                f"visitor-sync rejections retry {key}", "forgets the row, so that it counts when read again"
            )
        else:
            yield Command(f"visitor-sync rejections retry {key}", "has it tried once more")


def named(key: ContactKey | None) -> str:
    """A contact by its key."""
    if key is None:
        return "another contact"
    return {EMAIL: key.value, VISITOR: f"visitor {key.value}", RECORD: f"record {key.value}"}[key.kind]


def _mode(kind: ContactKind) -> str:
    """The setting that says whether a contact of this kind is made."""
    return "SYNC_KNOWN" if kind is EMAIL else "SYNC_ANONYMOUS"


def _policy(name: str, synced: SyncedFields) -> str:
    field = synced.by_property.get(name)
    return f"{field.write_setting}={field.policy.value}" if field else "overwrite"


def _said(finding: Finding) -> str:
    said = finding.refusal
    return f": {said.reason.rstrip('.')} ({said.code})" if said else ""
