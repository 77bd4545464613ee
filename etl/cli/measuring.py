"""The metrics of SYNC_METRICS_FILE, from what the state says after a run."""

from __future__ import annotations

import logging
from contextlib import suppress
from importlib.metadata import version
from itertools import groupby
from typing import TYPE_CHECKING

from etl.cli.derived import state_url
from etl.cli.limited import limited
from etl.cli.month import month_limit
from etl.errors import SyncError
from etl.state.store import read_state
from etl.watch.metrics import Metrics, PortalMetrics, WebsiteMetrics, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from etl.cli.subjects import Subject
    from etl.clock import Clock
    from etl.state.store import Transaction
    from etl.watch.outcome import Outcome

log = logging.getLogger(__name__)


def measure(path: Path, subjects: Sequence[Subject], outcome: Outcome, clock: Clock) -> None:
    """Write the metrics; where that cannot be, the log says so. Without ``subjects`` few are known."""
    try:
        write(path, _metrics(subjects, outcome, clock))
    except Exception as exc:  # noqa: BLE001 -- whatever it is, the run has ended as it has
        why = str(exc) if isinstance(exc, SyncError) else type(exc).__name__
        facts = {"action": "metrics_failed", "why": why}
        log.warning("the metrics were not written", extra=facts)


def _metrics(subjects: Sequence[Subject], outcome: Outcome, clock: Clock) -> Metrics:
    """What is known; of what cannot be read, how the command ended."""
    portals = {portal: [*theirs] for portal, theirs in groupby(subjects, key=lambda each: each.portal)}
    return Metrics(
        version=version("visitor-sync"),
        last_command_exit_code=outcome.exit_code,
        last_command_timestamp_seconds=outcome.at.timestamp(),
        portals=tuple(_portal(portal, theirs, outcome.at, clock) for portal, theirs in portals.items()),
    )


def _portal(name: str | None, subjects: Sequence[Subject], now: datetime, clock: Clock) -> PortalMetrics:
    """What one state says; nothing where it cannot be read."""
    settings = subjects[0].settings
    websites = [website for each in subjects for website in each.settings.zenovay.website_id]
    with (
        suppress(SyncError),
        read_state(state_url(settings.sync), clock) as state,
        limited(settings.shared, state, clock),
    ):
        if state:
            quota = state.limits.latest_quota("zenovay")
            return PortalMetrics(
                name=name,
                websites=tuple(_website(state, each, now) for each in websites),
                contacts=state.ledger.counts()._asdict(),
                requests_month_used=quota.used if quota else None,
                requests_month_limit=month_limit(quota, settings.zenovay),
                month_reset_timestamp_seconds=quota.resets_at.timestamp() if quota else None,
            )
    return PortalMetrics(name=name)


def _website(state: Transaction, name: str, now: datetime) -> WebsiteMetrics:
    last = next(iter(state.runs.last(name, 1)), {})
    ended = last.get("ended")
    return WebsiteMetrics(
        website=name,
        last_run_timestamp_seconds=_seconds(ended),
        last_success_timestamp_seconds=_seconds(state.runs.last_success(name, now=now)),
        watermark_timestamp_seconds=_seconds(state.runs.watermark(name)),
        last_run_exit_code=last.get("exit_code"),
        last_run_duration_seconds=last.get("elapsed_s"),
        last_run_rows=last.get("rows"),
        last_run_contacts=last.get("contacts"),
        last_run_requests=last.get("requests"),
    )


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
