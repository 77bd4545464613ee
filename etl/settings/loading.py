"""Reading the settings, and telling what is wrong with them: all at once, by name, without values."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dotenv import dotenv_values
from pydantic import ValidationError

from etl import envfile
from etl.errors import SettingsError
from etl.exclusions import NOBODY
from etl.naming import nearest
from etl.settings.sections import (
    CONFIG_FILE,
    ENV_FILE,
    ConfigSettings,
    HubSpotSettings,
    LinkSettings,
    LiveSettings,
    PlaceSettings,
    PlanSettings,
    Section,
    Settings,
    SyncSettings,
    WatchSettings,
    ZenovaySettings,
    sync_settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from etl.exclusions import Exclusions
    from etl.fields import Field
    from etl.policies import Policy

    _Config = tuple[tuple[Field, ...], Exclusions, tuple[tuple[str, Policy], ...]]
    """The user's own fields, whom to leave out, and the policies of this program's own fields."""

AnySection = TypeVar("AnySection", bound=Section)
_SECTIONS: tuple[type[Section], ...] = (ZenovaySettings, HubSpotSettings, SyncSettings)
_MISSING = {
    "ZENOVAY_API_KEY": "the secret key, which begins with zv_ (Zenovay: settings, API keys)",
    "ZENOVAY_WEBSITE_ID": "the id of the website; several are separated by commas",
    "HUBSPOT_ACCESS_TOKEN": "the token of a private app or service key (HubSpot: settings, integrations)",
}


def load() -> Settings:
    """All settings. Raises SettingsError, which lists everything that is missing or wrong, without values."""
    sections = _load(ZenovaySettings, HubSpotSettings, SyncSettings, WatchSettings)
    return Settings(*sections)  # type: ignore[arg-type]  # one of each, in this order


def load_hubspot() -> tuple[HubSpotSettings, SyncSettings]:
    """What ``setup`` needs. Raises SettingsError."""
    hubspot, sync = _load(HubSpotSettings, SyncSettings)
    return hubspot, sync  # type: ignore[return-value]  # as above


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
    given: dict[str, Any] = {}
    try:
        envfile.is_there(ENV_FILE)
    except SettingsError:
        given["_env_file"] = None
    while True:
        try:
            return WatchSettings(**given)
        except ValidationError as exc:
            wrong = exc.errors(include_url=False, include_input=False)
            given |= {str(each["loc"][0]) if each["loc"] else "notify": None for each in wrong}


def load_live() -> LiveSettings:
    """What ``live`` needs for given codes. Raises SettingsError where exactly that is wrong."""
    found = envfile.is_there(ENV_FILE)
    try:
        return LiveSettings()
    except ValidationError as exc:
        raise _wrong(list(_sentences(LiveSettings, exc)), found=found) from None


def load_link_property() -> str | None:
    """The property that links are learnt from; None where none is set, or it cannot be read."""
    settings = _readable(LinkSettings)
    return settings.link_property if settings else None


def _readable(section: type[AnySection]) -> AnySection | None:
    """A section by itself, whatever is wrong with the others."""
    try:
        envfile.is_there(ENV_FILE)
        return section()
    except (SettingsError, ValidationError):
        return None


def defaults() -> dict[str, str]:
    """Every setting that has a default, and how it is written; empty where that is "not set"."""
    found: dict[str, str] = {}
    for section in all_sections():
        settings = section.model_fields.values()
        found |= {
            variable: _written(setting.default)
            for variable, setting in zip(_variables(section), settings, strict=True)
            if not setting.is_required()
        }
    return found


def is_ours(variable: str) -> bool:
    """Whether an environment variable belongs to this program, be it one that it knows or not."""
    return variable.startswith(_prefixes()) or variable in known_variables()


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
    """Every variable that this program reads."""
    return [variable for section in all_sections(own) for variable in _variables(section)]


def _load(*sections: type[Section]) -> list[Section]:
    found = envfile.is_there(ENV_FILE)
    undecodable = _undecodable_variables()
    problems = [f"{envfile.printable(name)} holds bytes that are not UTF-8." for name in undecodable]
    (own, exclusions, policies), wrong = _config()
    problems += [*wrong, *_unknown_variables(own)]
    loaded: list[Section] = []
    for section in sections:
        made = sync_settings(own, exclusions, policies) if section is SyncSettings else section
        try:
            loaded.append(made())
        except ValidationError as exc:
            problems += _sentences(made, exc, undecodable)
    if problems:
        raise _wrong(problems, found=found) from None
    return loaded


def _wrong(problems: list[str], *, found: bool) -> SettingsError:
    """All ``problems`` as one; ``found`` says whether there is a ``.env``."""
    count = "A setting is wrong" if len(problems) == 1 else f"{len(problems)} settings are wrong"
    return SettingsError(
        "\n  ".join([f"{count}:", *problems]),
        fix=f"\nSet them in the environment or in .env ({_looked_for(found=found)});"
        " .env.example lists them all.",
    )


def _sentences(
    section: type[Section], exc: ValidationError, undecodable: Sequence[str] = ()
) -> Iterator[str]:
    """A sentence on each error, but for those of variables that are told as ``undecodable``."""
    for error in exc.errors(include_url=False, include_input=False):
        if _variable(section, error) not in undecodable:
            yield _sentence(section, error)


def _config() -> tuple[_Config, list[str]]:
    """What the configuration file says, and what is wrong with it."""
    nothing: _Config = (), NOBODY, ()
    try:
        named = ConfigSettings().config
    except ValidationError:
        return nothing, []  # told with the other settings
    if named is None and not Path(CONFIG_FILE).is_symlink() and not Path(CONFIG_FILE).exists():
        return nothing, []
    from etl import config_file  # noqa: PLC0415 -- the models cost 20 ms that few need

    try:
        return config_file.read(str(named or CONFIG_FILE), must_exist=named is not None)
    except SettingsError as exc:
        return nothing, [f"{exc.what} {exc.fix}"]


def _looked_for(*, found: bool) -> str:
    where = envfile.place(ENV_FILE)
    return where if found else f"looked for at {where}: not there"


def _variables(section: type[Section]) -> list[str]:
    prefix = section.model_config.get("env_prefix") or ""
    return [
        str(setting.validation_alias or f"{prefix}{name}").upper()
        for name, setting in section.model_fields.items()
    ]


def _sentence(section: type[Section], error: Any) -> str:
    variable = _variable(section, error)
    if variable is None:
        return str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in {"missing", "too_short"}:
        return f"{variable} is missing: {_MISSING.get(variable, 'it has no default')}."
    message = str(error["msg"]).removeprefix("Value error, ").partition(", unable to parse")[0]
    return f"{variable} {message.replace('Input should be', 'must be')}."


def _variable(section: type[Section], error: Any) -> str | None:
    """The variable that an error is about; None where it is about several."""
    if not error["loc"]:
        return None
    prefix, place = section.model_config.get("env_prefix") or "", str(error["loc"][0])
    aliases = {setting.validation_alias for setting in section.model_fields.values()}
    return (place if place in aliases else f"{prefix}{place}").upper()


def _prefixes() -> tuple[str, ...]:
    return tuple(section.model_config.get("env_prefix") or "" for section in _SECTIONS)


def _undecodable_variables() -> list[str]:
    """Ours whose values are no text: the system hands over bytes, and these stand for themselves."""
    return sorted(
        name.upper()
        for name, value in os.environ.items()
        if name.upper().startswith(_prefixes()) and envfile.printable(value) != value
    )


def _unknown_variables(own: tuple[Field, ...]) -> Iterable[str]:
    known = known_variables(own)
    from_file = dotenv_values(ENV_FILE, encoding=envfile.ENCODING)
    for variable in sorted({name.upper() for name in (*os.environ, *from_file)}):
        if variable.startswith(_prefixes()) and variable not in known:
            name, shown = envfile.printable(variable), nearest(variable, known)
            yield f"{name} is not a setting of this program; the nearest one is {shown}."
