"""What is written to people, word for word."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import NOW

from etl.errors import SyncError
from etl.watch.letters import LONGEST, WHAT_TO_DO, sentences
from etl.watch.troubles import EVERYWHERE, Alarm, Letter, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable

BEGAN = NOW - timedelta(hours=1, microseconds=5)
REVOKED = "Zenovay refused the key (401). Renew ZENOVAY_API_KEY."


def written(*troubles: Trouble, well: dict[str, Alarm] | None = None) -> list[str]:
    return sentences(Letter([(each, BEGAN) for each in troubles], well or {})).splitlines()


def _codes(kind: type[SyncError]) -> Iterable[int]:
    yield kind.exit_code
    for each in kind.__subclasses__():
        yield from _codes(each)


def test_every_exit_code_of_an_error_says_what_to_do() -> None:
    stated = {code for code in _codes(SyncError) if 0 < code < 128}

    assert stated <= set(WHAT_TO_DO)


@pytest.mark.parametrize("exit_code", WHAT_TO_DO)
def test_a_trouble_that_lasts_says_what_where_what_to_do_and_since_when(exit_code: int) -> None:
    assert written(Trouble("a", exit_code, REVOKED)) == [
        f"visitor-sync, a: {REVOKED}",
        f"What to do: {WHAT_TO_DO[exit_code]}",
        f"Since 2026-02-07T10:59:59Z, exit code {exit_code}.",
    ]


def test_what_happened_once_has_no_since() -> None:
    rejected = Trouble("a", 3, "1 contact is newly rejected.", lasts=False, cause="rejected")

    assert written(rejected) == [
        "visitor-sync, a: 1 contact is newly rejected.",
        f"What to do: {WHAT_TO_DO[3]}",
    ]


def test_a_warning_is_one_line() -> None:
    assert written(Trouble("a", 0, "The month will not last.", lasts=False)) == [
        "visitor-sync, a: The month will not last."
    ]


def test_what_is_no_website_s_names_none() -> None:
    (first, *_) = written(Trouble(EVERYWHERE, 2, "A setting is wrong."))

    assert first == "visitor-sync: A setting is wrong."


def test_websites_in_one_trouble_share_its_lines_and_the_earliest_since() -> None:
    alike = [
        (Trouble("a", 5, "Refused (id 1)."), NOW),
        (Trouble("b", 6, "Broken."), NOW),
        (Trouble("c", 5, "Refused (id 2)."), BEGAN),
    ]
    lines = sentences(Letter(alike, {})).splitlines()

    assert [line for line in lines if line.startswith("visitor-sync")] == [
        "visitor-sync, a, c: Refused (id 1).",
        "visitor-sync, b: Broken.",
    ]
    assert lines[2] == "Since 2026-02-07T10:59:59Z, exit code 5."


def test_warnings_stand_behind_errors_and_what_is_well_behind_all() -> None:
    alarm = Alarm(BEGAN, REVOKED)
    lines = written(
        Trouble("a", 0, "A warning.", lasts=False),
        Trouble("b", 5, "An error."),
        well={"c": alarm, EVERYWHERE: alarm},
    )

    assert lines == [
        "visitor-sync, b: An error.",
        f"What to do: {WHAT_TO_DO[5]}",
        "Since 2026-02-07T10:59:59Z, exit code 5.",
        "visitor-sync, a: A warning.",
        f"visitor-sync is well again: c. Since 2026-02-07T10:59:59Z it was: {REVOKED}",
        f"visitor-sync is well again. Since 2026-02-07T10:59:59Z it was: {REVOKED}",
    ]


def test_a_long_trouble_that_is_over_is_cut() -> None:
    (line,) = written(well={"a": Alarm(BEGAN, "word " * 100)})

    assert line.endswith("word …")
    assert len(line.partition("it was: ")[2]) <= LONGEST


def test_an_empty_letter_is_empty() -> None:
    assert sentences(Letter([], {})) == ""
