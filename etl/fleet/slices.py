"""Past ranges that were asked for, read slice by slice: which are due, and how far each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from etl.errors import SettingsError
from etl.fleet.outcome import INTERRUPTED, SOON, UNAVAILABLE
from etl.fleet.schedule import is_open
from etl.fleet.stops import stopped_until
from etl.fleet.tables import backfills, portals
from etl.fleet.timing import A_MOMENT, MINUTE, pause

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from etl.fleet.outcome import Outcome
    from etl.fleet.roster import Roster

SLICE = 20
"""Requests to Zenovay in one slice: then the runs have their turn."""

_LONGEST_PAUSE = MINUTE * 60

_B, _P = backfills.c, portals.c
_RANGE = (_B.id, _B.portal, _B.key, _B.since, _B.until, _B.requests)


@dataclass(frozen=True, slots=True)
class Range:
    """``[since, until)``, or up to when it was begun, of what is read with ``key`` for ``portal``."""

    number: int
    portal: str
    key: str
    since: datetime
    until: datetime | None
    requests: int = 0
    """So many were spent on it before."""


def undeclared(portal: str, key: str) -> str:
    """Why a range does not go on that is read with a key which has nothing of the portal."""
    return f"Nothing of {portal} is read with the key {key} any more."


def slices_in_turn(due: Iterable[Range], going: Collection[Range], roster: Roster) -> list[Range]:
    """Which slices of those that are ``due``, the oldest first, are to be queued beside those ``going``.

    Of each key no more than half of its minute allows, be it one: a slice that waits for its requests has a
    worker's place, and the runs have need of the other half. Pure.
    """
    left = {key: max(1, limit // (2 * SLICE)) for key, limit in roster.per_minute.items()}
    for each in going:
        if each.key in left:
            left[each.key] -= 1
    chosen: list[Range] = []
    for each in due:
        if each not in going and roster.has(each.portal, each.key) and left[each.key] > 0:
            left[each.key] -= 1
            chosen.append(each)
    return chosen


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
            select(*_RANGE, _B.due_at).where(_B.ended_at.is_(None), _B.due_at > self._now + _LONGEST_PAUSE)
        ).all()
        for *facts, due in rows:
            stopped = self._stopped(wanted := Range(*facts))
            if stopped is None or due > stopped:
                self._connection.execute(
                    update(backfills).where(_B.id == wanted.number).values(due_at=self._now)
                )

    def give_up(self, roster: Roster) -> None:
        """End what could go on for an hour, and is read with a key that nobody declares for it any more."""
        for each in self.due(before=self._now - _LONGEST_PAUSE):
            if not roster.has(each.portal, each.key):
                reason = undeclared(each.portal, each.key)
                facts = {"exit_code": SettingsError.exit_code, "reason": reason, "ended_at": self._now}
                self._connection.execute(update(backfills).where(_B.id == each.number).values(facts))

    def due(self, *, before: datetime | None = None) -> list[Range]:
        """What is to go on, the oldest first; nothing of a portal that is paused or left alone."""
        rows = self._connection.execute(
            select(*_RANGE)
            .join_from(backfills, portals, _P.name == _B.portal)
            .where(_B.ended_at.is_(None), _B.due_at <= (before or self._now), *is_open(self._now))
            .order_by(_B.due_at, _B.id)
        )
        return [Range(*row) for row in rows]

    def begin(self, number: int) -> Range | None:
        """The range, unless it has come to its end, is to go on later, or its portal is paused."""
        row = self._connection.execute(
            select(*_RANGE)
            .join_from(backfills, portals, _P.name == _B.portal)
            .where(_B.id == number, _B.ended_at.is_(None), _B.due_at <= self._now)
            .where(_P.paused_at.is_(None))
        ).one_or_none()
        return Range(*row) if row else None

    def end(self, wanted: Range, outcome: Outcome) -> None:
        """Write down how a slice ended: the range goes on after an outage, and when its slice was spent.

        Not where another worker has gone on with it, as this one was taken for dead.
        """
        failures = self._connection.execute(select(_B.failures).where(_B.id == wanted.number)).scalar_one()
        in_vain = outcome.exit_code == UNAVAILABLE and not outcome.requests
        goes_on = not in_vain and (outcome.is_done or outcome.exit_code == UNAVAILABLE)
        facts: dict[str, Any] = {"exit_code": outcome.exit_code}
        facts |= {"reason": None if goes_on else outcome.reason}  # the next slice, or the end, is no trouble
        facts |= {"requests": _B.requests + outcome.requests, "rows": _B.rows + outcome.rows}
        wait = self._wait(wanted, outcome, failures)
        if wait is None:
            facts |= {"ended_at": self._now}
        else:
            facts |= {"due_at": self._now + wait, "failures": failures + 1 if in_vain else 0}
        mine = (_B.id == wanted.number, _B.ended_at.is_(None), _B.requests == wanted.requests)
        self._connection.execute(update(backfills).where(*mine).values(facts))

    def _wait(self, wanted: Range, outcome: Outcome, failures: int) -> timedelta | None:
        """How long to wait for the next slice; None where there is none."""
        code = outcome.exit_code
        if code in INTERRUPTED:
            return MINUTE * 0
        if code in SOON:
            return A_MOMENT
        if code != UNAVAILABLE:
            return None
        stopped = self._stopped(wanted)
        if stopped and stopped > self._now:
            return stopped - self._now
        return MINUTE * 0 if outcome.requests else pause(failures + 1, _LONGEST_PAUSE)

    def _stopped(self, wanted: Range) -> datetime | None:
        return stopped_until(self._connection, key=wanted.key, portal=wanted.portal, now=self._now)
