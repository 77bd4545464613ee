"""Programs of the system that keep schedules: called, and what they answer."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from etl.envfile import printable
from etl.errors import SettingsError, UnavailableError

_PATIENCE_S = 60
_PLAIN = {"LC_ALL": "C", "CRONTAB_NOHEADER": "Y", "VISUAL": "cat", "EDITOR": "cat"}
"""English; no heading of crontab's own before the table, which would be there twice once it is written back;
and what is edited is only shown.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    output: bytes
    complaint: str
    """One line: the words that stand on stderr."""


def is_there(name: str) -> bool:
    return shutil.which(name) is not None


def ask(name: str, *arguments: str, feed: bytes = b"") -> Answer:
    """Call a program that is there. Raises SettingsError where it cannot be called, else UnavailableError."""
    try:
        done = subprocess.run(  # noqa: S603 -- the programs and arguments are ours
            [shutil.which(name) or name, *arguments],
            input=feed,
            capture_output=True,
            timeout=_PATIENCE_S,
            env=os.environ | _PLAIN,
            check=False,
        )
    except OSError as exc:
        raise SettingsError(
            f"{name} cannot be called: {exc.strerror}.", fix="See that this user may run it."
        ) from exc
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"{name} did not end within {_PATIENCE_S} s.", fix="Try again later."
        ) from None
    said = printable(os.fsdecode(done.stderr))
    return Answer(done.returncode, done.stdout, " ".join(said.split()) or f"exit {done.returncode}")
