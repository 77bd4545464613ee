"""A bound on how long an answer may take, wherever its bytes have stuck.

HTTP libraries bound the silence before each byte, not the sum: an answer that drips would hold them for ever.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self

_NEVER = float("inf")


class Deadline:
    """Shuts the guarded socket down, should the ``with`` block last longer than ``seconds``.

    Whoever reads from it then wakes up with an error, or with too few bytes: ``passed`` tells why.
    """

    def __init__(self, seconds: float, connection: object = None) -> None:
        """``connection`` may still be None, and is passed over where it is no real socket."""
        self.seconds = seconds
        self.ends = time.monotonic() + seconds
        self.passed = False
        self._connection = connection

    def __enter__(self) -> Self:
        _watch.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watch.remove(self)

    def guard(self, connection: object) -> None:
        """Shut this socket down instead, at once if it is too late already."""
        self._connection = connection
        if self.passed:
            shut_down(connection)

    def cut(self) -> None:
        """Shut the socket down although there is time left."""
        shut_down(self._connection)

    def expire(self) -> None:
        """The time is up."""
        self.passed = True
        shut_down(self._connection)


def shut_down(connection: object) -> None:
    """Wake up whoever reads from this socket.

    Past SSLSocket.shutdown, which would pull the TLS state from under the thread that reads.
    """
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Watch:
    """One thread for all deadlines: a thread for each would cost more than the request that it watches."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Deadline] = set()
        self._looks_at = _NEVER
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._look, name="deadlines", daemon=True)
                thread.start()  # it may fail; then the next deadline tries again
                self._thread = thread
            self._running.add(deadline)
            if deadline.ends < self._looks_at:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        """Once this has returned, the deadline does nothing any more."""
        with self._changed:
            self._running.discard(deadline)

    def _look(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for late in [each for each in self._running if each.ends <= now]:
                    self._running.discard(late)
                    late.expire()
                self._looks_at = min((each.ends for each in self._running), default=_NEVER)
                self._changed.wait(None if self._looks_at == _NEVER else self._looks_at - now)


_watch = _Watch()
