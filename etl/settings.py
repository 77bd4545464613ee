"""The settings: environment variables, or a ``.env`` file in the working directory. Read once."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from dotenv import dotenv_values
from durationpy import DurationError, from_str
from pydantic import (
    AfterValidator,
    BeforeValidator,
    SecretStr,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic import Field as Bounds
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from etl import envfile
from etl.errors import SettingsError, installing
from etl.exclusions import NOBODY
from etl.fields import DEFAULT, EVERYTHING, FIELDS, OWN, SETS, SyncedFields, selected
from etl.models.contact import EMAIL, VISITOR, ContactKind
from etl.naming import checked_property, nearest
from etl.network import urls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from etl.exclusions import Exclusions
    from etl.fields import Field

ENV_FILE = ".env"
ZENOVAY_URL = "https://api.zenovay.com/api/external/v1"
CONFIG_FILE = "visitor-sync.toml"
LONGEST_RANGE = timedelta(days=365)
PRO_PLAN = 10_000
RESERVE = 0.05
_QUOTE = re.compile(r"(QUOTATION MARK|APOSTROPHE|GRAVE ACCENT|ACUTE ACCENT)\b")


def _unquoted(text: str) -> str:
    """``text``, unless it begins or ends with a quotation mark, as what is pasted from a manual may."""
    if any(_QUOTE.search(unicodedata.name(edge, "")) for edge in {*text[:1], *text[-1:]}):
        raise ValueError("is in quotes; leave them out")
    return text


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        parsed: timedelta = from_str(str(value).strip())
    except (DurationError, ValueError, OverflowError):
        raise ValueError("must be a duration such as 4m50s, 1h or 30d") from None
    if parsed < timedelta(0):
        raise ValueError("must not be negative")
    return parsed


def _url(value: str) -> str:
    return urls.checked(_unquoted(value))


def _state_url(value: str) -> str:
    from etl.state.urls import fault  # noqa: PLC0415 -- sqlalchemy, which not every command needs

    if wrong := fault(value):
        raise ValueError(wrong)
    return value


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if not text:
        raise PydanticCustomError("missing", "is blank")
    _unquoted(text)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be one word of printable ASCII characters")
    return SecretStr(text)


def _api_key(value: SecretStr) -> SecretStr:
    if value.get_secret_value().startswith("ZV_"):
        raise ValueError(
            "is the public tracking code; the secret key begins with lower-case zv_"
            " (Zenovay: settings, API keys)"
        )
    return value


def _websites(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split(",") if name.strip()]
    for name in names:
        _unquoted(name)
    if len(set(names)) != len(names):
        raise ValueError("names a website twice")
    if any(re.search(r"[/?#\s]", name) or not name.isprintable() for name in names):
        raise ValueError("must be website ids, separated by commas")
    return tuple(names)


def _field_names(known: list[str]) -> Callable[[object], object]:
    """What takes the names of fields and sets of fields, all of them ``known``."""

    def checked(value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(name.strip().lower() for name in value.split(",") if name.strip())
        if not names:
            raise ValueError("names no field")
        unknown = {envfile.printable(name): nearest(name, known) for name in names if name not in known}
        if unknown:
            raise ValueError(
                " and ".join(
                    f"names {name}, which is no field and no set of fields; the nearest one is {shown}"
                    for name, shown in unknown.items()
                )
            )
        return names

    return checked


def _file(value: object) -> object:
    try:
        return Path(value.strip()).expanduser() if isinstance(value, str) else value
    except RuntimeError:
        raise ValueError("begins with ~, and whose home that is is not known") from None


def _ping_url(value: SecretStr) -> SecretStr:
    from etl.watch.ping import checked_ping_url  # noqa: PLC0415 -- few need it

    return SecretStr(checked_ping_url(value.get_secret_value().strip()))


def _webhook(value: SecretStr) -> SecretStr:
    return SecretStr(_url(value.get_secret_value().strip()))


def _notified(value: SecretStr) -> SecretStr:
    from etl.watch.channels import parse_notify  # noqa: PLC0415 -- as above

    parse_notify(value.get_secret_value())
    return value


def _share(value: object) -> object:
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise ValueError("must be a share such as 20% or 0.2") from None
    if not 0 <= share <= 1:
        raise ValueError("must be a share from 0% to 100%")
    return share


Month = Annotated[int, Bounds(ge=1)]
Duration = Annotated[timedelta, BeforeValidator(_duration)]
File = Annotated[Path, BeforeValidator(_file)]
Share = Annotated[float, BeforeValidator(_share)]
Url = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_url)]
StateUrl = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_state_url)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
PropertyName = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(checked_property)]


class _Section(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding=envfile.ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        frozen=True,
    )


class PlanSettings(_Section):
    """The part of ZenovaySettings that ``status`` needs, which works without a key."""

    model_config = SettingsConfigDict(env_prefix="ZENOVAY_")

    requests_per_month: Month = PRO_PLAN
    reserve: Share = RESERVE


class PlaceSettings(_Section):
    """The part of SyncSettings that says where things are kept, whatever else is wrong."""

    model_config = SettingsConfigDict(env_prefix="SYNC_")

    state_url: StateUrl | None = None
    log_file: File | None = None


class LinkSettings(_Section):
    """The part of SyncSettings that ``help`` shows, whatever else is wrong."""

    model_config = SettingsConfigDict(env_prefix="SYNC_")

    link_property: PropertyName | None = None


class WatchSettings(_Section):
    """Who is told how the sync fares, whatever else is wrong. Those that are URLs are secrets."""

    model_config = SettingsConfigDict(env_prefix="SYNC_")

    notify: Annotated[SecretStr, AfterValidator(_notified)] | None = None
    ping_url: Annotated[SecretStr, AfterValidator(_ping_url)] | None = None
    metrics_file: File | None = None
    slack_webhook_url: Annotated[SecretStr, AfterValidator(_webhook)] | None = Bounds(
        default=None, validation_alias="SLACK_WEBHOOK_URL"
    )

    @property
    def is_set(self) -> bool:
        """Whether anybody is told at all."""
        return any((self.notify, self.ping_url, self.metrics_file, self.slack_webhook_url))

    @property
    def webhook(self) -> str | None:
        return self.slack_webhook_url.get_secret_value() if self.slack_webhook_url else None

    @cached_property
    def notified(self) -> tuple[str, ...]:
        """Those of SYNC_NOTIFY: ``slack``, and URLs of Apprise."""
        if self.notify is None:
            return ()
        from etl.watch.channels import parse_notify  # noqa: PLC0415 -- as above

        return parse_notify(self.notify.get_secret_value())

    def secrets(self) -> tuple[str, ...]:
        """What no output may hold."""
        urls = (self.slack_webhook_url, self.ping_url)
        named = (url for url in self.notified if "://" in url)
        return (*(url.get_secret_value() for url in urls if url), *named)

    @model_validator(mode="after")
    def _reachable(self) -> WatchSettings:
        if self.notify is None:
            return self
        from etl.watch.channels import SLACK  # noqa: PLC0415 -- as above

        if SLACK in self.notified and not self.slack_webhook_url:
            raise ValueError(
                "SYNC_NOTIFY names slack, and SLACK_WEBHOOK_URL is missing: the URL of an incoming webhook"
                " (Slack: apps, Incoming Webhooks)."
            )
        if set(self.notified) - {SLACK} and find_spec("apprise") is None:
            raise ValueError(
                "SYNC_NOTIFY names a service other than Slack, and the package for that is not installed:"
                f" {installing('notify')}"
            )
        return self


class LiveSettings(_Section):
    """The part of ZenovaySettings that ``live`` needs for given codes, whatever else is wrong."""

    model_config = SettingsConfigDict(env_prefix="ZENOVAY_")

    base_url: Url = ZENOVAY_URL


class ZenovaySettings(_Section):
    model_config = SettingsConfigDict(env_prefix="ZENOVAY_")

    api_key: Annotated[Secret, AfterValidator(_api_key)]
    website_id: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_websites), Bounds(min_length=1)]
    base_url: Url = ZENOVAY_URL
    requests_per_minute: Annotated[int, Bounds(ge=1, le=10_000)] = 30
    requests_per_month: Month = PRO_PLAN
    reserve: Share = RESERVE
    page_size: Annotated[int, Bounds(ge=1, le=1000)] = 1000
    paging: Literal["offset", "page"] = "offset"


class HubSpotSettings(_Section):
    model_config = SettingsConfigDict(env_prefix="HUBSPOT_")

    access_token: Secret
    base_url: Url = "https://api.hubapi.com"
    api_version: Annotated[str, Bounds(pattern=r"^(v3|\d{4}-\d{2})$")] = "2026-03"
    requests_per_10_seconds: Annotated[int, Bounds(ge=1, le=10_000)] = 100
    concurrency: Annotated[int, Bounds(ge=1, le=32)] = 4


class SyncSettings(_Section):
    model_config = SettingsConfigDict(env_prefix="SYNC_")

    state_url: StateUrl | None = None
    min_interval: Duration = timedelta(minutes=4, seconds=50)
    lookback: Duration = timedelta(hours=1)
    sweep_interval: Duration = timedelta(hours=24)
    initial_range: Annotated[Duration, Bounds(gt=timedelta(0), le=LONGEST_RANGE)] = timedelta(days=30)
    anonymous: Literal["upsert", "match", "skip"] = "upsert"
    known: Literal["upsert", "match"] = "upsert"
    recheck: Duration = timedelta(days=7)
    link_property: PropertyName | None = None
    merge: Literal["off", "anonymous"] = "off"
    recreate: Literal["never", "always"] = "never"
    retention: Annotated[Duration, Bounds(gt=timedelta(0))] = timedelta(days=400)
    max_rejected: Share = 0.2
    fields: Annotated[tuple[str, ...], NoDecode] = DEFAULT
    config: File | None = None
    visitor_id_property: PropertyName = "zenovay_visitor_id"
    stale_after: Duration = timedelta(hours=24)
    log_format: Literal["text", "json"] | None = None
    log_file: File | None = None

    own: ClassVar[tuple[Field, ...]] = ()
    """The user's own fields."""

    exclusions: ClassVar[Exclusions] = NOBODY
    """Whom the configuration file leaves out."""

    @property
    def matched(self) -> frozenset[ContactKind]:
        """The kinds of contacts that are never made, only found."""
        modes = {EMAIL: self.known, VISITOR: self.anonymous}
        return frozenset(kind for kind, mode in modes.items() if mode == "match")

    @cached_property
    def synced(self) -> SyncedFields:
        """The fields that are on, under the names of their properties."""
        return SyncedFields(self._selected(self.fields), visitor_id=self.visitor_id_property)

    def _selected(self, names: Iterable[str]) -> list[Field]:
        return selected(names, own=self.own, properties=self._properties())

    def _properties(self) -> dict[str, str]:
        """What the settings of the class that ``_sync_settings`` makes hold."""
        return {field.name: getattr(self, f"{field.name}_property") for field in _all_fields(self.own)}

    @model_validator(mode="after")
    def _different_properties(self) -> SyncSettings:
        fields = self._selected((*self.fields, "basic"))
        named = [(self.visitor_id_property, "SYNC_VISITOR_ID_PROPERTY")]
        named += [(self.link_property, "SYNC_LINK_PROPERTY")] if self.link_property else []
        settings: dict[str, str] = {}
        for name, setting in (*named, *((field.property_name, field.setting) for field in fields)):
            other = settings.setdefault(name, setting)
            if other != setting:
                raise ValueError(
                    f"{other} and {setting} name one property, {name}: all of them must name different"
                    " properties."
                )
        return self


def _all_fields(own: tuple[Field, ...]) -> tuple[Field, ...]:
    return (*FIELDS, *own)


@cache
def _sync_settings(own: tuple[Field, ...] = (), exclusions: Exclusions = NOBODY) -> type[SyncSettings]:
    """The settings of the synchronisation, with one that names the property of each field."""
    properties: dict[str, Any] = {
        f"{field.name}_property": (PropertyName, field.property_name) for field in _all_fields(own)
    }
    known = [*SETS, OWN, EVERYTHING, *(field.name for field in _all_fields(own))]
    names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_field_names(known))]
    made: type[SyncSettings] = create_model(
        "SyncSettings", __base__=SyncSettings, fields=(names, DEFAULT), **properties
    )
    made.own, made.exclusions = own, exclusions
    return made


class _ConfigSettings(_Section):
    """Where the configuration file is; read before all others."""

    model_config = SettingsConfigDict(env_prefix="SYNC_")

    config: File | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings that ``run``, ``backfill`` and ``check`` need."""

    zenovay: ZenovaySettings
    hubspot: HubSpotSettings
    sync: SyncSettings
    watch: WatchSettings

    def secrets(self) -> tuple[str, ...]:
        """What no output may hold."""
        keys = (self.zenovay.api_key, self.hubspot.access_token)
        return (*(key.get_secret_value() for key in keys), *self.watch.secrets())


Section = TypeVar("Section", bound=_Section)
_SECTIONS: tuple[type[_Section], ...] = (ZenovaySettings, HubSpotSettings, SyncSettings)
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


def _readable(section: type[Section]) -> Section | None:
    """A section by itself, whatever is wrong with the others."""
    try:
        envfile.is_there(ENV_FILE)
        return section()
    except (SettingsError, ValidationError):
        return None


def defaults() -> dict[str, str]:
    """Every setting that has a default, and how it is written; empty where that is "not set"."""
    found: dict[str, str] = {}
    for section in sections():
        settings = section.model_fields.values()
        found |= {
            variable: _written(setting.default)
            for variable, setting in zip(_variables(section), settings, strict=True)
            if not setting.is_required()
        }
    return found


def sections(own: tuple[Field, ...] = ()) -> tuple[type[_Section], ...]:
    """The sections in the order of the README, with a setting for the property of each field."""
    return (ZenovaySettings, HubSpotSettings, _sync_settings(own), WatchSettings)


def _written(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return ",".join(default)
    return f"{int(default.total_seconds())}s" if isinstance(default, timedelta) else str(default)


def known_variables(own: tuple[Field, ...] = ()) -> list[str]:
    """Every variable that this program reads."""
    return [variable for section in sections(own) for variable in _variables(section)]


def _load(*sections: type[_Section]) -> list[_Section]:
    found = envfile.is_there(ENV_FILE)
    undecodable = _undecodable_variables()
    problems = [f"{envfile.printable(name)} holds bytes that are not UTF-8." for name in undecodable]
    (own, exclusions), wrong = _config()
    problems += [*wrong, *_unknown_variables(own)]
    loaded: list[_Section] = []
    for section in sections:
        made = _sync_settings(own, exclusions) if section is SyncSettings else section
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
    section: type[_Section], exc: ValidationError, undecodable: Sequence[str] = ()
) -> Iterator[str]:
    """A sentence on each error, but for those of variables that are told as ``undecodable``."""
    for error in exc.errors(include_url=False, include_input=False):
        if _variable(section, error) not in undecodable:
            yield _sentence(section, error)


def _config() -> tuple[tuple[tuple[Field, ...], Exclusions], list[str]]:
    """The user's own fields and whom to leave out, and what is wrong with the file that says so."""
    nothing = (), NOBODY
    try:
        named = _ConfigSettings().config
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


def _variables(section: type[_Section]) -> list[str]:
    prefix = section.model_config.get("env_prefix") or ""
    return [
        str(setting.validation_alias or f"{prefix}{name}").upper()
        for name, setting in section.model_fields.items()
    ]


def _sentence(section: type[_Section], error: Any) -> str:
    variable = _variable(section, error)
    if variable is None:
        return str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in {"missing", "too_short"}:
        return f"{variable} is missing: {_MISSING.get(variable, 'it has no default')}."
    message = str(error["msg"]).removeprefix("Value error, ").partition(", unable to parse")[0]
    return f"{variable} {message.replace('Input should be', 'must be')}."


def _variable(section: type[_Section], error: Any) -> str | None:
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
