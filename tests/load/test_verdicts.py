"""Every contact gets exactly one verdict, and none is confirmed unless HubSpot said so of that contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hubspot_double import by_email, by_visitor
from hypothesis import given
from hypothesis import strategies as st

from etl.load.verdicts import read_verdicts
from etl.models.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from etl.models.contact import Parcel

ANN, BOB = by_email(1, "ann@example.test"), by_email(2, "bob@example.test")
VIC = by_visitor(3, "v-3")


def read(parcels: list[Parcel], **body: Any) -> dict[int, Verdict]:
    return read_verdicts(parcels, body).verdicts


def outcomes(parcels: list[Parcel], **body: Any) -> list[Outcome]:
    verdicts = read(parcels, **body)
    return [verdicts[parcel.contact_id].outcome for parcel in parcels]


def result(record: Any = "501", *, trace: Any = None, new: Any = True, **properties: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": record, "properties": properties, "new": new}
    return entry if trace is None else {**entry, "objectWriteTraceId": trace}


def error(
    message: str = "Not valid", *, category: str = "VALIDATION_ERROR", **context: Any
) -> dict[str, Any]:
    return {"status": "error", "category": category, "message": message, "context": context}


def test_results_are_matched_by_trace_id_in_any_order() -> None:
    verdicts = read([ANN, BOB], results=[result("502", trace="2", new=False), result("501", trace="1")])
    assert verdicts[1] == Verdict(1, Outcome.CREATED, record="501")
    assert verdicts[2] == Verdict(2, Outcome.UPDATED, record="502")


@pytest.mark.parametrize(
    ("parcels", "entry", "expected"),
    [
        ([ANN, BOB], result(email="ann@example.test"), 1),
        ([ANN, BOB], result(email="  ANN@Example.TEST "), 1),
        ([ANN, BOB], result(email="anna@new.test", hs_additional_emails="x@y.test; ANN@example.test"), 1),
        ([ANN, VIC], result(email=None, zenovay_visitor_id="v-3"), 3),
        ([ANN, BOB], result(None, email="bob@example.test"), 2),
    ],
)
def test_without_a_trace_id_the_unique_property_names_the_contact(
    parcels: list[Parcel], entry: dict[str, Any], expected: int
) -> None:
    verdicts = read(parcels, results=[entry])
    assert {key for key, verdict in verdicts.items() if verdict.outcome is Outcome.CREATED} == {expected}


@pytest.mark.parametrize(
    ("known", "new", "expected"),
    [
        (False, True, Outcome.CREATED),
        (True, True, Outcome.CREATED),
        (False, False, Outcome.UPDATED),
        (False, None, Outcome.CREATED),
        (True, None, Outcome.UPDATED),
        (True, "yes", Outcome.UPDATED),
    ],
)
def test_new_says_whether_it_was_created(known: bool, new: Any, expected: Outcome) -> None:  # noqa: FBT001 -- a row of the table
    assert outcomes([by_email(1, known=known)], results=[result(trace="1", new=new)]) == [expected]


@pytest.mark.parametrize(
    "entry",
    [
        error(objectWriteTraceId=["2"]),
        error(objectWriteTraceId="2"),
        error(objectWriteTraceId=2),
        {"message": "Not valid", "errors": [{"context": {"objectWriteTraceId": ["2"]}}]},
        error(email=["BOB@example.test "]),
        error(id="bob@example.test"),
        error(ids=["bob@example.test"]),
    ],
)
def test_an_error_rejects_the_contact_that_it_names(entry: dict[str, Any]) -> None:
    verdicts = read([ANN, BOB, VIC], results=[result(trace="1")], errors=[entry])
    assert (verdicts[1].outcome, verdicts[3].outcome) == (Outcome.CREATED, Outcome.DEFERRED)
    assert (verdicts[2].outcome, verdicts[2].reason) == (Outcome.REJECTED, "Not valid")


def test_an_error_that_mentions_somebody_else_is_not_pinned_on_them() -> None:
    said = error("Contact already exists", conflictingEmail=["bob@example.test"], existingId=["v-3"])
    assert outcomes([ANN, BOB, VIC], results=[], errors=[said]) == [Outcome.DEFERRED] * 3


def test_an_error_that_names_two_contacts_without_trace_ids_is_nobodys() -> None:
    said = error(ids=["ann@example.test", "bob@example.test"])
    assert outcomes([ANN, BOB], results=[], errors=[said]) == [Outcome.DEFERRED, Outcome.DEFERRED]


def test_an_error_with_several_trace_ids_concerns_them_all() -> None:
    said = error(objectWriteTraceId=["1", "2", "77"])
    assert outcomes([ANN, BOB], results=[], errors=[said]) == [Outcome.REJECTED, Outcome.REJECTED]


@pytest.mark.parametrize(
    ("results", "errors", "expected"),
    [
        ([result("7", email="primary@else.test")], [], Outcome.CREATED),
        ([result(None, email="primary@else.test")], [], Outcome.DEFERRED),
        ([], [error()], Outcome.REJECTED),
        ([result("7")], [error()], Outcome.DEFERRED),
        ([result("7"), result("8")], [], Outcome.DEFERRED),
        ([], [error(), error()], Outcome.DEFERRED),
        ([None], [], Outcome.DEFERRED),
        ([result("7"), "?"], [], Outcome.DEFERRED),
        ([result("7", trace="99")], [], Outcome.DEFERRED),
        ([result("7"), result("8", trace="99")], [], Outcome.DEFERRED),
        ([], [error(objectWriteTraceId="99")], Outcome.DEFERRED),
        ([], [error(), error(objectWriteTraceId="99")], Outcome.DEFERRED),
    ],
)
def test_the_last_contact_gets_the_last_entry_only_if_that_is_certain(
    results: list[Any], errors: list[Any], expected: Outcome
) -> None:
    verdicts = read([ANN, BOB], results=[result(trace="1"), *results], errors=errors)
    assert verdicts[2].outcome is expected
    assert verdicts[2].unanswered is (expected is Outcome.DEFERRED)


def test_a_result_with_another_unique_value_is_not_taken_for_ours() -> None:
    assert outcomes([VIC], results=[result(zenovay_visitor_id="v-4")]) == [Outcome.DEFERRED]


def test_two_addresses_of_one_contact_need_two_results() -> None:
    parcels = [ANN, by_email(4, "ann.old@example.test")]
    one = result(email="ann@example.test", hs_additional_emails="ann.old@example.test")
    assert outcomes(parcels, results=[one]) == [Outcome.DEFERRED, Outcome.DEFERRED]
    assert outcomes(parcels, results=[one, one]) == [Outcome.CREATED, Outcome.CREATED]
    assert outcomes(parcels, results=[one, {**one, "objectWriteTraceId": "1"}]) == [Outcome.CREATED] * 2


def test_a_contact_both_confirmed_and_refused_is_neither() -> None:
    for entry in (result(trace="1"), result(email="ann@example.test")):
        verdict = read([ANN, BOB], results=[entry], errors=[error(objectWriteTraceId="1")])[1]
        assert (verdict.outcome, verdict.unanswered) == (Outcome.DEFERRED, True)


def test_the_first_of_two_results_for_one_contact_counts() -> None:
    verdicts = read([ANN], results=[result("501", trace="1"), result("502", trace="1", new=False)])
    assert verdicts[1] == Verdict(1, Outcome.CREATED, record="501")


def test_an_answer_that_leaves_contacts_out_defers_them_alone() -> None:
    verdicts = read([ANN, BOB], results=[])
    assert [(each.outcome, each.unanswered) for each in verdicts.values()] == [(Outcome.DEFERRED, True)] * 2


def test_a_rejection_carries_hubspots_own_words() -> None:
    message = 'Property values were not valid: [{"isValid":false,"error":"INVALID_EMAIL","name":"email"}]'
    body = {"correlationId": "c-1", "results": [], "errors": [error(message, objectWriteTraceId="1")]}
    assert read([ANN], **body)[1] == Verdict(
        1, Outcome.REJECTED, reason=message, code="INVALID_EMAIL", correlation_id="c-1"
    )


@pytest.mark.parametrize(
    "entry",
    [
        error(category="RATE_LIMITS", objectWriteTraceId="1"),
        error(category="INTERNAL_ERROR", objectWriteTraceId="1"),
        error(category="OBJECT_LOCKED", objectWriteTraceId="1"),
        {**error(objectWriteTraceId="1"), "status": "503"},
        {**error(objectWriteTraceId="1"), "status": 500},
        error(category="RATE_LIMITS"),
    ],
)
def test_a_passing_failure_of_one_contact_defers_it_as_it_was(entry: dict[str, Any]) -> None:
    for parcels in ([ANN], [ANN, BOB, VIC]):
        verdict = read(parcels, results=[], errors=[entry])[1]
        assert (verdict.outcome, verdict.unanswered) == (Outcome.DEFERRED, False)


@pytest.mark.parametrize(
    ("message", "category", "final"),
    [
        ("Contact was permanently deleted", "VALIDATION_ERROR", True),
        ("This address is on the GDPR blocklist", "VALIDATION_ERROR", True),
        ("No", "GDPR_DELETED_CONTACT", True),
        ("The contact has been forgotten", "CONFLICT", True),
        ("Email address gdpr@forgotten.test is invalid", "VALIDATION_ERROR", False),
        ("Email address ann@example.test is invalid", "INVALID_EMAIL", False),
    ],
)
def test_only_a_deletion_for_privacy_is_final(message: str, category: str, final: bool) -> None:  # noqa: FBT001 -- a row of the table
    parcel = by_email(1, "gdpr@forgotten.test")
    verdict = read([parcel], results=[], errors=[error(message, category=category, objectWriteTraceId="1")])[
        1
    ]
    assert (verdict.outcome, verdict.final) == (Outcome.REJECTED, final)


def test_an_error_of_the_setup_rejects_nobody() -> None:
    said = error('Property "zenovay_pageviews" does not exist', objectWriteTraceId="1")
    reading = read_verdicts([ANN, BOB], {"results": [result(trace="2")], "errors": [said]})
    assert [each.outcome for each in reading.verdicts.values()] == [Outcome.DEFERRED, Outcome.CREATED]
    assert reading.wrong_setup is not None
    assert reading.wrong_setup.properties == ("zenovay_pageviews",)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1", "2", "501"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["objectWriteTraceId", "id", "ids", "email", "properties", "context", "message", "errors"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
PARCELS = st.lists(
    st.builds(
        lambda number, visitor: by_visitor(number) if visitor else by_email(number),
        st.integers(1, 6),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda parcel: parcel.contact_id,
)


def entries(parcels: list[Parcel]) -> st.SearchStrategy[Any]:
    """Entries that name one of ``parcels`` in some way, somebody else, or nothing."""
    traces = st.sampled_from([str(parcel.contact_id) for parcel in parcels] + ["99"])
    ids = st.sampled_from([parcel.id_value for parcel in parcels] + ["else@where.test", None, ""])
    properties = st.fixed_dictionaries(
        {}, optional={"email": ids, "zenovay_visitor_id": ids, "hs_additional_emails": ids}
    )
    results = st.fixed_dictionaries(
        {"id": st.sampled_from(["501", 7, None])},
        optional={"objectWriteTraceId": traces, "properties": properties | JUNK, "new": st.booleans() | JUNK},
    )
    context = st.fixed_dictionaries(
        {},
        optional={
            "objectWriteTraceId": traces | st.lists(traces, max_size=3),
            "ids": st.lists(ids),
            "id": ids,
        },
    )
    errors = st.fixed_dictionaries(
        {},
        optional={
            "context": context | JUNK,
            "message": st.sampled_from(["Not valid", "Property x_y does not exist", "GDPR"]) | JUNK,
            "category": st.sampled_from(["VALIDATION_ERROR", "RATE_LIMITS", "CONFLICT"]) | JUNK,
            "status": JUNK,
        },
    )
    return st.fixed_dictionaries(
        {},
        optional={
            "results": st.lists(results | JUNK, max_size=6),
            "errors": st.lists(errors | JUNK, max_size=4),
        },
    )


@given(st.data())
def test_whatever_the_answer_every_contact_gets_one_verdict(data: st.DataObject) -> None:
    parcels = data.draw(PARCELS)
    body = data.draw(entries(parcels) | st.dictionaries(st.sampled_from(["results", "errors"]), JUNK))
    reading = read_verdicts(parcels, body)
    assert list(reading.verdicts) == [parcel.contact_id for parcel in parcels]
    results = body.get("results")
    confirmed = [
        verdict
        for verdict in reading.verdicts.values()
        if verdict.outcome in {Outcome.CREATED, Outcome.UPDATED}
    ]
    listed = results if isinstance(results, list) else []
    assert len(confirmed) <= len([entry for entry in listed if isinstance(entry, dict)])
    assert set(reading.refusals) == {
        verdict.contact_id for verdict in reading.verdicts.values() if verdict.outcome is Outcome.REJECTED
    }


@given(st.data())
def test_nothing_is_confirmed_without_a_result_that_can_mean_it(data: st.DataObject) -> None:
    parcels = data.draw(PARCELS)
    body = data.draw(entries(parcels))
    traced = {
        str(entry.get("objectWriteTraceId")) for entry in body.get("results", []) if isinstance(entry, dict)
    }
    untraced = [
        entry
        for entry in body.get("results", [])
        if isinstance(entry, dict) and entry.get("objectWriteTraceId") is None
    ]
    confirmed = [
        str(verdict.contact_id)
        for verdict in read_verdicts(parcels, body).verdicts.values()
        if verdict.outcome in {Outcome.CREATED, Outcome.UPDATED}
    ]
    assert len(set(confirmed) - traced) <= len(untraced)


@given(PARCELS, st.randoms(use_true_random=False), st.booleans())
def test_an_answer_for_everybody_confirms_everybody_in_any_order(
    parcels: list[Parcel],
    random: Any,
    traced: bool,  # noqa: FBT001 -- drawn by Hypothesis
) -> None:
    results = []
    for parcel in parcels:
        entry = result(f"5{parcel.contact_id}", **parcel.properties)
        results.append({**entry, "objectWriteTraceId": str(parcel.contact_id)} if traced else entry)
    random.shuffle(results)
    verdicts = read(parcels, results=results)
    assert {key: verdict.record for key, verdict in verdicts.items()} == {
        parcel.contact_id: f"5{parcel.contact_id}" for parcel in parcels
    }
