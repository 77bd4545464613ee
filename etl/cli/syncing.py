"""``run`` and ``backfill``."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from etl.cli import logs
from etl.cli.report import Report
from etl.clock import SystemClock
from etl.errors import LockedError, SettingsError, StateError, UnavailableError
from etl.models import RunSummary, Status
from etl.pipeline import Order, sync
from etl.settings import LONGEST_RANGE, load

if TYPE_CHECKING:
    from etl.cli.wiring import Session
    from etl.pipeline.ports import Stop
    from etl.settings import Settings
    from etl.state.store import Transaction

ONE_DAY = timedelta(days=1)


def incremental(*, now: bool, dry_run: bool, as_json: bool) -> int:
    """Sync every website's new visitors. Returns the exit code."""
    settings, clock = _start()
    order = Order(
        run="",
        kind="incremental",
        website="",
        lookback=settings.sync.lookback,
        initial=settings.sync.initial_range,
        dry_run=dry_run,
    )
    report = Report(as_json=as_json, always=dry_run)
    rests = not (now or dry_run)
    if rests and _all_rest(settings, clock, report):
        return report.close()
    return _sync_all(settings, clock, order, report, rests=rests, now=now)


def past(*, since: str, until: str | None, dry_run: bool, as_json: bool) -> int:
    """Sync a past range of every website. Returns the exit code."""
    settings, clock = _start()
    begin, end = parse_range(since, until, now=clock.now())
    order = Order(run="", kind="backfill", website="", since=begin, until=end, dry_run=dry_run)
    report = Report(as_json=as_json, always=True)
    return _sync_all(settings, clock, order, report, rests=False, now=False)


def parse_range(since: str, until: str | None, *, now: datetime) -> tuple[datetime, datetime | None]:
    """``[begin, end)`` in UTC; a date as ``until`` is inclusive, None is now.

    Raises SettingsError for what is no date, for a range that is empty or lies ahead, and for a beginning
    that the API cannot reach.
    """
    begin, _ = _parse_instant(since, "--from")
    end = None
    if until is not None:
        end, is_date = _parse_instant(until, "--to")
        end += ONE_DAY if is_date else timedelta(0)
    if begin >= now:
        raise SettingsError(
            "--from lies in the future.", fix="A backfill is for the past; run does the rest."
        )
    if end is not None and end <= begin:
        raise SettingsError("--to lies before --from.")
    earliest = now - LONGEST_RANGE
    if begin < earliest:
        first_day = (earliest + ONE_DAY).date()
        raise SettingsError(
            f"--from lies before what Zenovay can give: its longest range is {LONGEST_RANGE.days} days.",
            fix=f"The earliest instant is {earliest:%Y-%m-%dT%H:%M:%SZ}, the earliest whole day {first_day}.",
        )
    return begin, end


def _parse_instant(text: str, option: str) -> tuple[datetime, bool]:
    """The instant in UTC, and whether it was given as a whole day."""
    try:
        parsed = datetime.fromisoformat(text.strip())
        aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return aware.astimezone(UTC), len(text.strip()) <= len("2026-01-31")
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{option} is neither a date nor an ISO 8601 instant.",
            fix="Write it like 2026-01-31 or 2026-01-31T12:00:00Z.",
        ) from None


def _start() -> tuple[Settings, SystemClock]:
    settings = load()
    logs.configure(settings.sync.log_format, settings.secrets())
    return settings, SystemClock()


def _all_rest(settings: Settings, clock: SystemClock, report: Report) -> bool:
    """Look, without the lock, whether every website rests; if so, report that."""
    from etl.cli.wiring import state_url  # noqa: PLC0415
    from etl.state.store import read_state  # noqa: PLC0415

    with read_state(state_url(settings.sync), clock) as state:
        resting = _resting(settings, state, clock.now()) if state else {}
    if len(resting) < len(settings.zenovay.website_id):
        return False
    for website, since in resting.items():
        report.add(_skipped(website, since))
    return True


def _resting(settings: Settings, state: Transaction, now: datetime) -> dict[str, datetime]:
    """Websites whose last successful run started less than the minimum interval ago, and when."""
    starts = {website: state.runs.last_success(website) for website in settings.zenovay.website_id}
    since = now - settings.sync.min_interval
    return {website: start for website, start in starts.items() if start and since < start <= now}


def _skipped(website: str, since: datetime) -> RunSummary:
    reason = f"The last run started at {since:%Y-%m-%dT%H:%M:%SZ}, less than SYNC_MIN_INTERVAL ago."
    summary = RunSummary(uuid.uuid4().hex, "incremental", website, dry_run=False)
    summary.status, summary.reason = Status.SKIPPED, reason
    return summary


def _held_up(order: Order, stop: Stop) -> RunSummary:
    summary = RunSummary(order.run, order.kind, order.website, order.dry_run)
    summary.status, summary.exit_code = Status.INCOMPLETE, UnavailableError.exit_code
    summary.reason = f"{stop.reason} Nothing is asked before {stop.until:%Y-%m-%dT%H:%M:%SZ}."
    return summary


def _sync_all(
    settings: Settings, clock: SystemClock, order: Order, report: Report, *, rests: bool, now: bool
) -> int:
    from etl.cli.wiring import property_names, session, stoppable  # noqa: PLC0415

    order = replace(
        order,
        anonymous=settings.sync.anonymous == "upsert",
        concurrency=settings.hubspot.concurrency,
        names=property_names(settings.sync),
    )
    with stoppable(clock), session(settings, clock=clock, dry_run=order.dry_run) as opened:
        with opened.store.reading() as state:
            resting = _resting(settings, state, clock.now()) if rests else {}
        for website in settings.zenovay.website_id:
            mine = replace(order, run=uuid.uuid4().hex, website=website)
            with opened.store.reading() as state:
                stop = None if now else _stop_in_force(state, clock.now())
            if website in resting:
                report.add(_skipped(website, resting[website]))
            elif stop:
                report.add(_held_up(mine, stop))
            else:
                report.add(_sync_one(mine, opened, clock, report))
            if clock.interruption():
                break
    return report.close()


def _stop_in_force(state: Transaction, now: datetime) -> Stop | None:
    """The stop that ends last, of those that either API has asked for."""
    stops = [stop for api in ("zenovay", "hubspot") if (stop := state.limits.stop(api, now))]
    return max(stops, default=None)


def _sync_one(order: Order, opened: Session, clock: SystemClock, report: Report) -> RunSummary:
    with report.watching(order, clock) as observer:
        summary = sync(
            order,
            source=opened.source,
            destination=opened.destination,
            store=opened.store,
            clock=clock,
            interruption=clock.interruption,
            observer=observer,
        )
    if summary.exit_code not in {StateError.exit_code, LockedError.exit_code}:
        opened.remember_setup()
    return summary
