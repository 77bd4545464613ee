"""The fleet that the configuration file declares: ``[[keys]]``, ``[[portals]]`` and ``[[sites]]``."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.instants import duration
from etl.naming import SECRETS, nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EVERY = timedelta(minutes=5)
LEAST = timedelta(minutes=1)
MOST = timedelta(hours=24)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
NAME_SHAPE = "begin with a small letter; then letters, digits, - and _, 40 in all"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
_NO_WEBSITE = re.compile(r"[/?#,\s]")
_LONGEST_WEBSITE = 255
_INLINE = frozenset(
    {"secret", "key", "api_key", "zenovay_api_key", "token", "access_token", "hubspot_access_token"}
)
_REFERENCES = frozenset({("sites", "key"), ("portals", "key")})
"""The latter does not belong there, and is no secret either."""

_LISTS = frozenset({("portals", "fields")})
_LARGEST_BITS = 1000
"""Of a number; thousands of digits Python refuses to write out."""

SITE = ("website", "portal", "key", "every")
_MEANT = {"interval": "every"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a secret stands: in a variable, or in a file. Neither where that is declared wrongly."""

    variable: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """A key or a portal: its secret, and the settings of its own as they are written."""

    name: str
    secret: Origin
    own: Mapping[str, str | None]
    """By their names in the file; None has the default hold, whatever the environment says."""


@dataclass(frozen=True, slots=True)
class Site:
    """A website of a portal, read with a key."""

    website: str
    portal: str
    key: str
    every: timedelta


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is declared, in the order of the file."""

    keys: tuple[Owner, ...] = ()
    portals: tuple[Owner, ...] = ()
    sites: tuple[Site, ...] = ()

    def variables(self) -> frozenset[str]:
        """The variables that hold secrets."""
        owners = (*self.keys, *self.portals)
        return frozenset(owner.secret.variable for owner in owners if owner.secret.variable)


NOTHING = Declaration()


def declared(
    keys: Sequence[Any], portals: Sequence[Any], sites: Sequence[Any]
) -> tuple[Declaration, list[str]]:
    """What these tables declare, and what is wrong with them, each a sentence without end.

    Of a value nothing is told, as a secret may have been written in its place.
    """
    problems: list[str] = []
    found = {
        kind: [_owner(_Table(kind, number, table, problems), kind) for number, table in enumerate(tables, 1)]
        for kind, tables in (("keys", keys), ("portals", portals))
    }
    names = {kind: [owner.name for owner in owners if owner.name] for kind, owners in found.items()}
    tables = [_Table("sites", number, table, problems) for number, table in enumerate(sites, 1)]
    referred = {
        kind: _Referred.of(names[kind], tables) for kind, tables in (("keys", keys), ("portals", portals))
    }
    read = tuple(site for site in (_site(table, referred) for table in tables) if site)
    problems += [*_twice(names, read), *_alike(names["portals"]), *_absent(keys, portals, sites)]
    sites_once = {(site.portal, site.website): site for site in reversed(read)}
    return (
        Declaration(_named(found["keys"]), _named(found["portals"]), tuple(sites_once.values())[::-1]),
        problems,
    )


def _twice(names: Mapping[str, Sequence[str]], sites: Sequence[Site]) -> Iterator[str]:
    """What is declared more than once."""
    owners = Counter(f"{kind}.{name}" for kind, given in names.items() for name in given)
    yield from (f"{name} is declared twice" for name, times in owners.items() if times > 1)
    for (portal, website), times in Counter((site.portal, site.website) for site in sites).items():
        if times > 1:
            yield f"sites: {website} is declared twice for the portal {portal}"


def _alike(portals: Sequence[str]) -> Iterator[str]:
    """Portals whose states would have one name: a schema has underscores where a name has hyphens."""
    first: dict[str, str] = {}
    for name in portals:
        other = first.setdefault(name.replace("-", "_"), name)
        if other != name:
            yield f"portals.{other} and portals.{name} differ in - and _ alone, and their states could not"


def _absent(keys: Sequence[Any], portals: Sequence[Any], sites: Sequence[Any]) -> Iterator[str]:
    """The kinds of tables without which the others come to nothing."""
    given = {"[[keys]]": keys, "[[portals]]": portals, "[[sites]]": sites}
    absent = [kind for kind, tables in given.items() if not tables]
    if 0 < len(absent) < len(given):
        yield f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} missing"


def _named(owners: Sequence[Owner]) -> tuple[Owner, ...]:
    """The first of each name."""
    return tuple({owner.name: owner for owner in reversed(owners) if owner.name}.values())[::-1]


@dataclass(slots=True)
class _Table:
    """One table, whose values are taken; ``problems`` is filled with what is wrong with them."""

    kind: str
    number: int
    given: Any
    problems: list[str]
    name: str = ""
    website: str = ""
    """Of a site, where it may be shown."""

    hidden: set[str] = field(default_factory=set)
    """Keys that were told of as they hold a secret."""

    def tell(self, sentence: str) -> None:
        place = f"{self.kind}.{self.name}" if self.name else f"{self.kind}: entry {self.number}"
        place += f" ({self.website})" if self.website else ""
        self.problems.append(f"{place}: {sentence}")

    def texts(self) -> dict[str, str | None]:
        """What the table holds but for secrets, all as texts; None for an empty one."""
        if not isinstance(self.given, dict):
            self.tell("must be a table")
            return {}
        name = self.given.get("name")
        if isinstance(name, str) and is_name(name):
            self.name = name
        website = self.given.get("website")
        if self.kind == "sites" and isinstance(website, str) and _is_website(website.strip()):
            self.website = "" if _is_secret(website) or "@" in website else website.strip()
        return dict(self._texts(self.given))

    def _texts(self, given: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
        for key, value in given.items():
            if _is_secret(value) or (key in _INLINE and (self.kind, key) not in _REFERENCES):
                self.hidden.add(key)
                self.tell(
                    f"{shown(key)} is written in the file, where a secret never stands; {self._instead()}"
                )
            elif (text := _text(value, listed=(self.kind, key) in _LISTS)) is not None:
                yield key, text or None
            else:
                self.hidden.add(key)
                self.tell(f"{shown(key)} must be a text or a number")

    def _instead(self) -> str:
        word = "token" if self.kind == "portals" else "key"
        return f"name its variable in {word}_env, or its file in {word}_file"


def is_name(text: str) -> bool:
    """Whether a key or a portal can have this name."""
    return bool(_NAME.fullmatch(text)) and not _is_secret(text)


def _is_secret(value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and text.strip(" \"'").startswith(SECRETS) for text in texts)


def _text(value: Any, *, listed: bool) -> str | None:
    if listed and isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        return None
    return str(value).strip()


def _owner(table: _Table, kind: str) -> Owner:
    texts = table.texts()
    word = "token" if kind == "portals" else "key"
    texts.pop("name", None)
    if not table.name and isinstance(table.given, dict) and "name" not in table.hidden:
        table.tell(f"name must {NAME_SHAPE}")
    secret = _origin(table, word, texts.pop(f"{word}_env", None), texts.pop(f"{word}_file", None))
    return Owner(table.name, secret, texts)


def _origin(table: _Table, word: str, variable: str | None, path: str | None) -> Origin:
    if variable and path:
        table.tell(f"{word}_env and {word}_file are both there; leave one of them out")
    elif variable and not _VARIABLE.fullmatch(variable):
        table.tell(f"{word}_env must be the name of a variable, in capital letters, digits and underscores")
    elif variable or path:
        return Origin(variable, path)
    elif isinstance(table.given, dict) and not table.hidden:
        table.tell(f"{word}_env is missing: the name of the variable that holds the {word}")
    return Origin()


@dataclass(frozen=True, slots=True)
class _Referred:
    """The tables of a kind, to which sites refer by their names."""

    names: Sequence[str]
    refused: frozenset[str]
    """What others have in place of a name: whoever refers to that is right once they are."""

    are_all_named: bool
    """Each by a name of its own; else the nearest one may be another than the one that is meant."""

    @classmethod
    def of(cls, names: Sequence[str], tables: Sequence[Any]) -> _Referred:
        written = (table.get("name") for table in tables if isinstance(table, dict))
        texts = {text.strip() for text in written if isinstance(text, str)}
        return cls(names, frozenset(texts.difference(names)), len({*names}) == len(tables))


def _site(table: _Table, named: Mapping[str, _Referred]) -> Site | None:
    texts = table.texts()
    before = len(table.problems)
    for word in texts:
        if word not in SITE:
            meant = _MEANT.get(word) or nearest(word, SITE)
            table.tell(f"{shown(word)} is no key of a site; the nearest one is {meant}")
    website = _website(table, texts.get("website"))
    portal = _reference(table, "portal", texts.get("portal"), named["portals"])
    key = _reference(table, "key", texts.get("key"), named["keys"])
    every = _every(table, texts.get("every"))
    if len(table.problems) > before or table.hidden or not (website and portal and key and every):
        return None
    return Site(website, portal, key, every)


def _website(table: _Table, text: str | None) -> str | None:
    if text is None:
        if "website" not in table.hidden and isinstance(table.given, dict):
            table.tell("website is missing: the id of the website")
        return None
    if not isinstance(table.given["website"], str):
        table.tell("website must be a text, in quotation marks")
        return None
    if not _is_website(text):
        table.tell("website must be the id of one website")
        return None
    return text


def _is_website(text: str) -> bool:
    return text.isprintable() and 0 < len(text) <= _LONGEST_WEBSITE and not _NO_WEBSITE.search(text)


def _reference(table: _Table, word: str, text: str | None, named: _Referred) -> str | None:
    if text in named.names:
        return text
    if text in named.refused or word in table.hidden or not isinstance(table.given, dict):
        return None
    if text is None:
        table.tell(f"{word} is missing: the name of one of [[{word}s]]")
    elif named.names and named.are_all_named:
        table.tell(f"{word} names none of [[{word}s]]; the nearest one is {nearest(text, named.names)}")
    else:
        table.tell(f"{word} names none of [[{word}s]]")
    return None


def _every(table: _Table, text: str | None) -> timedelta | None:
    if text is None:
        return EVERY
    try:
        every = duration(text)
    except ValueError:
        table.tell("every must be a duration such as 5m or 1h")
        return None
    if every < LEAST:
        table.tell("every must be at least 1m")
        return None
    if every > MOST:
        table.tell("every must be at most 24h")
        return None
    return every
