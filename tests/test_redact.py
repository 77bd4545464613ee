"""What is no address, and what is one wherever it stands."""

from __future__ import annotations

import pytest

from etl.redact import addresses


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "at postgresql+psycopg://sync@127.0.0.1:5432/db.",
            "at postgresql+psycopg://sync@127.0.0.1:5432/db.",
        ),
        ("postgres://sync:***@db.test/x", "postgres://sync:***@db.test/x"),
        ("postgresql://sync:geheimnis@db.test/x", "postgresql://sync:<address>"),
        ("postgresql://sync@db.test/ann@example.test", "postgresql://sync@db.test<address>"),
        ("postgresql://sync@db.test/x?u=ann@example.test", "postgresql://sync@db.test/x?u=<address>"),
        ("postgresql://sync@db.test@example.test", "postgresql://sync@db.test<address>"),
        ("https://ann@example.test/x", "https:<address>"),
        ("https://api.test/v1?email=ann@example.test", "https://api.test/v1?email=<address>"),
        ("mailto:ann@example.test", "mailto:<address>"),
        ("<ann@example.test>", "<<address>>"),
    ],
)
def test_an_address_is_never_told(text: str, told: str) -> None:
    assert addresses(text) == told
