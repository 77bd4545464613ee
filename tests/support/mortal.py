"""The command in a process of its own that dies, or stops, exactly where a test wants it to.

The process is forked from a server that has imported the program already: a hundred of them take seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import uuid
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from program import Ended
from sqlalchemy.engine.default import DefaultDialect
from warm import ON_DEMAND

from etl.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.context import ForkServerProcess

    from program import Program

_SERVER = multiprocessing.get_context("forkserver")
_COMMANDS = ("etl.cli.syncing", "etl.cli.wiring", "etl.cli.alerting", "etl.cli.reporting")
_IMPORTED = (*_COMMANDS, "alembic.command", "unittest.mock", *ON_DEMAND)
_SERVER.set_forkserver_preload(["__main__", "mortal", *_IMPORTED])  # the first two only from Python 3.13 on
_PATIENCE_S = 30


@dataclass(frozen=True, slots=True)
class Fate:
    """``strike`` comes at the ``commit``-th commit of the process, right before or right after it.

    ``patience_s`` is how long it waits for a database.
    """

    commit: int = 0
    after: bool = False
    strike: signal.Signals = signal.SIGKILL
    patience_s: int = 10

    def begin(self) -> None:
        """Make it the fate of this process."""
        commits = count(1)
        really_commit: Callable[[DefaultDialect, Any], None] = DefaultDialect.do_commit

        def do_commit(dialect: DefaultDialect, connection: Any) -> None:
            struck = next(commits) == self.commit
            if struck and not self.after:
                os.kill(os.getpid(), self.strike)
            really_commit(dialect, connection)
            if struck and self.after:
                os.kill(os.getpid(), self.strike)

        patch.object(DefaultDialect, "do_commit", do_commit).start()
        patch("etl.state.database._BUSY_S", self.patience_s).start()
        patch("etl.state.postgres.PATIENCE_S", self.patience_s).start()


UNHARMED = Fate()


class Mortal:
    """A command that has been started. ``pid`` is that of its process."""

    def __init__(self, program: Program, *arguments: str, fate: Fate = UNHARMED, **settings: str) -> None:
        said = program.folder.parent / uuid.uuid4().hex
        self._said = said.with_suffix(".out"), said.with_suffix(".err")
        self._process: ForkServerProcess = _SERVER.Process(
            target=_live, args=(arguments, program.environment(settings), program.folder, self._said, fate)
        )
        self._process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def strike(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def is_stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def kill_after(self, seconds: float) -> bool:
        """Let it live for so long at the most. Returns whether it was killed."""
        self._process.join(seconds)
        self._process.kill()
        return self.end().exit_code == -signal.SIGKILL

    def end(self) -> Ended:
        self._process.join(_PATIENCE_S)
        assert self._process.exitcode is not None
        stdout, stderr = (path.read_text() for path in self._said)
        return Ended(self._process.exitcode, stdout, stderr)


def lived(program: Program, *arguments: str, fate: Fate = UNHARMED, **settings: str) -> Ended:
    """How a command ends."""
    with Mortal(program, *arguments, fate=fate, **settings) as mortal:
        return mortal.end()


def _live(
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    folder: Path,
    said: tuple[Path, Path],
    fate: Fate,
) -> None:
    for stream, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["visitor-sync", *arguments]
    fate.begin()
    main()
