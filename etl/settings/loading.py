"""Reading the settings, and telling what is wrong with them: all at once, by name, without values."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from etl.errors import SettingsError
from etl.settings import demand
from etl.settings.choice import chosen_portal, talk_in
from etl.settings.faults import wrong
from etl.settings.fleet import Fleet, Shared, Tenant
from etl.settings.reading import declares_fleet, given, made, read
from etl.settings.sections import (
    HubSpotSettings,
    LinkSettings,
    LiveSettings,
    PlaceSettings,
    PlanSettings,
    Section,
    Settings,
    SyncSettings,
    TokenSettings,
    WatchSettings,
    ZenovaySettings,
)
from etl.settings.sources import read_sources
from etl.settings.terms import ANY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.declaration import Declaration, Site
    from etl.settings.portals import Portals
    from etl.settings.reading import AnySection, Reading
    from etl.settings.sources import Sources

_EARLY = timedelta(seconds=10)
"""A run may begin so much before a whole interval has passed since the last one."""


def load() -> Settings:
    """All settings. Raises SettingsError, which lists everything that is missing or wrong, without values."""
    if (portal := chosen_portal()) is not None:
        return _only_tenant(load_fleet(), portal).settings
    sections = _load(ZenovaySettings, HubSpotSettings, SyncSettings, WatchSettings)
    return Settings(*sections)  # type: ignore[arg-type]  # one of each, in this order


def load_one() -> Settings:
    """All settings; of a portal that is read with several keys those with the first. Raises SettingsError."""
    if (portal := chosen_portal()) is None:
        return load()
    return _any_tenant(load_fleet(), portal).settings


def means_all() -> bool:
    """Whether all portals of the file are meant where none is chosen: the environment describes no other."""
    return chosen_portal() is None and declares_fleet() and not read().is_alone


def load_every() -> list[tuple[str, timedelta]]:
    """How often each website is read that is declared, of the chosen portal where one is chosen."""
    portal, sites = chosen_portal(), read().config.fleet.sites
    return [(site.website, site.every) for site in sites if portal in {None, site.portal}]


def doubles(settings: Settings) -> list[str]:
    """A sentence on each secret of these settings, which are no portal's, that a declared one has as well."""
    if settings.shared or not declares_fleet():
        return []
    key, token = settings.zenovay.api_key, settings.hubspot.access_token
    secrets = {"key": key.get_secret_value(), "token": token.get_secret_value()}
    return [*read().portals.holders(**secrets)]


def load_fleet() -> Fleet:
    """All tenants; those of the chosen portal where one is chosen.

    Raises SettingsError, which lists everything that is missing or wrong, also where no portal is declared.
    """
    from etl.settings.places import shared_url  # noqa: PLC0415 -- sqlalchemy, as in the values

    reading = read()
    names = reading.portals.names()
    if (portal := chosen_portal()) is not None:
        reading.chosen(portal)
    elif not names and not reading.problems:
        raise reading.undeclared()
    else:
        talk_in(ANY)
    base = reading.base()
    wanted = names if portal is None else (portal,)
    tenants = [tenant for name in wanted for tenant in _tenants(reading, name, base)]
    reading.end()
    return Fleet(tuple(tenants), shared_url(str(base)), tuple(_notes(reading.config.fleet, tenants)))


def _notes(declaration: Declaration, tenants: Sequence[Tenant]) -> Iterator[str]:
    """What may not be meant: of all portals, also where one is chosen, as they share keys."""
    used = {name for site in declaration.sites for name in (f"portal {site.portal}", f"key {site.key}")}
    declared = [f"portal {each.name}" for each in declaration.portals]
    declared += [f"key {each.name}" for each in declaration.keys]
    yield from (f"The {name} has no site." for name in declared if name not in used)
    for key, plan in {tenant.key: tenant.settings.zenovay for tenant in tenants}.items():
        yield from demand.remarks(key, [site.every for site in declaration.sites if site.key == key], plan)


def _tenants(reading: Reading, portal: str, base: str | None) -> Iterator[Tenant]:
    """The tenants of a portal that can be made; what is wrong is noted."""
    portals = reading.portals
    own = reading.loaded((HubSpotSettings, SyncSettings, WatchSettings), reading.of(portal, None))
    for key in portals.keys(portal):
        zenovay = reading.loaded((ZenovaySettings,), reading.of(portal, key))
        if base and zenovay and len(own) == 3:  # noqa: PLR2004 -- the other sections of Settings
            sites = portals.sites(portal, key)
            shared = _shared(portals, base, portal, key)
            sections: list[Any] = [*zenovay, *_hurried(own, sites)]
            settings = replace(Settings(*sections), shared=shared)
            yield Tenant(portal, key, settings, {site.website: site.every for site in sites})


def _hurried(sections: Sequence[Section], sites: Sequence[Site]) -> list[Section]:
    """``sections`` that let ``sites`` be read as often as they are declared, whatever pause is set."""
    least = min((site.every - _EARLY for site in sites), default=timedelta.max)
    return [
        each.model_copy(update={"min_interval": least})
        if isinstance(each, SyncSettings) and each.min_interval > least
        else each
        for each in sections
    ]


def _only_tenant(fleet: Fleet, portal: str) -> Tenant:
    """The tenant of a portal that is read with one key. Raises SettingsError for any other."""
    if len(fleet.tenants) > 1:
        keys = ", ".join(tenant.key for tenant in fleet.tenants)
        raise SettingsError(
            f"The portal {portal} is read with several keys ({keys}), which this command cannot go through.",
            fix="run, check and backfill without --plan go through all of them.",
        )
    return _any_tenant(fleet, portal)


def _any_tenant(fleet: Fleet, portal: str) -> Tenant:
    if not fleet.tenants:
        raise SettingsError(f"The portal {portal} has no website.", fix="Name one in [[sites]].")
    return fleet.tenants[0]


def _load(*sections: type[Section]) -> list[Section]:
    reading = read()
    portal = chosen_portal()
    loaded = reading.loaded(sections, reading.chosen(portal))
    reading.end()
    return loaded if portal is None else _hurried(loaded, reading.portals.sites(portal))


def _sources() -> Sources:
    """What is set, for the chosen portal where one is chosen. Raises SettingsError."""
    return read_sources() if chosen_portal() is None else read().chosen(chosen_portal())


def load_shared() -> Shared | None:
    """Where the limits of the chosen portal stand; None where none is chosen. Of its keys, the first's.

    Raises SettingsError.
    """
    if (portal := chosen_portal()) is None:
        return None
    reading = read()
    reading.chosen(portal)
    base, keys = reading.base(), tuple(reading.portals.keys(portal))
    if base is None or not keys:
        return None
    return _shared(reading.portals, base, portal, keys[0])


def _shared(portals: Portals, base: str, portal: str, key: str) -> Shared:
    from etl.settings.places import shared_url  # noqa: PLC0415 -- sqlalchemy, as in the values

    url, per_day, terms = shared_url(base), portals.per_day(portal), portals.terms(portal, key)
    return Shared(url, portal, key, per_day, terms, portals.names())


def load_hubspot() -> tuple[HubSpotSettings, SyncSettings]:
    """What ``setup`` needs. Raises SettingsError."""
    hubspot, sync = _load(HubSpotSettings, SyncSettings)
    return hubspot, sync  # type: ignore[return-value]  # as above


def load_token() -> HubSpotSettings | None:
    """HubSpot's settings, for what works without a token; then None. Raises SettingsError."""
    (token,) = _load(TokenSettings)
    if token.access_token is None:  # type: ignore[attr-defined]  # as above
        return None
    return _load(HubSpotSettings)[0]  # type: ignore[return-value]  # as above


def load_status() -> tuple[PlanSettings, SyncSettings]:
    """What ``status`` needs. Raises SettingsError."""
    plan, sync = _load(PlanSettings, SyncSettings)
    return plan, sync  # type: ignore[return-value]  # as above


def load_sync() -> SyncSettings:
    """What ``rejections`` needs. Raises SettingsError."""
    return _load(SyncSettings)[0]  # type: ignore[return-value]  # as above


def load_places() -> PlaceSettings | None:
    """Where the state and the log are kept; None where not even that can be read."""
    return _readable(PlaceSettings)


def load_watch() -> WatchSettings:
    """Who is told how the sync fares, whatever else is wrong; a setting of it that is wrong is left out."""
    texts: dict[str, Any] = {"_env_file": None}
    with suppress(SettingsError):
        sources = _sources()
        texts = {"_env_file": sources.path, **sources.secrets(WatchSettings).texts}
        texts |= given(WatchSettings, sources)
    while True:
        try:
            return WatchSettings(**texts)
        except ValidationError as exc:
            found = exc.errors(include_url=False, include_input=False)
            texts |= {str(each["loc"][0]) if each["loc"] else "notify": None for each in found}


def load_live() -> LiveSettings:
    """What ``live`` needs for given codes. Raises SettingsError where exactly that is wrong."""
    sources = _sources()
    settings, problems = made(LiveSettings, sources)
    if settings is None:
        raise wrong(problems, sources)
    return settings


def load_link_property() -> str | None:
    """The property that links are learnt from; None where none is set, or it cannot be read."""
    settings = _readable(LinkSettings)
    return settings.link_property if settings else None


def _readable(section: type[AnySection]) -> AnySection | None:
    """A section by itself, whatever is wrong with the others."""
    try:
        return made(section, _sources())[0]
    except SettingsError:
        return None
