"""Reading HubSpot's errors, of which every field is optional and of any shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.load.complaints import complaint

INVALID_EMAIL = (
    'Property values were not valid: [{"isValid":false,"message":"Email address ann is invalid",'
    '"error":"INVALID_EMAIL","name":"email"}]'
)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (
            {"errors": [{"code": "MISSING_REQUIRED_PROPERTY"}], "category": "VALIDATION_ERROR"},
            "MISSING_REQUIRED_PROPERTY",
        ),
        ({"message": INVALID_EMAIL, "category": "VALIDATION_ERROR"}, "INVALID_EMAIL"),
        (
            {"subCategory": "PropertyValidationError.INVALID_LONG", "category": "VALIDATION_ERROR"},
            "INVALID_LONG",
        ),
        ({"subCategory": {}, "category": "CONFLICT"}, "CONFLICT"),
        ({"category": "not a code: ann@example.test"}, "UNKNOWN"),
        ({"category": None, "errors": "?"}, "UNKNOWN"),
        (None, "UNKNOWN"),
    ],
)
def test_the_code_is_the_most_specific_one(entry: Any, code: str) -> None:
    assert complaint(entry).code == code


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"message": INVALID_EMAIL}, INVALID_EMAIL),
        ({"errors": [{"message": "Too long"}]}, "Too long"),
        ({"message": "", "category": "CONFLICT"}, "HubSpot gave no reason (CONFLICT)."),
        ({"message": ["a"]}, "HubSpot gave no reason (UNKNOWN)."),
        ({"message": "half \ud83d of a pair\0"}, "half ? of a pair "),
    ],
)
def test_the_reason_is_what_hubspot_said_and_fits_a_database(entry: Any, reason: str) -> None:
    assert complaint(entry).reason == reason


@pytest.mark.parametrize(
    ("entry", "about_setup"),
    [
        ({"message": 'Property "zenovay_pageviews" does not exist'}, True),
        ({"message": "Property 'country' doesn't exist"}, True),
        ({"errors": [{"code": "PROPERTY_DOESNT_EXIST"}]}, True),
        ({"subCategory": "crm.READ_ONLY_VALUE"}, True),
        ({"message": "Unable to perform update/upsert by non-unique 0-1 property x_y in portal ID 1"}, True),
        ({"message": "Property zenovay_visitor_id is not unique"}, True),
        ({"message": "The property hs_x is read only"}, True),
        ({"message": INVALID_EMAIL}, False),
        ({"message": 'Email "property does not exist" is invalid', "category": "INVALID_EMAIL"}, False),
        ({"message": "Property value v-1 for x_y is not unique: 501 already has it"}, False),
        ({"message": "Contact already exists. Existing ID: 501", "category": "CONFLICT"}, False),
        ({"message": "Email address property-does-not-exist@example.test is bad"}, False),
        ({"message": "Contact does not exist"}, False),
    ],
)
def test_what_concerns_the_setup_is_told_from_what_concerns_a_row(entry: Any, about_setup: bool) -> None:  # noqa: FBT001 -- a row of the table
    assert complaint(entry).is_about_setup is about_setup


@pytest.mark.parametrize(
    ("code", "temporary"),
    [
        ("RATE_LIMITS", True),
        ("INTERNAL_ERROR", True),
        ("OBJECT_LOCKED", True),
        ("LOCK", True),
        ("GATEWAY_TIMEOUT", True),
        ("EMAIL_BLOCKED", False),
        ("CLOCK_SKEW", False),
        ("VALIDATION_ERROR", False),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(code: str, temporary: bool) -> None:  # noqa: FBT001 -- a row of the table
    assert complaint({"category": code}).is_temporary is temporary


def test_the_properties_complained_of_are_named_and_nothing_else() -> None:
    said = complaint(
        {
            "message": 'Property "country" does not exist. [{"name":"zenovay_pageviews"}] properties x_y',
            "context": {"propertyName": ["zenovay_last_seen", "ann@example.test"]},
            "errors": [{"in": "zenovay_visitor_id"}],
        }
    )
    assert set(said.properties) == {
        "country", "zenovay_pageviews", "x_y", "zenovay_last_seen", "zenovay_visitor_id",
    }  # fmt: skip


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["message", "errors", "context", "category", "subCategory", "code", "status", "in"]
                )
                | st.text(max_size=3),
                inner,
                max_size=5,
            )
        ),
    )
)
def test_no_shape_is_too_strange(entry: Any) -> None:
    said = complaint(entry)
    assert said.code
    assert said.reason
    said.reason.encode()
    assert (said.is_about_setup, said.is_temporary) is not None
