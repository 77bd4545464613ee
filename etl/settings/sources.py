"""Where a setting stands: in the environment, in the env file, or in a file of its own if it is a secret.

The environment wins over the env file. What stands in neither is looked for in the directories into which
systemd, Docker and Kubernetes put secrets, a file each. ``NAME_FILE``, in the environment or the env file,
names any other file; it is not to be set beside ``NAME``.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from etl import envfile
from etl.errors import SettingsError
from etl.settings.sections import confidential, variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from etl.fields import Field
    from etl.settings.sections import Section

SUFFIX = "_FILE"
ENVIRONMENT = "environment"
LARGEST_KIB = 64
MOUNTED = Path("/run/secrets")
"""Where Docker puts secrets, and Kubernetes if it is told to."""


class Given(NamedTuple):
    """What the configuration file says of a setting, for one portal alone."""

    text: str | None
    """None: nothing, so that the default holds."""

    named: str
    """What it is called there, with the table that it stands in."""

    origin: str = ""
    """Where the text stands, if not there."""

    missing: str = ""
    """A sentence for where a text is needed and there is none."""

    fault: str = ""
    """A sentence on why the text cannot be read."""


class Secrets(NamedTuple):
    """What files gave a section: the texts by its keys, and the files and faults by the variables."""

    texts: dict[str, str]
    files: dict[str, str]
    faults: dict[str, str]


class Filed(NamedTuple):
    """A secret in a file of its own: what it is, and where, or what is wrong; nothing where there is none."""

    text: str | None = None
    place: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """What is set, under names in upper case; what is set to nothing as well."""

    environment: Mapping[str, str]
    file: Mapping[str, str]
    path: str
    """The env file."""

    found: bool
    """Whether that is there."""

    own: Mapping[str, str] = field(default_factory=dict)
    """The settings that the configuration file brings along, and where that is."""

    given: Mapping[str, Given] = field(default_factory=dict)
    """What holds for one portal, by the variables that it replaces."""

    config: str = ""
    """Where the configuration file is."""

    def with_own(self, own: Iterable[Field], where: str) -> Sources:
        """These, and the properties of fields that are declared ``where`` it says."""
        return replace(self, own={each.setting: where for each in own}, config=where)

    def with_given(self, given: Mapping[str, Given]) -> Sources:
        """These, as they are for one portal."""
        return replace(self, given=given)

    def of(self, variable: str) -> str | None:
        """Where a variable is set, and not to nothing; None where it is not."""
        if given := self.given.get(variable):
            return f"{self.config}: {given.named}"
        if self.environment.get(variable):
            return ENVIRONMENT
        return envfile.place(self.path) if self.file.get(variable) else self.own.get(variable)

    def text(self, variable: str) -> str:
        """What a variable is set to; empty where it is not."""
        if given := self.given.get(variable):
            return given.text or ""
        return self.environment.get(variable) or self.file.get(variable) or ""

    def secrets(self, section: type[Section]) -> Secrets:
        """What stands in files of their own, of what may be a secret."""
        keys = {variable: key for key, variable in variables(section).items()}
        found = Secrets({}, {}, {})
        for variable in confidential(section).keys() - self.given.keys():
            secret = self.filed(variable)
            if secret.fault:
                found.faults[variable] = secret.fault
            elif secret.text is not None:
                found.texts[keys[variable]] = secret.text
                found.files[variable] = secret.place
        return found

    def filed(self, variable: str) -> Filed:
        """The secret of that name, if it stands in a file of its own."""
        pointer = variable + SUFFIX
        here, there = self.of(variable), self.of(pointer)
        if here and there:
            both = f"{variable} and {pointer} are both set; leave one of them out ({here}; {there})."
            return Filed(fault=both)
        path = Path(self.text(pointer).strip()) if there else self._mounted(variable)
        if path is None:
            return Filed()
        name, where = (pointer, f" ({there})") if there else (variable, "")
        return read_secret(path, named=name, where=where)

    def _mounted(self, variable: str) -> Path | None:
        """The file of a secret that is not set, not even to nothing in the environment."""
        if self.of(variable) or variable in self.environment:
            return None
        candidates = (folder / name for folder in directories() for name in (variable, variable.lower()))
        return next((path for path in candidates if os.path.lexists(path)), None)


class _FaultError(Exception):
    """What is wrong with the file of a secret, as the end of a sentence; it quotes nothing of it."""


def read_sources() -> Sources:
    """What is set now. Raises SettingsError where the env file cannot be read."""
    path = envfile.chosen()
    written = envfile.read(path)
    return Sources(
        {name.upper(): value for name, value in os.environ.items()},
        {name.upper(): value or "" for name, value in (written or {}).items()},
        path,
        found=written is not None,
    )


def directories() -> list[Path]:
    """The directories of secrets that are there; one that is common to all if it may be looked into.

    Raises SettingsError where the one that is meant for this program may not: a secret in it would be missed.
    """
    found = [MOUNTED] if MOUNTED.is_dir() and os.access(MOUNTED, os.X_OK) else []
    if credentials := os.environ.get("CREDENTIALS_DIRECTORY"):
        path = Path(credentials)
        if os.path.lexists(path) and not os.access(path, os.X_OK):
            raise SettingsError(
                f"CREDENTIALS_DIRECTORY: the directory {_shown(path)} cannot be looked into.",
                fix="Let the user who runs this read it and what it holds.",
            )
        found = [path, *found] if path.is_dir() else found
    return found


def read_secret(path: Path, *, named: str, where: str = "") -> Filed:
    """The secret that the file holds, or what is wrong with what is ``named`` so."""
    try:
        return Filed(_read(path), f"file {_shown(path)}")
    except _FaultError as fault:
        # what is no path may be the secret itself
        is_path = os.path.lexists(path) or any(mark in str(path) for mark in "/.")
        file = (
            f"the file {_shown(path)}"
            if is_path
            else "the file that it names (not shown: it has no slash and no dot)"
        )
        return Filed(fault=f"{named}: {file} {fault}{where}.")


def _read(path: Path) -> str:
    """What a secret's file holds, without the white space around it. Raises _FaultError."""
    try:
        written = _bytes(path.expanduser())
        text = written.decode(envfile.ENCODING).strip()
    except FileNotFoundError:
        raise _FaultError("is not there") from None
    except OSError as exc:
        raise _FaultError(f"cannot be read: {exc.strerror}") from None
    except RuntimeError:
        raise _FaultError("begins with ~, and whose home that is is not known") from None
    except UnicodeDecodeError:
        raise _FaultError("is not UTF-8") from None
    if not text or "\0" in text:
        raise _FaultError("holds a NUL byte" if text else "is empty")
    return text


def _bytes(path: Path) -> bytes:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise _FaultError("is a directory" if stat.S_ISDIR(mode) else "is a pipe or a device")
    with path.open("rb") as opened:
        written = opened.read(LARGEST_KIB * 1024 + 1)
    if len(written) > LARGEST_KIB * 1024:
        raise _FaultError(f"is larger than {LARGEST_KIB} KiB")
    return written


def _shown(path: Path) -> str:
    return envfile.place(str(path))
