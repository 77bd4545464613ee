"""How a command ended, and what of it needs a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fakes import NOW

from etl.errors import (
    AccessRefusedError,
    ContractBrokenError,
    InterruptedRunError,
    LockedError,
    SettingsError,
    StateError,
    SyncError,
    UnavailableError,
)
from etl.models.summary import RunSummary, Status
from etl.watch.outcome import Outcome
from etl.watch.troubles import EVERYWHERE, Memory, Trouble

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def summary(website: str, status: Status, exit_code: int = 0, **facts: Any) -> RunSummary:
    reason = f"Why it was {exit_code}." if exit_code else None
    return RunSummary(
        "r",
        "incremental",
        website,
        dry_run=False,
        **{"reason": reason} | facts,
        status=status,
        exit_code=exit_code,
    )


def outcome(*summaries: RunSummary, **facts: Any) -> Outcome:
    codes = [each.exit_code for each in summaries]
    if failure := facts.get("failure"):
        codes.append(failure.exit_code)
    usual: dict[str, Any] = {"at": NOW, "exit_code": max(codes, default=0), "stale_after": DAY}
    return Outcome(**usual | facts, summaries=summaries)


def troubles(ended: Outcome, memory: Memory | None = None) -> list[Trouble]:
    return list(ended.troubles(memory or Memory()))


def told(ended: Outcome, memory: Memory) -> list[tuple[str, int]]:
    letter = ended.judged(memory)
    return [(trouble.place, trouble.exit_code) for trouble, _ in letter.troubles]


@pytest.mark.parametrize(
    ("status", "exit_code", "needs", "lasts"),
    [
        (Status.DONE, 0, False, None),
        (Status.SKIPPED, 0, False, None),
        (Status.PARTIAL, 3, True, False),
        (Status.INCOMPLETE, 4, False, None),
        (Status.FAILED, 1, True, True),
        (Status.FAILED, 2, True, True),
        (Status.FAILED, 5, True, True),
        (Status.FAILED, 6, True, True),
        (Status.FAILED, 7, True, True),
        (Status.FAILED, 75, False, None),
        (Status.INCOMPLETE, 130, False, None),
        (Status.INCOMPLETE, 143, False, None),
    ],
)
def test_of_each_end_of_a_website_whether_it_needs_a_person(
    status: Status, exit_code: int, *, needs: bool, lasts: bool | None
) -> None:
    found = troubles(outcome(summary("a", status, exit_code)))

    assert [(each.place, each.exit_code, each.lasts) for each in found] == [("a", exit_code, lasts)] * needs
    assert [each.text for each in found] == [f"Why it was {exit_code}."] * needs


@pytest.mark.parametrize(
    ("failure", "needs"),
    [
        (SyncError("A bug."), True),
        (SettingsError("A setting is wrong:", fix="Set it."), True),
        (UnavailableError("Nobody answers."), False),
        (AccessRefusedError("No."), True),
        (ContractBrokenError("What?"), True),
        (StateError("Damaged."), True),
        (LockedError("Another run holds the lock."), False),
        (InterruptedRunError(15), False),
    ],
)
def test_of_each_end_before_any_website_whether_it_needs_a_person(failure: SyncError, *, needs: bool) -> None:
    expected = [Trouble(EVERYWHERE, failure.exit_code, str(failure))] if needs else []

    assert troubles(outcome(failure=failure, stale_after=None)) == expected


@pytest.mark.parametrize(
    "failure", [UnavailableError("Nobody answers."), LockedError("Another holds the lock.")]
)
@pytest.mark.parametrize(
    ("ago", "stale_after", "stale"),
    [
        (HOUR, DAY, False),
        (DAY, DAY, False),
        (DAY + HOUR, DAY, True),
        (HOUR, timedelta(0), True),
        (DAY, None, False),
    ],
)
def test_an_outage_needs_a_person_once_it_lasts(
    failure: SyncError, ago: timedelta, stale_after: timedelta | None, *, stale: bool
) -> None:
    code = failure.exit_code
    of_website = outcome(
        summary("a", Status.INCOMPLETE, code), stale_after=stale_after, successes={"a": NOW - ago, "b": NOW}
    )
    of_all = outcome(failure=failure, stale_after=stale_after, successes={"a": NOW - ago, "b": NOW - 2 * DAY})

    assert [each.place for each in troubles(of_website)] == ["a"] * stale
    assert [each.place for each in troubles(of_all)] == [EVERYWHERE] * stale
    since = f"{NOW - ago:%Y-%m-%dT%H:%M:%SZ}"
    expected = [f"Nothing was synced since {since}. {failure}"] * stale
    assert [each.text for each in troubles(of_all)] == expected


def test_what_was_never_synced_is_stale_since_it_was_first_met() -> None:
    memory = Memory()
    ended = [
        outcome(summary("a", Status.INCOMPLETE, 4), at=NOW + passed)
        for passed in (timedelta(0), DAY, DAY + HOUR)
    ]

    assert [told(each, memory) for each in ended] == [[], [], [("a", 4)]]


def test_only_what_passes_asks_for_the_last_success() -> None:
    assert outcome(summary("a", Status.DONE), summary("b", Status.INCOMPLETE, 4)).needs_successes
    assert outcome(failure=LockedError("Another run.")).needs_successes
    assert not outcome(summary("a", Status.DONE), summary("b", Status.FAILED, 5)).needs_successes
    assert not outcome(failure=SettingsError("Wrong.")).needs_successes


def test_each_website_has_its_own_trouble() -> None:
    ended = outcome(
        summary("a", Status.DONE, warnings=["The month will not last."]),
        summary("b", Status.FAILED, 5),
        summary("c", Status.INCOMPLETE, 4),
        summary("d", Status.PARTIAL, 3),
        summary("e", Status.SKIPPED),
        successes={"c": NOW - 2 * DAY},
    )

    assert [(each.place, each.exit_code) for each in troubles(ended)] == [
        ("b", 5),
        ("c", 4),
        ("d", 3),
        ("a", 0),
    ]


def test_of_warnings_those_that_need_nobody_are_not_told() -> None:
    warnings = ["This state is new.", "The list may have been cut."]
    ended = outcome(summary("a", Status.DONE, warnings=warnings, notes=("This state is new.",)))

    assert [each.text for each in troubles(ended)] == ["The list may have been cut."]


@pytest.mark.parametrize(
    ("status", "exit_code", "ends"),
    [
        (Status.DONE, 0, {"a", EVERYWHERE}),
        (Status.SKIPPED, 0, {EVERYWHERE}),
        (Status.PARTIAL, 3, set()),
        (Status.INCOMPLETE, 4, set()),
        (Status.INCOMPLETE, 143, set()),
    ],
)
def test_what_each_end_proves_to_be_well(status: Status, exit_code: int, ends: set[str]) -> None:
    memory = Memory()
    outcome(summary("a", Status.FAILED, 5), at=NOW - 2 * HOUR).judged(memory)
    outcome(failure=SettingsError("Wrong."), at=NOW - HOUR).judged(memory)

    assert set(outcome(summary("a", status, exit_code)).judged(memory).well) == ends


def test_an_interrupted_run_forgets_no_website() -> None:
    memory = Memory()
    outcome(summary("a", Status.DONE), summary("b", Status.FAILED, 5), at=NOW - HOUR).judged(memory)

    outcome(summary("a", Status.INCOMPLETE, 143), interrupted=True).judged(memory)
    assert set(memory.alarms) == {"b"}

    outcome(summary("a", Status.DONE)).judged(memory)
    assert memory.alarms == {}


def test_a_fault_of_the_machine_is_told_once_and_has_no_end() -> None:
    memory = Memory()
    first, second = (outcome(summary("a", Status.DONE)).judged(memory, fault="No log.") for _ in range(2))

    assert [trouble.text for trouble, _ in first.troubles] == ["No log."]
    assert not second
