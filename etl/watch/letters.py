"""What is written to people when the sync is unwell, and when it is well again. Pure."""

from __future__ import annotations

from itertools import groupby
from textwrap import shorten
from typing import TYPE_CHECKING

from etl.errors import (
    AccessRefusedError,
    ContractBrokenError,
    LockedError,
    SettingsError,
    StateError,
    SyncError,
    TooManyRejectedError,
    UnavailableError,
)
from etl.models.summary import utc_second
from etl.watch.troubles import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl.watch.troubles import Alarm, Letter, Trouble

LONGEST = 160

WHAT_TO_DO = {
    SyncError.exit_code: "Report it with the line above: it names the place and holds no data.",
    SettingsError.exit_code: "Mend it; visitor-sync check lists everything that is wrong.",
    TooManyRejectedError.exit_code: (
        "visitor-sync rejections says what and why. Mend the cause, then: visitor-sync rejections retry"
    ),
    UnavailableError.exit_code: "visitor-sync check says which side does not answer. Nothing is lost.",
    AccessRefusedError.exit_code: (
        "Renew the key or token, or grant the scope that is named; visitor-sync check says if that was it."
    ),
    ContractBrokenError.exit_code: (
        "Check the base URLs and HUBSPOT_API_VERSION; else report it: the API may have changed."
    ),
    StateError.exit_code: "visitor-sync help state says what to do. Nothing is sent meanwhile.",
    LockedError.exit_code: "visitor-sync status names the process that holds the lock.",
}


def sentences(letter: Letter) -> str:
    """A letter as lines of text; empty for an empty one."""
    by_kind = sorted(letter.troubles, key=lambda told: (told[0].exit_code == 0, told[0].kind))
    lines = [
        line for _, alike in groupby(by_kind, key=lambda told: told[0].kind) for line in _trouble([*alike])
    ]
    return "\n".join([*lines, *(_well_again(place, alarm) for place, alarm in letter.well.items())])


def _trouble(alike: list[tuple[Trouble, datetime]]) -> Iterator[str]:
    """One trouble, of one website or several."""
    trouble, _ = alike[0]
    places = ", ".join(each.place for each, _ in alike if each.place != EVERYWHERE)
    yield f"visitor-sync{', ' if places else ''}{places}: {trouble.text}"
    if trouble.exit_code:
        yield f"What to do: {WHAT_TO_DO[trouble.exit_code]}"
    if trouble.lasts:
        since = utc_second(min(began for _, began in alike))
        yield f"Since {since}, exit code {trouble.exit_code}."


def _well_again(place: str, alarm: Alarm) -> str:
    what = shorten(alarm.text, LONGEST, placeholder=" …")
    since = utc_second(alarm.since)
    return f"visitor-sync is well again{': ' if place else ''}{place}. Since {since} it was: {what}"
