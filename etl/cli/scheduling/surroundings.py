"""What is set where a person calls the program, and will not be where a schedule does."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from dotenv import dotenv_values
from dotenv.variables import Variable, parse_variables

from etl import envfile
from etl.settings import declared_variables, foreign_variables, is_ours

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_THE_USER = frozenset({"HOME", "LOGNAME", "SHELL", "USER"})
"""Every schedule has these."""

_OF_THE_WAY = (
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PYTHONPATH",
)


def lost_settings() -> list[str]:
    """The variables on which our settings depend here, and which the env file does not give the same value.

    Raises SettingsError where that cannot be read.
    """
    path = envfile.chosen()
    read = {name.upper(): value for name, value in (envfile.read(path) or {}).items()}
    raw = dotenv_values(path, encoding=envfile.ENCODING, interpolate=False)
    set_here = {name.upper(): value for name, value in os.environ.items() if value}
    declared = declared_variables()
    ours = {name: value for name, value in set_here.items() if name in declared or is_ours(name)}
    lost = {name for name, value in ours.items() if read.get(name) != value} - foreign_variables().keys()
    lost |= _referred_to(raw)
    return sorted(lost if read.get("SYNC_STATE_URL") else lost | _of_the_state())


def lost_ways() -> list[str]:
    """What leads to the two APIs, or to our modules, and stands in the environment alone."""
    return [name for name in _OF_THE_WAY if os.environ.get(name) or os.environ.get(name.lower())]


def _referred_to(raw: Mapping[str, str | None]) -> set[str]:
    """What the env file takes from the environment, as in ``NAME=${OTHER}``."""
    named = {
        atom.name
        for value in raw.values()
        for atom in parse_variables(value or "")
        if isinstance(atom, Variable)
    }
    return {name for name in named if name in os.environ and name not in {*raw, *_OF_THE_USER}}


def _of_the_state() -> set[str]:
    """What moves the state away from where it is by default."""
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return set()
    usual = {"HOME": home, "XDG_STATE_HOME": home / ".local" / "state"}
    return {name for name, path in usual.items() if os.environ.get(name) and Path(os.environ[name]) != path}
