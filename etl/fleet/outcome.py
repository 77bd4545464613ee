"""How a job ended, in the words of whoever did it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from etl.errors import LockedError, StateError, UnavailableError

if TYPE_CHECKING:
    from datetime import datetime

    from etl.fleet.roster import Site

DONE = frozenset({0, 3})
INTERRUPTED = frozenset({130, 143})
UNAVAILABLE = UnavailableError.exit_code
SOON = frozenset({StateError.exit_code, LockedError.exit_code})
"""What says nothing of the site: whoever is free may try in a minute."""


class Counts(NamedTuple):
    """How many contacts of a portal are due, and how many are rejected."""

    due: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run, or a slice of a backfill, ended.

    ``rested``: it had nothing to do so soon. ``until``: trying again before is pointless. ``counts`` are
    None where they are as before. ``is_newer``: a newer version has been at the state, so that this one must
    leave the fleet to it.
    """

    exit_code: int
    reason: str | None = None
    run: str | None = None
    rested: bool = False
    watermark: datetime | None = None
    until: datetime | None = None
    counts: Counts | None = None
    requests: int = 0
    rows: int = 0
    is_newer: bool = False

    @property
    def is_done(self) -> bool:
        return self.exit_code in DONE


class Work(Protocol):
    """What the jobs are about. Neither raises anything; both are called in any thread."""

    def run(self, site: Site, *, at_once: bool, counts: bool) -> Outcome:
        """Sync what is new of a site; ``at_once`` obeys neither the minimum interval nor a stop.

        ``counts``: count the portal's contacts whatever has become of them.
        """
        ...

    def backfill(self, portal: str, key: str, *, since: datetime, until: datetime | None) -> Outcome:
        """Read a slice of a past range of all sites of a portal that are read with ``key``."""
        ...
