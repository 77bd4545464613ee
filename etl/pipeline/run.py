"""One run over one website: pages are read while batches are in flight; one thread writes the state."""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.errors import (
    InterruptedRunError,
    SyncError,
    UnavailableError,
)
from etl.models.reading import ReadResult
from etl.models.stop import Stop
from etl.models.summary import RunSummary, utc_text
from etl.models.verdict import DEFERRED, Delivery, Verdict
from etl.pipeline.absorb import absorb
from etl.pipeline.backlog import Backlog
from etl.pipeline.books import Books
from etl.pipeline.ending import as_bug, conclude, graver
from etl.pipeline.ownership import recognise
from etl.pipeline.refusals import Refusals
from etl.pipeline.silence import Silence
from etl.pipeline.window import OpenWindow, is_suspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from etl.clock import Clock
    from etl.models.contact import Parcel
    from etl.models.portal import Owner
    from etl.models.reading import KnownWebsite, Page
    from etl.pipeline.order import Order
    from etl.pipeline.ownership import Recognition
    from etl.pipeline.ports import Adviser, Destination, Observer, Source, Store, Transaction

log = logging.getLogger(__name__)

TICK_S = 0.5
"""How often a signal is looked at while nothing happens."""

NOTE_S = 2.0
"""At least so often the requests sent so far are written down, and a lost state is noticed."""

HOLD_BACK_S = 20.0
"""Pages wait for HubSpot so long in all, and no longer: the source's ranges move on while they are read."""

GRACE_S = 30.0
"""After a signal, batches in flight have so long to come back."""


def sync(
    order: Order,
    *,
    source: Source,
    destination: Destination,
    store: Store,
    clock: Clock,
    interruption: Callable[[], SyncError | None] = lambda: None,
    observer: Observer | None = None,
    adviser: Adviser | None = None,
) -> RunSummary:
    """Bring one website's visitors to HubSpot and say what happened; every end of a run is in the summary.

    ``interruption`` is asked often: once it returns an error, the batches in flight may come back, and the
    run ends with that error. ``adviser`` is asked before it is written down how the run ended, unless it
    could not go on. Raises SyncError only where the run could not even be begun.
    """
    return _Run(order, source, destination, store, clock, interruption, observer, adviser).execute()


@dataclass(slots=True)
class _Run:
    order: Order
    source: Source
    destination: Destination
    store: Store
    clock: Clock
    interruption: Callable[[], SyncError | None]
    observer: Observer | None
    adviser: Adviser | None

    summary: RunSummary = field(init=False)
    books: Books = field(init=False, default_factory=Books)
    backlog: Backlog = field(init=False)
    requests_before: tuple[int, int] = field(init=False)
    noted_at: float = field(init=False)
    website_id: int = field(init=False, default=0)
    window: OpenWindow = field(init=False)
    source_failure: SyncError | None = field(init=False, default=None)
    delivery_stop: SyncError | None = field(init=False, default=None)
    held_back_s: float = field(init=False, default=0.0)
    silence: Silence = field(init=False, default_factory=Silence)
    refusals: Refusals = field(init=False)
    may_send: bool = field(init=False, default=True)
    reading: Future[Page | ReadResult] | None = field(init=False, default=None)
    in_flight: dict[Future[Delivery], list[Parcel]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        order = self.order
        self.summary = RunSummary(order.run, order.kind, order.website, order.dry_run)
        self.summary.notes = order.notes
        self.summary.warnings += order.notes
        self.backlog = Backlog(order.synced)
        self.refusals = Refusals(order.max_rejected)
        self.requests_before = self.source.requests, self.destination.requests
        self.noted_at = self.clock.monotonic()

    def execute(self) -> RunSummary:
        started = self.clock.monotonic()
        self._begin()
        threads = ThreadPoolExecutor(self.order.concurrency + 1, thread_name_prefix="sync")
        try:
            self._recognise()
            self._carry_over()
            self._loop(threads)
            self._close_books(graver(self._failure(), self.interruption()), started)
        except SyncError as failure:
            self._close_books(graver(failure, self.interruption()), started, audit=False)
        except Exception as exc:  # noqa: BLE001 -- a bug ends in the summary too, and in exit 1
            self._close_books(as_bug(exc), started, audit=False)
        finally:
            wait(self.in_flight, timeout=0 if self.interruption() else GRACE_S)
            threads.shutdown(wait=False, cancel_futures=True)
        log.info("run finished", extra=self._facts("run_finished") | self.summary.as_dict())
        return self.summary

    def _begin(self) -> None:
        order, started = self.order, self.clock.now()
        with self.store.transaction() as state:
            website = self._known_website(state, now=started)
            self.website_id = website.id
            backfill = None
            if order.kind == "backfill" and order.since is not None:
                backfill = state.backfills.begin(website.id, order.since, order.until)
            state.runs.begin(order.run, self.website_id, order.kind, started)
        self.window = OpenWindow(order, website, backfill, started=started)
        self.summary.watermark_before = self.summary.watermark_after = website.watermark
        log.info("run started", extra=self._facts("run_started"))

    def _recognise(self) -> None:
        """Make sure that the state is that of the portal, before anything is read or sent.

        A portal that cannot be asked gets nothing. Raises SettingsError where it is another one's.
        """
        credential = self.destination.credential
        with self.store.reading() as state:
            owner = state.ownership.owner()
        if owner is None or owner.released or owner.credential != credential:
            try:
                met = self.destination.portal()
            except InterruptedRunError:
                raise
            except SyncError as failure:
                self.delivery_stop = failure
                return
            owner = self._take_over(recognise(owner, met=met, credential=credential))
        self.summary.portal = owner.portal_id

    def _take_over(self, found: Recognition) -> Owner:
        with self.store.transaction() as state:
            state.ownership.put(found.owner)
            if found.anew:
                state.ledger.begin_anew()
                state.rejections.strike_out_contacts()
        if found.doubt:
            self._warn(found.doubt)
        return found.owner

    def _carry_over(self) -> None:
        with self.store.reading() as state:
            for contact_id in state.ledger.due_ids():
                self.books.carry_over(contact_id)

    def _known_website(self, state: Transaction, *, now: datetime) -> KnownWebsite:
        """What is known of the website; a watermark that a wrong clock took ahead is told and set back."""
        known = state.runs.website(self.order.website)
        if self.order.kind == "backfill":
            return known
        sound = state.runs.set_right(known, now=now)
        if sound.watermark != known.watermark:
            back = f"to {utc_text(sound.watermark)}" if sound.watermark else "to where a first run begins"
            self._warn(
                f"The watermark stood at {utc_text(known.watermark)}, far ahead of our own clock: some clock"
                f" was wrong. It is set back {back}, and what is listed since is read again."
            )
        return sound

    def _warn(self, warning: str) -> None:
        if warning not in self.summary.warnings:
            self.summary.warnings.append(warning)

    def _loop(self, threads: ThreadPoolExecutor) -> None:
        pages = self.source.read(self.window.request())
        self.reading = threads.submit(next, pages)
        give_up_at = float("inf")
        while self.clock.monotonic() < give_up_at:
            self._note_requests()
            self._send(threads)
            waiting_for: list[Future[Any]] = [*self.in_flight]
            started, holding = self.clock.monotonic(), self._has_enough
            if self.reading is not None and not holding:
                waiting_for.append(self.reading)
            if not waiting_for:
                return
            wait(waiting_for, timeout=TICK_S, return_when=FIRST_COMPLETED)
            self.held_back_s += self.clock.monotonic() - started if holding else 0.0
            self._collect_deliveries()
            self._send(threads)
            self._collect_page(threads, pages)
            if self.interruption() and give_up_at == float("inf"):
                give_up_at = self.clock.monotonic() + GRACE_S
                self.reading = None

    def _note_requests(self) -> None:
        """Limits are kept over restarts, also where this run is killed while it waits for a long time."""
        if self.clock.monotonic() - self.noted_at > NOTE_S:
            with self.store.transaction():
                pass
            self.noted_at = self.clock.monotonic()

    def _send(self, threads: ThreadPoolExecutor) -> None:
        """Keep as many batches in flight as are allowed, while there is something to send."""
        while self.may_send and len(self.in_flight) < self.order.concurrency:
            if self.delivery_stop or self.interruption():
                return
            if self.backlog.wants_a_look:
                with self.store.reading() as state:
                    self.backlog.look(state.ledger)
            batch = self.backlog.next_batch(flush=self.reading is None)
            if batch:
                self.in_flight[threads.submit(self.destination.deliver, batch)] = batch
            self.may_send = bool(batch)

    @property
    def _has_enough(self) -> bool:
        """Whether another page may wait: HubSpot is the slower side, and what is due just fits into memory.

        What does not fit has to be looked up in the ledger again, once there is room for it.
        """
        return self.held_back_s < HOLD_BACK_S and bool(self.in_flight) and self.backlog.is_full

    def _collect_deliveries(self) -> None:
        done = [future for future in self.in_flight if future.done()]
        if done:
            batches = [self.in_flight.pop(future) for future in done]
            self._settle_all(batches, [_delivery(*each) for each in zip(done, batches, strict=True)])
            self.may_send = True

    def _collect_page(self, threads: ThreadPoolExecutor, pages: Iterator[Page | ReadResult]) -> None:
        if self.reading is not None and self.reading.done() and not self._has_enough:
            self.reading = self._read(self.reading, threads, pages)
            self.may_send = True

    def _read(
        self,
        reading: Future[Page | ReadResult],
        threads: ThreadPoolExecutor,
        pages: Iterator[Page | ReadResult],
    ) -> Future[Page | ReadResult] | None:
        """Absorb the page that was read, and begin to read what follows it, if it was not the last."""
        try:
            page = reading.result()
        except SyncError as failure:
            self.source_failure = failure
            return None
        except Exception as exc:  # noqa: BLE001 -- what is in flight is still worth waiting for
            self.source_failure = as_bug(exc)
            return None
        if isinstance(page, ReadResult):
            self._close_window(page)
            return None
        self.summary.window = page.window
        if page.doubt:
            self._warn(page.doubt)
        if is_suspect(page):
            with self.store.reading() as state:
                self.source_failure = self.window.changed_api(page, state)
        if self.source_failure:
            return None
        fatal = self.delivery_stop and not isinstance(self.delivery_stop, UnavailableError)
        following = None if fatal else threads.submit(next, pages)
        self._absorb(page)
        return following

    def _absorb(self, page: Page) -> None:
        if page.restarted:
            self.books.count_rows_anew()
        with self.store.transaction() as state:
            absorbed = absorb(
                page,
                website_id=self.website_id,
                anonymous=self.order.anonymous,
                synced=self.order.synced,
                state=state,
                books=self.books,
            )
            made = self.source.requests - self.requests_before[0]
            self.window.absorbed(page, state, requests=made)
        if absorbed.renewed:
            self.backlog.outdate()
        else:
            self.backlog.add(absorbed.added)
        if self.observer:
            self.observer.rows_read(page.read)

    def _close_window(self, result: ReadResult) -> None:
        """The window is in the state to its end: only now may the watermark move."""
        self.summary.window = result.window
        with self.store.transaction() as state:
            website = self.window.close(result, state)
        if not self.order.dry_run:
            self.summary.watermark_after = website.watermark
        self.source_failure = self.window.failure
        self.summary.degraded = self.window.degraded
        for warning in self.window.warnings:
            self._warn(warning)

    def _settle_all(self, batches: Sequence[list[Parcel]], deliveries: Sequence[Delivery]) -> None:
        """Commit the verdicts on these batches, which came back at the same time."""
        deliveries = [self.silence.judge(*each) for each in zip(batches, deliveries, strict=True)]
        answered = [
            pair
            for batch, delivery in zip(batches, deliveries, strict=True)
            for pair in _paired(batch, delivery.verdicts)
        ]
        with self.store.transaction() as state:
            due = state.ledger.settle(answered)
            state.rejections.settle(answered)
        for batch, delivery in zip(batches, deliveries, strict=True):
            self._settle(batch, delivery, due)

    def _settle(self, batch: list[Parcel], delivery: Delivery, due: set[int]) -> None:
        verdicts = delivery.verdicts
        contact_ids = [parcel.contact_id for parcel in batch]
        deferred = [verdict.contact_id for verdict in verdicts if verdict.outcome is DEFERRED]
        self.books.settle(verdicts, due=due)
        self.backlog.returned(contact_ids, held_back=deferred, due_again=not due.isdisjoint(contact_ids))
        self.delivery_stop = graver(self.delivery_stop, delivery.stop)
        self.delivery_stop = graver(self.delivery_stop, self.refusals.weigh(verdicts))
        if self.observer:
            self.observer.contacts_settled(len(contact_ids) - len(deferred))

    def _failure(self) -> SyncError | None:
        return graver(self.source_failure, self.delivery_stop)

    def _close_books(self, failure: SyncError | None, started: float, *, audit: bool = True) -> None:
        """Write down how the run ended. Without ``audit``, as well as a failing database allows."""
        zenovay, hubspot = self.requests_before
        self.summary.rows, self.summary.contacts = self.books.rows, self.books.contacts()
        self.summary.requests.zenovay = self.source.requests - zenovay
        self.summary.requests.hubspot = self.destination.requests - hubspot
        self.summary.elapsed_s = round(self.clock.monotonic() - started, 3)
        conclude(self.summary, failure, newly_rejected=self.books.newly_rejected)
        try:
            with self.store.transaction() as state:
                if audit:
                    self.books.balance(due=state.ledger.due_count())
                self._remember_stops(state)
                self._write_down(state)
                if audit and self.adviser and (advice := self.adviser(self.summary, state)):
                    self.summary.warnings += advice
                    conclude(self.summary, failure, newly_rejected=self.books.newly_rejected)
                    self._write_down(state)
        except SyncError:
            if audit:
                raise
            log.warning("the end of the run was not written down", extra=self._facts("run_not_recorded"))

    def _write_down(self, state: Transaction) -> None:
        state.runs.end(self.order.run, self.clock.now(), self.summary.as_dict())

    def _remember_stops(self, state: Transaction) -> None:
        """What an API asked us to wait for outlives this run; once it answers well again, it is forgotten."""
        requests = self.summary.requests
        for api, failure, asked in (
            ("zenovay", self.source_failure, requests.zenovay),
            ("hubspot", self.delivery_stop, requests.hubspot),
        ):
            if isinstance(failure, UnavailableError) and failure.until:
                stop = Stop(failure.until, failure.what, failure.kind, failure.said_by)
                state.limits.remember_stop(api, stop)
            elif failure is None and asked:
                state.limits.remember_stop(api, None)

    def _facts(self, action: str) -> dict[str, object]:
        return {"action": action, "run": self.order.run, "website": self.order.website}


def _paired(batch: list[Parcel], verdicts: Sequence[Verdict]) -> Iterator[tuple[Parcel, Verdict]]:
    by_id = {verdict.contact_id: verdict for verdict in verdicts}
    return ((parcel, by_id[parcel.contact_id]) for parcel in batch)


def _delivery(future: Future[Delivery], batch: list[Parcel]) -> Delivery:
    try:
        return future.result()
    except Exception as exc:  # noqa: BLE001 -- the other batches in flight are still worth waiting for
        verdicts = (Verdict(each.contact_id, DEFERRED) for each in batch)
        return Delivery(tuple(verdicts), as_bug(exc))
