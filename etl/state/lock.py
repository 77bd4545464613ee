"""One run at a time: a lock that the operating system, or the database server, ends with its owner.

Beside it a row says who holds it. The row of an owner that was killed stays, and keeps nobody out.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import column, delete, select, text

from etl.errors import LockedError, StateError, UnavailableError
from etl.instants import instant, microseconds
from etl.models.summary import utc_second
from etl.state import tables
from etl.state.failures import of_a_row, translated
from etl.state.statements import Insertion, Prepared, Statements, value
from etl.state.urls import file_behind, place

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from etl.clock import Clock
    from etl.state.statements import Row

log = logging.getLogger(__name__)

_T, _C = tables.lock, tables.lock.c
_HOLDER = Prepared(lambda _: select(_C.owner, _C.host, _C.pid, _C.since))
_SIGN = Insertion(_T, "id", "owner", "host", "pid", "since")
_ERASE_ALL = Prepared(lambda _: delete(_T))
_ERASE = Prepared(lambda _: delete(_T).where(_C.owner == value("owner")))
_OLD_HOLDER = Prepared(
    lambda _: select(_C.owner, _C.host, _C.pid, _C.since, column("heartbeat")).select_from(_T)
)

_TRIES = 10
_PAUSE_S = 0.1
"""A look at the lock takes it for an instant: so it is tried for a second before it counts as held."""

_OLD_LEASE = timedelta(seconds=60)
"""Up to revision 0002 the row was the lock, and an owner silent for longer was dead."""


class Lock(Protocol):
    """What keeps two processes from writing to one state."""

    def take(self) -> bool:
        """Take it if it is free, without waiting. Raises StateError where there can be no lock."""
        ...

    def drop(self) -> None: ...

    def is_ours(self) -> bool:
        """Whether we hold it, still."""
        ...

    def is_taken(self) -> bool:
        """Whether anybody holds it; takes nothing away from anybody."""
        ...


class FileLock:
    """``flock`` on a file beside the database, which stays there: the lock is on it, not its existence."""

    def __init__(self, path: Path, database: str) -> None:
        self._path = path
        self._database = database
        self._file: int | None = None

    def take(self) -> bool:
        while True:
            file = self._opened()
            if not self._locked(file):
                os.close(file)
                return False
            if self._is_at_its_path(file):
                self._file = file
                return True
            os.close(file)  # somebody removed it after it was opened: the others do not see that one

    def drop(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def is_ours(self) -> bool:
        return self._file is not None and self._is_at_its_path(self._file)

    def is_taken(self) -> bool:
        try:
            file = os.open(self._path, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            os.close(file)
        return False

    def _opened(self) -> int:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise self._no_lock(exc) from exc
        with suppress(OSError):
            self._give_to_the_owner_of_the_database(file)
        return file

    def _give_to_the_owner_of_the_database(self, file: int) -> None:
        """As SQLite does with its own files, so that one run as root keeps nobody out for good."""
        owner = os.stat(self._path.with_suffix(""))  # noqa: PTH116 -- beside fstat and fchown
        if os.geteuid() == 0 and os.fstat(file).st_uid != owner.st_uid:
            os.fchown(file, owner.st_uid, owner.st_gid)

    def _locked(self, file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as exc:
            os.close(file)
            raise self._no_lock(exc) from exc
        return True

    def _is_at_its_path(self, file: int) -> bool:
        with suppress(OSError):
            return os.path.samestat(os.fstat(file), self._path.stat())
        return False

    def _no_lock(self, exc: OSError) -> StateError:
        return StateError(
            f"State database {self._database}: its lock file {self._path} cannot be used: {exc.strerror}.",
            fix="Name a place in SYNC_STATE_URL that this user can write, on a file system with locks.",
        )


_KEYS = "(30323, hashtext(coalesce(current_schema(), '')))"
"""Ours, in this database and schema; the first number means nothing."""

_TAKE = Prepared(lambda _: text(f"SELECT pg_try_advisory_lock{_KEYS}"))
_DROP = Prepared(lambda _: text(f"SELECT pg_advisory_unlock{_KEYS}"))
_IS_TAKEN = Prepared(
    lambda _: text("""
    SELECT count(*) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid = 30323
      AND objid = (hashtext(coalesce(current_schema(), ''))::bigint & 4294967295)::oid""")
)


class SessionLock:
    """A PostgreSQL advisory lock of the connection that writes the state: it ends with it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take(self) -> bool:
        return self._ask(_TAKE)

    def drop(self) -> None:
        with suppress(UnavailableError):  # then it went with the connection
            if self.is_ours():
                self._ask(_DROP)

    def is_ours(self) -> bool:
        return not self._connection.invalidated

    def is_taken(self) -> bool:
        return self._answer(_IS_TAKEN)

    def _ask(self, question: Prepared) -> bool:
        with translated(self._connection.engine.url), self._connection.begin():
            return self._answer(question)

    def _answer(self, question: Prepared) -> bool:
        return bool(Statements(self._connection).value(question))


class NoLock:
    """Of a private copy."""

    def take(self) -> bool:
        return True

    def drop(self) -> None: ...

    def is_ours(self) -> bool:
        return True

    def is_taken(self) -> bool:
        return False


def lock_of(connection: Connection) -> Lock:
    """What stands for the database behind ``connection``."""
    url = connection.engine.url
    if url.get_backend_name() != "sqlite":
        return SessionLock(connection)
    path = file_behind(connection)
    return FileLock(path.with_name(f"{path.name}.lock"), place(url)) if path else NoLock()


def take(lock: Lock, clock: Clock) -> bool:
    """Take the lock, with a little patience. Returns whether it is ours now."""
    for _ in range(_TRIES):
        if lock.take():
            return True
        clock.wait(_PAUSE_S, "another run holds the lock")
    return lock.take()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock, and since when."""

    owner: str
    host: str
    pid: int
    since: datetime


class Signature:
    """The row that says who we are."""

    def __init__(self) -> None:
        self.owner = uuid.uuid4().hex

    def write(self, connection: Connection, now: datetime, *, left: Holder | None) -> None:
        """Sign, over what an owner that was killed has ``left``."""
        statements = Statements(connection)
        if left:
            log.warning(
                "the last run was killed: its lock is taken over",
                extra={"action": "lock_taken_over", "pid": left.pid, "host": left.host},
            )
            statements.change(_ERASE_ALL)
        statements.add(_SIGN, 1, self.owner, socket.gethostname(), os.getpid(), microseconds(now))

    def erase(self, connection: Connection) -> None:
        Statements(connection).change(_ERASE, owner=self.owner)


def held_by(holder: Holder | None) -> LockedError:
    """The error of everybody but ``holder``."""
    if holder is None:
        return LockedError("Another run holds the lock; it has only begun.", fix="Wait for it to end.")
    return LockedError(
        f"Another run holds the lock: process {holder.pid} on {holder.host},"
        f" since {utc_second(holder.since)}.",
        fix="Wait for it to end: the lock ends with it, there is nothing to delete.",
    )


def read(connection: Connection) -> Holder | None:
    """Who signed last, dead or alive."""
    row = Statements(connection).row(_HOLDER)
    return _holder(row) if row else None


@of_a_row
def _holder(row: Row) -> Holder:
    owner, host, pid, since, *_ = row
    return Holder(owner, host, pid, instant(since))


def refuse_beside_an_older_version(connection: Connection, now: datetime) -> None:
    """Raises LockedError while a run of a version up to revision 0002 is alive: its row is its lock."""
    row = Statements(connection).row(_OLD_HOLDER)
    if row and abs(microseconds(now) - row[4]) < _OLD_LEASE / timedelta(microseconds=1):
        raise held_by(_holder(row))
