"""A stop: nothing is to be had of an API before an instant, and somebody has said so."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from etl.models.summary import utc_second, utc_text

if TYPE_CHECKING:
    from datetime import datetime

    from etl.errors import UnavailableError

DAILY, MONTHLY, MOVE, WAIT = "daily", "monthly", "move", "wait"
"""A daily or monthly limit was stated, the account is being moved (477), or somebody asked for a wait."""

_LONGEST = {DAILY: timedelta(days=1), MONTHLY: timedelta(days=31), MOVE: timedelta(days=1)}
_LONGEST_WAIT = timedelta(hours=1)


class Stop(NamedTuple):
    """``kind`` says how long it can be believed, ``said_by`` who has made it and how."""

    until: datetime
    reason: str
    kind: str = WAIT
    said_by: str | None = None

    @classmethod
    def asked_by(cls, failure: UnavailableError) -> Stop | None:
        """What a failure asks to wait for; None where it names no instant."""
        return cls(failure.until, failure.what, failure.kind, failure.said_by) if failure.until else None

    def as_object(self, api: str) -> dict[str, Any]:
        """The object of ``--json``."""
        return {"api": api, **self._asdict(), "until": utc_text(self.until)}

    def __str__(self) -> str:
        return f"{self.reason} Nothing is asked before {utc_second(self.until)}."

    def bounded(self, *, made: datetime | None, now: datetime) -> Stop | None:
        """This stop as far as it can be believed; None where it is over, or was never to be believed.

        It was ``made`` when our clock showed that: a clock that was since put back made no stop at all. Of
        one of which that is not known, nothing is believed if it is longer than its kind can be.
        """
        until = min(self.until, (made or now) + longest(self.kind))
        if not now < until or (made and made > now) or (made is None and until < self.until):
            return None
        return self._replace(until=until)


def longest(kind: str | None) -> timedelta:
    """How long a stop of ``kind`` lasts at most; of one that is not known, as long as the shortest."""
    return _LONGEST.get(kind or WAIT, _LONGEST_WAIT)
