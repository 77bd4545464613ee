"""Kinds of facts: what may be read as one, and how HubSpot takes it."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from etl import countries
from etl.instants import EARLIEST_YEAR, instant, microseconds, parsed, written
from etl.rules import People, Rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.models.visitor import Value

LONGEST_TEXT = 65_536
"""Characters that a text property of HubSpot's takes; what is longer is cut."""

NOTHING = frozenset(("", "-", "--", "n/a", "na", "nan", "nil", "none", "null", "undefined"))
"""Words for nothing that people and programs put where a value is missing, in small letters."""

_LARGEST_NUMBER = 2**53
_MOST_DIGITS = 16
_WHOLE = re.compile(r"([0-9]{1,20}|[0-9]{1,3}(?:,[0-9]{3}){1,6})(?:\.0{1,20})?")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,20}|[0-9]{1,3}(?:,[0-9]{3}){1,6})(?:\.[0-9]{1,20})?")
_FLAGS: dict[Any, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NEVER_WRITTEN = ("Cc", "Cs")
"""Control characters and halves of surrogate pairs, by their category."""


class UnfitError(Exception):
    """What a row says is not of the kind."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field holds.

    ``read`` makes a value of what JSON holds; None where it says nothing, UnfitError where it is of another
    kind, ``complaint`` says of which. ``write`` makes the text that HubSpot takes; None for what it must not
    get. ``holds`` are the types that the state may keep, ``rows`` and ``people`` the rules that make sense.
    """

    name: str
    property_type: Literal["string", "number", "datetime", "bool"]
    holds: tuple[type, ...]
    read: Callable[[Any], Value | None]
    write: Callable[[Any], str | None]
    complaint: str
    rows: tuple[Rows, ...]
    people: tuple[People, ...]

    def same(self, one: str, other: str) -> bool:
        """Whether two texts of HubSpot's mean one value: it drops fractions of seconds, and blanks."""
        return _MEANING[self.property_type](one) == _MEANING[self.property_type](other)


def _unfit() -> NoReturn:
    raise UnfitError


def _text(value: Any) -> str | None:
    """Trimmed, without what neither a database nor HubSpot can keep, and no longer than HubSpot takes."""
    if not isinstance(value, str):
        if not isinstance(value, int | float):
            _unfit()
        value = str(value).lower() if isinstance(value, bool) else str(_number(value))
    if not value.isprintable():
        value = "".join(char for char in value if unicodedata.category(char) not in _NEVER_WRITTEN)
    value = value.strip()
    return None if value.lower() in NOTHING else value[:LONGEST_TEXT].rstrip()


def _page(value: Any) -> str | None:
    """A text without query and fragment: addresses and tokens stand there."""
    if not isinstance(value, str):
        _unfit()
    return _text(value.partition("?")[0].partition("#")[0])


def _country(value: Any) -> str | None:
    if not isinstance(value, str):
        _unfit()
    return countries.code(value)


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        value = value.strip()
        if value.lower() in NOTHING:
            return None
        if not _DECIMAL.fullmatch(value):
            _unfit()
        value = float(value.replace(",", ""))
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > _LARGEST_NUMBER:
        _unfit()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _number_text(value: float) -> str:
    return str(value) if isinstance(value, int) else format(Decimal(repr(value)), "f")


def _count(value: Any) -> int | None:
    """A whole number from 0 up, written as ``1,234`` or ``17.0`` too."""
    if isinstance(value, str):
        value = value.strip()
        if value.lower() in NOTHING:
            return None
        said = _WHOLE.fullmatch(value)
        digits = said[1].replace(",", "").lstrip("0") if said else ""
        if said is None or len(digits) > _MOST_DIGITS:
            _unfit()
        value = int(digits or "0")
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= _LARGEST_NUMBER:
        _unfit()
    return value


def _instant(value: Any) -> int | None:
    if not isinstance(value, str):
        _unfit()
    found = parsed(value)
    if found is None:
        return None if value.strip().lower() in NOTHING else _unfit()
    if found.year < EARLIEST_YEAR:
        _unfit()
    return microseconds(found)


@lru_cache(maxsize=4096)
def _instant_text(value: int) -> str | None:
    """Cached, as a contact is fingerprinted first and sent soon after."""
    try:
        return written(instant(value))
    except OverflowError:
        return None


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else _unfit()
    if word in NOTHING:
        return None
    return _FLAGS[word] if word in _FLAGS else _unfit()


def _number_meant(text: str) -> object:
    try:
        return Decimal(text.strip())
    except ArithmeticError:
        return text.strip()


def _instant_meant(text: str) -> object:
    """Whole milliseconds, which is how exact HubSpot is; it may also write them as a number."""
    digits = text.strip()
    if digits.isascii() and digits.isdecimal():
        return int(digits)
    found = parsed(digits)
    return microseconds(found) // 1000 if found else digits


_MEANING: dict[str, Callable[[str], object]] = {
    "string": str.strip,
    "number": _number_meant,
    "datetime": _instant_meant,
    "bool": lambda text: text.strip().lower(),
}
"""What the texts of a property of HubSpot's mean, by its type."""

_ALWAYS = (Rows.LATEST, Rows.FIRST)
_OF_ONE = (People.OF_LATEST, People.OF_FIRST)
_ORDERED = (*_ALWAYS, Rows.LARGEST, Rows.SMALLEST)
_EXTREMES = (*_OF_ONE, People.LARGEST, People.SMALLEST)

TEXT = Kind("text", "string", (str,), _text, str, "is not a text", _ALWAYS, _OF_ONE)
PAGE = Kind("text", "string", (str,), _page, str, "is not a text", _ALWAYS, _OF_ONE)
COUNTRY = Kind(
    "country",
    "string",
    (str,),
    _country,
    countries.name,
    "is not a text; expected a two-letter code or an English name",
    _ALWAYS,
    _OF_ONE,
)
NUMBER = Kind(
    "number",
    "number",
    (int, float),
    _number,
    _number_text,
    f"is not a number of at most {_LARGEST_NUMBER}",
    _ORDERED,
    (*_EXTREMES, People.SUM),
)
COUNT = Kind(
    "number",
    "number",
    (int,),
    _count,
    str,
    f"is not a whole number from 0 to {_LARGEST_NUMBER}",
    _ORDERED,
    (*_EXTREMES, People.SUM),
)
INSTANT = Kind(
    "instant",
    "datetime",
    (int,),
    _instant,
    _instant_text,
    f"is no instant of ISO 8601 since {EARLIEST_YEAR}, such as 2026-02-07T08:05:00Z",
    _ORDERED,
    _EXTREMES,
)
FLAG = Kind(
    "flag",
    "bool",
    (bool,),
    _flag,
    lambda value: "true" if value else "false",
    "is neither true nor false",
    (*_ALWAYS, Rows.ANY),
    (*_OF_ONE, People.ANY),
)

KINDS = {kind.name: kind for kind in (TEXT, NUMBER, INSTANT, FLAG, COUNTRY)}
"""Those that one's own fields may have."""
