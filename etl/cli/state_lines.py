"""``status`` in words: what matters first, and details only of what is wrong. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from etl.cli.people import ago, at, named
from etl.models.summary import Status, utc_second

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from etl.cli.month import Month
    from etl.cli.state_status import StateStatus, WebsiteStatus
    from etl.models.reading import Backfill
    from etl.models.summary import Failing

ONE_RUN = ("started", "kind", "status", "rows", "created", "updated", "rejected", "deferred", "run", "reason")


def status_lines(found: StateStatus, now: datetime) -> Iterator[str]:
    """What is said of the state as a whole, below its place."""
    owner = found.owner
    yield f"portal: {(owner and owner.portal) or 'not known yet'}"
    yield "contacts: " + _contacts(found)
    yield f"lock: {_lock(found, now)}"
    for api, stop in found.stops:
        yield (
            f"nothing is asked of {api} before {at(stop.until, now)} ({stop.kind},"
            f" by {stop.said_by or 'somebody'}): {stop.reason}"
        )
    if not found.websites:
        yield "no website was ever synced"
        return
    yield f"requests to Zenovay: {_month(found.month, now)}"
    yield f"schedule: {found.month.sentence}"
    foreign = len(found.websites) - len(found.shown)
    if foreign:
        yield f"{foreign} websites not in the settings: visitor-sync forget-website W clears them"
    if found.unread:
        yield f"never synced: {', '.join(found.unread)}"


def _contacts(found: StateStatus) -> str:
    counts = found.contacts
    usual = f"{counts.confirmed} confirmed, {counts.due} due, {counts.rejected} rejected"
    rare = {"absent": counts.absent, "gone": counts.gone}
    return usual + "".join(f", {count} {name}" for name, count in rare.items() if count)


def _lock(found: StateStatus, now: datetime) -> str:
    holder = found.holder
    return f"process {holder.pid} on {holder.host} since {at(holder.since, now)}" if holder else "free"


def _month(month: Month, now: datetime) -> str:
    quota, until = month.quota, month.lasts_until
    if quota is None:
        return "none counted yet"
    of = f" of {quota.limit}" if quota.limit else ""
    used = f"{quota.used}{of} used, {month.left} left until the month ends, {at(quota.resets_at, now)}"
    if until:
        return f"{used}; they last until about {at(until, now)}"
    return f"{used}; they last" if month.schedule else used


def state_word(website: WebsiteStatus) -> str:
    """How a website fares, in a word."""
    if website.failing:
        return "failing"
    return "ok" if website.last_success else "never synced"


def website_cells(found: StateStatus, now: datetime) -> list[Sequence[object]]:
    """A row for each website: its name, how it fares, its last good run, its watermark, and the next run."""
    return [
        (
            website.website,
            state_word(website),
            _ago(website.last_success, now),
            _ago(website.watermark, now),
            _due(website, now),
        )
        for website in found.shown
    ]


def website_lines(found: StateStatus, now: datetime) -> Iterator[str]:
    """A line for each website, and below it what is wrong there: where no table says it."""
    for website in found.shown:
        read = at(website.watermark, now) if website.watermark else "never"
        good = at(website.last_success, now) if website.last_success else "never"
        yield (
            f"website {website.website}: {state_word(website)}; last good run: {good};"
            f" read completely up to: {read}; next run: {_due(website, now)}"
        )
        if website.failing:
            yield f"  {_failing([website.failing], now)}"
        yield from (f"  {line}" for line in _unwell(website, now))


def wrong_lines(found: StateStatus, now: datetime) -> Iterator[str]:
    """What is wrong, below a table of the websites: once where several fail for one reason."""
    by_reason: defaultdict[tuple[int | None, str | None], list[WebsiteStatus]] = defaultdict(list)
    for website in found.shown:
        if website.failing:
            by_reason[website.failing.exit_code, website.failing.reason].append(website)
    for websites in by_reason.values():
        several = [website.failing for website in websites if website.failing]
        yield f"{named([website.website for website in websites])}: {_failing(several, now)}"
    for website in found.shown:
        yield from (f"{website.website}: {line}" for line in _unwell(website, now))


def _failing(several: Sequence[Failing], now: datetime) -> str:
    """Of websites that fail for one reason: since the first of their runs."""
    since, most, last = min(each.since for each in several), max(each.runs for each in several), several[0]
    runs = f"{most} runs in a row" if most > 1 else "1 run"
    code = f"exit code {last.exit_code}" if last.exit_code is not None else "killed"
    return f"failing since {at(since, now)}, {runs}; the last: {code}. {last.reason or ''}".rstrip()


def _unwell(website: WebsiteStatus, now: datetime) -> Iterator[str]:
    if website.degraded:
        since, why = website.degraded
        yield f"degraded since {at(since, now)}: {why}"
    for backfill in website.backfills:
        yield _unfinished(backfill)


def _due(website: WebsiteStatus, now: datetime) -> str:
    due = website.next_run
    if due is None:
        return "not known"
    return f"due {ago(due, now)}" if due > now else f"was due {ago(due, now)}"


def _ago(instant: datetime | None, now: datetime) -> str | None:
    return ago(instant, now) if instant else None


def _unfinished(backfill: Backfill) -> str:
    reached = backfill.bookmark and backfill.bookmark.reached
    return (
        f"unfinished backfill of {utc_second(backfill.since)} to {utc_second(backfill.until)}:"
        f" {backfill.requests} requests so far, reached {utc_second(reached) if reached else 'nothing yet'};"
        " the same backfill command goes on from there"
    )


def run_cells(run: dict[str, Any], now: datetime, *, going_on: bool, terminal: bool) -> Sequence[object]:
    """A run in a row of the table ONE_RUN."""
    rows, contacts = run.get("rows", {}), run.get("contacts", {})
    counts = (contacts.get(name) for name in ("created", "updated", "rejected", "deferred"))
    started = ago(run["started"], now) if terminal else utc_second(run["started"])
    status = _word(run["status"], going_on=going_on)
    return (started, run["kind"], status, rows.get("read"), *counts, run["run"], run.get("reason"))


def _word(status: str | None, *, going_on: bool) -> str:
    if status is None:
        return "going on" if going_on else "killed"
    return "FAILED" if status == Status.FAILED else status
