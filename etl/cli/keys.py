"""Keys of people, as they are given to a command: addresses, visitor ids, record ids."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from etl.models.contact import EMAIL, RECORD, VISITOR, ContactKey

if TYPE_CHECKING:
    from collections.abc import Sequence

FROM_STDIN = "-"
_NO_TEXT = "The key holds bytes that are no text of UTF-8."


def given_keys(given: Sequence[str]) -> list[str]:
    """The keys, each once; a dash stands for the lines of stdin. Raises UsageError where there is none."""
    try:
        texts = [line for text in given for line in (sys.stdin if text == FROM_STDIN else [text])]
    except UnicodeDecodeError:
        raise click.UsageError(_NO_TEXT) from None
    keys = [text.strip() for text in texts]
    if not any(keys):
        raise click.UsageError("No key was given.")
    return list(dict.fromkeys(filter(None, keys)))


def given_key(given: str) -> str:
    """The one key. Raises UsageError for none, for several, and for what can be no key at all."""
    (key, *more) = given_keys([given])
    if more:
        raise click.UsageError(f"One key at a time: stdin has {len(more) + 1}.")
    if "\0" in key or key != key.encode(errors="replace").decode():
        raise click.UsageError(_NO_TEXT)
    return key


def readings(text: str) -> set[ContactKey]:
    """All that ``text`` may be a key of."""
    return {ContactKey(EMAIL, text.lower()), ContactKey(VISITOR, text), ContactKey(RECORD, text)}
