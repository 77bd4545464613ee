"""The schedule in the shared tables: who is due, who runs, how it ended, and when next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert

from etl.errors import LockedError
from etl.fleet.database import DECIDES
from etl.fleet.outcome import INTERRUPTED, SOON, UNAVAILABLE
from etl.fleet.roster import Name
from etl.fleet.stops import key_row, portal_row, stopped_until
from etl.fleet.tables import limits, portals, sites
from etl.fleet.timing import AHEAD, SPREAD, Due, Turn, ahead, due_again, on_grid, pause

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from etl.fleet.outcome import Outcome
    from etl.fleet.roster import Roster, Site

DIED = "The worker that ran it died amid it."
_NOT_HEEDED = INTERRUPTED | SOON

_NOW = text("SELECT clock_timestamp()")
_S, _P = sites.c, portals.c
_INSTANT = _S.due_at.type
_LONGEST_AFTER_DEATH = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Started:
    """A run that has begun, and whether somebody wants it at all costs.

    So many runs of the site, and of any of its portal, were in vain before. ``is_counted``: it is known how
    many contacts of the portal are due. ``due`` is since when the site was.
    """

    at: datetime
    at_once: bool
    failures: int = 0
    portal_failures: int = 0
    is_counted: bool = True
    due: datetime | None = None


class Schedule:
    """Inside one transaction of PostgreSQL. ``now`` is the database's clock, which all workers share."""

    def __init__(self, connection: Connection, now: datetime | None = None) -> None:
        self.connection = connection
        self.now: datetime = now or connection.execute(_NOW).scalar_one()

    def take_turns(self) -> None:
        """Have of two that decide what is to be done at once the second see what the first has done.

        ``now`` is then, which may be later.
        """
        self.connection.execute(DECIDES)
        self.now = self.connection.execute(_NOW).scalar_one()

    def enrol(self, roster: Roster) -> None:
        """Take up what is declared and not known yet, and intervals that are others now."""
        rows = self.connection.execute(select(_S.portal, _S.website, _S.every))
        known = {Name(portal, website): every for portal, website, every in rows}
        new = [site for name, site in roster.sites.items() if name not in known]
        if new:
            names = [{"name": name} for name in {site.portal for site in new}]
            self.connection.execute(insert(portals).on_conflict_do_nothing(), names)
            self.connection.execute(insert(sites).on_conflict_do_nothing(), [self._row(each) for each in new])
        for name, site in roster.sites.items():
            if name in known and known[name] != _seconds(site.every):
                self._change(name, every=_seconds(site.every), due_at=_not_after(on_grid(site, self.now)))

    def _row(self, site: Site) -> dict[str, Any]:
        return {
            "portal": site.portal,
            "website": site.website,
            "every": _seconds(site.every),
            "due_at": on_grid(site, self.now),
        }

    def recall(self, roster: Roster) -> None:
        """Have nothing wait for longer than its interval, or than a stop that is in force.

        A stop may have been lifted, a site be read with another key, and the clock have been put back.
        """
        rows = self.connection.execute(
            select(_S.portal, _S.website, _S.due_at).where(_S.due_at > self.now + _LONGEST_AFTER_DEATH)
        ).all()
        stops = self._stops() if rows else {}
        for portal, website, due in rows:
            if site := roster.sites.get(Name(portal, website)):
                names = (key_row(site.key), portal_row(portal))
                stopped = max(stops.get(name, self.now) for name in names) + AHEAD + SPREAD
                if due > max(self.now + site.every, stopped):
                    self._change(site.name, due_at=on_grid(site, self.now))
        for portal, resumes in self.connection.execute(
            select(_P.name, _P.resumes_at).where(_P.resumes_at > self.now)
        ).all():
            if roster.of_portal(portal) and resumes > self.now + roster.longest(portal):
                self.connection.execute(update(portals).where(_P.name == portal).values(resumes_at=None))

    def _stops(self) -> dict[str, datetime]:
        """When the stops end that are in force, by the names of their rows."""
        where = and_(limits.c.stop_made <= self.now, limits.c.stopped_until > self.now)
        rows = self.connection.execute(select(limits.c.name, limits.c.stopped_until).where(where))
        return {row.name: row.stopped_until for row in rows}

    def due(self) -> list[Due]:
        """What is due, or almost, the oldest first; nothing of a portal that is paused, or left alone."""
        rows = self.connection.execute(
            select(_S.portal, _S.website, _P.failures > 0, _S.due_at, _S.every)
            .join_from(sites, portals, _P.name == _S.portal)
            .where(_S.due_at <= self.now + AHEAD, *is_open(self.now))
            .order_by(_S.due_at, _S.portal, _S.website)
        )
        return [
            Due(Name(portal, website), down)
            for portal, website, down, due, every in rows
            if due - self.now <= ahead(timedelta(seconds=every))
        ]

    def begin(self, site: Site, worker: int | None) -> Started | None:
        """Write down that ``worker`` runs the site; None where it is not to be run now, after all."""
        unpaused, ready = is_open(self.now)
        facts = {"worker": worker, "running_since": self.now, "at_once": False, "hurried": _S.at_once}
        found = self.connection.execute(
            update(sites)
            .where(_is(site.name), _P.name == _S.portal, unpaused, ready | _S.at_once)
            .values(facts)
            .returning(_S.hurried, _S.failures, _P.failures, _P.contacts_due.is_not(None), _S.due_at)
        ).one_or_none()
        return Started(self.now, *found) if found else None

    def end(
        self, site: Site, outcome: Outcome, *, started: Started, longest: timedelta, worker: int | None
    ) -> datetime:
        """Write down how a run ended. Returns when the site is due again.

        ``longest`` is the longest interval of its portal, which is left alone for so long at most. Nothing is
        written where the worker was taken for dead meanwhile: the site is run anew, or has been.
        """
        turn = Turn(started.at, self.now, started.failures, self._until(site, outcome), started.due)
        due = due_again(site, outcome, turn)
        facts: dict[str, Any] = {
            "due_at": case((_S.at_once, _not_after(due)), else_=_at(due)),
            "worker": None,
            "running_since": None,
            "hurried": False,
            "skipped": outcome.reason if outcome.rested else None,
            "failures": _count(outcome, started.failures),
        }
        if not outcome.rested:
            facts |= {"run": outcome.run, "started": started.at, "ended": self.now}
            facts |= {"exit_code": outcome.exit_code, "reason": outcome.reason}
            facts |= {"succeeded": started.at} if outcome.is_done else {}
        if started.at_once and outcome.exit_code in _NOT_HEEDED:
            facts["at_once"] = True
        if outcome.watermark:
            facts["watermark"] = outcome.watermark
        mine = (_is(site.name), _S.worker == worker, _S.running_since == started.at)
        if self.connection.execute(update(sites).where(*mine).values(facts)).rowcount:
            is_stop = turn.until is not None and turn.until > self.now
            self._tell_portal(site, outcome, started, None if is_stop else longest)
        return due

    def _failures(self, name: Name) -> int:
        return self.connection.execute(select(_S.failures).where(_is(name))).scalar() or 0

    def _until(self, site: Site, outcome: Outcome) -> datetime | None:
        """The end of the stops that are known of the site's key and portal, after a run that met one."""
        if outcome.exit_code != UNAVAILABLE:
            return None
        last = stopped_until(self.connection, key=site.key, portal=site.portal, now=self.now)
        return max(filter(None, (last, outcome.until)), default=None)

    def _tell_portal(self, site: Site, outcome: Outcome, started: Started, longest: timedelta | None) -> None:
        """An outage is one of the portal, for ``longest`` at most, until a run of any site of it is done."""
        facts: dict[str, Any] = {}
        if outcome.counts:
            facts |= {"contacts_due": outcome.counts.due, "contacts_rejected": outcome.counts.rejected}
        if outcome.is_done and not outcome.rested:
            facts |= {"failures": 0, "resumes_at": None} if started.portal_failures else {}
        elif outcome.exit_code == UNAVAILABLE and longest is not None:
            failures = started.portal_failures + 1
            facts |= {"failures": failures, "resumes_at": self.now + pause(failures, longest)}
        if facts:
            self.connection.execute(update(portals).where(_P.name == site.portal).values(facts))

    def bereave(self, names: Iterable[Name]) -> None:
        """The workers that ran these died. They are due as before, or later if it was not the first time."""
        for name in names:
            failures = self._failures(name)
            due = _at(self.now + pause(failures, _LONGEST_AFTER_DEATH)) if failures else _not_after(self.now)
            self._change(
                name, worker=None, running_since=None, due_at=due, ended=self.now,
                exit_code=None, reason=DIED, skipped=None, failures=failures + 1,
                at_once=_S.at_once | _S.hurried, hurried=False,
            )  # fmt: skip

    def pause(self, portal: str) -> bool:
        """Have nothing of the portal begin any more. Returns whether that is news."""
        self.connection.execute(insert(portals).on_conflict_do_nothing(), [{"name": portal}])
        done = self.connection.execute(
            update(portals).where(_P.name == portal, _P.paused_at.is_(None)).values(paused_at=self.now)
        )
        return bool(done.rowcount)

    def resume(self, portal: str) -> bool:
        """The opposite of ``pause``; nor is the portal left alone after an outage any more."""
        where = and_(_P.name == portal, _P.paused_at.is_not(None))
        paused = self.connection.execute(select(_P.name).where(where).with_for_update()).scalar()
        self.connection.execute(
            update(portals).where(_P.name == portal).values(paused_at=None, resumes_at=None)
        )
        return paused is not None

    def paused_at(self, portal: str) -> datetime | None:
        return self.connection.execute(select(_P.paused_at).where(_P.name == portal)).scalar()

    def hurry(self, names: Collection[Name], *, at_once: bool) -> None:
        """Make these due now; ``at_once``: whatever was synced a moment ago, and whatever limit is spent."""
        self.connection.execute(
            update(portals).where(_P.name.in_({name.portal for name in names})).values(resumes_at=None)
        )
        facts: dict[str, Any] = {"due_at": _not_after(self.now)} | ({"at_once": True} if at_once else {})
        for name in names:
            self._change(name, **facts)

    def running(self, portal: str) -> int:
        """How many runs of the portal go on."""
        where = and_(_S.portal == portal, _S.worker.is_not(None))
        return self.connection.execute(select(func.count()).select_from(sites).where(where)).scalar_one()

    def orphans(self, living: Collection[int]) -> list[Name]:
        """What is said to be run by workers that are not among the ``living``."""
        rows = self.connection.execute(
            select(_S.portal, _S.website).where(_S.worker.is_not(None), _S.worker.not_in(living))
        )
        return [Name(portal, website) for portal, website in rows]

    def _change(self, name: Name, **facts: Any) -> None:
        self.connection.execute(update(sites).where(_is(name)).values(facts))


def is_open(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Of the portals those of which something may begin: not paused, nor left alone for a while."""
    return _P.paused_at.is_(None), _P.resumes_at.is_(None) | (_P.resumes_at <= now)


def _at(instant: datetime) -> ColumnElement[datetime]:
    return literal(instant, _INSTANT)


def _not_after(instant: datetime) -> ColumnElement[datetime]:
    """When the site is due, but at ``instant`` at the latest."""
    return func.least(_S.due_at, _at(instant), type_=_INSTANT)


def _is(name: Name) -> ColumnElement[bool]:
    return and_(_S.portal == name.portal, _S.website == name.website)


def _count(outcome: Outcome, failures: int) -> int:
    """Failures in a row: what was interrupted, rested or kept out says nothing of the site."""
    if outcome.is_done and not outcome.rested:
        return 0
    silent = outcome.rested or outcome.exit_code in INTERRUPTED or outcome.exit_code == LockedError.exit_code
    return failures if silent else failures + 1


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
