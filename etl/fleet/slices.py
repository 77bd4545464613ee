"""Past ranges that were asked for, read slice by slice: which are due, and how far each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from etl.fleet.outcome import INTERRUPTED, SOON, UNAVAILABLE
from etl.fleet.schedule import is_open
from etl.fleet.stops import stopped_until
from etl.fleet.tables import backfills, portals
from etl.fleet.timing import MINUTE, pause

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from etl.fleet.outcome import Outcome

SLICE = 20
"""Requests to Zenovay in one slice: then the runs have their turn."""

_LONGEST_PAUSE = MINUTE * 60

_B, _P = backfills.c, portals.c


@dataclass(frozen=True, slots=True)
class Range:
    """``[since, until)``, or up to when it was begun, of what is read with ``key`` for ``portal``."""

    number: int
    portal: str
    key: str
    since: datetime
    until: datetime | None


class Slices:
    """Inside one transaction; ``now`` is the database's clock."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def ask(self, portal: str, key: str, since: datetime, until: datetime | None) -> bool:
        """Have a range read. Returns whether that is news: the same may be going on."""
        same = (_B.portal == portal, _B.key == key, _B.since == since, _B.until.is_not_distinct_from(until))
        if self._connection.execute(select(_B.id).where(*same, _B.ended_at.is_(None))).first():
            return False
        facts = {"portal": portal, "key": key, "since": since, "until": until}
        self._connection.execute(insert(backfills).values(asked_at=self._now, due_at=self._now, **facts))
        return True

    def recall(self) -> None:
        """Have none wait for longer than an hour, or than a stop does: that may have been lifted."""
        rows = self._connection.execute(
            select(_B.id, _B.portal, _B.key, _B.since, _B.until, _B.due_at).where(
                _B.ended_at.is_(None), _B.due_at > self._now + _LONGEST_PAUSE
            )
        ).all()
        for *facts, due in rows:
            stopped = self._stopped(wanted := Range(*facts))
            if stopped is None or due > stopped:
                self._connection.execute(
                    update(backfills).where(_B.id == wanted.number).values(due_at=self._now)
                )

    def due(self) -> list[Range]:
        """What is to go on, the oldest first; nothing of a portal that is paused or left alone."""
        rows = self._connection.execute(
            select(_B.id, _B.portal, _B.key, _B.since, _B.until)
            .join_from(backfills, portals, _P.name == _B.portal)
            .where(_B.ended_at.is_(None), _B.due_at <= self._now, *is_open(self._now))
            .order_by(_B.due_at, _B.id)
        )
        return [Range(*row) for row in rows]

    def begin(self, number: int) -> Range | None:
        """The range, unless it has come to its end, is to go on later, or its portal is paused."""
        row = self._connection.execute(
            select(_B.id, _B.portal, _B.key, _B.since, _B.until)
            .join_from(backfills, portals, _P.name == _B.portal)
            .where(_B.id == number, _B.ended_at.is_(None), _B.due_at <= self._now)
            .where(_P.paused_at.is_(None))
        ).one_or_none()
        return Range(*row) if row else None

    def end(self, wanted: Range, outcome: Outcome) -> None:
        """Write down how a slice ended: the range goes on after an outage, and when its slice was spent."""
        failures = self._connection.execute(select(_B.failures).where(_B.id == wanted.number)).scalar_one()
        facts: dict[str, Any] = {"exit_code": outcome.exit_code, "reason": outcome.reason}
        facts |= {"requests": _B.requests + outcome.requests, "rows": _B.rows + outcome.rows}
        wait = self._wait(wanted, outcome, failures)
        if wait is None:
            facts |= {"ended_at": self._now}
        else:
            in_vain = outcome.exit_code == UNAVAILABLE and not outcome.requests
            facts |= {"due_at": self._now + wait, "failures": failures + 1 if in_vain else 0}
        self._connection.execute(update(backfills).where(_B.id == wanted.number).values(facts))

    def _wait(self, wanted: Range, outcome: Outcome, failures: int) -> timedelta | None:
        """How long to wait for the next slice; None where there is none."""
        code = outcome.exit_code
        if code in INTERRUPTED:
            return MINUTE * 0
        if code in SOON:
            return MINUTE
        if code != UNAVAILABLE:
            return None
        stopped = self._stopped(wanted)
        if stopped and stopped > self._now:
            return stopped - self._now
        return MINUTE * 0 if outcome.requests else pause(failures + 1, _LONGEST_PAUSE)

    def _stopped(self, wanted: Range) -> datetime | None:
        return stopped_until(self._connection, key=wanted.key, portal=wanted.portal, now=self._now)
