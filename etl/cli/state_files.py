"""``state``: the state as a thing that is saved and moved."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import orjson
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from etl.cli import logs, notices
from etl.cli.derived import state_place, state_url
from etl.cli.stopping import stoppable
from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.settings import chosen_portal, load_sync
from etl.settings.places import base_of, portal_url
from etl.state.urls import parse_url, place

FROM_STDIN = "-"


def back_up_state(file: str, *, as_json: bool) -> int:
    """Save the state in a new file. Returns the exit code.

    Raises SettingsError, StateError, InterruptedRunError.
    """
    from etl.state.backup import back_up  # noqa: PLC0415 -- for this one

    settings, clock = load_sync(), SystemClock()
    logs.configure(settings.log_format, [])
    where = state_place(settings)
    with stoppable(clock):
        size = back_up(state_url(settings), Path(file), clock)
    if as_json:
        click.echo(orjson.dumps({"state": where, "file": file, "bytes": size}))
    else:
        click.echo(f"{file}: all of {where}, {size} bytes")
    return 0


def copy_state(url: str, *, as_json: bool) -> int:
    """Copy the state into an empty database. Returns the exit code.

    Raises SettingsError, LockedError, StateError, InterruptedRunError.
    """
    from etl.state.copying import copy  # noqa: PLC0415 -- for this one

    target = sys.stdin.readline().strip() if url == FROM_STDIN else _without_password(url)
    settings, clock = load_sync(), SystemClock()
    logs.configure(settings.log_format, [])
    with stoppable(clock):
        counts = copy(state_url(settings), target, clock)
    _warn_of_place(target)
    copied, where = place(parse_url(target)), state_place(settings)
    if as_json:
        click.echo(orjson.dumps({"state": where, "copy": copied, "tables": counts}))
        return 0
    longest = max(map(len, counts))
    for table, count in counts.items():
        click.echo(f"{table:{longest}}  {count}")
    click.echo(f"All of it is in {copied}, too{_used_once(target)}. {where} is as it was.")
    return 0


def _used_once(target: str) -> str:
    """When the next run uses the copy, as the end of a sentence."""
    if (portal := chosen_portal()) is None:
        return ": the next run uses that once SYNC_STATE_URL names it"
    base = base_of(target, portal)
    if base is None:
        return ""  # that is a warning
    return f": the next run of the portal {portal} uses that once SYNC_STATE_URL is {place(parse_url(base))}"


def _warn_of_place(target: str) -> None:
    """Of a portal's copy that no run of it would find."""
    portal = chosen_portal()
    if portal is not None and base_of(target, portal) is None:
        found = place(parse_url(portal_url(target, portal)))
        notices.warn(
            f"No run of the portal {portal} uses {place(parse_url(target))}: with a SYNC_STATE_URL beside"
            f" it, the state of {portal} is looked for at {found}. Copy it there, if that is what you mean."
        )


def _without_password(url: str) -> str:
    try:
        has_one = make_url(url).password is not None
    except (ArgumentError, ValueError):
        has_one = False  # it is told what it is
    if has_one or "password=" in url:
        raise SettingsError(
            "The URL to copy to holds a password, and arguments are in the list of processes for all to see.",
            fix="Put it into ~/.pgpass, or write - instead of the URL, and the URL to stdin.",
        )
    return url
