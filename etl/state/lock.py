"""One run at a time: a row that its owner keeps alive, and that every write checks."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import IntegrityError

from etl.errors import LockedError
from etl.instants import instant, microseconds
from etl.state.statements import Statements

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

log = logging.getLogger(__name__)

_HOLDER = "SELECT owner, host, pid, process_started, since, heartbeat FROM lock"
_TAKE = """
    INSERT INTO lock (id, owner, host, pid, process_started, since, heartbeat) VALUES (1, ?, ?, ?, ?, ?, ?)"""
_TAKE_OVER = """
    UPDATE lock SET owner = ?, host = ?, pid = ?, process_started = ?, since = ?, heartbeat = ?
    WHERE owner = ?"""
_RENEW = "UPDATE lock SET heartbeat = ? WHERE owner = ?"

LEASE = timedelta(seconds=60)
"""An owner that has not written for this long may be replaced, even if its process is still there."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock, and since when."""

    owner: str
    host: str
    pid: int
    process_started: str
    since: datetime
    heartbeat: datetime

    def is_gone(self, now: datetime) -> bool:
        """Whether the lock may be taken over: its process is dead, or silent for longer than the lease."""
        if now - self.heartbeat > LEASE:
            return True
        return self.host == socket.gethostname() and _process_started(self.pid) != self.process_started


class Lock:
    """This process's claim to be the only writer of the state."""

    def __init__(self) -> None:
        self.owner = uuid.uuid4().hex

    def acquire(self, connection: Connection, now: datetime) -> bool:
        """Take the lock. Returns whether it was taken over from an owner that is gone.

        Raises LockedError, which says who holds it and since when.
        """
        holder = read(connection)
        if holder and not holder.is_gone(now):
            raise held_by(holder)
        if holder:
            log.warning(
                "lock of a run that is gone taken over",
                extra={"action": "lock_taken_over", "pid": holder.pid, "host": holder.host},
            )
        self._write(connection, now, replacing=holder)
        return holder is not None

    def renew(self, connection: Connection, now: datetime) -> None:
        """Prove, inside a transaction, that the lock is still ours, and stay alive.

        Raises LockedError if another run took it over while this one was silent.
        """
        if Statements(connection).change(_RENEW, (microseconds(now), self.owner)) == 0:
            raise LockedError(
                "This run was silent for longer than its lease, and another one took over the lock.",
                fix="Nothing is lost: the other run, or the next one, delivers what is due.",
            )

    def release(self, connection: Connection) -> None:
        Statements(connection).change("DELETE FROM lock WHERE owner = ?", (self.owner,))

    def _write(self, connection: Connection, now: datetime, *, replacing: Holder | None) -> None:
        pid, since = os.getpid(), microseconds(now)
        row = (self.owner, socket.gethostname(), pid, _process_started(pid), since, since)
        statements = Statements(connection)
        try:
            if replacing:
                taken = statements.change(_TAKE_OVER, (*row, replacing.owner))
            else:
                taken = statements.change(_TAKE, row)
        except IntegrityError:
            taken = 0
        if not taken:
            raise LockedError("Another run took the lock at the same moment.", fix="Wait for it to end.")


def held_by(holder: Holder) -> LockedError:
    """The error of everybody but ``holder``."""
    return LockedError(
        f"Another run holds the lock: process {holder.pid} on {holder.host},"
        f" since {holder.since:%Y-%m-%dT%H:%M:%SZ}.",
        fix="Wait for it to end; a dead owner's lock is taken over by itself.",
    )


def read(connection: Connection) -> Holder | None:
    """The holder of the lock, dead or alive."""
    row = Statements(connection).row(_HOLDER)
    if row is None:
        return None
    owner, host, pid, process_started, since, heartbeat = row
    return Holder(owner, host, pid, process_started, instant(since), instant(heartbeat))


def _process_started(pid: int) -> str | None:
    """When the process began, in ticks since boot; "" where the system does not tell; None if it is dead."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""
