"""``status`` and ``rejections``: what the state says."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
import orjson

from etl.cli import logs
from etl.cli.derived import state_place, state_url
from etl.cli.month import look
from etl.cli.websites import chosen
from etl.clock import SystemClock
from etl.errors import SettingsError, SyncError
from etl.models.summary import Status, utc_second, utc_text
from etl.settings import load, load_status, load_sync
from etl.state.store import Store, open_state, read_state
from etl.state.urls import parse_url, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime, timedelta

    from etl.models.reading import Backfill, KnownWebsite
    from etl.models.stop import Stop
    from etl.models.verdict import RefusedThing
    from etl.settings import PlanSettings, SyncSettings
    from etl.state.lock import Holder
    from etl.state.store import Transaction

SHOWN_RUNS = 10
_RUN_COLUMNS = ("started", "kind", "status", "rows", "created", "updated", "rejected", "deferred", "reason")


def show_status(*, websites: Sequence[str] = (), as_json: bool) -> int:
    """Print what the state holds, of all or these ``websites``. Returns the exit code."""
    plan, sync = load_status()
    shown = chosen(websites, plan.website_id or ()) if websites else None
    clock, url = SystemClock(), _state_url(sync)
    found: dict[str, Any] = {"state": place(parse_url(url))}
    with read_state(url, clock) as state:
        found |= _status(state, plan, clock.now()) if state else _EMPTY
        title = _title(found["state"], state)
    if shown is not None:
        found["websites"] = [each for each in found["websites"] if each["website"] in shown]
    if as_json:
        click.echo(orjson.dumps(found))
    else:
        click.echo(title)
        _print_status(found)
    return 0


def show_health(*, websites: Sequence[str] = (), as_json: bool) -> int:
    """Print why the sync of all or these ``websites`` is not healthy, if it is not: for monitors.

    Returns 0 if it is, else 1.
    """
    why = list(_ailments(websites))
    if as_json:
        click.echo(orjson.dumps({"healthy": not why, "why": why}))
    else:
        for sentence in why or ["healthy"]:
            click.echo(sentence)
    return 1 if why else 0


def _ailments(websites: Sequence[str]) -> Iterator[str]:
    """What ``run --cron`` would tell of, as far as settings and state show it."""
    try:
        settings, clock = load(), SystemClock()
        logs.configure(settings.sync.log_format, settings.secrets())
        names = chosen(websites, settings.zenovay.website_id)
        with read_state(state_url(settings.sync), clock) as state:
            if state is None:
                yield f"There is no state yet ({state_place(settings.sync)}): no run has begun."
                return
            for website in names:
                yield from _ailment(state, website, settings.sync.stale_after, clock.now())
    except SyncError as exc:
        yield str(exc)


def _ailment(state: Transaction, website: str, stale_after: timedelta, now: datetime) -> Iterator[str]:
    last = next(iter(state.runs.last(website, 1)), None)
    good = state.runs.last_success(website, now=now)
    reason = f" {last['reason']}" if last and last.get("reason") else ""
    if last and last["status"] == Status.FAILED.value:
        yield f"{website}: the last run failed with exit code {last.get('exit_code')}.{reason}"
    elif good is None:
        yield f"{website}: nothing was synced yet.{reason}"
    elif now - good > stale_after:
        yield f"{website}: nothing was synced since {utc_second(good)}.{reason}"


def _title(where: str, state: Transaction | None) -> str:
    if state is None:
        return f"state: {where}, not there yet"
    if state.older:
        return f"state: {where}, made by an older version ({state.older}); the next run upgrades it"
    return f"state: {where}"


_EMPTY: dict[str, Any] = {
    "websites": [],
    "contacts": {"confirmed": 0, "due": 0, "rejected": 0, "absent": 0, "gone": 0},
    "lock": None,
    "portal": None,
    "stops": [],
}


def _status(state: Transaction, plan: PlanSettings, now: datetime) -> dict[str, Any]:
    websites = state.runs.websites()
    owner = state.ownership.owner()
    return {
        "websites": [_website(state, name, website) for name, website in websites.items()],
        "contacts": state.ledger.counts()._asdict(),
        "lock": _holder(state.holder()),
        "portal": owner.portal_id if owner else None,
        "stops": [_stop(api, stop) for api, stop in state.limits.stops()],
        **look(state, websites, plan, now, state.limits.latest_quota("zenovay")).as_object(),
    }


def _stop(api: str, stop: Stop) -> dict[str, Any]:
    return {"api": api, **stop._asdict(), "until": utc_text(stop.until)}


def _website(state: Transaction, name: str, website: KnownWebsite) -> dict[str, Any]:
    degraded = state.runs.degraded(website.id)
    return {
        "website": name,
        "watermark": utc_text(website.watermark),
        "swept": utc_text(website.swept),
        "degraded": degraded and {"since": utc_text(degraded[0]), "why": degraded[1]},
        "backfills": [_unfinished(backfill) for backfill in state.backfills.unfinished(name)],
        "runs": state.runs.last(name, SHOWN_RUNS),
    }


def _unfinished(backfill: Backfill) -> dict[str, Any]:
    bookmark = backfill.bookmark
    return {
        "since": utc_text(backfill.since),
        "until": utc_text(backfill.until),
        "started": utc_text(backfill.started),
        "reached": utc_text(bookmark.reached) if bookmark else None,
        "rows": bookmark.offset if bookmark else 0,
        "requests": backfill.requests,
    }


def _holder(holder: Holder | None) -> dict[str, Any] | None:
    if holder is None:
        return None
    return {
        "owner": holder.owner,
        "host": holder.host,
        "pid": holder.pid,
        "since": utc_text(holder.since),
    }


def _print_status(found: dict[str, Any]) -> None:
    contacts = found["contacts"]
    more = "".join(f", {contacts[each]} {each}" for each in ("absent", "gone") if contacts[each])
    click.echo("contacts: {confirmed} confirmed, {due} due, {rejected} rejected".format(**contacts) + more)
    lock = found["lock"]
    holder = f"process {lock['pid']} on {lock['host']} since {lock['since']}" if lock else "free"
    click.echo(f"lock: {holder}")
    if found["portal"] is not None:
        click.echo(f"portal: {found['portal']}")
    for stop in found["stops"]:
        click.echo(_STOPPED.format(**stop, by=stop["said_by"] or "somebody"))
    if not found["websites"]:
        click.echo("no website was ever synced")
        return
    click.echo(f"requests to Zenovay: {_month(found['month'])}")
    click.echo(f"schedule: {found['schedule']['says']}")
    for website in found["websites"]:
        watermark = website["watermark"] or "never"
        click.echo(f"website {website['website']}: read completely up to {watermark}")
        if degraded := website["degraded"]:
            click.echo(f"  degraded since {degraded['since']}: {degraded['why']}")
        for backfill in website["backfills"]:
            click.echo("  " + _UNFINISHED.format(**backfill))
        _print_rows("last runs", _RUN_COLUMNS, (_run_cells(run) for run in website["runs"]))


_STOPPED = "nothing is asked of {api} before {until} ({kind}, by {by}): {reason}"
_UNFINISHED = (
    "unfinished backfill of {since} to {until}: {requests} requests so far, reached {reached};"
    " the same backfill command goes on from there"
)


def _month(month: dict[str, Any] | None) -> str:
    if month is None:
        return "none counted yet"
    of = f" of {month['limit']}" if month["limit"] else ""
    return f"{month['used']}{of} used, until {month['resets_at']}"


def _run_cells(run: dict[str, Any]) -> Sequence[object]:
    rows, contacts = run.get("rows", {}), run.get("contacts", {})
    counts = (contacts.get(name) for name in ("created", "updated", "rejected", "deferred"))
    status = run["status"] or "killed"
    return (run["started"], run["kind"], status, rows.get("read"), *counts, run.get("reason"))


def list_rejections(*, as_json: bool) -> int:
    """Print every rejection, the latest first. Returns the exit code."""
    url = _state_url(load_sync())
    with read_state(url, SystemClock()) as state:
        listed = list(state.rejections.listed()) if state else []
        title = _title(place(parse_url(url)), state)
    if as_json:
        click.echo(orjson.dumps([_rejection(thing) for thing in listed]))
        return 0
    click.echo(title)
    if listed:
        columns = ("key", "kind", "reason", "code", "attempts", "first", "last", "correlation id")
        _print_rows("rejections", columns, (list(_rejection(thing).values()) for thing in listed))
    else:
        click.echo("nothing was refused")
    return 0


def _rejection(thing: RefusedThing) -> dict[str, Any]:
    return {**asdict(thing), "first": utc_text(thing.first), "last": utc_text(thing.last)}


def retry_rejections(keys: Sequence[str], *, as_json: bool) -> int:
    """Make refused contacts due again, all of them without ``keys``. Returns the exit code.

    Raises SettingsError where a key is not listed, and LockedError while a run goes on.
    """
    clock = SystemClock()
    with open_state(_state_url(load_sync()), clock) as connection:
        store = Store(connection, clock=clock)
        with store.locked(), store.transaction() as state:
            unknown = state.rejections.unknown(keys)
            if unknown:
                raise SettingsError(
                    f"{len(unknown)} of the given keys are not among the rejections.",
                    fix="visitor-sync rejections list shows the keys.",
                )
            rows = state.rejections.refused_rows(keys or None)
            contact_ids, count = state.rejections.retry(keys or None)
            state.ledger.retry(contact_ids)
    backfill = rows and f"visitor-sync backfill --from {rows[1]:%Y-%m-%d} --to {rows[2]:%Y-%m-%d}"
    if as_json:
        done = {"retried": count, "contacts_due": len(contact_ids)}
        click.echo(orjson.dumps({**done, "rows": rows[0] if rows else 0, "backfill": backfill}))
        return 0
    click.echo(f"{count} rejections lifted; {len(contact_ids)} contacts are due at the next run")
    if rows:
        click.echo(f"{rows[0]} of them are rows, which are not kept; this reads them again: {backfill}")
    return 0


def _state_url(settings: SyncSettings) -> str:
    logs.configure(settings.log_format, [])
    return state_url(settings)


def _print_rows(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    if sys.stdout.isatty():
        from etl.cli.display import show  # noqa: PLC0415 -- rich costs 40 ms

        show(title, columns, rows)
        return
    for row in rows:
        click.echo("\t".join("" if cell is None else " ".join(str(cell).split()) for cell in row))
