"""``resync``: have everything that HubSpot confirmed delivered once more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from etl.cli import logs
from etl.cli.derived import state_place, state_url
from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.settings import load_sync
from etl.state.store import Store, open_state, read_state

if TYPE_CHECKING:
    from etl.state.store import Transaction


def make_due(*, website: str | None, dry_run: bool, agreed: bool) -> int:
    """Make the confirmed contacts due, those of one website or all, after a question. Returns the exit code.

    All of them: then the state also goes with the next portal, whichever that is.
    Raises SettingsError for an unknown website, and where nobody is there to be asked; LockedError while a
    run goes on.
    """
    settings = load_sync()
    logs.configure(settings.log_format, [])
    url, anonymous = state_url(settings), settings.anonymous != "skip"
    with read_state(url, SystemClock(), anonymous=anonymous) as state:
        count = _count(state, website) if state else None
    if count is None:
        click.echo("nothing was ever synced into this state: there is nothing to send once more")
        return 0
    if dry_run:
        click.echo(f"{count} contacts would become due; nothing was written")
        return 0
    _ask(count, state_place(settings), agreed=agreed)
    with open_state(url) as connection:
        store = Store(connection, clock=SystemClock(), anonymous=anonymous)
        with store.locked(), store.transaction() as state:
            count = _count(state, website)
            state.ledger.forget_confirmations(website=website)
            if website is None:
                state.ownership.release()
    click.echo(f"{count} contacts are due at the next run")
    return 0


def _count(state: Transaction, website: str | None) -> int:
    known = state.runs.websites()
    if website is not None and website not in known:
        raise SettingsError(
            "--website names one that the state does not know.",
            fix=f"It knows: {', '.join(sorted(known)) or 'none'}.",
        )
    return state.ledger.confirmed_count(website=website)


def _ask(count: int, where: str, *, agreed: bool) -> None:
    if agreed:
        return
    if not sys.stdin.isatty():
        raise SettingsError("resync asks before it begins, and nobody is there.", fix="Add --yes.")
    click.confirm(f"Send all {count} contacts of {where} to HubSpot once more?", abort=True)
