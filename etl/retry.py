"""One policy for everything worth another try, on both sides."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

from etl import jsontext
from etl.errors import ContractBrokenError, UnavailableError
from etl.models.stop import WAIT
from etl.models.summary import utc_second

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from etl.clock import Clock

log = logging.getLogger(__name__)
T = TypeVar("T")


class TransientError(Exception):
    """A failure of one attempt that may pass.

    ``asked_s`` is the wait that the other side asked for, or that its contract prescribes; ``said_by`` says
    how it was asked for, and ``kind`` is one of ``etl.models.stop``. ``malformed`` marks an answer that
    breaks the contract, such as HTML with status 200: if every attempt ends so, the other side is not out of
    order but different from what we know. ``unread`` is a body that is not JSON although it should be.
    ``fix`` is what to do should it last.
    """

    def __init__(
        self,
        what: str,
        *,
        asked_s: float | None = None,
        said_by: str | None = None,
        kind: str = WAIT,
        malformed: bool = False,
        unread: bytes | None = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.asked_s = asked_s
        self.said_by = said_by
        self.kind = kind
        self.malformed = malformed
        self.fix = fix
        self.unread = blake2b(unread).digest() if unread and jsontext.is_meant(unread) else None

    def repeats(self, earlier: Iterable[TransientError]) -> bool:
        """Whether the same bytes came before: they will come again. Only a gateway's page may well not."""
        return self.unread is not None and any(self.unread == each.unread for each in earlier)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one request is worth repeating. Seconds throughout.

    A wait that the other side asks for wins over our own; none at all is ours, so that nobody is hammered.
    One longer than ``longest_asked_s`` ends the attempts at once. ``total_s`` does not count such waits.
    """

    attempts: int = 6
    total_s: float = 60.0
    longest_wait_s: float = 15.0
    longest_asked_s: float = 120.0

    def obeyed_s(self, failure: Exception) -> float:
        """The wait that ``failure`` asks for; 0 where it asks for none, or for more than is waited."""
        asked_s = failure.asked_s if isinstance(failure, TransientError) else None
        return asked_s if asked_s and asked_s <= self.longest_asked_s else 0.0

    def backoff(self, attempt: int) -> float:
        """Our own wait after the first, second, … failed attempt: doubled each time, with jitter."""
        return min(0.5 * 2.0 ** (attempt - 1) + random.uniform(0.0, 0.5), self.longest_wait_s)  # noqa: S311 -- no secret


def persevere(attempt: Callable[[], T], *, patience: Patience, clock: Clock, where: str) -> T:
    """What ``attempt`` returns in the end.

    Raises UnavailableError when patience is spent, ContractBrokenError when every answer was malformed,
    and whatever else than TransientError ``attempt`` raises, at once.
    """
    started, obeyed_s = clock.monotonic(), 0.0
    failures: list[TransientError] = []
    while True:
        try:
            return attempt()
        except TransientError as failure:
            worked_s = clock.monotonic() - started - obeyed_s
            if _is_spent(patience, failure, failures, worked_s=worked_s):
                raise _verdict([*failures, failure], where=where, patience=patience, clock=clock) from failure
            failures.append(failure)
        extra = {"action": "retry", "where": where, "attempt": len(failures), "why": failures[-1].what}
        log.warning("retrying", extra=extra)
        asked_s = failures[-1].asked_s
        obeyed_s += asked_s or 0.0
        pause_s = asked_s or patience.backoff(len(failures))
        clock.wait(pause_s, f"{where}: {failures[-1].what}")


def _is_spent(
    patience: Patience, failure: TransientError, earlier: list[TransientError], *, worked_s: float
) -> bool:
    return (
        len(earlier) + 1 >= patience.attempts
        or (failure.asked_s or 0.0) > patience.longest_asked_s
        or failure.repeats(earlier)
        or worked_s > patience.total_s
    )


def asked_to_wait(failure: TransientError, what: str, *, until: datetime) -> UnavailableError:
    """The end of a run that will not wait for as long as ``failure`` asks."""
    by = f", by {failure.said_by}" if failure.said_by else ""
    return UnavailableError(
        f"{what}; it asks to wait until {utc_second(until)}{by}.",
        fix="Nothing is lost; run again after that.",
        until=until,
        kind=failure.kind,
        said_by=failure.said_by,
    )


def _verdict(
    failures: list[TransientError], *, where: str, patience: Patience, clock: Clock
) -> UnavailableError | ContractBrokenError:
    last = failures[-1]
    if all(failure.malformed for failure in failures):
        often = f", {len(failures)} times in a row" if len(failures) > 1 else ""
        return ContractBrokenError(
            f"{where}: {last.what}{often}.",
            fix=last.fix or "Check the base URL, and whether the API has changed; nothing is lost.",
        )
    if last.asked_s and last.asked_s > patience.longest_asked_s:
        until = clock.now() + timedelta(seconds=last.asked_s)
        return asked_to_wait(last, f"{where}: {last.what}", until=until)
    often = f", after {len(failures)} attempts" if len(failures) > 1 else ""
    return UnavailableError(
        f"{where}: {last.what}{often}.",
        fix=last.fix or "Nothing is lost; run again later.",
    )
