"""What goes out: batches of due contacts, several in flight, until every contact has its verdict."""

from __future__ import annotations

from concurrent.futures import wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.models.contact import RECORD, ContactKey
from etl.models.verdict import CREATED, DEFERRED, Delivery, Verdict
from etl.pipeline.absorb import unite
from etl.pipeline.backlog import Backlog
from etl.pipeline.ending import as_bug, graver
from etl.pipeline.forgetting import stay_away
from etl.pipeline.refusals import Refusals
from etl.pipeline.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor, Future

    from etl.errors import SyncError
    from etl.models.contact import Parcel
    from etl.pipeline.absorb import Renewed
    from etl.pipeline.books import Books
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Destination, Store, Transaction

HOLD_BACK_S = 20.0
"""Pages wait for the destination so long in all, and no longer: the source's ranges move on meanwhile."""


@dataclass(slots=True)
class Outbox:
    """The deliveries of one run. ``stop`` is why nothing more is sent; None as long as there is no reason.

    ``strangers`` are the contacts that were made, or would be, for visitors of whom only the id is known.
    """

    order: Order
    destination: Destination
    store: Store
    books: Books
    stop: SyncError | None = None
    strangers: int = 0
    in_flight: dict[Future[Delivery], list[Parcel]] = field(init=False, default_factory=dict)
    _backlog: Backlog = field(init=False)
    _refusals: Refusals = field(init=False)
    _silence: Silence = field(init=False)
    _may_send: bool = field(init=False, default=True)
    _held_back_s: float = field(init=False, default=0.0)
    _went: dict[int, int] = field(init=False, default_factory=dict)
    """Contacts that turned out to be others, while they were in flight."""

    _twice: set[int] = field(init=False, default_factory=set)
    """Contacts that others turned out to be, while they were in flight: what came last is not known."""

    _requests_before: int = field(init=False)

    def __post_init__(self) -> None:
        self._backlog = Backlog(self.order)
        self._refusals = Refusals(self.order.max_rejected, self.destination.too_many_refused)
        self._silence = Silence(self.destination.silent)
        self._requests_before = self.destination.requests

    @property
    def requests(self) -> int:
        """HTTP requests to the destination, retries included."""
        return self.destination.requests - self._requests_before

    @property
    def has_enough(self) -> bool:
        """Whether another page may wait: the destination is slower, and what is due just fits into memory.

        What does not fit has to be looked up in the ledger again, once there is room for it.
        """
        return self._held_back_s < HOLD_BACK_S and bool(self.in_flight) and self._backlog.is_full

    def held_back(self, seconds: float) -> None:
        """A page has waited so long."""
        self._held_back_s += seconds

    def take(self, renewed: Renewed) -> None:
        """A page has changed these contacts. One that this run has created waits for what else may change."""
        late = [contact_id for contact_id in renewed if self.books.was_created(contact_id)]
        if late:
            self._backlog.wait_with_some()
        self._backlog.renew(renewed | dict.fromkeys(late))
        self.look_again()

    def look_again(self) -> None:
        """Something has changed: there may be a batch to send."""
        self._may_send = True

    def pump(self, threads: Executor, *, flush: bool) -> None:
        """Keep as many batches in flight as are allowed; incomplete ones only to ``flush``."""
        while self._may_send and not self.stop and len(self.in_flight) < self.order.concurrency:
            if self._backlog.wants_a_look(flush=flush):
                with self.store.reading() as state:
                    self._backlog.look(state.ledger, flush=flush)
            batch = self._backlog.next_batch(flush=flush)
            if batch:
                self.in_flight[threads.submit(self.destination.deliver, batch)] = batch
            self._may_send = bool(batch)

    def collect(self) -> int:
        """Commit the verdicts on the batches that came back. Returns how many contacts got one."""
        done = [future for future in self.in_flight if future.done()]
        if not done:
            return 0
        batches = [self.in_flight.pop(future) for future in done]
        deliveries = [
            self._silence.judge(batch, _delivery(future, batch))
            for future, batch in zip(done, batches, strict=True)
        ]
        settled = self._settle(list(zip(batches, deliveries, strict=True)))
        self.look_again()
        return settled

    def abandon(self, *, grace_s: float) -> None:
        """Wait for what is in flight, no longer than ``grace_s``."""
        wait(self.in_flight, timeout=grace_s)

    def _settle(self, returned: Sequence[tuple[list[Parcel], Delivery]]) -> int:
        everything = [pair for batch, delivery in returned for pair in _paired(batch, delivery.verdicts)]
        away = self._went.keys() | self.books.erased
        answered = [pair for pair in everything if pair[0].contact_id not in away]
        deferred = {verdict.contact_id for _, verdict in answered if verdict.outcome is DEFERRED}
        self.strangers += sum(
            verdict.outcome is CREATED and parcel.id_property == self.order.synced.visitor_id
            for parcel, verdict in answered
        )
        for batch, _ in returned:
            self._backlog.returned((parcel.contact_id for parcel in batch), held_back=deferred)
        with self.store.transaction() as state:
            answered = self._without_forgotten(answered, state)
            settled = state.ledger.settle(answered)
            state.rejections.settle(answered)
            self.books.settle((verdict for _, verdict in answered), due=settled.due)
            again = self._disturb(settled.kin) | self._unite(answered, settled.same, state)
            again |= self._disturb(state.records.doubt(self._overtaken(everything)))
        for _, delivery in returned:
            self.stop = graver(self.stop, graver(delivery.stop, self._refusals.weigh(delivery.verdicts)))
        if (settled.due - deferred) | again:
            self._backlog.wait_with_some()
        return len(everything) - len(deferred)

    def _without_forgotten(
        self, answered: list[tuple[Parcel, Verdict]], state: Transaction
    ) -> list[tuple[Parcel, Verdict]]:
        """A contact that turns out to be a record which was forgotten is forgotten, too."""
        if state.forgotten.is_empty():
            return answered
        told = {
            parcel.contact_id: ContactKey(RECORD, verdict.record)
            for parcel, verdict in answered
            if verdict.record is not None and verdict.is_new_to(parcel)
        }
        buried = state.forgotten.among(told.values())
        contacts = state.entries.by_id([number for number, key in told.items() if key in buried])
        keys = {entry.key for entry in contacts.values()}
        synced, books = self.order.synced, self.books
        self._backlog.renew(stay_away((), keys, synced=synced, state=state, books=books))
        return [pair for pair in answered if pair[0].contact_id not in books.erased]

    def _disturb(self, contact_ids: set[int]) -> set[int]:
        """These are due once more, for no row's sake."""
        for contact_id in contact_ids:
            self.books.disturb(contact_id)
        return contact_ids

    def _overtaken(self, returned: Sequence[tuple[Parcel, Verdict]]) -> set[int]:
        """Contacts of which HubSpot may hold what only one of the two said that they were."""
        ids = {parcel.contact_id for parcel, _ in returned}
        overtaken = {self._went[contact_id] for contact_id in ids & self._went.keys()} | (ids & self._twice)
        self._twice -= ids
        return overtaken

    def _unite(
        self, answered: Sequence[tuple[Parcel, Verdict]], same: Sequence[tuple[int, int]], state: Transaction
    ) -> set[int]:
        """Follow records to their new ids, and make one contact of those that are one record."""
        for parcel, verdict in answered:
            if parcel.record is not None and verdict.is_new_to(parcel):
                state.links.rename(parcel.record, str(verdict.record))
        went = unite(same, synced=self.order.synced, state=state, books=self.books)
        self._went = {one: went.get(other, other) for one, other in self._went.items()} | went
        self._twice |= {stays for stays in went.values() if self._backlog.is_in_flight(stays)}
        self._backlog.unite(went)
        return set(went.values())


def _paired(batch: list[Parcel], verdicts: Sequence[Verdict]) -> Iterator[tuple[Parcel, Verdict]]:
    by_id = {verdict.contact_id: verdict for verdict in verdicts}
    return ((parcel, by_id[parcel.contact_id]) for parcel in batch)


def _delivery(future: Future[Delivery], batch: list[Parcel]) -> Delivery:
    try:
        return future.result()
    except Exception as exc:  # noqa: BLE001 -- the other batches in flight are still worth waiting for
        verdicts = (Verdict(each.contact_id, DEFERRED) for each in batch)
        return Delivery(tuple(verdicts), as_bug(exc))
