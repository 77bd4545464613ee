"""A start of the command that has its imports behind it: a fork of an interpreter that has imported them.

Nor need it compile its SQL, make the model of its settings, or read what the machine trusts: each of them is
kept by what it is made from, and so is the same in every start.

The command runs in a process of its own, with the arguments, environment, directory and streams that it is
given, and as a fresh interpreter would: the script is the installed one. What it is not: a proof of what an
import costs, or that one command imports all that it needs, for all of them share what was imported, and the
seed of their hashes. Nor is it there to be stopped from outside: ``Program.start`` is.

Where forking cannot give the same as a start, ``warm_for`` returns None: on other systems than Linux, where
the environment differs in what an interpreter or a library may have read, and under TEST_COLD_START.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import re
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATIENCE_S = 100.0
ON_DEMAND = ("babel.dates", "etl.state.postgres", "httpcore", "hubspot.crm.contacts", "psycopg")
"""What the program imports late, but nearly every run does."""

_READ_LATE = re.compile(
    "(ZENOVAY|HUBSPOT|SYNC|PYTEST|XDG)_.*|[A-Z0-9]+_(KEY|TOKEN)|HOME|(https?|all|no)_proxy"
    "|SSL_CERT_(FILE|DIR)",
    re.IGNORECASE,
)
"""The variables that nobody looks at before the command begins; only they may differ."""


class Warm:
    """Starts scripts, from one interpreter that it starts itself."""

    def __init__(self) -> None:
        self._environment = _told_early(os.environ)
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.end)

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether a fork with this ``environment`` does what a start does."""
        return _told_early(environment) == self._environment and self._server.poll() is None

    def __call__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        patience_s: float = PATIENCE_S,
    ) -> tuple[int, str, str]:
        """The exit code of ``command``, negative after a signal, and what it said on stdout and stderr.

        Raises TimeoutExpired for one that takes longer than ``patience_s``, and kills it.
        """
        wanted = json.dumps([command, dict(environment), str(folder)]).encode()
        readers, writers = zip(*(os.pipe() for _ in range(3)), strict=True)
        stdin = os.open(os.devnull, os.O_RDONLY)
        try:
            socket.send_fds(self._line, [wanted], [stdin, *writers])
        finally:
            for file in (stdin, *writers):
                os.close(file)
        said = [bytearray() for _ in readers]
        if not _drained(dict(zip(readers, said, strict=True)), ends=time.monotonic() + patience_s):
            with suppress(ProcessLookupError):
                os.kill(int(said[2].split()[0]), signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(command), patience_s)
        return int(said[2].split()[1]), _text(said[0]), _text(said[1])

    def end(self) -> None:
        self._line.close()
        self._server.wait()


def warm_for(environment: Mapping[str, str]) -> Warm | None:
    """This process's own warm interpreter, started when first asked for, where it fits ``environment``."""
    if sys.platform != "linux" or os.environ.get("TEST_COLD_START"):
        return None
    warm = _started()
    return warm if warm.fits(environment) else None


@cache
def _started() -> Warm:
    return Warm()


def _told_early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if not _READ_LATE.fullmatch(name)}


def _drained(files: Mapping[int, bytearray], *, ends: float) -> bool:
    """Read ``files`` to their ends, and close them. Returns whether all of them ended in time."""
    with selectors.DefaultSelector() as unended:
        for file in files:
            unended.register(file, selectors.EVENT_READ)
        while unended.get_map() and (ready := unended.select(max(ends - time.monotonic(), 0))):
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 16)
                files[key.fd].extend(piece)
                if not piece:
                    unended.unregister(key.fd)
        in_time = not unended.get_map()
    for file in files:
        os.close(file)
    return in_time


def _text(said: bytearray) -> str:
    return said.decode().replace("\r\n", "\n").replace("\r", "\n")  # as subprocess reads a text


def serve(line: socket.socket) -> None:
    """Fork for every command that is asked for, until nobody can ask any more.

    Nobody waits for the forks. What Ctrl-C ends is the session, and with it this line.
    """
    prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        wanted, files, *_ = socket.recv_fds(line, 1 << 20, 4)
        if not wanted:
            break
        if os.fork() == 0:
            line.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _keep(files)
            signal.signal(signal.SIGINT, interrupted)
            _become(*json.loads(wanted))
            break
        for file in files:
            os.close(file)


def prepare() -> None:
    """Import what any command imports, and make what is made once in a process and is the same in all."""
    import etl.cli  # noqa: PLC0415 -- only the other interpreter has to

    for module in iter_modules(etl.cli.__path__, "etl.cli."):
        import_module(module.name)
    for name in ON_DEMAND:
        import_module(name)
    trust, settings, statements, urls = map(
        import_module,
        ("etl.network.trust", "etl.settings.sections", "etl.state.statements", "etl.state.urls"),
    )
    trust.trust()
    settings.sync_settings()
    dialects = [
        urls.parse_url(url).get_dialect()() for url in ("sqlite:///state.db", "postgresql+psycopg://")
    ]
    for each in [found for found in gc.get_objects() if isinstance(found, statements.Prepared)]:
        for dialect in dialects:
            each._for(dialect)


def _keep(files: list[int]) -> None:
    """Fork once more; report that process and, once it has ended, how.

    Returns in that process only, which has nothing open but its streams.
    """
    *streams, report = files
    if not (command := os.fork()):
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for file in files:
            os.close(file)
        return
    for stream in streams:
        os.close(stream)
    os.write(report, b"%d " % command)
    _, status = os.waitpid(command, 0)
    os.write(report, b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)  # without the time that it takes to let go of all that was imported


def _become(command: list[str], environment: dict[str, str], folder: str) -> None:
    """Be what a start of ``command`` would be. What it raises, or returns, ends this process."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = command
    sys.path[0] = str(Path(command[0]).parent)
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
