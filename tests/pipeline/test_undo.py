"""What is put back of a property, given what HubSpot shows and what it held before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from etl.fields import BASIC_FIELDS
from etl.models.contact import EMAIL, NOTHING_WRITTEN, VISITOR, ContactKey, LedgerEntry, Written
from etl.models.deed import Deed
from etl.models.record import ShownContact, Version
from etl.models.verdict import UPDATED
from etl.pipeline.undo import Case, Fate, is_as_made, made_properties, restorable, reversals

if TYPE_CHECKING:
    from collections.abc import Mapping

BEGAN = datetime(2026, 5, 4, 12, tzinfo=UTC)
US, PEOPLE = "INTEGRATION 7", "CRM_UI userId:1"
ANN = ContactKey(EMAIL, "ann@example.test")


def deed(*, before: str = "Peru", after: str = "France", name: str = "country", times: int = 1) -> Deed:
    return Deed(1, ANN, "501", UPDATED, times, {name: before}, {name: after})


def at(minutes: float, text: str, source: str | None = US) -> Version:
    """What a property held from so many minutes after the run had begun."""
    return Version(text, BEGAN + timedelta(minutes=minutes), source)


def judged(done: Deed, held: str, *versions: Version) -> tuple[Fate, str, bool]:
    (name,) = done.after
    shown = ShownContact("501", {name: held} if held else {})
    found = reversals(done, shown, {name: versions}, began=BEGAN, synced=BASIC_FIELDS)
    fate, text, is_ours = found[name]
    return fate, text, is_ours


WROTE = at(1, "France")
JUDGED = {
    "nobody has touched it": ((WROTE, at(-9, "Peru")), "France", (Fate.RESTORED, "Peru", True)),
    "a person had typed what was there": (
        (WROTE, at(-9, "Peru", PEOPLE)),
        "France",
        (Fate.RESTORED, "Peru", False),
    ),
    "a person had typed something that the run did not look at": (
        (WROTE, at(-2, "Spain", PEOPLE), at(-9, "Peru")),
        "France",
        (Fate.RESTORED, "Spain", False),
    ),
    "a person had cleared it": (
        (WROTE, at(-2, "", PEOPLE), at(-9, "Peru")),
        "France",
        (Fate.RESTORED, "", False),
    ),
    "a person typed while the run went on": (
        (WROTE, at(0.5, "Spain", PEOPLE), at(-9, "Peru")),
        "France",
        (Fate.RESTORED, "Spain", False),
    ),
    "a person has typed since": (
        (at(3, "Chad", PEOPLE), WROTE, at(-9, "Peru")),
        "Chad",
        (Fate.CHANGED, "Peru", True),
    ),
    "a person has cleared it since": (
        (at(3, "", PEOPLE), WROTE, at(-9, "Peru")),
        "",
        (Fate.CHANGED, "Peru", True),
    ),
    "it was put back before": ((at(3, "Peru"), WROTE, at(-9, "Peru")), "Peru", (Fate.BACK, "Peru", True)),
    "what a person had typed was put back before": (
        (at(3, "Spain"), WROTE, at(-2, "Spain", PEOPLE), at(-9, "Peru")),
        "Spain",
        (Fate.BACK, "Spain", False),
    ),
    "a later run was undone": (
        (at(7, "France"), at(5, "Chad"), WROTE, at(-9, "Peru")),
        "France",
        (Fate.RESTORED, "Peru", True),
    ),
    "it was there before the run": ((at(-9, "France"),), "France", (Fate.SAME, "France", False)),
    "it was there before the run, and has changed since": (
        (at(3, "Chad"), at(-9, "France")),
        "Chad",
        (Fate.CHANGED, "Peru", False),
    ),
    "there is no history": ((), "France", (Fate.RESTORED, "Peru", False)),
    "there is no history, and it was put back before": ((), "Peru", (Fate.BACK, "Peru", False)),
    "the history ends with what the run wrote": ((WROTE,), "France", (Fate.RESTORED, "Peru", False)),
    "HubSpot does not say who wrote": (
        (at(1, "France", None), at(-9, "Peru", None)),
        "France",
        (Fate.RESTORED, "Peru", False),
    ),
}


@pytest.mark.parametrize("case", JUDGED)
def test_what_becomes_of_a_property(case: str) -> None:
    versions, held, expected = JUDGED[case]
    assert judged(deed(), held, *versions) == expected


def test_of_a_run_that_wrote_several_times_what_was_there_when_it_began_comes_back() -> None:
    versions = (at(4, "France"), at(2, "Chad"), at(-9, "Spain", PEOPLE))
    assert judged(deed(times=2), "France", *versions) == (Fate.RESTORED, "Spain", False)


def test_an_instant_that_hubspot_writes_in_its_own_way_is_the_same() -> None:
    done = deed(name="zenovay_last_seen", before="", after="2026-05-04T11:59:00.000Z")
    held = "2026-05-04T11:59:00Z"
    milliseconds = str(int(datetime.fromisoformat(held).timestamp() * 1000))
    assert judged(done, held, at(1, milliseconds)) == (Fate.RESTORED, "", False)


def test_the_id_by_which_a_visitor_is_found_is_never_taken_away() -> None:
    assert restorable(deed(name=BASIC_FIELDS.visitor_id), BASIC_FIELDS) == ()


def entry(written: Written, key: ContactKey = ANN) -> LedgerEntry:
    return LedgerEntry(
        1, key, b"w", b"w", None, None, blocked=False, due=False, record="501", written=written
    )


def remembered(written: Written, done: Deed, held: str, *versions: Version) -> Written:
    (name,) = done.after
    shown = ShownContact("501", {name: held} if held else {})
    found = reversals(done, shown, {name: versions}, began=BEGAN, synced=BASIC_FIELDS)
    return Case(done, entry(written), shown, found).remembered(BASIC_FIELDS)


@pytest.mark.parametrize(("source", "last"), [(US, {"country": "Peru"}), (PEOPLE, {})])
def test_what_comes_back_is_ours_only_if_it_was(source: str, last: Mapping[str, str]) -> None:
    written = Written({"country": "France", "zenovay_pageviews": "3"}, ({"country": "Peru"},))
    now = remembered(written, deed(), "France", WROTE, at(-9, "Peru", source))
    assert now.last == {"zenovay_pageviews": "3", **last}
    assert now.kept == {"country": "France"}
    assert not any(now.maybe)
    again = remembered(now, deed(), "Peru", at(3, "Peru"), WROTE, at(-9, "Peru", source))
    assert again == now


def test_what_gave_way_is_ours_again_once_an_undo_is_undone() -> None:
    written = Written({}, (), {"country": "France"})
    now = remembered(written, deed(before="France", after="Peru"), "Peru", at(3, "Peru"), at(1, "France"))
    assert now == Written({"country": "France"})


def test_what_stays_is_remembered_as_it_was() -> None:
    written = Written({"country": "France"})
    assert remembered(written, deed(), "Chad", at(3, "Chad", PEOPLE), WROTE) is written


MADE = Written({"country": "France", "zenovay_pageviews": "3"})
AS_MADE = {
    "email": ANN.value,
    "country": "France",
    "zenovay_pageviews": "3",
    "createdate": "2026-05-04T12:00:30Z",
}


@pytest.mark.parametrize(
    ("differs", "record", "as_made"),
    [
        ({}, "501", True),
        ({"zenovay_pageviews": "3.0"}, "501", True),
        ({"country": "Peru"}, "501", False),
        ({"country": ""}, "501", False),
        ({"email": "else@example.test"}, "501", False),
        ({"hs_additional_emails": "else@example.test"}, "501", False),
        ({"firstname": "Ann"}, "501", False),
        ({"firstname": "Visitor", "lastname": "ann"}, "501", True),
        ({"createdate": "2025-05-04T12:00:00Z"}, "501", False),
        ({"createdate": "no date"}, "501", True),
        ({}, "777", False),
    ],
)
def test_a_record_that_somebody_touched_is_told_from_one_that_nobody_did(
    differs: dict[str, str], record: str, *, as_made: bool
) -> None:
    held = {name: text for name, text in {**AS_MADE, **differs}.items() if text}
    shown = ShownContact(record, held)
    assert is_as_made(deed(), entry(MADE), shown, began=BEGAN, synced=BASIC_FIELDS) is as_made


def test_of_what_nothing_is_remembered_nobody_knows_whether_it_was_touched() -> None:
    shown = ShownContact("501", AS_MADE)
    assert not is_as_made(deed(), entry(NOTHING_WRITTEN), shown, began=BEGAN, synced=BASIC_FIELDS)


@pytest.mark.parametrize(
    ("differs", "as_made"), [({}, True), ({"lastname": "Meier"}, False), ({"email": "a@example.test"}, False)]
)
def test_who_was_made_for_a_visitor_has_our_name_and_no_address(
    differs: dict[str, str], *, as_made: bool
) -> None:
    made = entry(Written({"zenovay_visitor_id": "v0123456789"}), ContactKey(VISITOR, "v0123456789"))
    held = {"zenovay_visitor_id": "v0123456789", "firstname": "Visitor", "lastname": "v0123456", **differs}
    assert {*held} - {"email"} <= {*made_properties(made)}
    assert is_as_made(deed(), made, ShownContact("501", held), began=BEGAN, synced=BASIC_FIELDS) is as_made
