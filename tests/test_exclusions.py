"""Whom exclusions cover."""

from __future__ import annotations

import pytest

from etl.exclusions import NOBODY, Exclusions

EXCLUSIONS = Exclusions(
    domains=frozenset({"example.com", "co.test"}),
    addresses=frozenset({"ann@example.org"}),
    visitors=frozenset({"v1"}),
    countries=frozenset({"FR"}),
)


@pytest.mark.parametrize(
    ("address", "covered"),
    [
        ("a@example.com", True),
        ("a@mail.example.com", True),
        ("a@b@example.com", True),
        ("a@notexample.com", False),
        ("a@example.com.org", False),
        ("a@com", False),
        ("ann@example.org", True),
        ("joann@example.org", False),
        ("example.com", True),
        ("", False),
    ],
)
def test_an_address_by_its_domain_or_whole(address: str, covered: bool) -> None:  # noqa: FBT001 -- a table
    assert EXCLUSIONS.cover_address(address) is covered


@pytest.mark.parametrize(
    ("visitor_id", "email", "country", "covered"),
    [
        ("v1", None, None, True),
        ("v2", None, None, False),
        ("v2", None, "FR", True),
        ("v2", "bo@example.org", "CH", False),
        ("v2", "bo@co.test", "CH", True),
    ],
)
def test_a_visitor_by_whatever_is_known(
    visitor_id: str, email: str | None, country: str | None, *, covered: bool
) -> None:
    assert EXCLUSIONS.cover(visitor_id=visitor_id, email=email, country=country) is covered


def test_nobody_is_false_and_its_digest_is_its_own() -> None:
    assert not NOBODY
    assert EXCLUSIONS
    digests = {
        each.digest
        for each in (
            NOBODY,
            EXCLUSIONS,
            Exclusions(domains=frozenset({"a"})),
            Exclusions(addresses=frozenset({"a"})),
            Exclusions(domains=frozenset({"a", "b"})),
        )
    }
    assert len(digests) == 5
    assert NOBODY.digest == Exclusions().digest
