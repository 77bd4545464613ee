"""What people read: other people's texts made harmless, ids cut short, instants as they are meant."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import click

from etl.cli.speech import spoken
from etl.models.summary import utc_second

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

ID_WIDTH = 24
"""Characters that are left of an id where it stands in a line with others."""

_MOST_NAMED = 3


def visible(text: str) -> str:
    """``text`` on one line, with its control characters and those that turn its direction written out.

    A terminal obeys such characters, and what websites, contacts and vendors call themselves may hold any.
    """
    return text if text.isprintable() else "".join(map(_written, text))


def visible_lines(text: str) -> str:
    """As ``visible``, for a text of ours that has several lines."""
    return "\n".join(map(visible, text.split("\n")))


def _written(char: str) -> str:
    harmless = char.isprintable() or unicodedata.category(char) == "Zs"
    return char if harmless else char.encode("unicode_escape").decode("ascii")


def say(text: str) -> None:
    """A line on stdout, in the terms of the portal that the command is for."""
    click.echo(visible(spoken(text)))


def tabbed(cells: Iterable[object]) -> None:
    """A line on stdout, its cells behind tabs, for a pipe."""
    click.echo("\t".join("" if cell is None else visible(str(cell)) for cell in cells))


def shortened(text: str, width: int = ID_WIDTH) -> str:
    """``text``, or as much of it as fits into ``width`` characters with an ellipsis."""
    return text if len(text) <= width else text[: width - 1] + "…"


def listed(texts: Iterable[str]) -> str:
    """Texts of others, one behind the other."""
    return ", ".join(map(visible, texts))


def named(texts: Sequence[str]) -> str:
    """The first of several texts of others, and how many more there are."""
    more = len(texts) - _MOST_NAMED
    return listed(texts[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def ago(instant: datetime, now: datetime) -> str:
    """How far away an instant is: "3 min ago", "in 2 hr"."""
    from babel.dates import format_timedelta  # noqa: PLC0415 -- it costs 60 ms

    text = format_timedelta(instant - now, add_direction=True, format="short", threshold=1.5, locale="en")
    return str(text).replace(".", "")


def at(instant: datetime, now: datetime) -> str:
    """An instant for people: exactly, to the second of UTC, and how far away that is."""
    return f"{utc_second(instant)} ({ago(instant, now)})"
