"""One row of the visitors endpoint: a visitor, a rejection with its reason, or outside the window.

The documentation speaks of rows in two ways, so each fact has several names; the first that says something
counts. Unknown fields are ignored. Reading a row never raises.
"""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NoReturn

from etl.exclusions import NOBODY
from etl.fields import BASIC_FIELDS, COUNTRY_FIELD
from etl.instants import EARLIEST_YEAR, parsed
from etl.jsontext import canonical
from etl.kinds import NOTHING, UnfitError
from etl.models.visitor import Rejection, Visitor
from etl.transform import left_out

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from etl.exclusions import Exclusions
    from etl.fields import Field, SyncedFields
    from etl.models.visitor import Facts, Value

_LONGEST_TEXT = 512
"""Twice what an e-mail address may have, and short enough to be the key of an index in any database."""

_LONGEST_KEY = 200
_LONGEST_QUOTE = 40
_SURFACE = 4
_REPLACEMENT = "\ufffd"


class _RefusedError(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def read_row(
    row: Any,
    *,
    since: datetime,
    ceiling: datetime,
    synced: SyncedFields = BASIC_FIELDS,
    exclusions: Exclusions = NOBODY,
) -> Visitor | Rejection | None:
    """What ``row`` says of the fields that are on; of whom ``exclusions`` cover nothing but the id.

    None if it was last seen outside ``[since, ceiling)``, whatever else it holds.
    """
    try:
        if not isinstance(row, dict):
            _refuse("not_an_object", "The row is not a JSON object with the fields of a visitor.")
        last_seen = _last_seen(row)
        if not since <= last_seen < ceiling:
            return None
        return _visitor(row, last_seen, synced, exclusions)
    except _RefusedError as refused:
        row_digest = digest(row)
        key = _usable_id(row) or f"row {row_digest.hex()[:12]}"
        return Rejection(key=key[:_LONGEST_KEY], reason=refused.reason, code=refused.code, digest=row_digest)


def seen_at(row: Any) -> datetime | None:
    """When ``row`` says that the visitor was last seen; None where that cannot be read."""
    try:
        return _last_seen(row) if isinstance(row, dict) else None
    except _RefusedError:
        return None


def digest(value: Any) -> bytes:
    """16 bytes that are equal for equal JSON values, whatever the order of their keys.

    What is nested too deeply to be written again counts only near its surface.
    """
    try:
        text = canonical(value)
    except RecursionError:
        text = canonical(_surface(value, depth=_SURFACE))
    return blake2b(text, digest_size=16).digest()


def name(row: Any) -> str:
    """What tells a row from the others of its list, in this process and in the next.

    The same for rows that say the same: one visitor may have two rows of one instant that do not.
    """
    return digest(row).hex()


def _surface(value: Any, *, depth: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        return None
    if isinstance(value, list):
        return [_surface(inner, depth=depth - 1) for inner in value]
    return {key: _surface(inner, depth=depth - 1) for key, inner in value.items()}


def _visitor(
    row: Mapping[str, Any], last_seen: datetime, synced: SyncedFields, exclusions: Exclusions
) -> Visitor:
    visitor_id = _visitor_id(row)
    opted_out = _opted_out(row)
    if exclusions and _is_excluded(row, visitor_id, exclusions):
        return left_out(visitor_id, last_seen, opted_out, None if opted_out is None else last_seen)
    if opted_out:
        return Visitor(visitor_id, last_seen, {}, opted_out=True, opted_out_at=last_seen)
    facts: Facts = {}
    for field in synced.fields:
        if (said := _said(row, field)) is not None:
            facts[field.name] = said
    email = _email(row)
    return Visitor(
        visitor_id,
        last_seen,
        facts,
        email,
        None if email is None else last_seen,
        opted_out,
        None if opted_out is None else last_seen,
    )


def _is_excluded(row: Mapping[str, Any], visitor_id: str, exclusions: Exclusions) -> bool:
    """An odd address or country covers nobody: the row is refused for it, where it counts."""
    country, email = None, None
    with suppress(_RefusedError):
        country = _said(row, COUNTRY_FIELD)
    with suppress(_RefusedError):
        email = _email(row)
    known = country if isinstance(country, str) else None
    return exclusions.cover(visitor_id=visitor_id, email=email, country=known)


def _said(row: Mapping[str, Any], field: Field) -> Value | None:
    """What the first name says that says something. Refused where none does, and one is odd."""
    is_odd = False
    read = field.kind.read
    for name in field.stated:
        value = row.get(name) if "." not in name else _inside(row, name)
        if value is None:
            continue
        try:
            if (said := read(value)) is not None:
                return said
        except UnfitError:
            is_odd = True
    if is_odd:
        _refuse(f"bad_{field.name}", f"What the row says of {field.name} {field.kind.complaint}.")
    return None


def _inside(row: Mapping[str, Any], path: str) -> Any:
    """What stands at ``path``, as in ``traits.plan``; None where there is no such place."""
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _last_seen(row: Mapping[str, Any]) -> datetime:
    text = row.get("last_seen")
    if text is None and (text := row.get("visited_at")) is None:
        _refuse("no_last_seen", "The row has no last-seen time (last_seen or visited_at).")
    if not isinstance(text, str):
        _refuse("bad_last_seen", "The last-seen time is not a text; expected ISO 8601.")
    found = parsed(text)
    if found is None:
        example = "ISO 8601, such as 2026-02-07T08:05:00Z"
        _refuse("bad_last_seen", f"The last-seen time{_quoted(text)} cannot be read; expected {example}.")
    if found.year < EARLIEST_YEAR:
        _refuse("bad_last_seen", f"The last-seen time{_quoted(text)} lies before the year {EARLIEST_YEAR}.")
    return found


def _visitor_id(row: Mapping[str, Any]) -> str:
    text = row.get("id")
    if text is None and (text := row.get("visitor_id")) is None:
        _refuse("no_id", "The row has no visitor id (id or visitor_id).")
    if not isinstance(text, str):
        _refuse("bad_id", "The visitor id is not a text.")
    sound = _sound(text, what="visitor id", code="bad_id")
    if sound.lower() in NOTHING:
        _refuse("no_id", "The visitor id is blank, or a word for nothing, such as null or undefined.")
    return sound


def _usable_id(row: Any) -> str | None:
    if not isinstance(row, dict):
        return None
    try:
        return _visitor_id(row)
    except _RefusedError:
        return None


def _opted_out(row: Mapping[str, Any]) -> bool | None:
    flag = row.get("gpc_opted_out")
    if flag is not None and not isinstance(flag, bool):
        _refuse("bad_opt_out", "gpc_opted_out is neither true, false nor null.")
    return flag


def _email(row: Mapping[str, Any]) -> str | None:
    """The first address, trimmed and lower-cased, without invisible characters, which make other keys.

    Whether it is one is for HubSpot to decide.
    """
    for name in ("email", "user_email"):
        text = row.get(name)
        if text is not None and (address := _address(text)) is not None:
            return address
    for place in ("identity", "user", "traits"):
        facts = row.get(place)
        text = facts.get("email") if isinstance(facts, dict) else None
        if text is not None and (address := _address(text)) is not None:
            return address
    return None


def _address(text: Any) -> str | None:
    if not isinstance(text, str):
        _refuse("bad_email", "The e-mail address is not a text.")
    address = _sound(_visible(text), what="e-mail address", code="bad_email").lower()
    return None if address in NOTHING else address


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(char for char in text if unicodedata.category(char) != "Cf")


def _sound(text: str, *, what: str, code: str) -> str:
    """``text``, trimmed. Refused if it is too long, or holds what neither a database nor HubSpot can keep."""
    text = text.strip()
    if len(text) > _LONGEST_TEXT:
        _refuse("text_too_long", f"The {what} is longer than {_LONGEST_TEXT} characters.")
    if not text.isprintable():
        kinds = {unicodedata.category(char) for char in text}
        if "Cc" in kinds:
            _refuse("control_character", f"The {what} holds a control character.")
        if "Cs" in kinds:
            _refuse(code, f"The {what} holds half of a surrogate pair, which is no character.")
    if _REPLACEMENT in text:
        _refuse(code, f"The {what} holds a byte that is no character.")
    return text


def _quoted(text: str) -> str:
    """``text`` in quotes, after a space, if it is short and could be meant as a time; else nothing."""
    meant = len(text) <= _LONGEST_QUOTE and text.isascii() and text.isprintable() and "@" not in text
    return f' "{text}"' if meant and any(map(str.isdigit, text)) else ""


def _refuse(code: str, reason: str) -> NoReturn:
    raise _RefusedError(code, reason)
