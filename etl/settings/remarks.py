"""What is not wrong with the settings, and may still not be meant."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from etl import envfile
from etl.errors import SettingsError
from etl.settings.faults import unknown
from etl.settings.names import all_sections, foreign
from etl.settings.reading import config
from etl.settings.sections import confidential
from etl.settings.sources import ENVIRONMENT, SUFFIX, read_sources

if TYPE_CHECKING:
    from etl.settings.sources import Sources


def foreign_variables() -> dict[str, str]:
    """What is set in the environment with one of our prefixes and is no setting, and the nearest one."""
    sources = read_sources()
    declared, _ = config(sources)
    return foreign(sources.environment, declared.own, declared.fleet.variables())


def declared_variables() -> frozenset[str]:
    """The variables that the configuration file names, and those of their files."""
    try:
        declared, _ = config(read_sources())
    except SettingsError:
        return frozenset()
    named = declared.fleet.variables()
    return named | {variable + SUFFIX for variable in named}


def remarks() -> list[str]:
    """A sentence on each of the ``foreign_variables``."""
    return [unknown(name, shown, ENVIRONMENT) for name, shown in foreign_variables().items()]


def exposed() -> str | None:
    """A sentence, with what to do, if the env file holds a secret and is open to other users.

    Only a file of ours or of root's is judged: what others have put there is theirs to close.
    """
    path = Path(envfile.chosen())
    try:
        found = path.stat()
        theirs = not stat.S_ISREG(found.st_mode) or found.st_uid not in {0, os.getuid()}
        if theirs or not found.st_mode & 0o077 or not _holds_secret(read_sources()):
            return None
    except (OSError, ValueError, SettingsError):
        return None
    where = envfile.place(str(path))
    mode = stat.S_IMODE(found.st_mode)
    return f"{where} holds a secret, and is open to others (mode {mode:o}): chmod 600 {shlex.quote(where)}"


def _holds_secret(sources: Sources) -> bool:
    written = sources.file
    declared, _ = config(sources)
    return any(written.get(variable) for variable in declared.fleet.variables()) or any(
        mark.is_secret(written.get(variable, ""))
        for section in all_sections()
        for variable, mark in confidential(section).items()
    )
