"""``status``: what the state says, for programs and for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import orjson

from etl.cli import logs
from etl.cli.derived import state_place, state_title, state_url
from etl.cli.limited import limited
from etl.cli.people import ago, say, shortened, tabbed
from etl.cli.state_lines import ONE_RUN, run_cells, status_lines, website_cells, website_lines, wrong_lines
from etl.cli.state_status import EMPTY, look_at
from etl.cli.websites import chosen
from etl.clock import SystemClock
from etl.models.summary import utc_second, utc_text
from etl.settings import chosen_portal, load_every, load_shared, load_status
from etl.state.store import read_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.cli.state_status import StateStatus, WebsiteStatus
    from etl.models.listed import ListedContact
    from etl.settings import PlanSettings, SyncSettings

SHOWN_RUNS = 10
"""Of each website, for programs."""

READ_RUNS = 5
"""For people, where there is one website only."""


def show_status(*, runs: int | None = None, websites: Sequence[str] = (), as_json: bool) -> int:
    """Print what the state holds, of all or these ``websites``, with the last ``runs`` of each.

    Returns the exit code.
    """
    plan, sync, clock = *_settings(), SystemClock()
    shared, every = load_shared(), dict(load_every()) if chosen_portal() else {}
    shown = chosen(websites, plan.website_id or ()) if websites else None
    now = clock.now()
    with read_state(state_url(sync), clock) as state, limited(shared, state, clock):
        most = SHOWN_RUNS if runs is None else runs
        found = look_at(state, plan, sync.min_interval, now, runs=most, every=every) if state else None
        title = state_title(sync, state)
    if found and shown is not None:
        found = found.only(shown)
    if as_json:
        click.echo(orjson.dumps({"state": state_place(sync), **(found.as_object() if found else EMPTY)}))
        return 0
    say(title)
    if found is None:
        say("no website was ever synced")
    else:
        _print_status(found, now, runs=runs)
    return 0


def show_contacts(which: str, *, most: int, as_json: bool) -> int:
    """Print the first contacts that are ``which``, and how many there are. Returns the exit code."""
    (_, sync), clock = _settings(), SystemClock()
    with read_state(state_url(sync), clock) as state:
        count = state.ledger.counts()._asdict()[which] if state else 0
        listed = state.listing.contacts(which, most=most) if state else []
        title = state_title(sync, state)
    if as_json:
        contacts = [{**each._asdict(), "since": utc_text(each.since)} for each in listed]
        found = {"state": state_place(sync), "contacts": which, "count": count, "listed": contacts}
        click.echo(orjson.dumps(found))
        return 0
    say(title)
    say(f"{count} contacts are {which}")
    _print_contacts(listed, clock.now())
    if count > len(listed):
        say(f"{count - len(listed)} more: --limit {count} lists all")
    return 0


def _print_contacts(listed: Sequence[ListedContact], now: datetime) -> None:
    if sys.stdout.isatty():
        from etl.cli.display import block  # noqa: PLC0415 -- rich costs 40 ms

        for each in listed:
            known = [f"record {each.record}"] if each.record else []
            known += [ago(each.since, now)] if each.since else []
            about = f" ({', '.join(known)})" if known else ""
            block(f"{shortened(each.key)}{about}: {each.reason or '-'}")
        return
    for each in listed:
        since = utc_second(each.since) if each.since else None
        tabbed((each.key, each.kind, each.record, since, each.reason))


def _print_status(found: StateStatus, now: datetime, *, runs: int | None) -> None:
    for line in status_lines(found, now):
        say(line)
    if found.shown:
        _print_websites(found, now)
    most = runs if runs is not None else READ_RUNS if len(found.shown) == 1 else 0
    for website in found.shown if most else ():
        _print_runs(website, most, now, going_on=found.holder is not None, reasons=runs is not None)


def _print_websites(found: StateStatus, now: datetime) -> None:
    if not sys.stdout.isatty():
        for line in website_lines(found, now):
            say(line)
        return
    from etl.cli.display import block, show  # noqa: PLC0415 -- rich costs 40 ms

    columns = ("website", "state", "last good run", "read up to", "next run")
    show("", columns, website_cells(found, now), whole=columns[1:], ids={"website"})
    for line in wrong_lines(found, now):
        block(line)


def _print_runs(website: WebsiteStatus, most: int, now: datetime, *, going_on: bool, reasons: bool) -> None:
    rows = [
        run_cells(run, now, going_on=going_on and number == 0, terminal=sys.stdout.isatty())
        for number, run in enumerate(website.runs[:most])
    ]
    if sys.stdout.isatty():
        from etl.cli.display import block, show  # noqa: PLC0415 -- rich costs 40 ms

        title = f"last runs of {shortened(website.website)}"
        show(title, ONE_RUN[:-1], [row[:-1] for row in rows], whole={"started", "status"}, ids={"run"})
        for row in rows:
            if reasons and row[-1]:
                block(f"{row[0]}: {row[-1]}")
        return
    for row in rows:
        tabbed((website.website, *row))


def _settings() -> tuple[PlanSettings, SyncSettings]:
    plan, sync = load_status()
    logs.configure(sync.log_format, [])
    return plan, sync
