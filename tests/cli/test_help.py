"""``visitor-sync help``: topics on a terminal, in a file, and where they do not exist."""

from __future__ import annotations

import io
import os
import pty
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from program import COMMAND
from rich.console import Console
from rich.markdown import Markdown

from etl.cli.help import LINK_PROPERTY, about, topics
from etl.sandbox import site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from program import Program

TOPICS = topics()


def on_a_terminal(*arguments: str, columns: int = 80) -> str:
    """What a command shows there."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    with subprocess.Popen([COMMAND, *arguments], stdin=its, stdout=its, env=environment) as process:
        os.close(its)
        shown = bytearray()
        with suppress(OSError):  # Linux: the other end was closed
            while piece := os.read(ours, 65536):
                shown += piece
        os.close(ours)
    assert process.returncode == 0
    return shown.decode()


def lines_of(program: Program, *arguments: str) -> Sequence[str]:
    ended = program(*arguments)
    assert (ended.exit_code, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_without_a_topic_all_are_listed_with_a_line_each(program: Program) -> None:
    lines = lines_of(program, "help")

    assert [line.split("  ")[0] for line in lines[: len(TOPICS)]] == list(TOPICS)
    assert [line for line in lines if len(line) > 100] == []


def test_off_a_terminal_a_topic_is_plain(program: Program) -> None:
    assert program("help", "quota").stdout == TOPICS["quota"]


def test_on_a_terminal_a_topic_is_rendered() -> None:
    shown = on_a_terminal("help", "exit-codes")

    assert "\x1b[1" in shown
    assert "| Code |" not in shown
    assert "another run holds the lock" in shown


def test_help_needs_no_settings(program: Program) -> None:
    assert program("help", "state", ZENOVAY_API_KEY="", SYNC_NONSENSE="1").exit_code == 0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, LINK_PROPERTY),
        ({"SYNC_LINK_PROPERTY": "from_which_browser"}, "from_which_browser"),
        ({"SYNC_LINK_PROPERTY": "Not A Property", "SYNC_NONSENSE": "1"}, LINK_PROPERTY),
    ],
    ids=["not set", "set", "wrong"],
)
def test_the_snippet_fills_the_property_that_is_set(
    program: Program, settings: dict[str, str], name: str
) -> None:
    shown = program("help", "links", **settings).stdout

    assert shown == TOPICS["links"].replace(LINK_PROPERTY, name)
    assert f'var property = "{name}"' in shown


def test_the_form_of_the_sandbox_has_the_field_of_the_snippet() -> None:
    assert site.LINK_PROPERTY == LINK_PROPERTY


@pytest.mark.parametrize(
    ("given", "meant"), [("quotas", "quota"), ("exit", "exit-codes"), ("Backfill", "backfill"), ("", "")]
)
def test_an_unknown_topic_is_a_wrong_usage_that_names_the_nearest(
    program: Program, given: str, meant: str
) -> None:
    ended = program("help", given)

    assert (ended.exit_code, ended.stdout) == (2, "")
    assert f"The nearest is {meant}" in ended.stderr


def test_a_command_that_is_no_topic_leads_to_its_own_help(program: Program) -> None:
    ended = program("help", "run")

    assert ended.exit_code == 2
    assert "visitor-sync run --help" in ended.stderr


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_begins_with_a_title_and_one_sentence(name: str) -> None:
    assert TOPICS[name].startswith("# ")
    assert about(TOPICS[name]).endswith(".")
    assert about(TOPICS[name]).count(". ") == 0


@pytest.mark.parametrize("name", TOPICS)
def test_nothing_of_a_topic_is_cut_off_on_a_narrow_terminal(name: str) -> None:
    shown = io.StringIO()

    Console(width=80, file=shown).print(Markdown(TOPICS[name]))

    assert shown.getvalue().count("…") == TOPICS[name].count("…")
