"""stdout and stderr: wherever they lead, writing to them does not end a command amid its work."""

from __future__ import annotations

import errno
import os
import select
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT, STDERR = 0, 1, 2


class Outlet(FileIO):
    """A file of the process's own that takes what it is given. ``lost`` is the errno of what it could not.

    ``used``: something was written to it.
    """

    lost: int | None = None
    used = False

    def write(self, data: ReadableBuffer, /) -> int:
        size = memoryview(data).nbytes
        self.used = self.used or size > 0
        if self.lost is not None:
            return size
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as exc:
            self.lost = exc.errno or errno.EIO
            return size
        return written


def take_over() -> tuple[Outlet, Outlet]:
    """Put outlets in the place of stdout and stderr, and return them.

    A stream that the caller has closed leads to /dev/null: the next file to be opened, such as the state,
    would take its number, and get what was meant for people.
    """
    for number in (STDIN, STDOUT, STDERR):
        _fill(number)
    stdout, stderr = Outlet(STDOUT, "w", closefd=False), Outlet(STDERR, "w", closefd=False)
    sys.stdin = sys.stdin or open(STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115 -- as long as we live
    sys.stdout = _text(stdout, sys.stdout)
    sys.stderr = _text(stderr, sys.stderr)
    return stdout, stderr


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def is_lost() -> bool:
    """Whether something that was printed on stdout could not be written."""
    outlet = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(outlet, Outlet) and outlet.lost is not None


def _fill(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 -- the lowest free number


def _text(outlet: Outlet, before: TextIO | None) -> TextIOWrapper:
    encoding = before.encoding if before else "utf-8"
    return TextIOWrapper(
        BufferedWriter(outlet), encoding=encoding, errors="backslashreplace", line_buffering=True
    )
