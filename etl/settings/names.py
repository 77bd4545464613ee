"""Every variable that this program reads."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from etl import envfile
from etl.naming import nearest
from etl.settings.sections import (
    HubSpotSettings,
    Section,
    SyncSettings,
    WatchSettings,
    ZenovaySettings,
    confidential,
    sync_settings,
    variables,
)
from etl.settings.sources import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from etl.fields import Field

_SECTIONS: tuple[type[Section], ...] = (ZenovaySettings, HubSpotSettings, SyncSettings)


def all_sections(own: tuple[Field, ...] = ()) -> tuple[type[Section], ...]:
    """The sections in the order of the README, with a setting for the property of each field."""
    return (ZenovaySettings, HubSpotSettings, sync_settings(own), WatchSettings)


def _written(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    return f"{int(default.total_seconds())}s" if isinstance(default, timedelta) else str(default)


def known_variables(own: tuple[Field, ...] = ()) -> list[str]:
    """Every variable that this program reads, but for the ``file_variables``."""
    return [variable for section in all_sections(own) for variable in variables(section).values()]


def file_variables() -> list[str]:
    """Every variable that names the file of a secret."""
    return [variable + SUFFIX for section in all_sections() for variable in confidential(section)]


def defaults() -> dict[str, str]:
    """Every setting that has a default, and how it is written; empty where that is "not set"."""
    found: dict[str, str] = {}
    for section in all_sections():
        settings = section.model_fields.values()
        found |= {
            variable: _written(setting.default)
            for variable, setting in zip(variables(section).values(), settings, strict=True)
            if not setting.is_required()
        }
    return found


def prefixes() -> tuple[str, ...]:
    """What the variables of this program begin with."""
    return tuple(section.model_config.get("env_prefix") or "" for section in _SECTIONS)


def undecodable_variables() -> list[str]:
    """Ours whose values are no text: the system hands over bytes, and these stand for themselves."""
    return sorted(
        name.upper()
        for name, value in os.environ.items()
        if name.upper().startswith(prefixes()) and envfile.printable(value) != value
    )


def foreign(names: Iterable[str], own: tuple[Field, ...], secrets: Collection[str] = ()) -> dict[str, str]:
    """Those of the ``names`` that have a prefix of ours and are no setting, and the nearest one of each.

    ``secrets`` are the variables that the configuration file names.
    """
    beginnings = prefixes()
    if not (ours := sorted(name for name in names if name.startswith(beginnings))):
        return {}
    known = [*known_variables(own), *file_variables()]
    named = {*known, *secrets, *(variable + SUFFIX for variable in secrets)}
    return {name: nearest(name, known) for name in ours if name not in named}


def is_ours(variable: str) -> bool:
    """Whether an environment variable belongs to this program, be it one that it knows or not."""
    return variable.startswith(prefixes()) or variable in {*known_variables(), *file_variables()}
