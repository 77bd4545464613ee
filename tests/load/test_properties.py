"""The contact properties: what is wrong with them, and making those that are missing."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hubspot_double import (
    PROPERTIES,
    WANTED,
    Answer,
    Asked,
    HubSpotDouble,
    client_of,
    definition_of,
    says,
)

from etl.errors import AccessRefusedError, ContractBrokenError, SetupError
from etl.load.properties import Properties, problems

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = [wanted.name for wanted in WANTED]
ALL_RIGHT = {name: definition_of(name) for name in NAMES}


@dataclass
class Schema:
    """HubSpot's property endpoints over a dictionary."""

    held: dict[str, Any]
    groups: set[str] = field(default_factory=set)
    exists_status: int = 409

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            found = self.held.get(asked.path.removeprefix(f"{PROPERTIES}/"))
            return says(found) if found else says({"category": "OBJECT_NOT_FOUND"}, status=404)
        holder = self.groups if asked.path.endswith("/groups") else self.held.keys()
        if asked.body["name"] in holder:
            return says({"message": "Property already exists"}, status=self.exists_status)
        if asked.path.endswith("/groups"):
            self.groups.add(asked.body["name"])
        else:
            self.held[asked.body["name"]] = asked.body
        return says(asked.body, status=201)


@contextmanager
def properties_of(schema: Any) -> Iterator[tuple[Properties, HubSpotDouble]]:
    with HubSpotDouble(schema) as double, client_of(double.url) as client:
        yield Properties(client, WANTED), double


@pytest.mark.parametrize(
    ("name", "change", "state", "says_so"),
    [
        ("country", None, "missing", "no contact property country"),
        ("country", {"archived": True}, "archived", "is archived"),
        ("country", {"type": "enumeration"}, "wrong_type", "type enumeration, not string"),
        ("country", {"type": {"a": 1}}, "wrong_type", "type unknown, not string"),
        ("zenovay_last_seen", {"type": "date"}, "wrong_type", "type date, not datetime"),
        ("zenovay_pageviews", {"type": "string"}, "wrong_type", "type string, not number"),
        ("zenovay_visitor_id", {"hasUniqueValue": False}, "not_unique", "unique values"),
        ("zenovay_visitor_id", {"hasUniqueValue": None}, "not_unique", "unique values"),
        ("country", {"modificationMetadata": {"readOnlyValue": True}}, "read_only", "is read-only"),
        ("zenovay_pageviews", {"calculated": True}, "read_only", "is read-only"),
    ],
)
def test_what_is_wrong_is_said_with_its_fix(
    name: str, change: dict[str, Any] | None, state: str, says_so: str
) -> None:
    held = {key: value for key, value in ALL_RIGHT.items() if key != name}
    if change is not None:
        held[name] = {**ALL_RIGHT[name], **change}
    with properties_of(Schema(held)) as (properties, _):
        (problem,) = properties.verify()
    assert (problem.property, problem.state) == (name, state)
    assert says_so in problem.what
    assert "visitor-sync setup" in problem.fix
    assert ("SYNC_" in problem.fix) is (state != "missing")


@pytest.mark.parametrize(
    "metadata", [{}, {"modificationMetadata": None}, {"modificationMetadata": []}, {"archived": None}]
)
def test_what_hubspot_leaves_out_is_no_problem(metadata: dict[str, Any]) -> None:
    assert problems(WANTED[0], {"name": "country", "type": "string", **metadata}) == []


def test_install_creates_what_is_missing_and_repeats_without_effect() -> None:
    schema = Schema({"country": definition_of("country")})
    with properties_of(schema) as (properties, double):
        assert properties.install() == ["zenovay_last_seen", "zenovay_pageviews", "zenovay_visitor_id"]
        assert properties.verify() == []
        before = len([each for each in double.asked if each.method == "POST"])
        assert properties.install() == []
        assert len([each for each in double.asked if each.method == "POST"]) == before == 4
    assert schema.groups == {"zenovay"}
    assert schema.held["zenovay_visitor_id"] == {
        "name": "zenovay_visitor_id",
        "label": "Zenovay visitor id",
        "type": "string",
        "fieldType": "text",
        "groupName": "zenovay",
        "hasUniqueValue": True,
    }


@pytest.mark.parametrize("status", [400, 409])
def test_a_group_that_exists_is_as_good_as_a_new_one(status: int) -> None:
    with properties_of(Schema({}, groups={"zenovay"}, exists_status=status)) as (properties, _):
        assert properties.install() == NAMES


def test_install_refuses_what_it_cannot_change_and_creates_nothing() -> None:
    held = {"country": definition_of("country"), "zenovay_visitor_id": {"type": "string"}}
    with properties_of(Schema(held)) as (properties, double):
        with pytest.raises(SetupError, match="SYNC_VISITOR_ID_PROPERTY"):
            properties.install()
        assert {each.method for each in double.asked} == {"GET"}


def test_install_that_lost_a_race_verifies_what_the_other_made() -> None:
    wrong = {**definition_of("country"), "type": "number"}
    reads = iter([Answer(status=404), says(wrong)])

    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return says({"category": "OBJECT_ALREADY_EXISTS"}, status=409)
        return (
            next(reads) if asked.path.endswith("country") else says(definition_of(asked.path.rsplit("/")[-1]))
        )

    with properties_of(answer) as (properties, _), pytest.raises(SetupError, match="type number, not string"):
        properties.install()


def test_install_says_that_a_property_may_be_archived() -> None:
    def answer(asked: Asked) -> Answer:
        return says({}, status=409) if asked.method == "POST" else Answer(status=404)

    with properties_of(answer) as (properties, _), pytest.raises(SetupError, match="may be archived"):
        properties.install()


@pytest.mark.parametrize(
    ("answer", "error", "match"),
    [
        (Answer(status=403), AccessRefusedError, r"crm\.schemas\.contacts\.write"),
        (says({"category": "PROPERTY_LIMIT"}, status=400), ContractBrokenError, "PROPERTY_LIMIT"),
        (Answer(status=404), ContractBrokenError, "HUBSPOT_API_VERSION"),
    ],
)
def test_install_says_why_it_could_not(answer: Answer, error: type[Exception], match: str) -> None:
    with (
        properties_of(lambda asked: answer if asked.method == "POST" else Answer(status=404)) as (
            properties,
            _,
        ),
        pytest.raises(error, match=match),
    ):
        properties.install()


def test_verify_needs_leave_to_read() -> None:
    with (
        properties_of(lambda _: Answer(status=403)) as (properties, _),
        pytest.raises(AccessRefusedError, match=r"crm\.schemas\.contacts\.read"),
    ):
        properties.verify()


@pytest.mark.parametrize("known", [(), ("update",), ("read", "update")])
def test_a_hubspot_that_knows_no_path_is_not_one_that_was_never_set_up(known: tuple[str, ...]) -> None:
    def answer(asked: Asked) -> Answer:
        return says({"results": []}) if asked.path.endswith(known) else Answer(status=404)

    with properties_of(answer) as (properties, _):
        if known:
            assert [problem.state for problem in properties.verify()] == ["missing"] * 4
            return
        with pytest.raises(ContractBrokenError, match="HUBSPOT_API_VERSION"):
            properties.verify()
