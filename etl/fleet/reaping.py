"""What dead workers leave behind: jobs that nobody ends, sites that are said to run, their own rows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from etl.fleet.engine import living
from etl.fleet.roll import Roll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.fleet.engine import Dead
    from etl.fleet.roster import Name, Roster
    from etl.fleet.schedule import Schedule

log = logging.getLogger(__name__)


class Queue(Protocol):
    async def dead(self) -> Sequence[Dead]: ...

    async def fail(self, number: int) -> bool: ...


async def end_jobs(queue: Queue) -> None:
    """End the jobs of dead workers, so that others of their portals can run."""
    for job in await queue.dead():
        if await queue.fail(job.number):
            facts = {"action": "job_reaped", "portal_name": job.site and job.site.portal}
            log.warning(
                "the worker of a job is dead", extra={**facts, "website": job.site and job.site.website}
            )


def free_sites(schedule: Schedule) -> tuple[list[Name], list[Roster]]:
    """Make due what dead workers are said to run, and mark them; inside a transaction.

    Returns what that was, and what each of the living declares, the last one to start last.
    """
    alive = living(schedule.connection)
    orphans = schedule.orphans(alive)
    schedule.bereave(orphans)
    roll = Roll(schedule.connection, schedule.now)
    called = roll.call(alive)
    for worker in called.dead:
        facts = {"action": "worker_died", "host": worker.host, "pid": worker.pid}
        log.warning("a worker is dead", extra=facts)
    for worker in called.back:
        facts = {"action": "worker_back", "host": worker.host, "pid": worker.pid}
        log.warning("a worker that was silent works again", extra=facts)
    return orphans, roll.declared(alive)
