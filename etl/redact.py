"""Keeping addresses and secrets out of logs, messages and summaries."""

from __future__ import annotations

import re

_ADDRESS = r"[^\s\"'<>,;:()\[\]{}=]*@[^\s\"'<>,;:()\[\]{}=]*"
_DATABASE = r"\bpostgres(?:ql)?(?:\+[a-z0-9]+)?://[\w.-]+(?::\*\*\*)?@[\w.-]+"
"""Whose user, and host, are no address; where there is a password it does not match."""

_FOUND = re.compile(rf"({_DATABASE})|{_ADDRESS}")
_NUMBER = re.compile(r"\d{3,}")
_LONGEST = 300


def addresses(text: str) -> str:
    """``text`` without anything that could be an e-mail address."""
    return _FOUND.sub(lambda found: found[1] or "<address>", text) if "@" in text else text


def numbers(text: str) -> str:
    """``text`` without the ids of records, which would make each sentence one of its own."""
    return _NUMBER.sub("<number>", text)


def secrets(text: str, *values: str) -> str:
    """``text`` without the given secrets, which a vendor may echo."""
    for value in values:
        if value:
            text = text.replace(value, "<secret>")
    return text


def printable(text: str) -> str:
    """``text`` without control characters, and without what turns the direction of writing."""
    return text if text.isprintable() else "".join(char for char in text if char.isprintable())


def vendor_text(text: str, *secret_values: str) -> str:
    """What a vendor says, fit for an error message: one line, bounded, no address, no secret.

    Nor does it hold what a terminal would obey instead of showing it.
    """
    line = printable(" ".join(secrets(addresses(text), *secret_values).split()))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
