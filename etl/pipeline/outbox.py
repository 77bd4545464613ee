"""What goes out: batches of due contacts, several in flight, until every contact has its verdict."""

from __future__ import annotations

from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.errors import SyncError
from etl.models.contact import KEEP, LOOK, RECORD, ContactKey
from etl.models.verdict import CREATED, DEFERRED, KEPT, REJECTED, SETTLED, Delivery, Sight, Verdict
from etl.pipeline import writing
from etl.pipeline.absorb import unite
from etl.pipeline.backlog import Backlog
from etl.pipeline.brake import Brake
from etl.pipeline.differing import Differences
from etl.pipeline.ending import as_bug, graver
from etl.pipeline.forgetting import stay_away
from etl.pipeline.refusals import Refusals
from etl.pipeline.sighting import sort_out
from etl.pipeline.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from etl.models.contact import Parcel
    from etl.models.record import ShownContact
    from etl.pipeline.absorb import Renewed
    from etl.pipeline.books import Books
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Destination, Store, Transaction

MOST_DOUBTFUL = 10
"""So many attempts to write a contact are remembered, as long as HubSpot says nothing of any."""

HOLD_BACK_S = 20.0
"""Pages wait for the destination so long in all, and no longer: the source's ranges move on meanwhile."""

_STOPPED = "More contacts than SYNC_MAX_CHANGED allows would have values written over: the run stops before."


@dataclass(slots=True)
class Outbox:
    """The deliveries of one run. ``stop`` is why nothing more is sent; None as long as there is no reason.

    ``strangers`` are the contacts that were made, or would be, for visitors of whom only the id is known.
    ``differences`` are what a dry run would do.
    """

    order: Order
    destination: Destination
    store: Store
    books: Books
    stop: SyncError | None = None
    strangers: int = 0
    in_flight: dict[Future[Any], list[Parcel]] = field(init=False, default_factory=dict)
    differences: Differences = field(init=False)
    _backlog: Backlog = field(init=False)
    _refusals: Refusals = field(init=False)
    _silence: Silence = field(init=False)
    _darkness: Silence = field(init=False)
    _brake: Brake = field(init=False)
    _may_send: bool = field(init=False, default=True)
    _held_back_s: float = field(init=False, default=0.0)
    _went: dict[int, int] = field(init=False, default_factory=dict)
    """Contacts that turned out to be others, while they were in flight."""

    _twice: set[int] = field(init=False, default_factory=set)
    """Contacts that others turned out to be, while they were in flight: what came last is not known."""

    _kept: set[tuple[str, str]] = field(init=False, default_factory=set)
    _replaced: set[tuple[str, str]] = field(init=False, default_factory=set)
    """Records and the properties of theirs that were: each value counts once, however often it is sent."""

    _requests_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.differences = Differences(self.order.synced)
        self._backlog = Backlog(self.order)
        self._refusals = Refusals(self.order.max_rejected, self.destination.too_many_refused)
        self._silence, self._darkness = (Silence(self.destination.silent) for _ in range(2))
        self._brake = Brake(self.order.max_changed, self.destination.too_many_changed)
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
        self._backlog.returned(self._brake.let_go(renewed), held_back=())
        self._backlog.renew(renewed | dict.fromkeys(late))
        self.look_again()

    def begin_empty(self) -> None:
        """Nothing is due so far."""
        self._backlog.begin_empty()

    def look_again(self) -> None:
        """Something has changed: there may be a batch to send."""
        self._may_send = True

    def pump(self, threads: Executor, *, flush: bool) -> None:
        """Keep as many batches in flight as are allowed; incomplete ones only to ``flush``."""
        while self._may_send and not self.stop and len(self.in_flight) < self.order.concurrency:
            if self._backlog.wants_a_look(flush=flush):
                with self.store.reading() as state:
                    self._backlog.look(state.ledger, flush=flush)
            looking = any(batch[0].way is LOOK for batch in self.in_flight.values())
            batch = self._backlog.next_batch(flush=flush, looking=looking)
            if batch:
                if batch := self._checked(batch):
                    self.in_flight[self._begin(batch, threads)] = batch
            elif self._brake.is_full or (flush and self._brake.is_on and not self.in_flight):
                self._release()
            else:
                self._may_send = False

    def _checked(self, batch: list[Parcel]) -> list[Parcel]:
        """What of ``batch`` may be sent now; without a look, what may be ours is only now written down."""
        if batch[0].way in (LOOK, KEEP) or batch[0].is_seen:
            return batch
        free = self._brake.park(batch)
        if intentions := self._intentions(free):
            with self.store.transaction() as state:
                state.ledger.intend(intentions)
        return free

    def _begin(self, batch: list[Parcel], threads: Executor) -> Future[Any]:
        way = batch[0].way
        if way is LOOK:
            return threads.submit(self.destination.look_for, batch)
        if way is not KEEP:
            return threads.submit(self.destination.deliver, batch)
        nothing: Future[Any] = Future()
        nothing.set_result(Delivery(tuple(_kept(parcel) for parcel in batch)))
        return nothing

    def _release(self) -> None:
        """Let those go on that wait for all others, unless they are too many: then nothing more is sent."""
        judged = self._brake.judge()
        if isinstance(judged, SyncError):
            self.stop = judged
            if self.order.dry_run:
                self.differences.hold_back(self._brake.parked, _STOPPED)
            return
        with self.store.transaction() as state:
            state.ledger.intend(self._intentions(judged))
        self._backlog.go_on(judged)

    def collect(self) -> int:
        """Commit what is known of the batches that came back. Returns how many contacts got a verdict."""
        done = [future for future in self.in_flight if future.done()]
        if not done:
            return 0
        batches = [(future, self.in_flight.pop(future)) for future in done]
        sights = [(batch, _sight(future)) for future, batch in batches if batch[0].way is LOOK]
        returned = [
            (batch, self._delivery(future, batch)) for future, batch in batches if batch[0].way is not LOOK
        ]
        settled = self._settle(returned, sights)
        self.look_again()
        return settled

    def _delivery(self, future: Future[Delivery], batch: list[Parcel]) -> Delivery:
        delivery = _delivery(future, batch)
        return delivery if batch[0].way is KEEP else self._silence.judge(batch, delivery)

    def abandon(self, *, grace_s: float) -> None:
        """Wait for what is in flight, no longer than ``grace_s``."""
        wait(self.in_flight, timeout=grace_s)

    def _settle(
        self, returned: Sequence[tuple[list[Parcel], Delivery]], sights: Sequence[tuple[list[Parcel], Sight]]
    ) -> int:
        delivered = [pair for batch, delivery in returned for pair in _paired(batch, delivery.verdicts)]
        looked = [sort_out(batch, self._darkness.judge_sight(batch, sight)) for batch, sight in sights]
        answered = [pair for pair in delivered if not pair[1].lost]
        answered += [pair for each in looked for pair in each.settled]
        onward = [writing.lost(parcel) for parcel, verdict in delivered if verdict.lost]
        onward += [parcel for each in looked for parcel in each.onward]
        deferred = {verdict.contact_id for _, verdict in answered if verdict.outcome is DEFERRED}
        for batch, _ in (*returned, *sights):
            self._backlog.returned((parcel.contact_id for parcel in batch), held_back=deferred)
        with self.store.transaction() as state:
            met, same = self._meet([pair for each in looked for pair in each.found], state)
            answered += [(each, _kept(each)) for each in met if each.way is KEEP]
            onward = [each for each in (*onward, *met) if each.way is not KEEP and self._is_here(each)]
            told = [(parcel, verdict) for parcel, verdict in answered if self._is_here(parcel)]
            told = self._without_forgotten(told, state)
            self._show(told, state)
            settled = state.ledger.settle(told)
            state.ledger.intend(self._withdrawn(told))
            state.rejections.settle(told)
            state.verdicts.settle(self.order.run, told)
            self._count(told, due=settled.due)
            again = self._disturb(settled.kin) | self._unite(told, [*settled.same, *same], state)
            again |= self._disturb(state.records.doubt(self._overtaken(delivered)))
            onward = [each for each in onward if self._is_here(each) and each.contact_id not in again]
            free = self._brake.park(onward)
            state.ledger.intend(self._intentions(free))
        self._backlog.hold(each.contact_id for each in onward)
        self._backlog.go_on(free)
        for _, delivery in returned:
            self.stop = graver(self.stop, graver(delivery.stop, self._refusals.weigh(delivery.verdicts)))
        for _, sight in sights:
            self.stop = graver(self.stop, sight.stop)
        if (settled.due - deferred) | again:
            self._backlog.wait_with_some()
        return len(answered) - len(deferred)

    def _is_here(self, parcel: Parcel) -> bool:
        """Whether the contact is still what it was when it was handed out."""
        return parcel.contact_id not in self._went and parcel.contact_id not in self.books.erased

    def _meet(
        self, found: Sequence[tuple[Parcel, ShownContact]], state: Transaction
    ) -> tuple[list[Parcel], list[tuple[int, int]]]:
        """What is to be written to the records that were found, and pairs of contacts that are one of them.

        A contact is a record as soon as HubSpot has told its id.
        """
        here = [(parcel, shown) for parcel, shown in found if self._is_here(parcel)]
        news = {parcel.contact_id: shown.record for parcel, shown in here if parcel.record is None}
        self._leave_forgotten(news, state)
        news = {number: record for number, record in news.items() if number not in self.books.erased}
        same = state.ledger.meet(news)
        united = {number for pair in same for number in pair}
        met = [
            writing.found(parcel, parcel.record or shown.record, shown.properties, self.order.synced)
            for parcel, shown in here
            if self._is_here(parcel) and parcel.contact_id not in united
        ]
        return met, same

    def _show(self, told: Sequence[tuple[Parcel, Verdict]], state: Transaction) -> None:
        """What a dry run would do, before it is written down as done."""
        if self.order.dry_run:
            refused = state.rejections.reasons([parcel.contact_id for parcel, _ in told])
            self.differences.add(told, refused)

    def _count(self, told: Sequence[tuple[Parcel, Verdict]], *, due: set[int]) -> None:
        """Into the books."""
        self.books.settle((verdict for _, verdict in told), due=due)
        self._brake.count(verdict for _, verdict in told)
        for parcel, verdict in told:
            if verdict.outcome in SETTLED:
                record = verdict.record or str(parcel.record)
                self._kept |= {(record, name) for name in parcel.yields}
                self._replaced |= {(record, name) for name in parcel.replaces}
            if verdict.outcome is CREATED and parcel.id_property == self.order.synced.visitor_id:
                self.strangers += 1
        self.books.values.kept, self.books.values.replaced = len(self._kept), len(self._replaced)

    def _without_forgotten(
        self, answered: list[tuple[Parcel, Verdict]], state: Transaction
    ) -> list[tuple[Parcel, Verdict]]:
        """A contact that turns out to be a record which was forgotten is forgotten, too."""
        told = {
            parcel.contact_id: verdict.record
            for parcel, verdict in answered
            if verdict.record is not None and verdict.is_new_to(parcel)
        }
        self._leave_forgotten(told, state)
        return [pair for pair in answered if pair[0].contact_id not in self.books.erased]

    def _leave_forgotten(self, told: Mapping[int, str], state: Transaction) -> None:
        if not told or state.forgotten.is_empty():
            return
        records = {number: ContactKey(RECORD, record) for number, record in told.items()}
        buried = state.forgotten.among(records.values())
        contacts = state.entries.by_id([number for number, key in records.items() if key in buried])
        keys = {entry.key for entry in contacts.values()}
        synced, books = self.order.synced, self.books
        self._backlog.renew(stay_away((), keys, synced=synced, state=state, books=books))

    def _intentions(self, parcels: Iterable[Parcel]) -> dict[int, tuple[Mapping[str, str], ...]]:
        """What HubSpot may hold of these from now on, where only that tells later on whose it is."""
        synced = self.order.synced
        intended = {each.contact_id: (each.written.maybe, writing.intended(each, synced)) for each in parcels}
        return {
            number: (*maybe, texts)[-MOST_DOUBTFUL:]
            for number, (maybe, texts) in intended.items()
            if texts and texts not in maybe
        }

    def _withdrawn(self, told: Sequence[tuple[Parcel, Verdict]]) -> dict[int, tuple[Mapping[str, str], ...]]:
        """What HubSpot may hold of those that it refused: what it might have held before, and no more."""
        return {
            parcel.contact_id: parcel.written.maybe
            for parcel, verdict in told
            if verdict.outcome is REJECTED and writing.intended(parcel, self.order.synced)
        }

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
        concerned = {*went, *went.values()}
        self.differences.drop(went)
        self._backlog.returned(self._brake.let_go(concerned), held_back=())
        self._backlog.call_back(concerned)
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


def _sight(future: Future[Sight]) -> Sight:
    try:
        return future.result()
    except Exception as exc:  # noqa: BLE001 -- likewise
        return Sight({}, stop=as_bug(exc))


def _kept(parcel: Parcel) -> Verdict:
    return Verdict(parcel.contact_id, KEPT)
