"""What is wrong with the settings: a sentence on each fault, with its place and without its value."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl import envfile
from etl.errors import SettingsError
from etl.settings.names import file_variables
from etl.settings.sections import variables
from etl.settings.sources import ENVIRONMENT, SUFFIX, directories

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pydantic import ValidationError

    from etl.settings.sections import Section
    from etl.settings.sources import Given, Sources

_MISSING = {
    "ZENOVAY_API_KEY": "the secret key, which begins with zv_ (Zenovay: settings, API keys)",
    "ZENOVAY_WEBSITE_ID": "the id of the website; several are separated by commas",
    "HUBSPOT_ACCESS_TOKEN": "the token of a private app or service key (HubSpot: settings, integrations)",
}
_SWAPPED = re.compile(r"it and \w+ seem swapped")
_TABLE = re.compile(r": (fields|exclude|keys|portals|sites)\b")
_TOPICS = {"fields": "fields", "exclude": "privacy"}
_NAMES = re.compile(
    r"(?<=\bentry )\d+( \(\S+\))?|(?<=\bkeys\.)[\w-]+|(?<=\bportals\.)[\w-]+"
    r"|\S+(?= is declared twice)|(?<=for the portal )\S+|\w+(?= is missing)|(?<=the file )\S+"
)
"""What sentences of one kind differ in: the table that they are about, and what it names."""

_DAYS = re.compile(r"datetime\.timedelta\((?:days=)?(\d+)\)")
_MOST_ALIKE = 10
_VARIABLE = "is missing: the variable"
"""Of a portal or a key."""


def wrong(problems: list[str], sources: Sources) -> SettingsError:
    """All ``problems`` as one."""
    count = "A setting is wrong" if len(problems) == 1 else f"{len(problems)} settings are wrong"
    where = envfile.place(sources.path)
    name = envfile.printable(Path(sources.path).name)
    file = f"{name} ({where if sources.found else f'looked for at {where}: not there'})"
    secrets = ""
    marks = [_VARIABLE, *(f"{variable} is missing" for variable in _required_secrets())]
    if any(mark in each for each in problems for mark in marks):
        looked = ", ".join(envfile.printable(str(path)) for path in directories())
        secrets = f", a secret in a file ({f'looked in {looked}: ' * bool(looked)}visitor-sync help settings)"
    filed = [each for each in problems if _is_of_file(each, sources)]
    there = f"Mend what is wrong in {sources.config} there (visitor-sync help {_topic(filed)})."
    fix = f"\nSet, mend or remove them in the environment or in {file}{secrets}; .env.example lists them all."
    if filed:
        fix = f"\n{there}" if len(filed) == len(problems) else f"{fix} {there}"
    return SettingsError("\n  ".join([f"{count}:", *_listed(problems)]), fix=fix)


def _listed(problems: Sequence[str]) -> Iterator[str]:
    """The first of each kind, and how many more there are: one mistake may be made in a thousand tables."""
    kinds = [_NAMES.sub("", each) for each in problems]
    times, listed = Counter(kinds), Counter[str]()
    for kind, problem in zip(kinds, problems, strict=True):
        listed[kind] += 1
        if listed[kind] <= _MOST_ALIKE:
            more = times[kind] - _MOST_ALIKE if listed[kind] == _MOST_ALIKE else 0
            yield f"{problem} {more} more like this one." if more else problem


def _is_of_file(problem: str, sources: Sources) -> bool:
    """Whether a problem is to be mended in the configuration file, and not where a variable is set."""
    elsewhere = (_VARIABLE, f"({ENVIRONMENT})", f"({envfile.place(sources.path)})")
    told = problem.startswith(f"{sources.config}: ") if sources.config else False
    return told and not any(each in problem for each in elsewhere)


def _topic(problems: Sequence[str]) -> str:
    """The help topic for the first of the tables that these problems are about."""
    found = (_TABLE.search(each) for each in problems)
    return next((_TOPICS.get(each[1], "fleet") for each in found if each), "fleet")


def _required_secrets() -> list[str]:
    return [variable for variable in _MISSING if variable + SUFFIX in file_variables()]


def sentences(
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


def _of_portal(given: Given, error: Any, sources: Sources) -> Iterator[str]:
    """A sentence on what a portal's tables say, or do not; none where that was told already."""
    if error["type"] in {"missing", "too_short"}:
        yield from [f"{sources.config}: {given.missing}"] * bool(given.missing)
    else:
        sentence = _SWAPPED.sub("a key and a token seem swapped", _sentence(given.named, error))
        yield f"{sources.config}: {_placed(sentence, given.origin)}"


def _sentence(variable: str, error: Any) -> str:
    if error["type"] in {"missing", "too_short"}:
        return f"{variable} is missing: {_MISSING.get(variable, 'it has no default')}."
    message = str(error["msg"]).removeprefix("Value error, ").partition(", unable to parse")[0]
    message = _DAYS.sub(r"\1 days", message)
    return f"{variable} {message.replace('Input should be', 'must be')}."


def _variable(section: type[Section], error: Any) -> str | None:
    """The variable that an error is about; None where it is about several."""
    if not error["loc"]:
        return None
    key = str(error["loc"][0])
    prefix = section.model_config.get("env_prefix") or ""
    return variables(section).get(key, f"{prefix}{key}".upper())


def unknown(name: str, shown: str, where: str) -> str:
    return (
        f"{envfile.printable(name)} is not a setting of this program; the nearest one is {shown} ({where})."
    )
