"""The settings: environment variables, or a ``.env`` file in the working directory. Read once."""

from pathlib import Path

from etl import envfile
from etl.settings.loading import (
    all_sections,
    defaults,
    is_ours,
    known_variables,
    load,
    load_hubspot,
    load_link_property,
    load_live,
    load_places,
    load_status,
    load_sync,
    load_watch,
)
from etl.settings.sections import (
    ENV_FILE,
    LONGEST_RANGE,
    PRO_PLAN,
    RESERVE,
    HubSpotSettings,
    PlaceSettings,
    PlanSettings,
    Settings,
    SyncSettings,
    WatchSettings,
    ZenovaySettings,
)


def exposed() -> str | None:
    """A sentence on a ``.env`` that others than its owner can read; None where there is none."""
    try:
        mode = Path(ENV_FILE).stat().st_mode & 0o777
    except OSError:
        return None
    if not mode & 0o077:
        return None
    return f"{envfile.place(ENV_FILE)} can be read by others (mode {mode:o}): chmod 600 it"


__all__ = [
    "ENV_FILE",
    "LONGEST_RANGE",
    "PRO_PLAN",
    "RESERVE",
    "HubSpotSettings",
    "PlaceSettings",
    "PlanSettings",
    "Settings",
    "SyncSettings",
    "WatchSettings",
    "ZenovaySettings",
    "all_sections",
    "defaults",
    "exposed",
    "is_ours",
    "known_variables",
    "load",
    "load_hubspot",
    "load_link_property",
    "load_live",
    "load_places",
    "load_status",
    "load_sync",
    "load_watch",
]
