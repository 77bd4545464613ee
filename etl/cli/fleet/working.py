"""``fleet worker``."""

from __future__ import annotations

import logging
import os
import socket
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from etl.cli.fleet.opening import declared, roster_of, shared
from etl.cli.fleet.work import TenantWork
from etl.cli.stopping import stoppable
from etl.clock import SystemClock
from etl.fleet.permits import permits
from etl.fleet.roll import Worker as Who
from etl.fleet.worker import Worker

if TYPE_CHECKING:
    from etl.settings import Fleet

log = logging.getLogger(__name__)

_OF_EVERY_RUN = ("etl.cli.wiring", "etl.state.postgres")
"""What a run imports late; here no thread has to wait for another that does."""


def work(*, concurrency: int) -> int:
    """Do the fleet's jobs until a signal. Returns the exit code.

    Raises SettingsError, and StateError where the tables are missing, or a newer version's, or away for long.
    """
    fleet, clock = declared(), SystemClock()
    with shared(fleet):
        pass
    for name in _OF_EVERY_RUN:
        import_module(name)
    who = Who(socket.gethostname(), os.getpid(), version("visitor-sync"))
    worker = Worker(
        fleet.url, roster_of(fleet), TenantWork(fleet, clock), clock=clock, concurrency=concurrency, who=who
    )
    log.info(
        "the worker starts", extra={"action": "worker_started", "concurrency": concurrency, **who._asdict()}
    )
    _warn_of_silence(fleet)
    with stoppable(clock), permits(fleet.url, {}, clock):  # one connection for all its runs
        worker.serve()
    stopped = clock.interruption()
    code = stopped.exit_code if stopped else 0
    log.info("the worker has ended", extra={"action": "worker_finished", "exit_code": code})
    return code


def _warn_of_silence(fleet: Fleet) -> None:
    """Workers tell nobody: each knows of a part only, and of none what no worker has come to."""
    watch = fleet.tenants[0].settings.watch  # these are common to all portals
    told = {
        "SYNC_NOTIFY": watch.notify,
        "SYNC_PING_URL": watch.ping_url,
        "SYNC_METRICS_FILE": watch.metrics_file,
    }
    names = [name for name, value in told.items() if value is not None]
    if names:
        facts = {
            "action": "watching_left_out",
            "settings": names,
            "fix": "Have your scheduler or monitoring ask visitor-sync status --healthy.",
        }
        log.warning("workers neither tell, nor ping, nor write metrics", extra=facts)
