"""Undoing a run: what it replaced is put back where nobody has changed it since. It is a run itself."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.errors import BooksDoNotBalanceError, SettingsError, SyncError
from etl.models.contact import Parcel
from etl.models.difference import Difference
from etl.models.summary import ContactCounts, MadeContact, RunSummary, UndoneCounts
from etl.models.verdict import CREATED, DEFERRED, GONE, REJECTED, TAKEN, Delivery, Verdict
from etl.pipeline import undo
from etl.pipeline.ending import as_bug, conclude, drop_verdicts, graver, remember_stop, write_down
from etl.pipeline.ending import facts as _facts
from etl.pipeline.ownership import recognise
from etl.pipeline.packing import id_property
from etl.pipeline.undo import Case
from etl.pipeline.unmaking import unmake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from etl.clock import Clock
    from etl.models.contact import LedgerEntry
    from etl.models.deed import Deed
    from etl.models.difference import Action, ValueChange
    from etl.models.summary import MadeFate, PastRun
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Restorer, Store, Transaction

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Contacts in a request that writes."""

_PAGE = 1000

_UNCHANGED, _UPDATED, _KEPT, _ABSENT = "unchanged", "updated", "kept", "absent"
_REJECTED, _DEFERRED = "rejected", "deferred"
_STANDINGS: dict[MadeFate, str] = {
    "left": _UNCHANGED,
    "archived": _UPDATED,
    "changed": _KEPT,
    "gone": _ABSENT,
    "deferred": _DEFERRED,
}


def take_back(
    order: Order,
    past: PastRun,
    *,
    archive_created: bool,
    destination: Restorer,
    store: Store,
    clock: Clock,
    interruption: Callable[[], SyncError | None] = lambda: None,
) -> RunSummary:
    """Undo the run ``past``, whose verdicts are kept, and say what happened: every end is in the summary.

    ``interruption`` is asked between batches. Raises SyncError only where this could not even be begun.
    """
    counts = UndoneCounts(past.run)
    summary = RunSummary(order.run, order.kind, order.website, order.dry_run, undo=counts)
    summary.notes = store.take_notes()
    summary.warnings += summary.notes
    with store.transaction() as state:
        website = state.runs.website(order.website)
        state.runs.begin(order.run, website.id, order.kind, clock.now())
    summary.watermark_before = summary.watermark_after = website.watermark
    log.info("run started", extra=_facts(order, "run_started"))
    _Undoing(order, past, archive_created, destination, store, clock, interruption, summary, counts).execute()
    log.info("run finished", extra=_facts(order, "run_finished") | summary.as_dict())
    return summary


@dataclass(slots=True)
class _Undoing:
    order: Order
    past: PastRun
    archive_created: bool
    destination: Restorer
    store: Store
    clock: Clock
    interruption: Callable[[], SyncError | None]
    summary: RunSummary
    counts: UndoneCounts
    failure: SyncError | None = None
    standings: Counter[str] = field(default_factory=Counter)
    contacts: int = 0
    started: float = field(init=False)
    requests_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock.monotonic()
        self.requests_before = self.destination.requests

    def execute(self) -> None:
        try:
            self._recognise()
            for deeds in self._batches():
                self.contacts += len(deeds)
                self.failure = self.failure or self.interruption()
                if deeds[0].outcome is CREATED:
                    self._leave_or_archive(deeds)
                elif self.failure:
                    self._stand(_DEFERRED, len(deeds))
                else:
                    self._restore(deeds)
            self._close_books(self.failure)
        except SyncError as failure:
            self._close_books(graver(failure, self.interruption()), audit=False)
        except Exception as exc:  # noqa: BLE001 -- a bug ends in the summary too, and in exit 1
            self._close_books(as_bug(exc), audit=False)

    def _recognise(self) -> None:
        """Raises SettingsError unless the records are surely those of the portal that the token opens."""
        with self.store.reading() as state:
            owner = state.ownership.owner()
        self.summary.portal = owner.portal_id if owner else None
        if owner is None or (owner.credential == self.destination.credential and not owner.released):
            return
        met = self.destination.portal()
        found = recognise(owner, met=met, credential=self.destination.credential, words=self.destination)
        if found.anew or found.doubt:
            raise SettingsError(
                "It is not known whether HUBSPOT_ACCESS_TOKEN opens the portal to which the run has written.",
                fix="Undo with the token of that run; or run visitor-sync run once with this one, then undo.",
            )
        with self.store.transaction() as state:
            state.ownership.put(found.owner)
        self.summary.portal = found.owner.portal_id

    def _batches(self) -> Iterator[Sequence[Deed]]:
        """What the run wrote: contacts that it had made, or that it changed, in batches of their own."""
        after = 0
        while True:
            with self.store.reading() as state:
                deeds = state.verdicts.of_run(self.past.number or 0, after=after, most=_PAGE)
            if not deeds:
                return
            after = deeds[-1].contact_id
            made = [deed for deed in deeds if deed.outcome is CREATED]
            changed = [deed for deed in deeds if deed.outcome is not CREATED and deed.after]
            for each in (changed, made):
                yield from (each[start : start + AT_ONCE] for start in range(0, len(each), AT_ONCE))

    def _stand(self, standing: str, contacts: int = 1) -> None:
        self.standings[standing] += contacts

    def _entries(self, deeds: Iterable[Deed]) -> dict[int, LedgerEntry]:
        with self.store.reading() as state:
            return state.entries.by_id([deed.contact_id for deed in deeds])

    def _restore(self, deeds: Sequence[Deed]) -> None:
        """Read a batch, decide, remember what is going to be ours, write, and commit the verdicts."""
        entries = self._entries(deeds)
        cases = self._cases(deeds, entries)
        batch = [self._parcel(case) for case in cases if case.sends]
        self._intend(cases)
        delivery = self.destination.deliver(batch) if batch else Delivery(())
        self.failure = graver(self.failure, delivery.stop)
        verdicts = {verdict.contact_id: verdict for verdict in delivery.verdicts}
        pairs = [(parcel, verdicts[parcel.contact_id]) for parcel in batch]
        told = {number for number, verdict in verdicts.items() if verdict.outcome in TAKEN}
        done = [case for case in cases if not case.sends or case.deed.contact_id in told]
        with self.store.transaction() as state:
            self._settle(pairs, done, state)
        for case in done:
            self._count(case)
        self._show(cases)

    def _intend(self, cases: Iterable[Case]) -> None:
        intended = {
            case.deed.contact_id: (*case.entry.written.maybe, texts)
            for case in cases
            if (texts := case.intended)
        }
        if intended:
            with self.store.transaction() as state:
                state.ledger.intend(intended)

    def _cases(self, deeds: Sequence[Deed], entries: Mapping[int, LedgerEntry]) -> list[Case]:
        """Of the contacts that HubSpot shows; the others are counted."""
        synced = self.order.synced
        known = [deed for deed in deeds if deed.record is not None]
        self._leave(len(deeds) - len(known))
        asked = [self._asking(deed, undo.restorable(deed, synced)) for deed in known]
        seen = self.destination.recall(asked)
        self.failure = graver(self.failure, seen.sight.stop)
        cases: dict[str, Case] = {}
        for deed in known:
            number = deed.contact_id
            shown = seen.sight.found.get(number)
            if shown is None:
                self._miss(deed, is_gone=number in seen.sight.missing)
            elif shown.record in cases or entries[number].record not in (deed.record, shown.record):
                self._leave()
            else:
                began, past = self.past.started + seen.ahead, seen.versions.get(number, {})
                found = undo.reversals(deed, shown, past, began=began, synced=synced)
                cases[shown.record] = Case(deed, entries[number], shown, found)
        return list(cases.values())

    def _leave(self, contacts: int = 1) -> None:
        """What they were is another contact now, or it was never told which record they are."""
        self._stand(_UNCHANGED, contacts)
        self.counts.left += contacts

    def _miss(self, deed: Deed, *, is_gone: bool) -> None:
        self._stand(_ABSENT if is_gone else _DEFERRED)
        self.counts.gone += is_gone
        if self.order.dry_run:
            self._tell(deed, "gone" if is_gone else "deferred")

    def _asking(self, deed: Deed, names: tuple[str, ...]) -> Parcel:
        """Somebody to be looked at. The fingerprint is of no account: an undo confirms nothing."""
        by = id_property(deed.key.kind, self.order.synced)
        return Parcel(
            deed.contact_id, by, deed.key.value, {}, b"", record=deed.record, known=True, asks=names
        )

    def _parcel(self, case: Case) -> Parcel:
        sends, held = case.sends, case.shown.properties
        return self._asking(case.deed, tuple(sends))._replace(
            record=case.shown.record,
            properties=sends,
            is_seen=True,
            shown=held,
            before={name: held.get(name, "") for name in sends},
        )

    def _settle(
        self, pairs: Sequence[tuple[Parcel, Verdict]], done: Iterable[Case], state: Transaction
    ) -> None:
        refused = [pair for pair in pairs if pair[1].outcome is REJECTED]
        state.verdicts.settle(self.order.run, [pair for pair in pairs if pair[1].outcome in TAKEN])
        state.rejections.settle(refused)
        state.ledger.remember_all(
            {
                case.deed.contact_id: written
                for case in done
                if (written := case.remembered(self.order.synced)) is not case.entry.written
            }
        )
        self._stand(_REJECTED, len(refused))
        for _, verdict in pairs:
            is_gone = verdict.lost or verdict.outcome is GONE
            self.counts.gone += is_gone
            if is_gone or verdict.outcome is DEFERRED:
                self._stand(_ABSENT if is_gone else _DEFERRED)

    def _count(self, case: Case) -> None:
        """A contact on which all is as it is to be."""
        self._stand(_UPDATED if case.sends else _KEPT if case.kept else _UNCHANGED)
        self.counts.restored += case.is_back
        self.counts.changed += bool(case.kept)
        self.summary.values.kept += case.kept

    def _show(self, cases: Iterable[Case]) -> None:
        if not self.order.dry_run:
            return
        for case in cases:
            changes = case.changes
            action: Action = "update" if case.sends else "keep" if changes else "unchanged"
            self._tell(case.deed, action, changes)

    def _tell(self, deed: Deed, action: Action, changes: tuple[ValueChange, ...] = ()) -> None:
        key = deed.key
        self.summary.differences.append(Difference(key.value, key.kind, deed.record, action, changes))

    def _leave_or_archive(self, deeds: Sequence[Deed]) -> None:
        """What the run had made is told, and taken away where that is wanted and nobody has touched it."""
        fates: dict[int, MadeFate] = dict.fromkeys((deed.contact_id for deed in deeds), "left")
        if self.archive_created:
            fates = dict.fromkeys(fates, "deferred")
        if self.archive_created and not self.failure:
            judged, self.failure = unmake(deeds, self.past, self.order, self.destination, self.store)
            fates |= judged
        for deed in deeds:
            fate = fates[deed.contact_id]
            self._stand(_STANDINGS[fate])
            self.summary.made.append(MadeContact(deed.key.value, deed.key.kind, deed.record, fate))
        counted = Counter(fates.values())
        self.counts.created += len(deeds)
        self.counts.archived += counted["archived"]
        self.counts.changed += counted["changed"]
        self.counts.gone += counted["gone"]

    def _close_books(self, failure: SyncError | None, *, audit: bool = True) -> None:
        """Write down how the run ended. Without ``audit``, as well as a failing database allows."""
        summary, order = self.summary, self.order
        summary.contacts = ContactCounts(touched=self.contacts, **self.standings)
        summary.requests.hubspot = self.destination.requests - self.requests_before
        summary.elapsed_s = round(self.clock.monotonic() - self.started, 3)
        if audit and self.standings.total() != self.contacts:
            failure = BooksDoNotBalanceError(
                f"{self.contacts} contacts, {self.standings.total()} accounted for."
            )
        conclude(summary, failure, newly_rejected=self.standings[_REJECTED])
        if failure is None and self.standings[_DEFERRED]:
            summary.reason = (
                f"{self.standings[_DEFERRED]} contacts got no verdict; the same command goes on with them."
            )
        try:
            with self.store.transaction() as state:
                asked, now = summary.requests.hubspot, self.clock.now()
                remember_stop(self.destination.api, failure, asked=asked, state=state)
                write_down(summary, order, state, now=now)
                drop_verdicts(order, state, now=now)
        except SyncError:
            if audit:
                raise
            log.warning("the end of the run was not written down", extra=_facts(order, "run_not_recorded"))
