"""``run`` as it is called by hand, by a scheduler, or by cron without ``--cron``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.cli import logs
from etl.cli.printout import Printout
from etl.cli.stopping import stoppable
from etl.cli.watched import watched
from etl.cli.work import load_work
from etl.clock import SystemClock

if TYPE_CHECKING:
    from etl.cli.options import DryRun
    from etl.cli.wish import Wish
    from etl.cli.work import Work


def attended(wish: Wish, *, dry_run: DryRun | None, as_json: bool) -> int:
    """Sync what is wished for, and print how that went. Returns the exit code."""
    clock = SystemClock()
    printout = Printout(as_json=as_json, always=wish.dry_run, dry_run=dry_run)
    if wish.dry_run:
        work = begin(wish)
        with stoppable(clock):
            return work.sync(clock, printout, wish)
    logs.configure(None, ())  # for what is said of pings before the settings are read, or if they cannot be
    with watched(clock, printout.summaries) as watching:
        work = begin(wish)
        watching.subjects = work.subjects
        with stoppable(clock):
            code = work.sync(clock, printout, wish)
        watching.end(code)
        return code


def begin(wish: Wish) -> Work:
    """The work, with the log set up as its settings say. Raises SettingsError."""
    work = load_work(wish)
    logs.follow(work.log, work.secrets())
    return work
