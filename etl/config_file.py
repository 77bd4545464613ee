"""The file ``visitor-sync.toml``: one's own fields, whom to leave out, and many portals.

Read by pydantic-settings.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, TomlConfigSettingsSource

from etl import countries, declaration, envfile, own_fields
from etl.config import Config
from etl.errors import SettingsError
from etl.exclusions import Exclusions
from etl.naming import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_settings import PydanticBaseSettingsSource

_FIX = (
    "Save it as TOML in UTF-8, with a table [fields.NAME] for each field (visitor-sync help fields),"
    " [exclude] for whom to leave out (visitor-sync help privacy), and tables for many portals"
    " (visitor-sync help fleet)."
)


class _File(BaseSettings):
    """The whole file: TOML is its only source, as nothing in it is secret."""

    model_config = SettingsConfigDict(extra="allow", hide_input_in_errors=True)

    fields: dict[str, Any] = {}
    exclude: dict[str, Any] = {}
    keys: list[Any] = []
    portals: list[Any] = []
    sites: list[Any] = []

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_others: Any, **_more: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (_Toml(settings_cls),)


class _Toml(TomlConfigSettingsSource):
    def _read_file(self, file_path: Any) -> dict[str, Any]:
        return tomllib.loads(file_path.read_text(envfile.ENCODING))


_TWICE = "is not TOML: a table for the second time; one of several has two brackets, as [[portals]]"
_MEANT = {"websites": "sites"}
_SHAPES = {
    "fields": "fields must be a table for each field, as [fields.plan]",
    "exclude": "exclude must be a table, as [exclude]",
    "keys": "keys must be a table for each key, as [[keys]]",
    "portals": "portals must be a table for each portal, as [[portals]]",
    "sites": "sites must be a table for each website, as [[sites]]",
}


def read(path: str, *, named_in: str | None) -> tuple[Config, list[str]]:
    """What the file at ``path`` says, and a sentence for everything that is wrong with it.

    ``named_in`` is where SYNC_CONFIG names it, so that it must be there.
    A field that is declared wrongly is there all the same, as a text, so that one mistake is told once.
    Raises SettingsError where the file cannot be read at all.
    """
    if envfile.text_of(path, fix=_FIX) is None:
        missing = f"SYNC_CONFIG names {envfile.place(path)}, which is not there ({named_in})."
        return Config(), [missing] if named_in else []
    where = envfile.place(path)
    model = type("_FileAtHand", (_File,), {"model_config": SettingsConfigDict(toml_file=path)})
    try:
        file = model()
    except tomllib.TOMLDecodeError as exc:
        place = re.search(r"line \d+", str(exc))
        why = _TWICE if str(exc).startswith("Cannot declare") else "is not TOML"
        raise SettingsError(f"{where}: {place[0] if place else 'its end'} {why}.", fix=_FIX) from None
    except ValidationError as exc:
        wrong = dict.fromkeys(str(error["loc"][0]) for error in exc.errors())
        return Config(), [f"{where}: {_SHAPES[key]}." for key in wrong]
    except ValueError:  # as Python reads no number of thousands of digits
        raise SettingsError(f"{where} is not TOML: a number in it is too long.", fix=_FIX) from None
    problems = [
        f"{shown(key)} is no key of this file; the nearest one is {_nearest(key, value)}"
        for key, value in (file.model_extra or {}).items()
    ]
    own, policies, wrong_fields = own_fields.declared(file.fields)
    exclusions, wrong_exclusions = _exclusions(file.exclude)
    fleet, wrong_fleet = declaration.declared(file.keys, file.portals, file.sites)
    problems += [*wrong_fields, *wrong_exclusions, *wrong_fleet]
    return Config(own, exclusions, policies, fleet), [f"{where}: {each}." for each in problems]


def _nearest(key: str, value: Any) -> str:
    meant = _MEANT.get(key) or nearest(key, [*_SHAPES])
    if isinstance(value, str):
        return f"{meant}, and a secret never stands in it"
    return f"{meant},{_SHAPES[meant].rpartition(',')[2]}"


def _domain(text: str) -> str | None:
    domain = text.lower().removeprefix("@").removesuffix(".")
    return domain if domain and "@" not in domain and all(domain.split(".")) else None


def _address(text: str) -> str | None:
    return text.lower()


def _visitor(text: str) -> str | None:
    return text


_KEYS: dict[str, tuple[Callable[[str], str | None], str]] = {
    "domains": (_domain, "the domain of an address, as example.com"),
    "addresses": (_address, "an address"),
    "visitors": (_visitor, "the id of a visitor"),
    "countries": (countries.code, "a country: an ISO 3166-1 code, or its English name"),
}
"""What reads an entry, and what it should be."""


def _exclusions(table: dict[str, Any]) -> tuple[Exclusions, list[str]]:
    found: dict[str, frozenset[str]] = {}
    problems: list[str] = []
    for key, entries in table.items():
        name = shown(key)
        if key not in _KEYS:
            problems.append(f"exclude.{name} is no key of it; the nearest one is {nearest(key, [*_KEYS])}")
        elif not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            problems.append(f'exclude.{name} must be a list of texts, as ["…", "…"]')
        else:
            found[key], wrong = _entries(key, entries)
            problems += wrong
    return Exclusions(**found), problems


def _entries(key: str, entries: list[str]) -> tuple[frozenset[str], list[str]]:
    """What the entries mean, and what is wrong with the others, of which the place is told and no value."""
    read, meant = _KEYS[key]
    found = [read(entry.strip()) if entry.strip() else None for entry in entries]
    wrong = [
        f"exclude.{key}: entry {number} is not {meant}" for number, each in enumerate(found, 1) if not each
    ]
    return frozenset(each for each in found if each), wrong
