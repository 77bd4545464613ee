"""One reading of all that is set: the environment, its files, and what the configuration file declares."""

from __future__ import annotations

import logging
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from etl import envfile
from etl.config import Config
from etl.errors import SettingsError
from etl.settings.choice import talk_in
from etl.settings.faults import sentences, unknown, wrong
from etl.settings.fleet import unknown_portal
from etl.settings.names import foreign, undecodable_variables
from etl.settings.portals import ALONE, STATE, Portals
from etl.settings.sections import (
    CONFIG_FILE,
    ConfigSettings,
    PlaceSettings,
    Section,
    SyncSettings,
    sync_settings,
    variables,
)
from etl.settings.sources import ENVIRONMENT, read_sources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from etl.settings.sources import Sources

log = logging.getLogger(__name__)

_PORTALS = re.compile(r"^\s*\[+\s*portals\s*\]", re.MULTILINE)
"""Where a file that is not TOML would declare portals."""

AnySection = TypeVar("AnySection", bound=Section)


def read() -> Reading:
    """All that is set, before any of it is understood."""
    sources = read_sources()
    undecodable = undecodable_variables()
    problems = [
        f"{envfile.printable(name)} holds bytes that are not UTF-8 ({ENVIRONMENT})." for name in undecodable
    ]
    declared, found = config(sources)
    problems += found
    where = envfile.place(sources.text("SYNC_CONFIG").strip() or CONFIG_FILE)
    sources = sources.with_own(declared.own, where)
    reading = Reading(sources, declared, undecodable, problems)
    file = envfile.place(sources.path)
    problems += [unknown(name, shown, file) for name, shown in reading.foreign(sources.file).items()]
    if declared.fleet.portals:
        problems += [f"{where}: {each}." for each in reading.portals.faults()]
    return reading


@dataclass(frozen=True, slots=True)
class Reading:
    """What is set, and what was found wrong with it so far."""

    sources: Sources
    config: Config
    undecodable: Sequence[str]
    problems: list[str]

    @property
    def portals(self) -> Portals:
        return Portals(self.config.fleet, self.sources, self.config.own)

    def foreign(self, names: Iterable[str]) -> dict[str, str]:
        return foreign(names, self.config.own, self.config.fleet.variables())

    def loaded(self, sections: Iterable[type[Section]], sources: Sources) -> list[Section]:
        """The sections that can be made; what is wrong with others is noted."""
        loaded: list[Section] = []
        for section in sections:
            at_hand = sync_settings(*self.config[:3]) if section is SyncSettings else section
            settings, found = made(at_hand, sources, told=self.undecodable)
            self.note(found)
            loaded += [settings] if settings else []
        return loaded

    def note(self, found: Iterable[str]) -> None:
        """Keep what is wrong, each once: portals have much in common."""
        self.problems.extend(each for each in found if each not in self.problems)

    def chosen(self, portal: str | None) -> Sources:
        """The sources for the chosen portal. Raises SettingsError where one must be chosen, or is unknown."""
        names = self.portals.names()
        if portal is None:
            if not self.is_alone and declares_fleet():
                self.end()
                raise SettingsError(
                    f"{self.sources.config} declares portals, and none was chosen.",
                    fix=f"Give --portal NAME, of {', '.join(names)}; visitor-sync run --all syncs all.",
                )
            return self.sources
        if portal not in names:
            self.end()
            raise unknown_portal(portal, names) if names else self.undeclared()
        talk_in(self.portals.terms(portal))
        return self.of(portal, None)

    def undeclared(self) -> SettingsError:
        """That no portal is declared, and whether there is a file to declare one in."""
        where = self.sources.config
        if Path(where).exists():
            return SettingsError(f"{where} declares no portals.", fix="visitor-sync help fleet shows how.")
        return SettingsError(
            f"There is no {where}, which would declare portals.",
            fix="SYNC_CONFIG names another place; visitor-sync help fleet shows what to write there.",
        )

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
        found = [f"{STATE} {each}." for each in wrong_place(url, self.portals.names())]
        self.note(found)
        return None if found else url

    def end(self) -> None:
        """Raise SettingsError for all that was noted; else log what is unknown in the environment."""
        strangers = self.foreign(self.sources.environment)
        if self.problems:
            more = [unknown(name, shown, ENVIRONMENT) for name, shown in strangers.items()]
            raise wrong([*self.problems, *more], self.sources)
        for name, shown in strangers.items():
            facts = {"action": "unknown_setting", "variable": envfile.printable(name), "nearest": shown}
            log.warning("a variable of the environment is no setting of this program", extra=facts)

    @property
    def is_alone(self) -> bool:
        """Whether the environment describes one portal by itself, beside those that may be declared."""
        return any(map(self._is_set, ALONE))

    def _is_set(self, variable: str) -> bool:
        filed = self.sources.filed(variable)
        return bool(self.sources.of(variable) or filed.text or filed.fault)


def config(sources: Sources) -> tuple[Config, list[str]]:
    """What the configuration file says, and what is wrong with it."""
    settings, _ = made(ConfigSettings, sources)
    if settings is None:
        return Config(), []  # told with the other settings
    named = settings.config
    if named is None and not Path(CONFIG_FILE).is_symlink() and not Path(CONFIG_FILE).exists():
        return Config(), []
    from etl import config_file  # noqa: PLC0415 -- the models cost 20 ms that few need

    try:
        return config_file.read(str(named or CONFIG_FILE), named_in=sources.of("SYNC_CONFIG"))
    except SettingsError as exc:
        return Config(), [f"{exc.what} {exc.fix}"]


def declares_fleet() -> bool:
    """Whether the configuration file declares portals, be they declared rightly or not."""
    try:
        path = read_sources().text("SYNC_CONFIG").strip() or CONFIG_FILE
        text = Path(path).expanduser().read_text(envfile.ENCODING)
    except (SettingsError, OSError, ValueError, RuntimeError):
        return False
    try:
        return bool(tomllib.loads(text).get("portals"))
    except ValueError:
        return bool(_PORTALS.search(text))


def made(
    section: type[AnySection], sources: Sources, *, told: Collection[str] = ()
) -> tuple[AnySection | None, list[str]]:
    """A section as it is set, and a sentence for all that is wrong with it, but for variables ``told`` of."""
    secrets = sources.secrets(section)
    faults = {**secrets.faults, **_faults(section, sources)}
    found = [fault for variable, fault in faults.items() if variable not in told]
    try:
        if sources.given:
            settings = section.of(_texts(section, sources) | secrets.texts | given(section, sources))
        else:
            outside: dict[str, Any] = {"_env_file": sources.path, **secrets.texts}
            settings = section(**outside)
    except ValidationError as exc:
        told = {*told, *faults} & {*variables(section).values()}
        return None, [*found, *sentences(section, exc, sources, secrets.files, told)]
    return None if found else settings, found


def _texts(section: type[Section], sources: Sources) -> dict[str, str]:
    """What the environment and the env file say."""
    found = {key: sources.text(variable) for key, variable in variables(section).items()}
    return {key: text for key, text in found.items() if text}


def given(section: type[Section], sources: Sources) -> dict[str, Any]:
    """What the configuration file gives a section for one portal; a default where it gives nothing."""
    fields = zip(variables(section).items(), section.model_fields.values(), strict=True)
    return {
        key: ("" if field.is_required() else field.default) if (text := found.text) is None else text
        for (key, variable), field in fields
        if (found := sources.given.get(variable))
    }


def _faults(section: type[Section], sources: Sources) -> dict[str, str]:
    found = ((variable, sources.given.get(variable)) for variable in variables(section).values())
    return {name: f"{sources.config}: {each.fault}" for name, each in found if each and each.fault}
