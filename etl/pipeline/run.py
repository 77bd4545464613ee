"""One run over one website: pages are read while batches are in flight; one thread writes the state."""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.context import in_this_context
from etl.errors import InterruptedRunError, LockedError, StateError, SyncError, UnavailableError
from etl.models.summary import RunSummary, utc_text
from etl.pipeline.books import Books
from etl.pipeline.ending import as_bug, conclude, drop_verdicts, graver, remember_stop, write_down
from etl.pipeline.ending import facts as _facts
from etl.pipeline.excluding import follow_exclusions
from etl.pipeline.intake import Intake
from etl.pipeline.linking import begin_anew, follow_links
from etl.pipeline.merging import foreseen, merge_left
from etl.pipeline.outbox import Outbox
from etl.pipeline.ownership import recognise
from etl.pipeline.recheck import look_again
from etl.pipeline.retention import prune, pruned_to
from etl.pipeline.window import OpenWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from etl.clock import Clock
    from etl.models.portal import Owner
    from etl.models.reading import KnownWebsite
    from etl.pipeline.order import Order
    from etl.pipeline.ownership import Recognition
    from etl.pipeline.ports import Adviser, Destination, Observer, Source, Store, Transaction

log = logging.getLogger(__name__)

TICK_S = 0.5
"""How often a signal is looked at while nothing happens."""

NOTE_S = 2.0
"""At least so often the requests sent so far are written down, and a lost state is noticed."""

MANY_STRANGERS = 1000
"""A run that makes more contacts without an address than this should not go unnoticed, the first time."""

DAY_S = 86_400.0
_STRANGERS = "strangers"

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
    summary = RunSummary(order.run, order.kind, order.website, order.dry_run)
    summary.notes = store.take_notes()
    summary.warnings += summary.notes
    started, books = clock.monotonic(), Books()
    intake = _begin(order, source, store, books, summary, now=clock.now())
    log.info("run started", extra=_facts(order, "run_started"))
    outbox = Outbox(order, destination, store, books)
    run = _Run(order, store, clock, interruption, observer, adviser, summary, books, intake, outbox, started)
    run.execute()
    log.info("run finished", extra=_facts(order, "run_finished") | summary.as_dict())
    return summary


def _begin(
    order: Order, source: Source, store: Store, books: Books, summary: RunSummary, *, now: datetime
) -> Intake:
    """Write down that the run has begun. Returns what it is going to read."""
    with store.transaction() as state:
        website = _known_website(order, state, summary, now=now)
        backfill = None
        if order.kind == "backfill" and order.since is not None:
            backfill = state.backfills.begin(website.id, order.since, order.until)
        state.runs.begin(order.run, website.id, order.kind, now)
        kept_since = pruned_to(order.website, state)
    summary.watermark_before = summary.watermark_after = website.watermark
    window = OpenWindow(order, website, backfill, started=now, source=source)
    return Intake(order, source, store, books, window, website, kept_since)


def _known_website(order: Order, state: Transaction, summary: RunSummary, *, now: datetime) -> KnownWebsite:
    """What is known of the website; a watermark that a wrong clock took ahead is told and set back."""
    known = state.runs.website(order.website)
    if order.kind == "backfill":
        return known
    sound = state.runs.set_right(known, now=now)
    if sound.watermark != known.watermark:
        back = f"to {utc_text(sound.watermark)}" if sound.watermark else "to where a first run begins"
        summary.warnings.append(
            f"The watermark stood at {utc_text(known.watermark)}, far ahead of our own clock: some clock"
            f" was wrong. It is set back {back}, and what is listed since is read again."
        )
    return sound


@dataclass(slots=True)
class _Run:
    order: Order
    store: Store
    clock: Clock
    interruption: Callable[[], SyncError | None]
    observer: Observer | None
    adviser: Adviser | None
    summary: RunSummary
    books: Books
    intake: Intake
    outbox: Outbox
    started: float
    noted_at: float = field(init=False)

    def execute(self) -> None:
        self.noted_at = self.started
        threads = ThreadPoolExecutor(
            self.order.concurrency + 1, thread_name_prefix="sync", initializer=in_this_context()
        )
        try:
            self._recognise()
            some_due = self._make_due()
            some_due |= follow_exclusions(self.order, self.store)
            some_due |= self._link()
            self._carry_over(some_due=some_due)
            self._loop(threads)
            self._merge()
            self._prune()
            failure = graver(self.intake.failure, self.outbox.stop)
            self._close_books(graver(failure, self.interruption()))
        except SyncError as failure:
            self._close_books(graver(failure, self.interruption()), audit=False)
        except Exception as exc:  # noqa: BLE001 -- a bug ends in the summary too, and in exit 1
            self._close_books(as_bug(exc), audit=False)
        finally:
            self.outbox.abandon(grace_s=0 if self.interruption() else GRACE_S)
            threads.shutdown(wait=False, cancel_futures=True)

    def _recognise(self) -> None:
        """Make sure that the state is that of the portal, before anything is read or sent.

        A portal that cannot be asked gets nothing. Raises SettingsError where it is another one's.
        """
        destination = self.outbox.destination
        with self.store.reading() as state:
            owner = state.ownership.owner()
        if owner is None or owner.released or owner.credential != destination.credential:
            with self._stopping_the_outbox():
                met = destination.portal()
            if self.outbox.stop:
                return
            owner = self._take_over(
                recognise(owner, met=met, credential=destination.credential, words=destination)
            )
        else:
            self._claim(owner)
        self.summary.portal = owner.portal_id

    def _claim(self, owner: Owner) -> None:
        """Raises SettingsError where the account is another state's."""
        if owner.portal_id is not None:
            with self.store.reading() as state:
                state.ownership.claim(owner.portal_id)

    def _take_over(self, found: Recognition) -> Owner:
        self._claim(found.owner)
        with self.store.transaction() as state:
            state.ownership.put(found.owner)
            if found.anew:
                state.rejections.strike_out_contacts()
                begin_anew(self.order, state)
        if found.doubt:
            self._warn([found.doubt])
        return found.owner

    def _make_due(self) -> bool:
        """What the settings, or the time that has passed, make due by themselves.

        Returns whether anybody may be due then.
        """
        with self.store.transaction() as state:
            return look_again(self.order, state, now=self.clock.now())

    def _link(self) -> bool:
        """Learn who is who before anything is read; where that cannot be asked, nothing is sent either.

        Returns whether anything may have been learnt.
        """
        links = self.outbox.destination.links
        if links is None or self.outbox.stop or not self.order.links:
            return False
        with self._stopping_the_outbox():
            follow_links(links, self.order, self.store)
        return True

    @contextmanager
    def _stopping_the_outbox(self) -> Iterator[None]:
        """Send nothing more where HubSpot cannot be asked; what the state or a signal says ends the run."""
        try:
            yield
        except (InterruptedRunError, StateError, LockedError):
            raise
        except SyncError as failure:
            self.outbox.stop = failure

    def _carry_over(self, *, some_due: bool) -> None:
        """Who is due before anything is read; where nobody is, the ledger need not be asked any more."""
        if not some_due:
            self.outbox.begin_empty()
            return
        with self.store.reading() as state:
            for contact_id in state.ledger.due_ids():
                self.books.carry_over(contact_id)

    def _loop(self, threads: ThreadPoolExecutor) -> None:
        """Read and send, until there is neither a page to come nor a batch in flight."""
        self.intake.begin(threads)
        give_up_at = float("inf")
        while self.clock.monotonic() < give_up_at:
            self._note_requests()
            self._pump(threads)
            waiting_for: list[Future[Any]] = [*self.outbox.in_flight]
            started, holding = self.clock.monotonic(), self.outbox.has_enough
            if self.intake.next and not holding:
                waiting_for.append(self.intake.next)
            if not waiting_for:
                return
            wait(waiting_for, timeout=TICK_S, return_when=FIRST_COMPLETED)
            self.outbox.held_back(self.clock.monotonic() - started if holding else 0.0)
            self._collect_verdicts()
            self._pump(threads)
            self._collect_page(threads)
            if self.interruption() and give_up_at == float("inf"):
                give_up_at = self.clock.monotonic() + GRACE_S
                self.intake.next = None

    def _merge(self) -> None:
        """Merge what was made for visitors who turned out to be others, once all is delivered."""
        if not self.order.merge or self.outbox.stop:
            return
        if self.order.dry_run:
            self._warn(foreseen(self.store))
            return
        with self._stopping_the_outbox():
            merge_left(self.outbox.destination, self.store, interruption=self.interruption)

    def _prune(self) -> None:
        """Bounded, and only where the source's clock and ours agree well enough on what is old."""
        order, clock = self.order, self.intake.website.watermark
        if order.kind == "incremental" and not order.dry_run and clock and not self.interruption():
            now = min(clock, self.clock.now())
            pruned = prune(order, website_id=self.intake.website.id, clock=now, store=self.store)
            if pruned:
                log.info("visitors pruned", extra={**_facts(order, "visitors_pruned"), "visitors": pruned})

    def _note_requests(self) -> None:
        """Limits are kept over restarts, also where this run is killed while it waits for a long time."""
        if self.clock.monotonic() - self.noted_at > NOTE_S:
            with self.store.transaction():
                pass
            self.noted_at = self.clock.monotonic()

    def _pump(self, threads: ThreadPoolExecutor) -> None:
        if not self.interruption():
            self.outbox.pump(threads, flush=self.intake.next is None)

    def _collect_verdicts(self) -> None:
        settled = self.outbox.collect()
        if settled and self.observer:
            self.observer.contacts_settled(settled)

    def _collect_page(self, threads: ThreadPoolExecutor) -> None:
        """A page is committed before the following one; the reading goes on through a mere outage."""
        if not (self.intake.next and self.intake.next.done()) or self.outbox.has_enough:
            return
        stop = self.outbox.stop
        found = self.intake.collect(threads, goes_on=stop is None or isinstance(stop, UnavailableError))
        self.summary.window = self.intake.seen
        self._warn(self.intake.warnings)
        self.outbox.look_again()
        if found:
            rows, renewed = found
            self.outbox.take(renewed)
            if self.observer:
                self.observer.rows_read(rows)

    def _warn(self, warnings: Iterable[str]) -> None:
        self.summary.warnings += [each for each in warnings if each not in self.summary.warnings]

    def _close_books(self, failure: SyncError | None, *, audit: bool = True) -> None:
        """Write down how the run ended. Without ``audit``, as well as a failing database allows."""
        summary, order = self.summary, self.order
        summary.rows, summary.contacts, summary.values = (
            self.books.rows,
            self.books.contacts(),
            self.books.values,
        )
        summary.differences = self.outbox.differences.listed()
        summary.requests.zenovay, summary.requests.hubspot = self.intake.requests, self.outbox.requests
        summary.elapsed_s = round(self.clock.monotonic() - self.started, 3)
        summary.degraded = self.intake.window.degraded
        if not order.dry_run:
            summary.watermark_after = self.intake.website.watermark
        if self.books.gone:
            self._warn([self.outbox.destination.gone(self.books.gone, recreate=order.recreate)])
        if audit:
            self._tell_of_strangers()
        conclude(summary, failure, newly_rejected=self.books.newly_rejected)
        try:
            with self.store.transaction() as state:
                if audit:
                    self.books.balance(due=state.ledger.due_count())
                intake, outbox, now = self.intake, self.outbox, self.clock.now()
                remember_stop(intake.source.api, intake.failure, asked=intake.requests, state=state)
                remember_stop(outbox.destination.api, outbox.stop, asked=outbox.requests, state=state)
                write_down(summary, order, state, now=now)
                drop_verdicts(order, state, now=now)
                if audit and self.adviser and (advice := self.adviser(summary, state)):
                    summary.warnings += advice
                    conclude(summary, failure, newly_rejected=self.books.newly_rejected)
                    write_down(summary, order, state, now=self.clock.now())
        except SyncError:
            if audit:
                raise
            log.warning("the end of the run was not written down", extra=_facts(order, "run_not_recorded"))

    def _tell_of_strangers(self) -> None:
        """Say once what it means to make so many contacts without an address."""
        made, window = self.outbox.strangers, self.summary.window
        if made <= MANY_STRANGERS or window is None:
            return
        with self.store.transaction() as state:
            if state.notebook.get(_STRANGERS):
                return
            state.notebook.put(_STRANGERS, "told")
        days = (window.until - window.since).total_seconds() / DAY_S
        self._warn([self.outbox.destination.strangers(made, days)])
