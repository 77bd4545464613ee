"""Reading the settings, and telling what is wrong with them: all at once, by name, without values."""

from __future__ import annotations

import logging
import os
import re
import shlex
import stat
import tomllib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from etl import envfile
from etl.config import Config
from etl.errors import SettingsError
from etl.naming import nearest
from etl.settings.fleet import Fleet, Shared, Tenant, unknown_portal
from etl.settings.portals import ALONE, STATE, Portals
from etl.settings.sections import (
    CONFIG_FILE,
    ConfigSettings,
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
    confidential,
    sync_settings,
    variables,
)
from etl.settings.sources import ENVIRONMENT, SUFFIX, directories, read_sources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from etl.fields import Field
    from etl.settings.sources import Given, Sources

log = logging.getLogger(__name__)

_EARLY = timedelta(seconds=10)
"""A run may begin so much before a whole interval has passed since the last one."""

_chosen: str | None = None
"""The portal that the settings are read for."""

AnySection = TypeVar("AnySection", bound=Section)
_SECTIONS: tuple[type[Section], ...] = (ZenovaySettings, HubSpotSettings, SyncSettings)
_MISSING = {
    "ZENOVAY_API_KEY": "the secret key, which begins with zv_ (Zenovay: settings, API keys)",
    "ZENOVAY_WEBSITE_ID": "the id of the website; several are separated by commas",
    "HUBSPOT_ACCESS_TOKEN": "the token of a private app or service key (HubSpot: settings, integrations)",
}


def load() -> Settings:
    """All settings. Raises SettingsError, which lists everything that is missing or wrong, without values."""
    if _chosen is not None:
        return _only_tenant(load_fleet(), _chosen).settings
    sections = _load(ZenovaySettings, HubSpotSettings, SyncSettings, WatchSettings)
    return Settings(*sections)  # type: ignore[arg-type]  # one of each, in this order


def choose_portal(name: str) -> None:
    """Have the settings read as they are for one portal of the configuration file."""
    global _chosen  # noqa: PLW0603 -- of the process, as the env file that is chosen
    _chosen = name


def chosen_portal() -> str | None:
    """The portal that the settings are read for; None where none was chosen."""
    return _chosen


def declares_fleet() -> bool:
    """Whether the configuration file declares portals, be they declared rightly or not."""
    try:
        path = read_sources().text("SYNC_CONFIG").strip() or CONFIG_FILE
        return bool(tomllib.loads(Path(path).expanduser().read_text(envfile.ENCODING)).get("portals"))
    except (SettingsError, OSError, ValueError, RuntimeError):
        return False


def load_fleet() -> Fleet:
    """All tenants; those of the chosen portal where one is chosen.

    Raises SettingsError, which lists everything that is missing or wrong, also where no portal is declared.
    """
    from etl.settings.places import shared_url  # noqa: PLC0415 -- sqlalchemy, as in the values

    reading = _read()
    names = reading.portals.names()
    if _chosen is not None:
        reading.chosen(_chosen)
    elif not names and not reading.problems:
        raise SettingsError(
            f"{reading.sources.config} declares no portals.", fix="visitor-sync help fleet shows how."
        )
    base = reading.base()
    wanted = names if _chosen is None else (_chosen,)
    tenants = [tenant for name in wanted for tenant in _tenants(reading, name, base)]
    reading.end()
    return Fleet(tuple(tenants), shared_url(str(base)))


def _tenants(reading: _Reading, portal: str, base: str | None) -> Iterator[Tenant]:
    """The tenants of a portal that can be made; what is wrong is noted."""
    from etl.settings.places import shared_url  # noqa: PLC0415 -- sqlalchemy, as in the values

    portals = reading.portals
    own = reading.loaded((HubSpotSettings, SyncSettings, WatchSettings), reading.of(portal, None))
    for key in portals.keys(portal):
        zenovay = reading.loaded((ZenovaySettings,), reading.of(portal, key))
        if base and len(zenovay) + len(own) == 4:  # noqa: PLR2004 -- the sections of Settings
            shared = Shared(shared_url(base), portal, key, portals.per_day(portal))
            every = {site.website: site.every for site in portals.sites(portal, key)}
            settings = Settings(*zenovay, *own, shared)  # type: ignore[arg-type]  # one of each
            yield Tenant(portal, key, _hurried(settings, min(every.values())), every)


def _hurried(settings: Settings, every: timedelta) -> Settings:
    """``settings`` that let a website be read ``every`` so often: its declaration says that, not a pause."""
    if settings.sync.min_interval <= every - _EARLY:
        return settings
    return replace(settings, sync=settings.sync.model_copy(update={"min_interval": every - _EARLY}))


def _only_tenant(fleet: Fleet, portal: str) -> Tenant:
    """The tenant of a portal that is read with one key. Raises SettingsError for any other."""
    if not fleet.tenants:
        raise SettingsError(f"The portal {portal} has no website.", fix="Name one in [[sites]].")
    if len(fleet.tenants) > 1:
        keys = ", ".join(tenant.key for tenant in fleet.tenants)
        raise SettingsError(
            f"The portal {portal} is read with several keys ({keys}), which this command cannot go through.",
            fix="run, backfill and check go through all of them.",
        )
    return fleet.tenants[0]


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
    given: dict[str, Any] = {"_env_file": None}
    with suppress(SettingsError):
        sources = read_sources() if _chosen is None else _read().chosen(_chosen)
        given = {"_env_file": sources.path, **sources.secrets(WatchSettings).texts}
        given |= _given(WatchSettings, sources)
    while True:
        try:
            return WatchSettings(**given)
        except ValidationError as exc:
            wrong = exc.errors(include_url=False, include_input=False)
            given |= {str(each["loc"][0]) if each["loc"] else "notify": None for each in wrong}


def load_live() -> LiveSettings:
    """What ``live`` needs for given codes. Raises SettingsError where exactly that is wrong."""
    sources = read_sources() if _chosen is None else _read().chosen(_chosen)
    settings, problems = _made(LiveSettings, sources)
    if settings is None:
        raise _wrong(problems, sources)
    return settings


def load_link_property() -> str | None:
    """The property that links are learnt from; None where none is set, or it cannot be read."""
    settings = _readable(LinkSettings)
    return settings.link_property if settings else None


def _readable(section: type[AnySection]) -> AnySection | None:
    """A section by itself, whatever is wrong with the others."""
    try:
        return _made(section, read_sources() if _chosen is None else _read().chosen(_chosen))[0]
    except SettingsError:
        return None


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


def is_ours(variable: str) -> bool:
    """Whether an environment variable belongs to this program, be it one that it knows or not."""
    return variable.startswith(_prefixes()) or variable in {*known_variables(), *file_variables()}


def foreign_variables() -> dict[str, str]:
    """What is set in the environment with one of our prefixes and is no setting, and the nearest one."""
    sources = read_sources()
    config, _ = _config(sources)
    return _foreign(sources.environment, config.own, config.fleet.variables())


def remarks() -> list[str]:
    """A sentence on each of the ``foreign_variables``."""
    return [_unknown(name, shown, ENVIRONMENT) for name, shown in foreign_variables().items()]


def exposed() -> str | None:
    """A sentence, with what to do, if the env file holds a secret and is open to other users.

    Only a file of ours or of root's is judged: what others have put there is theirs to close.
    """
    path = Path(envfile.chosen())
    try:
        found = path.stat()
        theirs = not stat.S_ISREG(found.st_mode) or found.st_uid not in {0, os.getuid()}
        if theirs or not found.st_mode & 0o077 or not _holds_secret(read_sources().file):
            return None
    except (OSError, ValueError, SettingsError):
        return None
    where = envfile.place(str(path))
    mode = stat.S_IMODE(found.st_mode)
    return f"{where} holds a secret, and is open to others (mode {mode:o}): chmod 600 {shlex.quote(where)}"


def _holds_secret(written: Mapping[str, str]) -> bool:
    return any(
        mark.is_secret(written.get(variable, ""))
        for section in all_sections()
        for variable, mark in confidential(section).items()
    )


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


def _load(*sections: type[Section]) -> list[Section]:
    reading = _read()
    sources = reading.chosen(_chosen)
    loaded = reading.loaded(sections, sources)
    reading.end()
    return loaded


def _read() -> _Reading:
    """All that is set, before any of it is understood."""
    sources = read_sources()
    undecodable = _undecodable_variables()
    problems = [
        f"{envfile.printable(name)} holds bytes that are not UTF-8 ({ENVIRONMENT})." for name in undecodable
    ]
    config, wrong = _config(sources)
    problems += wrong
    where = envfile.place(sources.text("SYNC_CONFIG").strip() or CONFIG_FILE)
    sources = sources.with_own(config.own, where)
    reading = _Reading(sources, config, undecodable, problems)
    file = envfile.place(sources.path)
    problems += [_unknown(name, shown, file) for name, shown in reading.foreign(sources.file).items()]
    if config.fleet.portals:
        problems += [f"{where}: {each}." for each in reading.portals.faults()]
    return reading


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is set, and what was found wrong with it so far."""

    sources: Sources
    config: Config
    undecodable: Sequence[str]
    problems: list[str]

    @property
    def portals(self) -> Portals:
        return Portals(self.config.fleet, self.sources, self.config.own)

    def foreign(self, names: Iterable[str]) -> dict[str, str]:
        return _foreign(names, self.config.own, self.config.fleet.variables())

    def loaded(self, sections: Iterable[type[Section]], sources: Sources) -> list[Section]:
        """The sections that can be made; what is wrong with others is noted."""
        loaded: list[Section] = []
        for section in sections:
            made = sync_settings(*self.config[:3]) if section is SyncSettings else section
            settings, wrong = _made(made, sources, told=self.undecodable)
            self.problems.extend(each for each in wrong if each not in self.problems)
            loaded += [settings] if settings else []
        return loaded

    def chosen(self, portal: str | None) -> Sources:
        """The sources for the portal that is chosen. Raises SettingsError where one must be, or is unknown."""
        names = self.portals.names()
        if portal is None:
            if names and not self.problems and not any(map(self._is_set, ALONE)):
                raise SettingsError(
                    f"{self.sources.config} declares portals, and none was chosen.",
                    fix=f"Give --portal NAME, of {', '.join(names)}.",
                )
            return self.sources
        if portal not in names:
            self.end()
            raise unknown_portal(portal, names)
        return self.of(portal, None)

    def of(self, portal: str, key: str | None) -> Sources:
        """The sources for a portal, and for one of its keys."""
        from etl.settings.places import portal_url  # noqa: PLC0415 -- sqlalchemy, as in the values

        base = self.base()
        state = portal_url(base, portal) if base else None
        return self.sources.with_given(self.portals.given(portal, key, state))

    def base(self) -> str | None:
        """The URL beside which the states are; None where that cannot be one, which its section tells."""
        from etl.settings.places import wrong_place  # noqa: PLC0415 -- sqlalchemy, as in the values
        from etl.state.urls import default_url, fault  # noqa: PLC0415 -- likewise

        texts = self.sources.secrets(PlaceSettings).texts
        url = texts.get("state_url") or self.sources.text(STATE).strip() or default_url()
        if fault(url):
            return None
        wrong = [f"{STATE} {each}." for each in wrong_place(url, self.portals.names())]
        self.problems.extend(each for each in wrong if each not in self.problems)
        return None if wrong else url

    def end(self) -> None:
        """Raise SettingsError for all that was noted; else log what is unknown in the environment."""
        foreign = self.foreign(self.sources.environment)
        if self.problems:
            unknown = [_unknown(name, shown, ENVIRONMENT) for name, shown in foreign.items()]
            raise _wrong([*self.problems, *unknown], self.sources)
        for name, shown in foreign.items():
            facts = {"action": "unknown_setting", "variable": envfile.printable(name), "nearest": shown}
            log.warning("a variable of the environment is no setting of this program", extra=facts)

    def _is_set(self, variable: str) -> bool:
        filed = self.sources.filed(variable)
        return bool(self.sources.of(variable) or filed.text or filed.fault)


def _made(
    section: type[AnySection], sources: Sources, *, told: Collection[str] = ()
) -> tuple[AnySection | None, list[str]]:
    """A section as it is set, and a sentence for all that is wrong with it, but for variables ``told`` of."""
    secrets = sources.secrets(section)
    faults = {**secrets.faults, **_given_faults(section, sources)}
    wrong = [fault for variable, fault in faults.items() if variable not in told]
    given: dict[str, Any] = {"_env_file": sources.path, **secrets.texts, **_given(section, sources)}
    try:
        settings = section(**given)
    except ValidationError as exc:
        told = {*told, *faults} & {*variables(section).values()}
        return None, [*wrong, *_sentences(section, exc, sources, secrets.files, told)]
    return None if wrong else settings, wrong


def _given(section: type[Section], sources: Sources) -> dict[str, Any]:
    """What the configuration file gives a section for one portal; a default where it gives nothing."""
    fields = zip(variables(section).items(), section.model_fields.values(), strict=True)
    return {
        key: ("" if field.is_required() else field.default) if (text := given.text) is None else text
        for (key, variable), field in fields
        if (given := sources.given.get(variable))
    }


def _given_faults(section: type[Section], sources: Sources) -> dict[str, str]:
    found = ((variable, sources.given.get(variable)) for variable in variables(section).values())
    return {name: f"{sources.config}: {given.fault}" for name, given in found if given and given.fault}


def _wrong(problems: list[str], sources: Sources) -> SettingsError:
    """All ``problems`` as one."""
    count = "A setting is wrong" if len(problems) == 1 else f"{len(problems)} settings are wrong"
    where = envfile.place(sources.path)
    name = envfile.printable(Path(sources.path).name)
    file = f"{name} ({where if sources.found else f'looked for at {where}: not there'})"
    secrets = ""
    if any(f"{variable} is missing" in each for each in problems for variable in _required_secrets()):
        looked = ", ".join(envfile.printable(str(path)) for path in directories())
        secrets = f", a secret in a file ({f'looked in {looked}: ' * bool(looked)}visitor-sync help settings)"
    return SettingsError(
        "\n  ".join([f"{count}:", *problems]),
        fix=f"\nSet, mend or remove them in the environment or in {file}{secrets};"
        " .env.example lists them all.",
    )


def _required_secrets() -> list[str]:
    return [variable for variable in _MISSING if variable + SUFFIX in file_variables()]


def _sentences(
    section: type[Section],
    exc: ValidationError,
    sources: Sources,
    files: Mapping[str, str],
    told: Collection[str],
) -> Iterator[str]:
    """A sentence on each error, but for those of variables ``told`` of, and what may follow from these."""
    for error in exc.errors(include_url=False, include_input=False):
        variable = _variable(section, error)
        if variable is None:
            if not told:
                yield _of_several(str(error["msg"]).removeprefix("Value error, "), section, sources, files)
        elif variable not in told:
            if given := sources.given.get(variable):
                yield from _of_portal(given, error, sources)
            else:
                yield _placed(_sentence(variable, error), files.get(variable) or sources.of(variable))


def _of_several(sentence: str, section: type[Section], sources: Sources, files: Mapping[str, str]) -> str:
    """A ``sentence`` on several variables, and where each of them is set."""
    named = dict.fromkeys(re.findall(r"\b[A-Z][A-Z0-9_]+\b", sentence))
    places = {name: files.get(name) or sources.of(name) for name in named}
    known = variables(section).values()
    return _placed(
        sentence, "; ".join(f"{name}: {at}" for name, at in places.items() if at and name in known)
    )


def _placed(sentence: str, where: str | None) -> str:
    """``sentence`` with the place that it is about."""
    stop = "." * sentence.endswith(".")
    return f"{sentence.removesuffix('.')} ({where}){stop}" if where else sentence


def _config(sources: Sources) -> tuple[Config, list[str]]:
    """What the configuration file says, and what is wrong with it."""
    settings, wrong = _made(ConfigSettings, sources)
    if settings is None:
        return Config(), []  # told with the other settings
    named = settings.config
    if named is None and not Path(CONFIG_FILE).is_symlink() and not Path(CONFIG_FILE).exists():
        return Config(), []
    from etl import config_file  # noqa: PLC0415 -- the models cost 20 ms that few need

    try:
        config, wrong = config_file.read(str(named or CONFIG_FILE), named_in=sources.of("SYNC_CONFIG"))
    except SettingsError as exc:
        return Config(), [f"{exc.what} {exc.fix}"]
    return config, wrong


def _of_portal(given: Given, error: Any, sources: Sources) -> Iterator[str]:
    """A sentence on what a portal's tables say, or do not; none where that was told already."""
    if error["type"] in {"missing", "too_short"}:
        yield from [f"{sources.config}: {given.missing}"] * bool(given.missing)
    else:
        yield f"{sources.config}: {_placed(_sentence(given.named, error), given.origin)}"


def _sentence(variable: str, error: Any) -> str:
    if error["type"] in {"missing", "too_short"}:
        return f"{variable} is missing: {_MISSING.get(variable, 'it has no default')}."
    message = str(error["msg"]).removeprefix("Value error, ").partition(", unable to parse")[0]
    return f"{variable} {message.replace('Input should be', 'must be')}."


def _variable(section: type[Section], error: Any) -> str | None:
    """The variable that an error is about; None where it is about several."""
    if not error["loc"]:
        return None
    key = str(error["loc"][0])
    prefix = section.model_config.get("env_prefix") or ""
    return variables(section).get(key, f"{prefix}{key}".upper())


def _prefixes() -> tuple[str, ...]:
    return tuple(section.model_config.get("env_prefix") or "" for section in _SECTIONS)


def _undecodable_variables() -> list[str]:
    """Ours whose values are no text: the system hands over bytes, and these stand for themselves."""
    return sorted(
        name.upper()
        for name, value in os.environ.items()
        if name.upper().startswith(_prefixes()) and envfile.printable(value) != value
    )


def _foreign(names: Iterable[str], own: tuple[Field, ...], secrets: Collection[str] = ()) -> dict[str, str]:
    """Those of the ``names`` that have a prefix of ours and are no setting, and the nearest one of each.

    ``secrets`` are the variables that the configuration file names.
    """
    prefixes = _prefixes()
    if not (ours := sorted(name for name in names if name.startswith(prefixes))):
        return {}
    known = [*known_variables(own), *file_variables()]
    named = {*known, *secrets, *(variable + SUFFIX for variable in secrets)}
    return {name: nearest(name, known) for name in ours if name not in named}


def _unknown(name: str, shown: str, where: str) -> str:
    return (
        f"{envfile.printable(name)} is not a setting of this program; the nearest one is {shown} ({where})."
    )
