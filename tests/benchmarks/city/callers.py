"""Which process holds the other end of a connection on loopback. Linux tells it in ``/proc``."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

UNKNOWN = 0
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


class Callers:
    """``likely`` are processes that are looked at first; their order does not matter."""

    def __init__(self) -> None:
        self.likely: list[int] = []

    def of(self, port: int) -> int:
        """The id of the process that connected from ``port``; UNKNOWN where that is not to be found."""
        inode = _inode(port)
        if inode is None:
            return UNKNOWN
        wanted = f"socket:[{inode}]"
        return next((each for each in self._candidates() if _holds(each, wanted)), UNKNOWN)

    def _candidates(self) -> list[int]:
        others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return [*self.likely, *(each for each in reversed(others) if each not in self.likely)]


def _inode(port: int) -> str | None:
    """The inode of the socket whose own port this is; the other end has it as its peer's."""
    own = f":{port:04X}"
    for table in _TABLES:
        with suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                words = line.split()
                if words[1].endswith(own):
                    return words[9]
    return None


def _holds(process: int, wanted: str) -> bool:
    folder = f"/proc/{process}/fd"
    with suppress(OSError):
        for name in os.listdir(folder):
            with suppress(OSError):
                if os.readlink(f"{folder}/{name}") == wanted:
                    return True
    return False
