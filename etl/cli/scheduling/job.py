"""What a schedule calls, and from where."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from etl import envfile
from etl.cli import logs
from etl.declaration import is_name
from etl.envfile import printable
from etl.errors import SettingsError
from etl.settings import chosen_portal, means_all
from etl.settings.fleet import unknown_portal

ARGUMENTS = ("run", "--cron")
ALL = ("run", "--all", "--cron")


@dataclass(frozen=True, slots=True)
class Job:
    """The words that start this program, the first an absolute path, and the directory in which it runs.

    And what was given to all commands: another file than ``.env``, by its absolute path, a log level, and
    the portal that they work on. ``everything``: all portals that are declared.
    """

    program: tuple[str, ...]
    folder: str
    named_file: str | None = None
    log_level: str | None = None
    portal: str | None = None
    everything: bool = False

    def __post_init__(self) -> None:
        """Raises SettingsError for a path that not every schedule can state, and what names no portal."""
        if self.portal is not None and not is_name(self.portal):
            raise unknown_portal(self.portal, ())
        for path in self.paths:
            if not printable(path).isprintable():
                raise _unspeakable(path, "a line break or another control character")
            if "\\" in path:
                raise _unspeakable(path, "a backslash, which each cron reads in its own way")
            if path != path.strip():
                raise _unspeakable(path, "a space at its end")

    @property
    def owner(self) -> str:
        """Whose schedule it is: of a directory, perhaps with a file of settings elsewhere, or of a portal."""
        named = f" with {self.named_file}" if self.named_file else ""
        return f"{self.folder}{named}{f' for {self.portal}' if self.portal else ''}"

    @property
    def paths(self) -> tuple[str, ...]:
        """What a schedule must be able to state."""
        return (self.program[0], self.folder, *([self.named_file] if self.named_file else []))

    @property
    def env_file(self) -> str:
        """Where the settings stand: if nothing else is given, in the working directory."""
        return self.named_file or str(Path(self.folder) / envfile.DEFAULT)

    @property
    def words(self) -> tuple[str, ...]:
        given = {"--env-file": self.named_file, "--log-level": self.log_level, "--portal": self.portal}
        options = (word for option, value in given.items() if value for word in (option, value))
        return (*self.program, *options, *(ALL if self.everything else ARGUMENTS))


def this_job() -> Job:
    """As this process was started. Raises SettingsError."""
    try:
        folder = Path.cwd()
    except OSError:
        raise SettingsError(
            "The working directory is not there any more.", fix="Change to the one where .env lies."
        ) from None
    named = str(folder / envfile.chosen()) if envfile.is_chosen() else None
    return Job(_program(), str(folder), named, logs.chosen(), chosen_portal(), means_all())


def _program() -> tuple[str, ...]:
    """The script that was started, by the links that lead to it: what is behind them may move."""
    started = Path(sys.argv[0]).absolute()
    if started.name == "__main__.py" or not os.access(started, os.X_OK):
        return (sys.executable, "-m", "etl")
    return (str(started.resolve() if ".." in started.parts else started),)


def _unspeakable(path: str, what: str) -> SettingsError:
    shown = "".join(each if each.isprintable() else "?" for each in printable(path))
    return SettingsError(f"The path {shown} holds {what}.", fix="Move it to one without.")
