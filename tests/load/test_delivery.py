"""Delivering batches over real HTTP: verdicts, halving, names, the set-up, and what a stop leaves behind."""

from __future__ import annotations

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import log2
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock
from hubspot_double import (
    READ,
    TOKEN,
    UPSERT,
    WANTED,
    Answer,
    Asked,
    HubSpotDouble,
    all_is_well,
    by_email,
    by_visitor,
    client_of,
    definition_of,
    error_for,
    multi_status,
    result_for,
    says,
)

from etl.errors import (
    AccessRefusedError,
    InterruptedRunError,
    SetupError,
    SyncError,
    TooManyRejectedError,
    UnavailableError,
)
from etl.load.delivery import HubSpotContacts
from etl.models.verdict import Delivery, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.models.contact import Parcel


def upserting(answer: Callable[[list[dict[str, Any]]], Answer]) -> Callable[[Asked], Answer]:
    """A HubSpot whose properties are right and that answers upserts with ``answer``."""
    return lambda asked: answer(asked.body["inputs"]) if asked.path == UPSERT else all_is_well(asked)


@contextmanager
def contacts_of(
    answer: Callable[[Asked], Answer],
    *,
    verified: bool = True,
    clock: FakeClock | None = None,
    max_rejected: float = 1.0,
) -> Iterator[tuple[HubSpotContacts, HubSpotDouble]]:
    clock = clock or FakeClock()
    with HubSpotDouble(answer) as double, client_of(double.url, clock=clock) as client:
        contacts = HubSpotContacts(
            client, properties=WANTED, clock=clock, verified=verified, max_rejected=max_rejected
        )
        yield contacts, double


def deliver(
    parcels: list[Parcel], answer: Callable[[list[dict[str, Any]]], Answer], **more: Any
) -> tuple[Delivery, HubSpotDouble]:
    with contacts_of(upserting(answer), **more) as (contacts, double):
        delivery = contacts.deliver(parcels)
    assert [verdict.contact_id for verdict in delivery.verdicts] == [parcel.contact_id for parcel in parcels]
    return delivery, double


def outcomes(delivery: Delivery) -> list[Outcome]:
    return [verdict.outcome for verdict in delivery.verdicts]


def invalid(inputs: list[dict[str, Any]], *bad: str, status: int = 400) -> Answer:
    """HubSpot refuses a whole batch if it holds one of ``bad`` (trace ids)."""
    if not any(entry["objectWriteTraceId"] in bad for entry in inputs):
        return multi_status([result_for(entry) for entry in inputs])
    return says(
        {"category": "VALIDATION_ERROR", "message": "Property values were not valid", "correlationId": "c-9"},
        status=status,
    )


def partial(inputs: list[dict[str, Any]], *errors: dict[str, Any]) -> Answer:
    """HubSpot takes all but those that ``errors`` name."""
    bad = {trace for error in errors for trace in error["context"]["objectWriteTraceId"]}
    taken = [result_for(entry) for entry in inputs if entry["objectWriteTraceId"] not in bad]
    return multi_status(taken, list(errors))


def test_an_input_says_who_and_what() -> None:
    _, double = deliver([by_email(7, "ann@example.test")], partial)
    assert double.upserts == [
        [
            {
                "id": "ann@example.test",
                "idProperty": "email",
                "objectWriteTraceId": "7",
                "properties": {"email": "ann@example.test", "country": "France", "zenovay_pageviews": "17"},
            }
        ]
    ]


def test_a_full_batch_costs_one_request() -> None:
    delivery, double = deliver([by_email(number) for number in range(100)], partial)
    assert delivery.stop is None
    assert outcomes(delivery) == [Outcome.CREATED] * 100
    assert len(double.asked) == 1


def test_an_empty_batch_costs_nothing() -> None:
    delivery, double = deliver([], partial)
    assert (delivery, double.asked) == (Delivery(()), [])


@pytest.mark.parametrize("status", [400, 409, 413])
@pytest.mark.parametrize("bad", [("42",), ("0", "99"), ("3", "4", "64")])
def test_a_refused_batch_is_halved_down_to_the_bad_rows(status: int, bad: tuple[str, ...]) -> None:
    parcels = [by_email(number) for number in range(100)]
    delivery, double = deliver(parcels, lambda inputs: invalid(inputs, *bad, status=status))
    rejected = [verdict for verdict in delivery.verdicts if verdict.outcome is Outcome.REJECTED]
    assert {str(verdict.contact_id) for verdict in rejected} == set(bad)
    assert {(each.reason, each.code, each.correlation_id) for each in rejected} == {
        ("Property values were not valid", "VALIDATION_ERROR", "c-9")
    }
    assert outcomes(delivery).count(Outcome.CREATED) == 100 - len(bad)
    assert len(double.upserts) - 1 <= 2 * (log2(100) + 1) * len(bad)


def test_a_batch_of_which_too_many_are_refused_is_not_halved_to_its_end() -> None:
    parcels = [by_email(number) for number in range(100)]
    everybody = [str(number) for number in range(100)]
    delivery, double = deliver(parcels, lambda inputs: invalid(inputs, *everybody), max_rejected=0.2)
    assert isinstance(delivery.stop, TooManyRejectedError)
    assert "refused 21 of 100 contacts" in str(delivery.stop)
    assert outcomes(delivery) == [Outcome.REJECTED] * 21 + [Outcome.DEFERRED] * 79
    assert len(double.upserts) < 60


@pytest.mark.parametrize(("share", "bad"), [(1.0, 100), (0.2, 20)])
def test_refusals_within_the_share_are_halved_to_their_end(share: float, bad: int) -> None:
    parcels = [by_email(number) for number in range(100)]
    refused = [str(number) for number in range(bad)]
    delivery, _ = deliver(parcels, lambda inputs: invalid(inputs, *refused), max_rejected=share)
    assert delivery.stop is None
    assert outcomes(delivery) == [Outcome.REJECTED] * bad + [Outcome.CREATED] * (100 - bad)


def test_contacts_in_flight_elsewhere_count_as_taken_while_a_batch_is_halved() -> None:
    def answer(inputs: list[dict[str, Any]]) -> Answer:
        return invalid(inputs, *(str(number) for number in range(100, 130)))

    with contacts_of(upserting(answer), max_rejected=0.2) as (contacts, _):
        for begin in (0, 100):
            delivery = contacts.deliver([by_email(number) for number in range(begin, begin + 100)])
            assert delivery.stop is None
    assert outcomes(delivery).count(Outcome.REJECTED) == 30


def test_a_whole_batch_that_is_refused_in_html_is_no_rejection() -> None:
    delivery, _ = deliver([by_email(1)], lambda _: Answer(status=400, body=b"<html>plain HTTP</html>"))
    assert outcomes(delivery) == [Outcome.DEFERRED]
    assert delivery.stop is not None
    assert delivery.stop.exit_code == 6


def test_a_batch_that_hubspot_could_not_take_now_is_not_halved() -> None:
    answers = iter([says({"category": "INTERNAL_ERROR", "message": "oops"}, status=400)])
    delivery, double = deliver(
        [by_email(1), by_email(2)], lambda inputs: next(answers, None) or partial(inputs)
    )
    assert outcomes(delivery) == [Outcome.CREATED] * 2
    assert [len(inputs) for inputs in double.upserts] == [2, 2]


def test_a_row_too_large_for_a_proxy_is_rejected_with_its_status() -> None:
    delivery, _ = deliver([by_email(1)], lambda _: Answer(status=413, body=b"<html>"))
    verdict = delivery.verdicts[0]
    assert (verdict.outcome, verdict.code) == (Outcome.REJECTED, "HTTP_413")
    assert verdict.reason == "HubSpot gave no reason (HTTP_413)."


def test_a_reason_is_hubspots_own_but_for_the_token() -> None:
    message = f"Email address ann@example.test is invalid {TOKEN}"
    delivery, _ = deliver([by_email(1)], lambda inputs: partial(inputs, error_for("1", message=message)))
    assert delivery.verdicts[0].reason == "Email address ann@example.test is invalid <secret>"


def test_an_empty_answer_confirms_nothing() -> None:
    delivery, _ = deliver([by_email(1), by_email(2)], lambda _: multi_status([]))
    assert [(each.outcome, each.unanswered) for each in delivery.verdicts] == [(Outcome.DEFERRED, True)] * 2
    assert delivery.stop is None


NAMES = {"firstname": "Visitor", "lastname": "v-2"}
NAME_MISSING = "At least one of email, firstname or lastname is required"


def test_nameless_contacts_are_sent_once_more_together_with_a_name() -> None:
    def answer(inputs: list[dict[str, Any]]) -> Answer:
        nameless = [
            entry["objectWriteTraceId"]
            for entry in inputs
            if not {"email", "firstname"} & entry["properties"].keys()
        ]
        return partial(inputs, *(error_for(trace, message=NAME_MISSING) for trace in nameless))

    parcels = [by_visitor(number, known=True, name_properties=NAMES) for number in (2, 3)]
    delivery, double = deliver([by_email(1), *parcels], answer)
    assert outcomes(delivery) == [Outcome.CREATED] * 3
    assert [len(inputs) for inputs in double.upserts] == [3, 2]
    assert double.upserts[1][0]["properties"] == {**NAMES, **parcels[0].properties}


NAME_REQUIRED = "Required properties are missing: firstname, lastname"


@pytest.mark.parametrize(
    ("held", "named"),
    [(None, True), ({}, True), ({"firstname": "Ann"}, False), ({"lastname": "Meier"}, False)],
)
def test_no_name_that_a_person_typed_is_written_over(
    held: dict[str, str] | None,
    named: bool,  # noqa: FBT001 -- a row of the table
) -> None:
    address = "ann@example.test"

    def answer(asked: Asked) -> Answer:
        if asked.path == READ and held is not None:
            return multi_status([{"id": "501", "properties": {"email": address, **held}}])
        if asked.path != UPSERT:
            return all_is_well(asked)
        inputs = asked.body["inputs"]
        nameless = not all("lastname" in entry["properties"] for entry in inputs)
        return partial(inputs, *([error_for("1", message=NAME_REQUIRED)] if nameless else []))

    with contacts_of(answer) as (contacts, double):
        delivery = contacts.deliver([by_email(1, address, name_properties=NAMES)])
    assert outcomes(delivery) == [Outcome.CREATED if named else Outcome.REJECTED]
    assert len(double.upserts) == 1 + named


def test_who_cannot_be_looked_at_gets_no_name() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == UPSERT:
            return partial(asked.body["inputs"], error_for("1", message=NAME_REQUIRED))
        return says({}, status=403) if asked.path == READ else all_is_well(asked)

    with contacts_of(answer) as (contacts, double):
        delivery = contacts.deliver([by_email(1, name_properties=NAMES)])
    assert outcomes(delivery) == [Outcome.DEFERRED]
    assert isinstance(delivery.stop, AccessRefusedError)
    assert len(double.upserts) == 1


def test_a_second_refusal_for_the_name_counts() -> None:
    delivery, double = deliver(
        [by_visitor(2, name_properties=NAMES)],
        lambda inputs: partial(inputs, error_for("2", message=NAME_MISSING)),
    )
    assert outcomes(delivery) == [Outcome.REJECTED]
    assert len(double.upserts) == 2


@pytest.mark.parametrize(
    ("parcel", "message"),
    [
        (by_visitor(2), NAME_MISSING),
        (by_visitor(2, name_properties=NAMES), "zenovay_visitor_id already belongs to 501"),
        (by_visitor(2, "required", name_properties=NAMES), "The value required is not valid"),
    ],
)
def test_other_refusals_are_not_sent_again(parcel: Parcel, message: str) -> None:
    delivery, double = deliver([parcel], lambda inputs: partial(inputs, error_for("2", message=message)))
    assert outcomes(delivery) == [Outcome.REJECTED]
    assert len(double.upserts) == 1


SETUP_COMPLAINTS: list[dict[str, Any]] = [
    {"message": 'Property "zenovay_pageviews" does not exist', "category": "VALIDATION_ERROR"},
    {
        "message": "Property values were not valid: "
        + json.dumps([{"isValid": False, "error": "PROPERTY_DOESNT_EXIST", "name": "zenovay_pageviews"}]),
        "category": "VALIDATION_ERROR",
    },
    {
        "message": "no",
        "errors": [{"code": "READ_ONLY_VALUE", "context": {"propertyName": ["zenovay_pageviews"]}}],
    },
    {"message": "Unable to perform update/upsert by non-unique 0-1 property zenovay_pageviews in portal 1"},
    {"message": "idProperty zenovay_pageviews is not a unique identifier property: zenovay_pageviews"},
]


@pytest.mark.parametrize("complaint", SETUP_COMPLAINTS)
@pytest.mark.parametrize("whole", [True, False])
def test_an_error_of_the_setup_stops_the_delivery_and_rejects_nobody(
    complaint: dict[str, Any],
    whole: bool,  # noqa: FBT001 -- a row of the table
) -> None:
    def answer(inputs: list[dict[str, Any]]) -> Answer:
        if whole:
            return says(complaint, status=400)
        context = {"objectWriteTraceId": [inputs[0]["objectWriteTraceId"]]}
        return multi_status([result_for(entry) for entry in inputs[1:]], [{**complaint, "context": context}])

    with contacts_of(upserting(answer)) as (contacts, double):
        delivery = contacts.deliver([by_email(1), by_email(2)])
    assert isinstance(delivery.stop, SetupError)
    assert "visitor-sync setup" in str(delivery.stop)
    assert "zenovay_pageviews" in str(delivery.stop)
    assert delivery.verdicts[0].outcome is Outcome.DEFERRED
    assert delivery.verdicts[1].outcome is (Outcome.DEFERRED if whole else Outcome.CREATED)
    assert len(double.upserts) == 1
    assert contacts.verified is False


def test_a_property_that_changed_meanwhile_is_told_with_what_mends_it() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == UPSERT:
            return says(SETUP_COMPLAINTS[2], status=400)
        definition = definition_of(asked.path.rsplit("/", 1)[-1])
        read_only = {"modificationMetadata": {"readOnlyValue": True}}
        return says(definition | read_only if definition["name"] == "zenovay_pageviews" else definition)

    with contacts_of(answer) as (contacts, double):
        for _ in range(2):
            delivery = contacts.deliver([by_email(1), by_email(2)])
            assert isinstance(delivery.stop, SetupError)
            assert "zenovay_pageviews is read-only. Set SYNC_PAGEVIEWS_PROPERTY" in str(delivery.stop)
            assert outcomes(delivery) == [Outcome.DEFERRED] * 2
        assert not contacts.verified
    assert [each.method for each in double.asked] == ["POST"] + ["GET"] * 4


def test_the_properties_are_verified_before_the_first_batch_only() -> None:
    with contacts_of(all_is_well, verified=False) as (contacts, double):
        for number in range(3):
            assert contacts.deliver([by_email(number)]).stop is None
        assert contacts.verified
    assert [each.method for each in double.asked] == ["GET"] * 4 + ["POST"] * 3


def test_a_missing_property_stops_before_anything_is_sent() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(status=404) if asked.path.endswith("zenovay_last_seen") else all_is_well(asked)

    with contacts_of(answer, verified=False) as (contacts, double):
        for _ in range(2):
            delivery = contacts.deliver([by_email(1)])
            assert isinstance(delivery.stop, SetupError)
            assert "zenovay_last_seen" in str(delivery.stop)
            assert outcomes(delivery) == [Outcome.DEFERRED]
        assert not contacts.verified
    assert double.upserts == []
    assert len(double.asked) == 4


def test_a_hubspot_that_knows_no_path_is_asked_once_for_all_batches() -> None:
    with contacts_of(lambda _: Answer(status=404), verified=False) as (contacts, double):
        for _ in range(3):
            delivery = contacts.deliver([by_email(1)])
            assert delivery.stop is not None
            assert delivery.stop.exit_code == 6
    assert [each.method for each in double.asked] == ["GET"] * 4 + ["POST"] * 2
    assert all(inputs == [] for inputs in double.upserts)


def test_a_token_that_cannot_read_properties_may_still_write() -> None:
    def answer(asked: Asked) -> Answer:
        return (
            says({"category": "MISSING_SCOPES"}, status=403) if asked.method == "GET" else all_is_well(asked)
        )

    with contacts_of(answer, verified=False) as (contacts, double):
        assert outcomes(contacts.deliver([by_email(1)])) == [Outcome.CREATED]
        assert outcomes(contacts.deliver([by_email(2)])) == [Outcome.CREATED]
        assert not contacts.verified
    assert [each.method for each in double.asked] == ["GET", "POST", "POST"]


def test_the_first_rejection_is_believed_only_of_a_hubspot_that_is_set_up() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == UPSERT:
            return partial(asked.body["inputs"], error_for("1", message="INVALID_LONG"))
        definition = definition_of(asked.path.rsplit("/", 1)[-1])
        return says({**definition, "type": "enumeration"} if definition["name"] == "country" else definition)

    with contacts_of(answer) as (contacts, _):
        delivery = contacts.deliver([by_email(1), by_email(2)])
    assert outcomes(delivery) == [Outcome.DEFERRED, Outcome.CREATED]
    assert isinstance(delivery.stop, SetupError)
    assert "country has the type enumeration, not string" in str(delivery.stop)


def test_threads_verify_once() -> None:
    with contacts_of(all_is_well, verified=False) as (contacts, double), ThreadPoolExecutor(4) as pool:
        together = threading.Barrier(4)

        def deliver_one(number: int) -> Delivery:
            together.wait()
            return contacts.deliver([by_email(number)])

        deliveries = list(pool.map(deliver_one, range(4)))
    assert all(outcomes(delivery) == [Outcome.CREATED] for delivery in deliveries)
    assert sum(each.method == "GET" for each in double.asked) == 4


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(status=401), AccessRefusedError),
        (Answer(status=503), UnavailableError),
        (Answer(raw=b"", after="reset"), UnavailableError),
        (says({"policyName": "DAILY"}, status=429), UnavailableError),
    ],
)
def test_a_stop_keeps_the_verdicts_so_far_and_defers_the_rest(answer: Answer, error: type[SyncError]) -> None:
    count = iter(range(1000))

    def answers(inputs: list[dict[str, Any]]) -> Answer:
        number = next(count)
        if number == 0:
            return invalid(inputs, "3")
        return multi_status([result_for(entry) for entry in inputs]) if number == 1 else answer

    parcels = [by_email(1), by_email(2), by_email(3, unanswered=1), by_email(4)]
    delivery, _ = deliver(parcels, answers)
    assert isinstance(delivery.stop, error)
    assert outcomes(delivery) == [Outcome.CREATED] * 2 + [Outcome.DEFERRED] * 2
    assert not any(verdict.unanswered for verdict in delivery.verdicts)


def test_a_lost_reply_is_asked_for_again_and_says_updated() -> None:
    held: set[str] = set()

    def answer(inputs: list[dict[str, Any]]) -> Answer:
        new = [entry for entry in inputs if entry["id"] not in held]
        held.update(entry["id"] for entry in inputs)
        if new:
            return Answer(raw=b"HTTP/1.1 200 OK\r\n", after="reset")
        return multi_status([result_for(entry, new=False) for entry in inputs])

    delivery, double = deliver([by_email(1)], answer)
    assert outcomes(delivery) == [Outcome.UPDATED]
    assert len(double.upserts) == 2


def test_a_signal_defers_what_is_left() -> None:
    class Stopped(FakeClock):
        def wait(self, seconds: float, why: str) -> None:  # noqa: ARG002 -- the Clock's names
            raise InterruptedRunError(15)

    delivery, _ = deliver([by_email(1)], lambda _: Answer(status=500), clock=Stopped())
    assert isinstance(delivery.stop, InterruptedRunError)
    assert delivery.verdicts == (Verdict(1, Outcome.DEFERRED, reason="Stopped by a signal."),)


def test_a_batch_that_hubspot_takes_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="etl")
    deliver([by_email(1)], lambda inputs: multi_status([result_for(each) for each in inputs]))

    assert caplog.records == []


def test_a_batch_not_taken_whole_is_a_line_in_the_log_without_any_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="etl")
    said = {**error_for("2", message="visitor2@example.test is invalid"), "correlationId": "c-2"}
    deliver([by_email(1), by_email(2)], lambda inputs: partial(inputs, said))
    (record,) = [each for each in caplog.records if getattr(each, "action", "") == "batch_delivered"]
    facts = record.__dict__
    assert facts["contacts"] == {"created": 1, "rejected": 1}
    assert facts["correlation_ids"] == ["c-2"]
    assert "@" not in caplog.text + str(facts)
