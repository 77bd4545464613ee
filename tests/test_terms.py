"""How a portal is talked about."""

from __future__ import annotations

import pytest

from etl.errors import AccessRefusedError
from etl.settings.terms import ANY, PLAIN, Terms

BETA = Terms(
    "beta",
    (
        ("HUBSPOT_ACCESS_TOKEN", "BETA_HUBSPOT_TOKEN"),
        ("ZENOVAY_API_KEY", r"C:\secrets\agency"),
        ("ZENOVAY_WEBSITE_ID", "website in [[sites]] of visitor-sync.toml"),
    ),
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Put it into HUBSPOT_ACCESS_TOKEN; wait.", "Put it into BETA_HUBSPOT_TOKEN; wait."),
        ("ZENOVAY_API_KEY may not", r"C:\secrets\agency may not"),
        ("ZENOVAY_WEBSITE_ID names w", "website in [[sites]] of visitor-sync.toml names w"),
        ("ACME_HUBSPOT_ACCESS_TOKEN", "ACME_HUBSPOT_ACCESS_TOKEN"),
        ("ZENOVAY_API_KEYS", "ZENOVAY_API_KEYS"),
        ("Run `visitor-sync setup`.", "Run `visitor-sync setup --portal beta`."),
        ("See: visitor-sync rejections.", "See: visitor-sync rejections --portal beta."),
        (
            "visitor-sync rejections retry KEY... (or --all)",
            "visitor-sync rejections retry --portal beta KEY... (or --all)",
        ),
        ("visitor-sync run --now", "visitor-sync run --portal beta --now"),
        ("visitor-sync run --all", "visitor-sync run --all"),
        ("visitor-sync rejections list --all", "visitor-sync rejections list --portal beta --all"),
        ("visitor-sync run --portal acme", "visitor-sync run --portal acme"),
        ("visitor-sync help state", "visitor-sync help state"),
        ("visitor-sync fleet status", "visitor-sync fleet status"),
        ("visitor-sync runs", "visitor-sync runs"),
    ],
)
def test_a_sentence_is_said_in_the_terms_of_the_portal(text: str, told: str) -> None:
    assert BETA.say(text) == told
    assert BETA.say(told) == told
    assert ANY.say(told) == told or "beta" not in told
    assert PLAIN.say(text) == text


def test_a_failure_tells_of_the_portal() -> None:
    failure = BETA.tell(AccessRefusedError("HUBSPOT_ACCESS_TOKEN was refused.", fix="visitor-sync check"))

    assert str(failure) == "BETA_HUBSPOT_TOKEN was refused. visitor-sync check --portal beta"
    assert failure.exit_code == AccessRefusedError.exit_code
