"""The user's own fields: the tables ``[fields.NAME]`` of the configuration file."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from etl import fields
from etl.kinds import KINDS, PAGE, TEXT
from etl.naming import checked_property, nearest, shown
from etl.policies import Policy
from etl.rules import People, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from enum import StrEnum

    from etl.kinds import Kind

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_URLS = ("_page", "_referrer")
_RESERVED = {*fields.SETS, fields.OWN, fields.EVERYTHING, "visitor_id"}
_LONGEST_LABEL = 100


def _one_of(words: type[StrEnum] | Mapping[str, Any], what: str) -> BeforeValidator:
    known = [str(word) for word in words]

    def checked(value: object) -> object:
        if value not in known:
            raise ValueError(
                f"is no {what}; the nearest one is {nearest(str(value), known)} (of {', '.join(known)})"
            )
        return value

    return BeforeValidator(checked)


def _stated(value: object) -> object:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise ValueError('must list the names under which a row states it, as in ["traits.plan", "plan"]')
    if not all(isinstance(name, str) and all(name.split(".")) for name in names):
        raise ValueError("must list names, or paths of names with dots between")
    return tuple(names)


def _label(value: str) -> str:
    if not value.strip() or len(value) > _LONGEST_LABEL or not value.isprintable():
        raise ValueError(f"must be a text of 1 to {_LONGEST_LABEL} printable characters")
    return value.strip()


class _Declaration(BaseModel):
    """One table."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=False)

    stated: Annotated[tuple[str, ...], BeforeValidator(_stated), Field(alias="from")]
    kind: Annotated[str, _one_of(KINDS, "kind")] = TEXT.name
    rows: Annotated[Rows, _one_of(Rows, "rule for rows")] = Rows.LATEST
    people: Annotated[People, _one_of(People, "rule for people")] = People.OF_LATEST
    property_name: Annotated[str | None, AfterValidator(checked_property), Field(alias="property")] = None
    label: Annotated[str | None, AfterValidator(_label)] = None
    write: Annotated[Policy | None, _one_of(Policy, "policy")] = None

    def misfits(self) -> Iterator[str]:
        """What does not go with the kind."""
        kind = KINDS[self.kind]
        for key, rule, fitting in (("rows", self.rows, kind.rows), ("people", self.people, kind.people)):
            if rule not in fitting:
                yield f"{key}: the rule {rule} does not fit the kind {kind.name}; {_either(fitting)}"

    def named(self, name: str) -> fields.Field:
        field = fields.declared(
            name,
            self.stated,
            _kind(name, self.kind),
            self.rows,
            self.people,
            fields.OWN,
            property_name=self.property_name,
            label=self.label,
        )
        return replace(field, write=self.write)


def declared(
    tables: Mapping[str, Any],
) -> tuple[tuple[fields.Field, ...], tuple[tuple[str, Policy], ...], list[str]]:
    """The fields that ``tables`` declare, the policies that they give this program's own fields, by name.

    And what is wrong with them, each a sentence without end. A field that is declared wrongly is there all
    the same, as a text, so that one mistake is told once.
    """
    found: list[fields.Field] = []
    policies: list[tuple[str, Policy]] = []
    problems: list[str] = []
    for name, table in tables.items():
        if ours := next((field for field in fields.FIELDS if field.name == name), None):
            policy, wrong = _policy(ours, table)
            policies += [(name, policy)] if policy else []
        else:
            field, wrong = _declared(name, table)
            found += [field] if field else []
        problems += [f"fields.{shown(name)}{each}" for each in wrong]
    return tuple(found), tuple(policies), problems


def _policy(field: fields.Field, table: Any) -> tuple[Policy | None, list[str]]:
    """The policy of a field of this program's own, of which nothing else can be declared."""
    if not isinstance(table, dict) or table.keys() != {"write"}:
        only = "is a field of this program, of which only write can be set here"
        return None, [f" {only}; {field.setting} names its property"]
    known = [policy.value for policy in Policy]
    if table["write"] not in known:
        meant = nearest(str(table["write"]), known)
        return None, [f".write is no policy; the nearest one is {meant} (of {', '.join(known)})"]
    return Policy(table["write"]), []


def _declared(name: str, table: Any) -> tuple[fields.Field | None, list[str]]:
    if not _NAME.fullmatch(name):
        return None, [" must be named with lower-case letters, digits and underscores, 40 at most"]
    if name in _RESERVED:
        return None, [" has the name of a set of fields, or of what identifies a visitor; choose another"]
    try:
        declaration = _Declaration.model_validate(table)
    except ValidationError as exc:
        made_up = fields.declared(name, (name,), TEXT, Rows.LATEST, People.OF_LATEST, fields.OWN)
        return made_up, [_about_field(error) for error in _errors(exc)]
    return declaration.named(name), [f".{each}" for each in declaration.misfits()]


def _kind(name: str, word: str) -> Kind:
    """What is named like an address of a page is read like one."""
    return PAGE if word == TEXT.name and name.endswith(_URLS) else KINDS[word]


def _errors(exc: ValidationError) -> list[Any]:
    return exc.errors(include_url=False, include_input=False, include_context=False)


def _about_field(error: Any) -> str:
    if not error["loc"]:
        return ' must be a table, as [fields.plan] with from = ["traits.plan"]'
    key = shown(str(error["loc"][0]))
    known = [field.alias or name for name, field in _Declaration.model_fields.items()]
    if error["type"] == "extra_forbidden":
        return f".{key} is no key of a field; the nearest one is {nearest(key, known)}"
    if error["type"] == "missing":
        return f".{key} is missing: the names under which a row states it"
    if error["type"] == "value_error":
        return f".{key} {str(error['msg']).removeprefix('Value error, ')}"
    return f".{key} must be a text"


def _either(rules: tuple[StrEnum, ...]) -> str:
    *others, last = map(str, rules)
    return f"{', '.join(others)} and {last} do"
