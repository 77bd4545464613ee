"""What is said to people of a portal, in its terms: the names of its settings, and its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.models.summary import RunSummary


def spoken(text: str) -> str:
    """A sentence in the terms of the portal that the command is for."""
    from etl.settings import spoken as said  # noqa: PLC0415 -- a command may fail before it needs them

    return said(text)


def retell(summary: RunSummary, say: Callable[[str], str] = spoken) -> None:
    """Have the sentences of a run said so."""
    summary.reason = summary.reason and say(summary.reason)
    summary.warnings = [say(each) for each in summary.warnings]
    summary.notes = tuple(map(say, summary.notes))
