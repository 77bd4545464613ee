"""The portal whose settings are read, where one is chosen, and the terms in which it is talked about."""

from __future__ import annotations

from etl.settings.terms import PLAIN, Terms

_chosen: str | None = None
_terms: Terms = PLAIN


def choose_portal(name: str | None) -> None:
    """Have the settings read as they are for one portal of the configuration file; None: as they are set."""
    global _chosen  # noqa: PLW0603 -- of the process, as the env file that is chosen
    _chosen = name
    talk_in(Terms(name) if name else PLAIN)


def chosen_portal() -> str | None:
    """The portal that the settings are read for; None where none was chosen."""
    return _chosen


def talk_in(terms: Terms) -> None:
    """Have this process talk so to people."""
    global _terms  # noqa: PLW0603 -- likewise
    _terms = terms


def spoken(text: str) -> str:
    """A sentence as it is said to people."""
    return _terms.say(text)
