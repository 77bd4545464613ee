"""What the configuration file says of each portal, as settings that replace those of the environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from etl import envfile
from etl.declaration import SITE
from etl.naming import nearest, shown
from etl.settings.names import known_variables, prefixes
from etl.settings.sections import (
    HubSpotSettings,
    ZenovaySettings,
    sync_settings,
    variables,
)
from etl.settings.sources import ENVIRONMENT, Filed, Given, read_secret
from etl.settings.terms import Terms
from etl.settings.values import MOST_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.declaration import Declaration, Owner, Site
    from etl.fields import Field
    from etl.settings.sections import Section
    from etl.settings.sources import Sources

API_KEY, TOKEN, WEBSITES, STATE = (
    "ZENOVAY_API_KEY",
    "HUBSPOT_ACCESS_TOKEN",
    "ZENOVAY_WEBSITE_ID",
    "SYNC_STATE_URL",
)
ALONE = (API_KEY, WEBSITES, TOKEN)
"""What a set-up by environment has for its one portal."""

PER_DAY = "requests_per_day"
_COMMON = frozenset({"SYNC_STATE_URL", "SYNC_CONFIG", "SYNC_LOG_FORMAT", "SYNC_LOG_FILE"})


@dataclass(frozen=True, slots=True)
class Portals:
    """The declaration, and what is set around it."""

    declaration: Declaration
    sources: Sources
    own: tuple[Field, ...] = ()

    def names(self) -> tuple[str, ...]:
        return tuple(portal.name for portal in self.declaration.portals)

    def sites(self, portal: str, key: str | None = None) -> tuple[Site, ...]:
        """The sites of a portal that are read with a key; with all of its keys where none is given."""
        sites = self.declaration.sites
        return tuple(each for each in sites if each.portal == portal and key in {None, each.key})

    def keys(self, portal: str) -> tuple[str, ...]:
        """The names of the keys that a portal is read with, as they are declared."""
        used = {site.key for site in self.sites(portal)}
        return tuple(key.name for key in self.declaration.keys if key.name in used)

    def terms(self, portal: str, key: str | None = None) -> Terms:
        """How people are told of a portal, and of one of its keys; of all of them where none is given."""
        owners = [_named(self.declaration.keys, name) for name in ([key] if key else self.keys(portal))]
        token = _named(self.declaration.portals, portal)
        names = {
            TOKEN: _place(token),
            API_KEY: " or ".join(filter(None, map(_place, owners))),
            WEBSITES: f"website in [[sites]] of {Path(self.sources.config).name}",
        }
        return Terms(portal, tuple((variable, name) for variable, name in names.items() if name))

    def given(self, portal: str, key: str | None, state: str | None) -> dict[str, Given]:
        """What holds for a portal whose state is there, and for one of its keys."""
        owner = _named(self.declaration.portals, portal)
        known = _portal_variables(self.own)
        found = {
            known[name]: Given(text, f"portals.{portal}: {name}")
            for name, text in owner.own.items()
            if name in known
        }
        found[TOKEN] = self._secret(owner, "portals", "token")
        if state is not None:
            found[STATE] = Given(state, f"portals.{portal}: its state")
        ids = ",".join(site.website for site in self.sites(portal, key))
        found[WEBSITES] = Given(ids or None, f"portals.{portal}: its sites", missing=_no_site(portal))
        key = key or next(iter(self.keys(portal)), None)
        return found | (self._of_key(key) if key else {})

    def _of_key(self, name: str) -> dict[str, Given]:
        owner = _named(self.declaration.keys, name)
        known = _key_variables()
        found = {
            known[key]: Given(text, f"keys.{name}: {key}") for key, text in owner.own.items() if key in known
        }
        return found | {API_KEY: self._secret(owner, "keys", "key")}

    def _secret(self, owner: Owner, kind: str, word: str) -> Given:
        """The secret of a portal or key: from the environment, the env file, or a file of its own."""
        place = f"{kind}.{owner.name}"
        variable, path = owner.secret.variable, owner.secret.path
        if path is not None:
            named = f"{place}: {word}_file"
            return _filed(read_secret(Path(path), named=named), named)
        if variable is None:
            return Given(None, place)
        named = f"{place}: {variable}"
        filed = self.sources.filed(variable)
        if filed.fault or filed.text is not None:
            return _filed(filed._replace(fault=filed.fault and f"{place}: {filed.fault}"), named)
        text = self.sources.text(variable).strip()
        missing = f"{named} is missing: the variable that {word}_env names."
        return Given(text or None, named, self.sources.of(variable) or ENVIRONMENT, "" if text else missing)

    def faults(self) -> Iterator[str]:
        """Keys that the tables do not have, each a sentence without end."""
        for kind, owners, known in (
            ("keys", self.declaration.keys, ["name", "key_env", "key_file", *_key_variables()]),
            (
                "portals",
                self.declaration.portals,
                ["name", "token_env", "token_file", PER_DAY, *_portal_variables(self.own)],
            ),
        ):
            for owner in owners:
                for key in owner.own.keys() - {*known}:
                    yield f"{kind}.{owner.name}: {self._stray(key, kind, known)}"
        yield from self._limits()
        yield from self._twins("keys", "key", self.declaration.keys)
        yield from self._twins("portals", "token", self.declaration.portals)

    def _stray(self, key: str, kind: str, known: list[str]) -> str:
        """Where a key belongs that a table of this kind does not have; else which one may be meant."""
        called = [f"{prefix}{key}".upper() for prefix in ("", *prefixes())]
        tables = {
            "sites": {name: name.upper() for name in SITE},
            "portals": {PER_DAY: PER_DAY.upper(), **_portal_variables(self.own)},
            "keys": _key_variables(),
        }
        for table in (kind, *tables):
            name = next((name for name, variable in tables[table].items() if variable in called), None)
            if name and table == kind:
                return f"{shown(key)} is no key of {kind}: write {name}"
            if name:
                return f"{shown(key)} belongs to [[{table}]]" + (f", as {name}" if name != key else "")
        settings = {*known_variables(self.own)} - {*ALONE}
        if common := next((each for each in called if each in settings), None):
            return f"{shown(key)} is common to all portals: set {common} in the environment"
        return f"{shown(key)} is no key of {kind}; the nearest one is {nearest(key, known)}"

    def per_day(self, portal: str) -> int | None:
        """How many requests a portal allows in a day, as far as that is declared."""
        text = _named(self.declaration.portals, portal).own.get(PER_DAY)
        number = int(text) if text and re.fullmatch("[0-9]{1,10}", text) else 0
        return number if 0 < number <= MOST_REQUESTS else None

    def _limits(self) -> Iterator[str]:
        for portal in self.declaration.portals:
            if portal.own.get(PER_DAY) and self.per_day(portal.name) is None:
                yield f"portals.{portal.name}: {PER_DAY} must be a whole number from 1 to {MOST_REQUESTS}"

    def holders(self, *, key: str, token: str) -> Iterator[str]:
        """A sentence on each key and portal that is declared and holds one of these secrets."""
        for owner in self.declaration.portals:
            if self._secret(owner, "portals", "token").text == token:
                yield (
                    f"The portal {owner.name} of the configuration file has this HUBSPOT_ACCESS_TOKEN, too:"
                    " the same contacts would be written from two states."
                )
        for owner in self.declaration.keys:
            if self._secret(owner, "keys", "key").text == key:
                yield (
                    f"The key {owner.name} of the configuration file is that of ZENOVAY_API_KEY, too: its"
                    " limits are counted in two places."
                )

    def _twins(self, kind: str, word: str, owners: tuple[Owner, ...]) -> Iterator[str]:
        """Those that hold one secret, whatever it is called."""
        first: dict[str, str] = {}
        for owner in owners:
            text = self._secret(owner, kind, word).text
            other = first.setdefault(text, owner.name) if text else owner.name
            if other != owner.name:
                yield f"{kind}.{other} and {kind}.{owner.name} hold one {word}: each must have its own"


def _named(owners: tuple[Owner, ...], name: str) -> Owner:
    return next(owner for owner in owners if owner.name == name)


def _place(owner: Owner) -> str:
    """Where the secret of a portal or key stands, as it may be shown."""
    return owner.secret.variable or envfile.printable(owner.secret.path or "")


def _filed(filed: Filed, named: str) -> Given:
    return Given(filed.text, named, filed.place, fault=filed.fault)


def _no_site(portal: str) -> str:
    return f"portals.{portal} has no website in [[sites]]."


@cache
def _key_variables() -> dict[str, str]:
    return _by_key(ZenovaySettings, but=frozenset({API_KEY, WEBSITES}))


@cache
def _portal_variables(own: tuple[Field, ...]) -> dict[str, str]:
    sections: tuple[type[Section], ...] = (HubSpotSettings, sync_settings(own))
    return {
        key: variable
        for section in sections
        for key, variable in _by_key(section, but=_COMMON | {TOKEN}).items()
    }


def _by_key(section: type[Section], *, but: frozenset[str]) -> dict[str, str]:
    """The variables of a section by the names of their settings."""
    prefix: str = section.model_config.get("env_prefix") or ""
    return {
        variable.removeprefix(prefix).lower(): variable
        for variable in variables(section).values()
        if variable not in but
    }
