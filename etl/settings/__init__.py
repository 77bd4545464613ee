"""The settings: environment variables, an env file, and files of secrets. Read once.

Of several portals each has settings of its own, which the configuration file declares.
"""

from etl.settings.choice import choose_portal, chosen_portal, spoken
from etl.settings.fleet import Fleet, Shared, Tenant
from etl.settings.loading import (
    doubles,
    load,
    load_every,
    load_fleet,
    load_hubspot,
    load_link_property,
    load_live,
    load_one,
    load_places,
    load_shared,
    load_status,
    load_sync,
    load_token,
    load_watch,
    means_all,
)
from etl.settings.names import all_sections, defaults, file_variables, is_ours, known_variables
from etl.settings.reading import declares_fleet
from etl.settings.remarks import declared_variables, exposed, foreign_variables, remarks
from etl.settings.sections import (
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

__all__ = [
    "LONGEST_RANGE",
    "PRO_PLAN",
    "RESERVE",
    "Fleet",
    "HubSpotSettings",
    "PlaceSettings",
    "PlanSettings",
    "Settings",
    "Shared",
    "SyncSettings",
    "Tenant",
    "WatchSettings",
    "ZenovaySettings",
    "all_sections",
    "choose_portal",
    "chosen_portal",
    "declared_variables",
    "declares_fleet",
    "defaults",
    "doubles",
    "exposed",
    "file_variables",
    "foreign_variables",
    "is_ours",
    "known_variables",
    "load",
    "load_every",
    "load_fleet",
    "load_hubspot",
    "load_link_property",
    "load_live",
    "load_one",
    "load_places",
    "load_shared",
    "load_status",
    "load_sync",
    "load_token",
    "load_watch",
    "means_all",
    "remarks",
    "spoken",
]
