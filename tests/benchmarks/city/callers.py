"""Which process holds the other end of a connection on loopback. Linux tells it."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]

UNKNOWN = 0
_PROCESSES = Path("/proc")
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_ALL_STATES = _NO_COOKIE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBBI2s2s16s16sIII")
_INODE = struct.Struct("=I")
_INODE_AT = _HEADER.size + 68
"""Behind the answer's header: four bytes, the socket's 48, expiry, both queues and the owner."""


class Callers:
    """``likely`` are processes that are looked at before any others."""

    def __init__(self) -> None:
        self.likely: list[int] = []
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)

    def of(self, theirs: Address, ours: Address) -> int:
        """The id of the process that connected from ``theirs``; UNKNOWN where it is gone already."""
        if not (inode := self._inode(theirs, ours)):
            return UNKNOWN
        wanted = f"socket:[{inode}]"
        likely = next((each for each in self.likely if _holds(each, wanted)), UNKNOWN)
        return likely or next((each for each in _everybody() if _holds(each, wanted)), UNKNOWN)

    def _inode(self, theirs: Address, ours: Address) -> int:
        """The number of their socket: as sock_diag(7) has it."""
        hosts = (socket.inet_aton(host).ljust(16, b"\0") for host, _ in (theirs, ours))
        ports = (port.to_bytes(2, "big") for _, port in (theirs, ours))
        asked = _ASKED.pack(
            socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ALL_STATES, *ports, *hosts, 0, _NO_COOKIE, _NO_COOKIE
        )
        size = _HEADER.size + len(asked)
        self._kernel.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + asked)
        said = self._kernel.recv(4096)
        if _HEADER.unpack_from(said)[1] != _SOCK_DIAG_BY_FAMILY:
            return 0
        inode: int = _INODE.unpack_from(said, _INODE_AT)[0]
        return inode


def _everybody() -> list[int]:
    """The latest first."""
    return sorted((int(each.name) for each in _PROCESSES.iterdir() if each.name.isdigit()), reverse=True)


def _holds(process: int, wanted: str) -> bool:
    with suppress(OSError):
        for file in (_PROCESSES / str(process) / "fd").iterdir():
            with suppress(OSError):
                if str(file.readlink()) == wanted:
                    return True
    return False
