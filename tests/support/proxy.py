"""A network between the program and PostgreSQL that falls silent, or turns people away, on demand."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 65_536


class Proxy:
    """Forwards to the server of ``url``; ``self.url`` leads through it.

    ``silent_at``: from the first message with these bytes on, nothing passes in either direction, and every
    socket stays open. The first connections are turned away with the code and words of ``refusals``.
    """

    def __init__(self, url: str, *, silent_at: bytes | None = None, refusals: tuple[str, ...] = ()) -> None:
        target = make_url(url)
        self._upstream = target.host or "127.0.0.1", target.port or 5432
        self._door = socket.create_server(("127.0.0.1", 0))
        self._silent_at = silent_at
        self._refusals: Iterator[str] = iter(refusals)
        self._silent = threading.Event()
        self._sockets: list[socket.socket] = []
        self.connections = 0
        through = target.set(host="127.0.0.1", port=self._door.getsockname()[1])
        self.url = through.render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._silent.set()
        for each in (self._door, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def fall_silent(self) -> None:
        self._silent.set()

    @property
    def is_silent(self) -> bool:
        return self._silent.is_set()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                self._sockets.append(client)
                self.connections += 1
                if self._silent.is_set():
                    continue
                if refusal := next(self._refusals, None):
                    threading.Thread(target=_refuse, args=(client, refusal), daemon=True).start()
                else:
                    self._join(client)

    def _join(self, client: socket.socket) -> None:
        server = socket.create_connection(self._upstream)
        self._sockets.append(server)
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := one.recv(_CHUNK):
                if self._silent_at and self._silent_at in chunk:
                    self._silent.set()
                if self._silent.is_set():
                    return
                other.sendall(chunk)
            other.shutdown(socket.SHUT_RDWR)


def _refuse(client: socket.socket, refusal: str) -> None:
    """As the server does before it asks who it is: requests for TLS are declined, then ``CODE words``."""
    with suppress(OSError):
        while True:
            (length,) = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))
            client.recv(length - 4, socket.MSG_WAITALL)
            if length > 8:
                break
            client.sendall(b"N")
        code, words = refusal.split(" ", 1)
        fields = f"SFATAL\0VFATAL\0C{code}\0M{words}\0\0".encode()
        client.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        client.close()
