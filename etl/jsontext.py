"""JSON in and out: fast on what is well-formed, tolerant of what one bad value would make unreadable."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import orjson

DEEPEST = 100
"""What is nested deeper is read as an empty text: nobody looks for it, and a parser would give up."""

_MOST_DIGITS = 20
_BEGINNINGS = (b"{", b"[")
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.DOTALL)


class UnreadableError(ValueError):
    """The bytes are no JSON, however tolerantly they are read; ``offset`` of them could be read."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"no JSON from byte {offset} on")
        self.offset = offset


def parse(body: bytes) -> Any:
    """The value in ``body``. Raises UnreadableError where it is not JSON.

    One value that a strict parser refuses does not take the others with it: a byte that is no text becomes
    the replacement character, a raw control character and half of a surrogate pair stay as they are, a number
    that is too large becomes infinite, what is nested too deeply an empty text. Whoever needs it refuses it.
    """
    try:
        return orjson.loads(body)
    except ValueError:
        return _tolerantly(body)


def is_meant(body: bytes) -> bool:
    """Whether ``body`` begins as a JSON object or list does, whatever follows."""
    return body[:1000].removeprefix(codecs.BOM_UTF8).lstrip()[:1] in _BEGINNINGS


def _tolerantly(body: bytes) -> Any:
    encoding = json.detect_encoding(body)
    text = body.decode(encoding, "replace")
    try:
        return json.loads(_shallow(text), strict=False, parse_int=_number)
    except json.JSONDecodeError as exc:
        raise UnreadableError(len(text[: exc.pos].encode(encoding, "replace"))) from None


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _shallow(text: str) -> str:
    """``text``, as long as it was, with an empty text for what is nested more than ``DEEPEST`` deep."""
    kept: list[str] = []
    end, depth, start = 0, 0, 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[0] in "[{":
            depth += 1
            start = token.start() if depth == DEEPEST + 1 else start
        elif token[0] in "]}":
            if depth == DEEPEST + 1:
                kept += [text[end:start], '""'.ljust(token.end() - start)]
                end = token.end()
            depth -= 1
    if depth > DEEPEST:
        kept += [text[end:start], '""'.ljust(len(text) - start)]
        end = len(text)
    return "".join([*kept, text[end:]]) if kept else text


def written(value: Any) -> bytes:
    """``value`` as JSON, an unpaired surrogate too."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def canonical(value: Any) -> bytes:
    """The same bytes for equal values, whatever the order of keys."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, sort_keys=True).encode()
