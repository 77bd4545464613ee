"""``help``: what is too long for ``--help``, a Markdown file of this package for each topic.

The first line of a file is its title, the first paragraph one sentence that says what it is about. A line
``{name}`` stands for the text of that file of this package.
"""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from importlib.resources import files
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Container

WIDTH = 100
"""Columns at most: longer lines are hard to read."""

LINK_PROPERTY = "zenovay_form_visitor_id"
"""What the property of links is called where the settings do not say."""

_SUFFIX = ".md"
_FOLDER = files(__name__)
_INCLUDED = re.compile(r"^\{([a-z]+\.[a-z]+)\}$", re.MULTILINE)


def show_help(topic: str | None, *, commands: Container[str]) -> int:
    """Print a topic, or what there is. Returns the exit code.

    Raises UsageError for what is no topic; where it is one of the ``commands``, that leads to their own help.
    """
    known = topics()
    if topic is None:
        _show_list(known)
    elif topic in known:
        _show(_as_set_up(known[topic]))
    elif topic in commands:
        raise click.UsageError(f"{topic} is a command and no topic: visitor-sync {topic} --help.")
    else:
        raise click.UsageError(_unknown(topic, list(known)))
    return 0


def topics() -> dict[str, str]:
    """The Markdown of every topic by its name, in alphabetical order."""
    found = {
        each.name.removesuffix(_SUFFIX): _INCLUDED.sub(_included, each.read_text(encoding="utf-8"))
        for each in _FOLDER.iterdir()
        if each.name.endswith(_SUFFIX)
    }
    return dict(sorted(found.items()))


def about(text: str) -> str:
    """What a topic is about: its first paragraph, on one line."""
    return " ".join(text.split("\n\n")[1].split())


def _included(place: re.Match[str]) -> str:
    return _FOLDER.joinpath(place[1]).read_text(encoding="utf-8").rstrip("\n")


def _as_set_up(text: str) -> str:
    """``text`` with the name that the user gave the property of links."""
    if LINK_PROPERTY not in text:
        return text
    from etl.settings import load_link_property  # noqa: PLC0415 -- pydantic costs 100 ms

    return text.replace(LINK_PROPERTY, load_link_property() or LINK_PROPERTY)


def _show_list(known: dict[str, str]) -> None:
    longest = max(map(len, known))
    for name, text in known.items():
        click.echo(f"{name:{longest}}  {about(text)}")
    click.echo("\nvisitor-sync help TOPIC shows one; visitor-sync COMMAND --help the options of a command.")


def _show(text: str) -> None:
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console  # noqa: PLC0415 -- rich costs 40 ms
    from rich.markdown import Markdown  # noqa: PLC0415 -- the same

    console = Console()
    console.print(Markdown(text), width=min(console.width, WIDTH))


def _unknown(topic: str, known: list[str]) -> str:
    nearest = get_close_matches(topic, known, n=1, cutoff=0)
    return f"There is no topic {topic!r}. The nearest is {nearest[0]}; there are {', '.join(known)}."
