"""The state as the pipeline sees it: transactions that prove the lock and leave nothing half-done."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from etl.errors import LockedError
from etl.state.backfills import Backfills
from etl.state.database import SCHEMA, BusyError, connect, exists, revision, translated, upgrade
from etl.state.ledger import Ledger
from etl.state.limits import Facts, Limits
from etl.state.lock import LEASE, Lock, held_by
from etl.state.lock import read as read_lock
from etl.state.rejections import Rejections
from etl.state.runs import Runs
from etl.state.statements import Statements
from etl.state.visitors import Visitors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import URL, Connection

    from etl.clock import Clock
    from etl.models.reading import Quota
    from etl.state.lock import Holder


_TICK_S = 0.1
_PATIENT_TICKS = 100


class History(Protocol):
    """Something that knows when requests were sent, and what limit was stated, such as a pace."""

    @property
    def stated(self) -> int | None: ...

    def history(self) -> Sequence[int]:
        """Microseconds since 1970."""
        ...


class Counted(Protocol):
    """Something that counts the requests of a month, such as a budget."""

    @property
    def quota(self) -> Quota: ...


class Transaction:
    """All tables, until the transaction ends."""

    def __init__(
        self, connection: Connection, *, now: datetime, anonymous: bool, accounts: dict[str, str]
    ) -> None:
        statements = Statements(connection)
        self.visitors = Visitors(statements)
        self.ledger = Ledger(statements, anonymous=anonymous)
        self.rejections = Rejections(statements, now=now)
        self.runs = Runs(statements)
        self.backfills = Backfills(statements, now=now)
        self.limits = Limits(statements, accounts, now=now)
        self.facts = Facts(statements)
        self._connection = connection

    def holder(self) -> Holder | None:
        """Who holds the lock, dead or alive."""
        return read_lock(self._connection)


class Store:
    """The state database, held by one connection in one thread.

    ``accounts`` names our account at each API.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        clock: Clock,
        anonymous: bool = True,
        accounts: Mapping[str, str] | None = None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._anonymous = anonymous
        self._accounts = dict(accounts or {})
        self._histories: dict[str, History] = {}
        self._budgets: dict[str, Counted] = {}
        self._lock = Lock()
        self._renewed_at = float("-inf")
        self._lost: LockedError | None = None

    def keep(self, histories: Mapping[str, History], budgets: Mapping[str, Counted]) -> None:
        """Write these down with every commit, by API, so that limits are kept over restarts."""
        self._histories.update(histories)
        self._budgets.update(budgets)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Be the only writer. Yields whether the lock was taken over from an owner that died.

        Raises LockedError if somebody else is.
        """
        url = self._connection.engine.url
        with _naming_the_writer(url), translated(url), self._connection.begin():
            taken_over = self._lock.acquire(self._connection, self._clock.now())
        try:
            yield taken_over
        finally:
            with translated(self._connection.engine.url), self._connection.begin():
                self._lock.release(self._connection)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Everything or nothing. Raises LockedError if the lock is lost, StateError if the database fails."""
        claimed_at, now = self._clock.monotonic(), self._clock.now()
        with translated(self._connection.engine.url), self._connection.begin():
            self._renew(now)
            transaction = self._tables(now)
            yield transaction
            for api, history in self._histories.items():
                transaction.limits.remember_sent(api, history.history(), stated=history.stated)
            for api, budget in self._budgets.items():
                transaction.limits.remember_quota(api, budget.quota)
        self._renewed_at = claimed_at  # not the time of the commit: the others see the heartbeat

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A consistent view, without the lock; nothing is written."""
        with translated(self._connection.engine.url), self._connection.begin() as transaction:
            yield self._tables(self._clock.now())
            transaction.rollback()

    def silent_s(self) -> float:
        """Seconds since this process last proved that it holds the lock."""
        return self._clock.monotonic() - self._renewed_at

    def stand_guard(self) -> None:
        """Let nothing out of this process while its claim to the lock may be over. For any thread.

        A process that was stopped for longer than the lease waits here until the thread that writes the
        state has renewed the claim. Raises LockedError where it does not, at once where the lock was lost.
        """
        for _ in range(_PATIENT_TICKS):
            if self._lost:
                raise self._lost
            if self.silent_s() < LEASE.total_seconds():
                return
            self._clock.wait(_TICK_S, "the lock is being renewed")
        raise LockedError("The lock could not be renewed in time.", fix="Nothing is lost; run again later.")

    def _renew(self, now: datetime) -> None:
        try:
            self._lock.renew(self._connection, now)
        except LockedError as lost:
            self._lost = lost
            raise

    def _tables(self, now: datetime) -> Transaction:
        return Transaction(self._connection, now=now, anonymous=self._anonymous, accounts=self._accounts)


@contextmanager
def read_state(
    url: str, clock: Clock, accounts: Mapping[str, str] | None = None
) -> Iterator[Transaction | None]:
    """A consistent view of the state, without making or changing anything; None where there is none yet."""
    if not exists(url):
        yield None
        return
    with connect(url, writing=False) as connection:
        with translated(connection.engine.url), connection.begin():
            ready = revision(connection) == SCHEMA
        if not ready:
            yield None
            return
        with Store(connection, clock=clock, accounts=accounts).reading() as state:
            yield state


@contextmanager
def open_state(url: str) -> Iterator[Connection]:
    """A connection to a database that exists and has this program's schema.

    Raises StateError (exit 7) where that cannot be had, LockedError where another process is writing to it.
    """
    with connect(url, create=True) as connection:
        with _naming_the_writer(connection.engine.url):
            upgrade(connection)
        yield connection


@contextmanager
def _naming_the_writer(url: URL) -> Iterator[None]:
    """Raise LockedError where another process keeps the database to itself, say one stopped amid a commit."""
    try:
        yield
    except BusyError as busy:
        holder = _holder(url)
        raise (
            held_by(holder)
            if holder
            else LockedError("Another process is writing to the state database.", fix="Wait for it to end.")
        ) from busy


def _holder(url: URL) -> Holder | None:
    with connect(url, writing=False) as connection, translated(url), connection.begin():
        return read_lock(connection) if revision(connection) == SCHEMA else None
