"""What workers declare, and what that is together."""

from __future__ import annotations

from datetime import timedelta

from etl.fleet.roster import Roster, Site

OFTEN, SELDOM = timedelta(minutes=1), timedelta(days=2)
OLD = Roster.of([Site("acme", "one", "a", SELDOM), Site("acme", "two", "a", OFTEN)], {"a": 30})
NEW = Roster.of([Site("acme", "one", "b", OFTEN), Site("beta", "one", "b", OFTEN)], {"a": 60, "b": 5})


def test_what_is_written_down_is_read_as_it_was() -> None:
    assert Roster.from_text(OLD.to_text()) == OLD


def test_together_they_declare_what_any_does_and_the_last_one_s_word_holds() -> None:
    found = Roster.union([OLD, NEW])

    assert [str(name) for name in found.sites] == ["acme/one", "acme/two", "beta/one"]
    assert [site.key for site in found.sites.values()] == ["b", "a", "b"]
    assert found.per_minute == {"a": 60, "b": 5}
