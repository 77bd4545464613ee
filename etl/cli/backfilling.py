"""``backfill``: a past range of websites, be they read with one key or with several."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from etl.cli import logs
from etl.cli.printout import CHANGES, Printout
from etl.cli.stopping import stoppable
from etl.cli.subjects import Subject
from etl.cli.syncing import parse_range, source_clock, start, sync_past
from etl.cli.websites import chosen
from etl.clock import SystemClock
from etl.errors import SettingsError, SyncError
from etl.settings import chosen_portal, load, load_fleet
from etl.watch.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.cli.options import DryRun


class Past(NamedTuple):
    """What is asked for: ``[since, until)``, and so many requests to Zenovay with each key."""

    window: tuple[datetime, datetime | None]
    max_requests: int | None
    dry_run: DryRun | None
    as_json: bool


def past(
    *,
    since: str,
    until: str | None,
    max_requests: int | None,
    websites: Sequence[str],
    dry_run: DryRun | None,
    as_json: bool,
) -> int:
    """Sync a past range of all or these ``websites``, with so many requests to Zenovay.

    Returns the exit code. Of a portal that is read with several keys, each may send so many requests.
    """
    subjects, clock = _subjects(), SystemClock()
    names = chosen(websites, [name for each in subjects for name in each.settings.zenovay.website_id])
    first = start(subjects[0].settings)
    window = parse_range(since, until, now=clock.now(), there=source_clock(first, clock))
    wanted = Past(window, max_requests, dry_run, as_json)
    code = SyncError.exit_code
    try:
        with stoppable(clock):
            code = _of_all(subjects, names, wanted, clock)
    except SyncError as exc:
        code = exc.exit_code
        raise
    finally:
        if first.watch.metrics_file and not dry_run:
            from etl.cli.measuring import measure  # noqa: PLC0415 -- few need it

            measure(first.watch.metrics_file, subjects, Outcome(clock.now(), code), clock)
    return code


def _subjects() -> list[Subject]:
    """The settings of all keys that the websites are read with. Raises SettingsError."""
    if chosen_portal() is None:
        return [Subject(load())]
    tenants = load_fleet().tenants
    if not tenants:
        raise SettingsError(f"The portal {chosen_portal()} has no website.", fix="Name one in [[sites]].")
    return [Subject(each.settings, each.portal) for each in tenants]


def _of_all(subjects: Sequence[Subject], names: Sequence[str], wanted: Past, clock: SystemClock) -> int:
    """One key after the other, until somebody interrupts it."""
    codes: list[int] = []
    for settings, portal in subjects:
        mine = [name for name in settings.zenovay.website_id if name in names]
        if not mine or clock.interruption():
            continue
        start(settings)
        report = Printout(as_json=wanted.as_json, always=True, dry_run=wanted.dry_run, portal=portal)
        with logs.of_portal(portal):
            codes.append(
                sync_past(
                    settings,
                    clock,
                    report,
                    window=wanted.window,
                    max_requests=wanted.max_requests,
                    websites=mine,
                    dry_run=bool(wanted.dry_run),
                )
            )
    failures = [code for code in codes if code not in {0, CHANGES}]
    return max(failures or codes)
