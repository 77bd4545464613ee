"""The settings, section by section, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, create_model, model_validator
from pydantic import Field as Bounds
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from etl import envfile
from etl.errors import installing
from etl.exclusions import NOBODY
from etl.fields import DEFAULT, EVERYTHING, FIELDS, OWN, SETS, SyncedFields, selected
from etl.models.contact import EMAIL, VISITOR, ContactKind
from etl.naming import nearest
from etl.settings.terms import PLAIN, Terms
from etl.settings.values import (
    AccessToken,
    ApiKey,
    Confidential,
    Duration,
    File,
    Month,
    Notified,
    PingUrl,
    PropertyName,
    Share,
    StateUrl,
    Url,
    Version,
    Webhook,
    Websites,
    WritePolicy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from etl.exclusions import Exclusions
    from etl.fields import Field
    from etl.policies import Policy

ZENOVAY_URL = "https://api.zenovay.com/api/external/v1"
CONFIG_FILE = "visitor-sync.toml"
LONGEST_RANGE = timedelta(days=365)
PRO_PLAN = 10_000
RESERVE = 0.05


class Section(BaseSettings):
    model_config = SettingsConfigDict(
        env_file_encoding=envfile.ENCODING,
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
        frozen=True,
    )

    @classmethod
    def of(cls, texts: Mapping[str, Any]) -> Self:
        """A section of these texts by its keys, and of nothing that is set elsewhere.

        It costs a hundredth of what pydantic-settings takes to look into all of its sources.
        """
        made = cls.__new__(cls)
        BaseModel.__init__(made, **texts)
        return made


def variables(section: type[Section]) -> dict[str, str]:
    """The variables of a section, by the keys that it takes their values under."""
    prefix = section.model_config.get("env_prefix") or ""
    return {
        str(setting.validation_alias or name): str(setting.validation_alias or f"{prefix}{name}").upper()
        for name, setting in section.model_fields.items()
    }


@cache
def confidential(section: type[Section]) -> dict[str, Confidential]:
    """The variables of a section that may hold secrets."""
    marks = (_mark(setting.metadata, setting.annotation) for setting in section.model_fields.values())
    named = zip(variables(section).values(), marks, strict=True)
    return {variable: mark for variable, mark in named if mark}


def _mark(metadata: Iterable[object], hint: object) -> Confidential | None:
    """How a setting is marked, be it optional or not."""
    inner = (_mark(getattr(each, "__metadata__", ()), each) for each in get_args(hint))
    return next((each for each in (*metadata, *inner) if isinstance(each, Confidential)), None)


class PlanSettings(Section):
    """The part of ZenovaySettings that ``status`` needs, which works without a key."""

    model_config = SettingsConfigDict(env_prefix="ZENOVAY_")

    website_id: Websites | None = None
    requests_per_month: Month = PRO_PLAN
    reserve: Share = RESERVE


class PlaceSettings(Section):
    """The part of SyncSettings that says where things are kept, whatever else is wrong."""

    model_config = SettingsConfigDict(env_prefix="SYNC_")

    state_url: StateUrl | None = None
    log_file: File | None = None


class LinkSettings(Section):
    """The part of SyncSettings that ``help`` shows, whatever else is wrong."""

    model_config = SettingsConfigDict(env_prefix="SYNC_")

    link_property: PropertyName | None = None


class WatchSettings(Section):
    """Who is told how the sync fares, whatever else is wrong. Those that are URLs are secrets."""

    model_config = SettingsConfigDict(env_prefix="SYNC_")

    notify: Notified | None = None
    ping_url: PingUrl | None = None
    metrics_file: File | None = None
    slack_webhook_url: Webhook | None = Bounds(default=None, validation_alias="SLACK_WEBHOOK_URL")

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


class LiveSettings(Section):
    """The part of ZenovaySettings that ``live`` needs for given codes, whatever else is wrong."""

    model_config = SettingsConfigDict(env_prefix="ZENOVAY_")

    base_url: Url = ZENOVAY_URL


class ZenovaySettings(Section):
    model_config = SettingsConfigDict(env_prefix="ZENOVAY_")

    api_key: ApiKey
    website_id: Websites
    base_url: Url = ZENOVAY_URL
    requests_per_minute: Annotated[int, Bounds(ge=1, le=10_000)] = 30
    requests_per_month: Month = PRO_PLAN
    reserve: Share = RESERVE
    page_size: Annotated[int, Bounds(ge=1, le=1000)] = 1000
    paging: Literal["offset", "page"] = "offset"


class HubSpotSettings(Section):
    model_config = SettingsConfigDict(env_prefix="HUBSPOT_")

    access_token: AccessToken
    base_url: Url = "https://api.hubapi.com"
    api_version: Version = "2026-03"
    requests_per_10_seconds: Annotated[int, Bounds(ge=1, le=10_000)] = 100
    concurrency: Annotated[int, Bounds(ge=1, le=32)] = 4


class TokenSettings(Section):
    """The part of HubSpotSettings that says whether HubSpot can be asked at all."""

    model_config = SettingsConfigDict(env_prefix="HUBSPOT_")

    access_token: AccessToken | None = None


class SyncSettings(Section):
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
    max_changed: Share = 0.3
    undo_days: Annotated[int, Bounds(ge=0, le=400)] = 7
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
        return selected(names, own=self.own, properties=self._properties(), policies=self._policies())

    def _properties(self) -> dict[str, str]:
        """What the settings of the class that ``sync_settings`` makes hold."""
        return {field.name: getattr(self, f"{field.name}_property") for field in _all_fields(self.own)}

    def _policies(self) -> dict[str, Policy | None]:
        """As ``_properties``; None where it follows from the property."""
        return {field.name: getattr(self, f"{field.name}_write") for field in _all_fields(self.own)}

    @model_validator(mode="after")
    def _different_properties(self) -> SyncSettings:
        fields = self._selected((*self.fields, "basic"))
        named = [(self.visitor_id_property, "SYNC_VISITOR_ID_PROPERTY")]
        named += [(self.link_property, "SYNC_LINK_PROPERTY")] if self.link_property else []
        settings: dict[str, str] = {}
        for name, setting in (*named, *((each.property_name, each.setting) for each in fields)):
            other = settings.setdefault(name, setting)
            if other != setting:
                raise ValueError(
                    f"{other} and {setting} name one property, {name}: all of them must name different"
                    " properties."
                )
        return self


def _all_fields(own: tuple[Field, ...]) -> tuple[Field, ...]:
    return (*FIELDS, *own)


def sync_settings(
    own: tuple[Field, ...] = (),
    exclusions: Exclusions = NOBODY,
    policies: tuple[tuple[str, Policy], ...] = (),
) -> type[SyncSettings]:
    """The settings of the synchronisation, with one for the property and one for the policy of each field.

    ``policies`` are those of this program's own fields that the configuration file names.
    """
    return _sync_settings(own, exclusions, policies)


@cache  # by all three, given or not: to make one takes 20 ms
def _sync_settings(
    own: tuple[Field, ...], exclusions: Exclusions, policies: tuple[tuple[str, Policy], ...]
) -> type[SyncSettings]:
    named = dict(policies)
    properties: dict[str, Any] = {
        f"{field.name}_property": (PropertyName, field.property_name) for field in _all_fields(own)
    } | {
        f"{field.name}_write": (WritePolicy | None, named.get(field.name, field.write))
        for field in _all_fields(own)
    }
    known = [*SETS, OWN, EVERYTHING, *(field.name for field in _all_fields(own))]
    names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_field_names(known))]
    made: type[SyncSettings] = create_model(
        "SyncSettings", __base__=SyncSettings, fields=(names, DEFAULT), **properties
    )
    made.own, made.exclusions = own, exclusions
    return made


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


class ConfigSettings(Section):
    """Where the configuration file is; read before all others."""

    model_config = SettingsConfigDict(env_prefix="SYNC_")

    config: File | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """Where the tables are that portals share, and under which names the limits of a tenant stand there."""

    url: str
    portal: str
    key: str
    requests_per_day: int | None = None
    """Of the portal; None where only HubSpot says."""

    terms: Terms = field(default=PLAIN, compare=False)
    """How people are told of the tenant."""

    declared: tuple[str, ...] = ()
    """The names of all portals."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings that ``run``, ``backfill`` and ``check`` need."""

    zenovay: ZenovaySettings
    hubspot: HubSpotSettings
    sync: SyncSettings
    watch: WatchSettings
    shared: Shared | None = None
    """Of a portal of several: what it shares with the others."""

    @property
    def terms(self) -> Terms:
        """How people are told of what these settings are for."""
        return self.shared.terms if self.shared else PLAIN

    def secrets(self) -> tuple[str, ...]:
        """What no output may hold."""
        keys = (self.zenovay.api_key, self.hubspot.access_token)
        return (*(key.get_secret_value() for key in keys), *self.watch.secrets())
