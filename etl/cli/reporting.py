"""``report``: how the websites and their sync fare."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from etl import files
from etl.cli import logs, notices
from etl.cli.beside import beside_runs
from etl.cli.month import month_limit
from etl.cli.people import say
from etl.cli.stopping import stoppable
from etl.clock import SystemClock
from etl.errors import InterruptedRunError, SettingsError, SyncError
from etl.models.summary import SyncedDay
from etl.models.traffic import CountryVisitors, span
from etl.settings import load
from etl.watch import wording
from etl.watch.report import Change, Report, SyncReport, WebsiteReport

if TYPE_CHECKING:
    from etl.cli.beside import Beside
    from etl.clock import Clock
    from etl.models.traffic import Traffic, TrafficReading
    from etl.settings import Settings
    from etl.state.store import Transaction

DAY = timedelta(days=1)
HISTORY = 30
"""Days."""


def make_report(range_: str, *, slack: bool, html: str | None, as_json: bool) -> int:
    """Print, post or write a report. Returns the exit code: that of the website that fared worst."""
    settings, clock = load(), SystemClock()
    logs.configure(settings.sync.log_format, settings.secrets())
    if slack and not settings.watch.webhook:
        raise SettingsError(
            "--slack needs SLACK_WEBHOOK_URL, which is missing: the URL of an incoming webhook.",
            fix="Make one in Slack (apps, Incoming Webhooks), and put its URL into .env or the environment.",
        )

    with stoppable(clock), beside_runs(settings, clock, reserve=0.0) as beside:
        report, failures = gather(beside, settings, clock, range_, history=bool(html))
        if html:
            write_page(report, html)
        if slack:
            _post(report, settings, clock)
        remember(beside, report)
    _print(report, as_json=as_json, quiet=bool(html or slack))
    for failure in failures:
        notices.error(failure)
    return max((failure.exit_code for failure in failures), default=0)


def gather(
    beside: Beside, settings: Settings, clock: Clock, range_: str, *, history: bool
) -> tuple[Report, list[SyncError]]:
    """Everything that a report says, and why a website is missing from it. Of the sync, the last day.

    The days before it, which only the page shows, cost a look at every run: they come with ``history``.
    """
    failures: list[SyncError] = []
    websites: list[WebsiteReport] = []
    for website in settings.zenovay.website_id:
        try:
            reading = beside.read(website, range_, suffices=lambda _: True)
        except InterruptedRunError:
            raise
        except SyncError as exc:
            failures.append(exc)
            websites.append(WebsiteReport(website, error=str(exc)))
        else:
            with beside.store.reading() as state:
                websites.append(_website(state, reading))
    now = clock.now()
    with beside.store.reading() as state:
        sync = _sync(state, settings, now)
        days = _history(state, now) if history else ()
    return Report(range_, now, tuple(websites), sync, days), failures


def remember(beside: Beside, report: Report) -> None:
    """It has been made: the next one is compared with it."""
    with beside.store.beside() as state:
        for each in report.websites:
            if each.read_at:
                state.readings.mark_reported(each.website, report.range, each.read_at)


def write_page(report: Report, place: str) -> None:
    """Write the page, whole or not at all. Raises SettingsError where that cannot be."""
    from etl.watch.page import page  # noqa: PLC0415 -- an extra

    text = page(report)
    try:
        files.replace(Path(place), text.encode(), mode=0o644)
    except OSError as exc:
        raise SettingsError(
            f"The page {place} cannot be written: {exc.strerror}.", fix="Name a file in a writable directory."
        ) from exc


def _website(state: Transaction, reading: TrafficReading) -> WebsiteReport:
    """A reading, beside the one of which the last report was made."""
    before = state.readings.last_reported(reading.website, reading.range, before=reading.at)
    traffic, ours = reading.traffic, False
    if not traffic.countries:
        countries = _countries(state, reading)
        traffic, ours = replace(traffic, countries=countries), bool(countries)
    change = _change(before, traffic) if before else None
    return WebsiteReport(reading.website, traffic, reading.at, change, countries_are_ours=ours)


def _change(before: TrafficReading, now: Traffic) -> Change:
    return Change(
        since=before.at,
        visitors=_percent(before.traffic.visitors, now.visitors),
        page_views=_percent(before.traffic.page_views, now.page_views),
    )


def _countries(state: Transaction, reading: TrafficReading) -> tuple[CountryVisitors, ...]:
    """Where the source names none: those of the visitors that the state holds."""
    from etl.countries import name  # noqa: PLC0415 -- few need it

    known = state.runs.known_website(reading.website)
    if known is None:
        return ()
    found = state.visitors.countries(known.id, since=reading.at - span(reading.range))
    return tuple(CountryVisitors(name(code) or code, count) for code, count in found)


def _percent(before: int | None, now: int | None) -> float | None:
    return (now - before) / before * 100 if before and now is not None else None


def _sync(state: Transaction, settings: Settings, now: datetime) -> SyncReport:
    since, names = now - DAY, settings.zenovay.website_id
    runs, contacts = Counter[str](), Counter[str]()
    for status, summary in state.runs.since(since):
        runs[status or "unfinished"] += 1
        contacts.update({name: int(count) for name, count in summary.get("contacts", {}).items()})
    counts, quota = state.ledger.counts(), state.limits.quota("zenovay")
    watermarks = [at for name in names if (at := state.runs.watermark(name))]
    return SyncReport(
        since=since,
        runs=runs,
        created=contacts["created"],
        updated=contacts["updated"],
        rejected=_rejected(state, since),
        confirmed=counts.confirmed,
        due=counts.due,
        absent=counts.absent,
        watermark_age=max(now - min(watermarks), timedelta(0)) if watermarks else None,
        quota=quota,
        month_limit=month_limit(quota, settings.zenovay),
    )


def _rejected(state: Transaction, since: datetime) -> dict[str, int]:
    """What was refused since then, by its code; the most first."""
    found = Counter(each.code for each in state.rejections.listed() if each.last >= since)
    return dict(found.most_common())


def _history(state: Transaction, now: datetime) -> tuple[SyncedDay, ...]:
    """The last days, also those on which nothing happened."""
    days = [(now.astimezone(UTC) - number * DAY).date() for number in reversed(range(HISTORY))]
    known = {each.day: each for each in state.runs.days(now - (HISTORY - 1) * DAY)}
    return tuple(known.get(day) or SyncedDay(day) for day in days)


def _post(report: Report, settings: Settings, clock: Clock) -> None:
    from etl.watch.slack import Slack, escaped  # noqa: PLC0415 -- httpx takes 50 ms

    slack = Slack(str(settings.watch.webhook), clock=clock)
    try:
        slack.post(escaped(wording.fallback(report)), wording.blocks(report))
    finally:
        slack.close()


def _print(report: Report, *, as_json: bool, quiet: bool) -> None:
    """For programs an object, for people a table; nothing off a terminal where it went elsewhere."""
    if as_json:
        click.echo(orjson.dumps(wording.as_object(report)))
    elif sys.stdout.isatty():
        from etl.cli.display import report_table  # noqa: PLC0415 -- rich costs 40 ms

        report_table(report)
    elif not quiet:
        for line in wording.lines(report):
            say(line)
