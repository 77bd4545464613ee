"""What of a run is told, given what was told before."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes import NOW, FakeClock

from etl.watch.troubles import EVERYWHERE, Memory, Trouble, from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.watch.troubles import Letter

FIVE_MINUTES = 300.0
ONE_DAY = 86_400.0

REVOKED = Trouble("a", 5, "HubSpot refused the token (401) (correlation id 4a1b).")
BROKEN = Trouble("a", 6, "Zenovay answered no rows.")
REFUSED = Trouble("a", 3, "1 newly rejected.", lasts=False, cause="rejected")
ELSEWHERE = Trouble("b", 5, "HubSpot refused the token (401) (correlation id 9c9c).")
SETTINGS = Trouble(EVERYWHERE, 2, "A setting is wrong.")


class Cron:
    """Runs that follow one another; the memory goes through its JSON each time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.memory = Memory()

    def run(self, *troubles: Trouble, well: Iterable[str] = (), after: float = FIVE_MINUTES) -> Letter:
        self.clock.advance(after)
        self.memory = from_json(self.memory.as_json())
        return self.memory.judge(troubles, well=well, now=self.clock.now())

    def good(self, after: float = FIVE_MINUTES) -> Letter:
        return self.run(well={"a", EVERYWHERE}, after=after)


@pytest.fixture
def cron() -> Cron:
    return Cron()


def told(letter: Letter) -> list[Trouble]:
    return [trouble for trouble, _ in letter.troubles]


def test_good_runs_say_nothing(cron: Cron) -> None:
    assert not any(cron.good() for _ in range(10))


def test_a_trouble_is_told_once_and_again_after_a_day_and_its_end_once(cron: Cron) -> None:
    letters = [cron.run(REVOKED) for _ in range(10)]
    assert [bool(letter) for letter in letters] == [True] + [False] * 9
    ((_, since),) = letters[0].troubles

    again = cron.run(REVOKED, after=ONE_DAY)
    assert again.troubles == [(REVOKED, since)]
    assert not cron.run(REVOKED)

    (alarm,) = cron.good().well.values()
    assert (alarm.since, alarm.text) == (since, REVOKED.text)
    assert not cron.good()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("401 (id 4a1b) at 2026-02-07T12:00:00Z.", "401 (id 77) at 2026-02-08T12:05:00Z.", True),
        ("3 of 100 rows are unreadable.", "71 of 500 rows are unreadable.", True),
        ("Zenovay refused the key.", "HubSpot refused the token.", False),
    ],
)
def test_counts_times_and_ids_make_no_new_trouble(cron: Cron, one: str, other: str, *, same: bool) -> None:
    cron.run(Trouble("a", 6, one))

    assert bool(cron.run(Trouble("a", 6, other))) is not same


def test_bugs_at_two_places_are_two(cron: Cron) -> None:
    assert cron.run(Trouble("a", 1, "KeyError at run.py:10."))
    assert cron.run(Trouble("a", 1, "KeyError at run.py:99."))
    assert not cron.run(Trouble("a", 1, "KeyError at run.py:99."))


def test_another_trouble_is_told_at_once_and_the_first_is_not_said_to_be_over(cron: Cron) -> None:
    cron.run(REVOKED)
    another = cron.run(BROKEN)

    assert (told(another), another.well) == ([BROKEN], {})
    assert list(cron.good().well) == ["a"]


def test_what_comes_and_goes_is_told_once_a_day(cron: Cron) -> None:
    letters = [letter for _ in range(100) for letter in (cron.run(REVOKED), cron.good()) if letter]
    assert [(told(letter), list(letter.well)) for letter in letters] == [([REVOKED], []), ([], ["a"])]

    assert told(cron.run(REVOKED, after=ONE_DAY)) == [REVOKED]
    assert cron.good().well


def test_two_that_take_turns_are_told_once_each(cron: Cron) -> None:
    letters = [cron.run(each) for _ in range(20) for each in (REVOKED, BROKEN)]

    assert sum(map(bool, letters)) == 2


def test_a_run_that_proves_nothing_ends_nothing(cron: Cron) -> None:
    cron.run(REVOKED)
    assert not cron.run()
    assert not cron.run(REVOKED)
    assert cron.good().well


def test_what_happened_has_no_end(cron: Cron) -> None:
    assert told(cron.run(REFUSED)) == [REFUSED]
    assert not cron.good()
    assert not cron.run(REFUSED)
    assert cron.run(REFUSED, after=ONE_DAY)


def test_one_letter_names_all_websites_in_trouble(cron: Cron) -> None:
    cron.run(REVOKED)
    letter = cron.run(REVOKED, ELSEWHERE)

    assert told(letter) == [REVOKED, ELSEWHERE]
    assert REVOKED.kind == ELSEWHERE.kind
    assert not cron.run(REVOKED, ELSEWHERE)

    half = cron.run(REVOKED, well={"b", EVERYWHERE})
    assert (told(half), list(half.well)) == ([], ["b"])


def test_nothing_is_well_while_a_website_has_what_everything_had(cron: Cron) -> None:
    cron.run(SETTINGS)
    letter = cron.run(REVOKED)
    assert (told(letter), letter.well) == ([REVOKED], {})

    assert list(cron.good().well) == ["a"]


def test_a_website_that_is_synced_no_more_is_forgotten(cron: Cron) -> None:
    cron.run(REVOKED, ELSEWHERE)
    cron.memory.forget_all_but(["a"])

    assert not cron.run(REVOKED)
    assert list(cron.run(well={"a", "b", EVERYWHERE}).well) == ["a"]


def test_a_clock_that_was_days_ahead_silences_nothing(cron: Cron) -> None:
    cron.run(REVOKED, after=10 * ONE_DAY)
    assert cron.run(REVOKED, after=-10 * ONE_DAY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rubbish",
        "null",
        "[]",
        "{}",
        '{"told": []}',
        '{"told": {"a": "soon"}, "current": {}, "alarms": {}, "good": {}}',
        '{"told": {"a": "2026-01-01T00:00:00"}, "current": {}, "alarms": {}, "good": {}}',
        '{"told": {}, "current": {"a": 1}, "alarms": {}, "good": {}}',
        "[" * 100_000,
        "\0" * 100,
    ],
)
def test_rubbish_is_no_memory(text: str) -> None:
    assert from_json(text) == Memory()


def test_a_memory_outlives_its_writing(cron: Cron) -> None:
    cron.run(REVOKED, SETTINGS, REFUSED)
    cron.memory.good_until("a", NOW - timedelta(days=2))

    assert from_json(cron.memory.as_json()) == cron.memory
    assert json.loads(cron.memory.as_json())["told"]
