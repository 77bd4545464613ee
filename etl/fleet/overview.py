"""How the fleet fares: what the shared tables say, without a look into the portals' states."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from etl.fleet.engine import living, waiting
from etl.fleet.roster import Name
from etl.fleet.stops import key_row, portal_row
from etl.fleet.tables import backfills, limits, portals, sites, workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from etl.fleet.roster import Roster, Site

_TOLD = timedelta(minutes=5)
"""So long a worker that died is told of, once another one has taken up what it had."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A process that works, or was seen to have died."""

    host: str
    pid: int
    version: str
    started: datetime
    alive: bool


@dataclass(frozen=True, slots=True)
class SiteState:
    """How a site fares. ``worker`` runs it ``since``; ``waiting`` it is queued.

    ``next_run`` is None where its portal is paused, and where no worker has taken it up yet. ``exit_code`` is
    None where it never ran, and where its worker died, as ``reason`` says then. ``skipped``: why there was
    nothing to do at the last look, after that run.
    """

    site: Site
    last_success: datetime | None = None
    watermark: datetime | None = None
    next_run: datetime | None = None
    waiting: bool = False
    worker: WorkerState | None = None
    since: datetime | None = None
    run: str | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    reason: str | None = None
    skipped: str | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class BackfillState:
    """A past range of what is read with ``key``: how much of it is read, and how it ended, if it has."""

    key: str
    since: datetime
    until: datetime | None
    asked: datetime
    requests: int
    rows: int
    ended: datetime | None
    exit_code: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of the month of a key, or of the day of a portal.

    ``limit`` is the other side's word, or else that of the settings. Nothing is asked till ``stopped_until``.
    """

    name: str
    used: int | None = None
    limit: int | None = None
    resets_at: datetime | None = None
    stopped_until: datetime | None = None
    stop_reason: str | None = None


@dataclass(frozen=True, slots=True)
class PortalState:
    """How a portal fares. ``due`` and ``rejected`` contacts are as of its last run that changed them.

    It is left alone until ``resumes``, as it was down.
    """

    name: str
    sites: Sequence[SiteState]
    quotas: Sequence[Quota]
    day: Quota
    backfills: Sequence[BackfillState]
    paused: datetime | None = None
    resumes: datetime | None = None
    due: int | None = None
    rejected: int | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """The fleet at ``now``, by the database's clock."""

    now: datetime
    portals: Sequence[PortalState]
    workers: Sequence[WorkerState]


def look_at(
    connection: Connection, roster: Roster, now: datetime, plans: Mapping[str, int | None]
) -> Overview:
    """What is declared, as it fares; inside a transaction.

    ``plans``: requests of a month, or of a day, by the settings, under the name of a limit's row.
    """
    return _Look(connection, roster, now, plans).overview()


class _Look:
    def __init__(
        self, connection: Connection, roster: Roster, now: datetime, plans: Mapping[str, int | None]
    ) -> None:
        self._plans = plans
        self._roster = roster
        self._now = now
        self._sites = {Name(row.portal, row.website): row for row in connection.execute(select(sites))}
        self._portals = {row.name: row for row in connection.execute(select(portals))}
        self._limits = {row.name: row for row in connection.execute(_LIMITS)}
        self._backfills = list(connection.execute(select(backfills).order_by(backfills.c.id)))
        self._waiting = waiting(connection)
        self._workers = self._known(connection)

    def _known(self, connection: Connection) -> Mapping[int, WorkerState]:
        alive = living(connection)
        is_told = workers.c.gone_at.is_(None) | (workers.c.gone_at > self._now - _TOLD)
        return {
            row.id: WorkerState(
                row.host, row.pid, row.version, row.started, row.gone_at is None and row.id in alive
            )
            for row in connection.execute(
                select(workers).where(is_told).order_by(workers.c.host, workers.c.pid)
            )
        }

    def overview(self) -> Overview:
        names = dict.fromkeys(name.portal for name in self._roster.sites)
        return Overview(self._now, [self._portal(name) for name in names], list(self._workers.values()))

    def _portal(self, name: str) -> PortalState:
        row, declared = self._portals.get(name), self._roster.of_portal(name)
        known: dict[str, Any] = {}
        if row:
            resumes = row.resumes_at if row.resumes_at and row.resumes_at > self._now else None
            known = {"paused": row.paused_at, "resumes": resumes}
            known |= {"due": row.contacts_due, "rejected": row.contacts_rejected}
        return PortalState(
            name,
            [self._site(site, row) for site in declared],
            [self._quota(key, key_row(key)) for key in dict.fromkeys(site.key for site in declared)],
            self._quota(name, portal_row(name)),
            self._past(name),
            **known,
        )

    def _site(self, site: Site, portal: Row[Any] | None) -> SiteState:
        row = self._sites.get(site.name)
        if row is None or portal is None:
            return SiteState(site)
        return SiteState(
            site,
            last_success=row.succeeded,
            watermark=row.watermark,
            next_run=None if portal.paused_at else max(filter(None, (row.due_at, portal.resumes_at))),
            waiting=str(site.name) in self._waiting,
            worker=self._workers.get(row.worker),
            since=row.running_since,
            run=row.run,
            ended=row.ended,
            exit_code=row.exit_code,
            reason=row.reason,
            skipped=row.skipped,
            failures=row.failures,
        )

    def _quota(self, name: str, of: str) -> Quota:
        row, plan = self._limits.get(of), self._plans.get(of)
        if row is None:
            return Quota(name, limit=plan)
        is_stopped = row.stopped_until is not None and row.stopped_until > self._now
        stop = (row.stopped_until, row.stop_reason) if is_stopped else (None, None)
        is_over = row.period_ends is not None and row.period_ends <= self._now
        limit = row.period_limit or plan
        used = (0, limit, None) if is_over else (row.used, limit, row.period_ends)
        return Quota(name, *used, *stop)

    def _past(self, portal: str) -> list[BackfillState]:
        return [
            BackfillState(
                row.key,
                row.since,
                row.until,
                row.asked_at,
                row.requests,
                row.rows,
                row.ended_at,
                row.exit_code,
                row.reason,
            )
            for row in self._backfills
            if row.portal == portal
        ]


_L = limits.c
_LIMITS = select(_L.name, _L.used, _L.period_limit, _L.period_ends, _L.stopped_until, _L.stop_reason)
