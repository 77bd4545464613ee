"""The state as the pipeline sees it: transactions that prove the lock and leave nothing half-done."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from etl.errors import LockedError, SyncError
from etl.state.alerts import Alerts
from etl.state.backfills import Backfills
from etl.state.database import (
    SCHEMA,
    connect,
    keep_private,
    prove_sound,
    revision,
    spare,
    upgrade,
)
from etl.state.elsewhere import LimitsElsewhere, OwnershipElsewhere
from etl.state.entries import Entries
from etl.state.erasure import Erasure, scrub
from etl.state.failures import FIX_AWAY, BusyError, DamagedError, LostError, translated
from etl.state.forgotten import Forgotten
from etl.state.held import Held
from etl.state.ledger import Ledger
from etl.state.limits import Limits
from etl.state.links import Links
from etl.state.listing import Listing
from etl.state.lock import Signature, held_by, lock_of, take
from etl.state.lock import read as read_signature
from etl.state.notebook import Notebook
from etl.state.ownership import Ownership
from etl.state.readings import Readings
from etl.state.records import Records
from etl.state.rejections import Rejections
from etl.state.runs import Runs
from etl.state.screening import Screening
from etl.state.snapshot import snapshot
from etl.state.standings import Standings
from etl.state.statements import Statements
from etl.state.tallies import Tallies
from etl.state.urls import exists, place
from etl.state.verdicts import Verdicts
from etl.state.visitors import Visitors
from etl.state.websites import Websites

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import URL, Connection

    from etl.clock import Clock
    from etl.state.elsewhere import Elsewhere
    from etl.state.lock import Holder, Lock
    from etl.state.tallies import Counted, History

log = logging.getLogger(__name__)


class Transaction:
    """All tables, until the transaction ends. ``older`` is the revision of which this is an upgraded copy."""

    def __init__(
        self,
        connection: Connection,
        *,
        lock: Lock,
        now: datetime,
        anonymous: bool,
        accounts: dict[str, str],
        held: Held | None = None,
        writing: bool = False,
    ) -> None:
        self._statements = statements = Statements(connection)
        self._accounts, self._now = accounts, now
        self.visitors = Visitors(statements)
        self.entries = Entries(statements)
        self.records = Records(statements, self.entries)
        self.ledger = Ledger(statements, self.entries, self.records, anonymous=anonymous, now=now)
        self.verdicts = Verdicts(statements)
        self.rejections = Rejections(statements, now=now)
        self.runs = Runs(statements, held)
        self.backfills = Backfills(statements, now=now)
        self.limits: Limits = Limits(statements, accounts, now=now, writing=writing)
        self.notebook = Notebook(statements, held)
        self.readings = Readings(statements)
        self.alerts = Alerts(statements)
        self.links = Links(statements, self.notebook)
        self.forgotten = Forgotten(statements, self.notebook)
        self.erasure = Erasure(statements)
        self.screening = Screening(statements)
        self.listing = Listing(statements)
        self.websites = Websites(statements, self.notebook, held)
        self.standings = Standings(statements)
        self.ownership: Ownership = Ownership(self.notebook)
        self.older: str | None = None
        self._connection = connection
        self._lock = lock

    def limited_by(self, elsewhere: Elsewhere) -> None:
        """The limits are others' as well, and kept ``elsewhere``."""
        self.limits = LimitsElsewhere(self._statements, self._accounts, now=self._now, elsewhere=elsewhere)
        self.ownership = OwnershipElsewhere(self.notebook, elsewhere)

    def holder(self) -> Holder | None:
        """Who holds the lock, now; None as well for somebody who has not signed yet."""
        return read_signature(self._connection) if self._lock.is_taken() else None

    def prove_sound(self) -> None:
        """Raises DamagedError where SQLite finds a fault in its file."""
        prove_sound(self._connection)


class Store:
    """The state database, held by one connection in one thread.

    ``accounts`` names our account at each API. ``notes`` is what the user of a run should be warned of.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Clock,
        anonymous: bool = True,
        accounts: Mapping[str, str] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._connection = connection
        self._url = connection.engine.url
        self._clock = clock
        self._anonymous = anonymous
        self._accounts = dict(accounts or {})
        self._tallies = Tallies(clock)
        self._held = Held()
        self._elsewhere: Elsewhere | None = None
        self._lock = lock_of(connection)
        self._signature = Signature()
        self._signed = False
        self._failure: SyncError | None = None

    def keep(self, histories: Mapping[str, History], budgets: Mapping[str, Counted]) -> None:
        """Write these down with every commit, by API, so that limits are kept over restarts."""
        self._tallies.keep(histories, budgets)

    def limited_by(self, elsewhere: Elsewhere) -> None:
        """The limits are others' as well, and kept ``elsewhere``."""
        self._elsewhere = elsewhere

    def take_notes(self) -> tuple[str, ...]:
        """The notes; the next run is told none of them again."""
        taken = tuple(self.notes)
        self.notes.clear()
        return taken

    @property
    def is_usable(self) -> bool:
        """Whether it can still be read and written: not once it is damaged, or its server was lost."""
        return self._failure is None and not self._connection.invalidated

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Be the only writer, of a database with this program's schema.

        Yields whether the last owner was killed. Raises LockedError, which says who else writes, and
        DamagedError where the last run did not come to its end and the file is damaged.
        """
        if not take(self._lock, self._clock):
            raise held_by(_signed_by(self._url, self._clock))
        try:
            self._warn(keep_private(self._connection))
            killed = self._begin()
            try:
                yield killed
            finally:
                self._end()
        finally:
            self._lock.drop()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Everything or nothing. Raises LockedError without the lock, StateError if the database fails."""
        with self._noting_failures(), self._held.until_the_end(commits=True), self._connection.begin():
            self._prove_the_lock()
            transaction = self._tables(self._held, writing=True)
            yield transaction
            self._tallies.write_down(transaction.limits)
        self._tallies.committed()

    @contextmanager
    def beside(self) -> Iterator[Transaction]:
        """Everything or nothing, for what no run touches: beside a run, and without its lock."""
        with self._noting_failures(), self._connection.begin():
            yield self._tables()

    def make_ready(self) -> None:
        """Bring the database to this program's schema, which takes the lock for as long as that lasts.

        Raises LockedError where that is needed, and a run of another version goes on.
        """
        with self._noting_failures():
            with self._connection.begin():
                ready = revision(self._connection) == SCHEMA
            if ready:
                return
            if not take(self._lock, self._clock):
                raise held_by(None)
            try:
                self._warn(keep_private(self._connection))
                upgrade(self._connection, now=self._clock.now())
            finally:
                self._lock.drop()

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A consistent view, without the lock; nothing is written."""
        held = self._held if self._signed else None
        ends = self._held.until_the_end(commits=False)
        with self._noting_failures(), ends, self._connection.begin() as transaction:
            yield self._tables(held)
            transaction.rollback()

    def scrub(self) -> None:
        """Leave nothing of what was erased in any file. Raises LockedError where somebody reads meanwhile."""
        with self._noting_failures():
            self._prove_the_lock()
            scrub(self._connection)

    @contextmanager
    def _noting_failures(self) -> Iterator[None]:
        """Touch no more what is damaged, and nothing by a second connection, which would have no lock."""
        if self._failure:
            raise self._failure
        if self._connection.invalidated:
            raise LostError(f"State database {place(self._url)}: the connection was lost.", fix=FIX_AWAY)
        try:
            with translated(self._url):
                yield
        except (DamagedError, LostError) as failure:
            self._failure = failure
            if isinstance(failure, DamagedError):
                spare(self._connection)
            raise

    def _begin(self) -> bool:
        """Upgrade and sign. Returns whether the last owner was killed."""
        try:
            with self._noting_failures():
                with self._connection.begin() as transaction:
                    is_ready = revision(self._connection) == SCHEMA
                    if is_ready:
                        left = self._sign()
                    else:
                        transaction.rollback()
                if not is_ready:
                    upgrade(self._connection, now=self._clock.now())
                    with self._connection.begin():
                        left = self._sign()
        except BusyError as busy:
            raise LockedError(busy.what, fix=busy.fix) from busy
        self._signed = True
        return left is not None

    def _sign(self) -> Holder | None:
        """Say who writes from now on, and look at what the last owner of the lock has left."""
        left = read_signature(self._connection)
        if left or self._tables().runs.last_is_open():
            prove_sound(self._connection)
        self._signature.write(self._connection, self._clock.now(), left=left)
        return left

    def _end(self) -> None:
        """Erase the signature; where that cannot be, it does no harm."""
        self._signed = False
        try:
            with self._noting_failures(), self._connection.begin():
                self._signature.erase(self._connection)
        except SyncError:
            log.warning("the end of the lock was not written down", extra={"action": "lock_not_recorded"})

    def _prove_the_lock(self) -> None:
        if not self._signed:
            raise LockedError("The state is not locked by this run.", fix="Nothing is lost; run again.")
        if not self._lock.is_ours():
            raise LockedError(
                "The file of this run's lock was removed, and another run may have begun.",
                fix="Nothing is lost: the next run delivers what is due. Leave that file where it is.",
            )

    def _warn(self, notes: Sequence[str]) -> None:
        self.notes += notes
        for note in notes:
            log.warning("the state needs a look", extra={"action": "state_warning", "why": note})

    def _tables(self, held: Held | None = None, *, writing: bool = False) -> Transaction:
        transaction = Transaction(
            self._connection,
            lock=self._lock,
            now=self._clock.now(),
            anonymous=self._anonymous,
            accounts=self._accounts,
            held=held,
            writing=writing,
        )
        if self._elsewhere:
            transaction.limited_by(self._elsewhere)
        return transaction


@contextmanager
def read_state(
    url: str, clock: Clock, accounts: Mapping[str, str] | None = None, *, anonymous: bool = True
) -> Iterator[Transaction | None]:
    """A consistent view of the state, without making or changing anything; None where there is none yet.

    What an older version has made is read from an upgraded copy.
    """
    with _at_hand(url, clock) as (connection, found), ExitStack() as stack:
        if connection is None or found is None:
            yield None
            return
        ours = connection if found == SCHEMA else stack.enter_context(snapshot(url, clock=clock))
        state = stack.enter_context(
            Store(ours, clock=clock, anonymous=anonymous, accounts=accounts).reading()
        )
        state.older = None if found == SCHEMA else found
        yield state


@contextmanager
def peek_state(
    url: str, clock: Clock, accounts: Mapping[str, str] | None = None
) -> Iterator[Transaction | None]:
    """What a run looks at before it opens the state: None as well where it will have to upgrade it."""
    with _at_hand(url, clock) as (connection, found), ExitStack() as stack:
        if connection is None or found != SCHEMA:
            yield None
            return
        yield stack.enter_context(Store(connection, clock=clock, accounts=accounts).reading())


@contextmanager
def _at_hand(url: str | URL, clock: Clock) -> Iterator[tuple[Connection | None, str | None]]:
    """A connection that only reads, and the revision of the schema; None where there is nothing to read."""
    if not exists(url):
        yield None, None
        return
    with connect(url, writing=False, clock=clock) as connection:
        with translated(connection.engine.url), connection.begin():
            found = revision(connection)
        yield connection, found


def open_state(url: str, clock: Clock | None = None) -> AbstractContextManager[Connection]:
    """A connection for a Store that is going to write: the database is made if need be.

    Raises StateError (exit 7) where that cannot be had.
    """
    return connect(url, create=True, clock=clock)


def _signed_by(url: URL, clock: Clock) -> Holder | None:
    """Who says to hold the lock, as far as that can be read beside him."""
    with suppress(SyncError), _at_hand(url, clock) as (connection, found):
        if connection is not None and found == SCHEMA:
            with translated(url), connection.begin():
                return read_signature(connection)
    return None
