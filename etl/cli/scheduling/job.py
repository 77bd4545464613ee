"""What a schedule calls, and from where."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from etl.envfile import printable
from etl.errors import SettingsError
from etl.settings import ENV_FILE

ARGUMENTS = ("run", "--cron")


@dataclass(frozen=True, slots=True)
class Job:
    """The words that start this program, the first an absolute path, and the directory in which it runs."""

    program: tuple[str, ...]
    folder: str

    def __post_init__(self) -> None:
        """Raises SettingsError for a path that not every schedule can state."""
        for path in (self.program[0], self.folder):
            if not printable(path).isprintable():
                raise _unspeakable(path, "a line break or another control character")
            if "\\" in path:
                raise _unspeakable(path, "a backslash, which each cron reads in its own way")
            if path != path.strip():
                raise _unspeakable(path, "a space at its end")

    @property
    def env_file(self) -> str:
        """Where the settings stand: the program looks for them in its working directory."""
        return str(Path(self.folder) / ENV_FILE)

    @property
    def words(self) -> tuple[str, ...]:
        return (*self.program, *ARGUMENTS)


def this_job() -> Job:
    """As this process was started. Raises SettingsError."""
    try:
        folder = Path.cwd()
    except OSError:
        raise SettingsError(
            "The working directory is not there any more.", fix="Change to the one where .env lies."
        ) from None
    return Job(_program(), str(folder))


def _program() -> tuple[str, ...]:
    """The script that was started, by the links that lead to it: what is behind them may move."""
    started = Path(sys.argv[0]).absolute()
    if started.name == "__main__.py" or not os.access(started, os.X_OK):
        return (sys.executable, "-m", "etl")
    return (str(started.resolve() if ".." in started.parts else started),)


def _unspeakable(path: str, what: str) -> SettingsError:
    shown = "".join(each if each.isprintable() else "?" for each in printable(path))
    return SettingsError(f"The path {shown} holds {what}.", fix="Move it to one without.")
