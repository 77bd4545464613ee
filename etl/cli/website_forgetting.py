"""``forget-website``: a website that is synced no more leaves the state."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from etl.cli import logs
from etl.cli.derived import state_place, state_url
from etl.cli.people import listed, say, visible
from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.pipeline.clearing import clear
from etl.settings import load_status
from etl.state.store import Store, open_state, read_state

if TYPE_CHECKING:
    from etl.models.reading import KnownWebsite
    from etl.settings import PlanSettings
    from etl.state.store import Transaction


def forget_website(website: str, *, agreed: bool) -> int:
    """Take a website and its visitors out of the state, after a question. Returns the exit code.

    Raises SettingsError for a website that is in the settings still, or that the state does not know, and
    where nobody is there to be asked; LockedError while a run goes on.
    """
    plan, sync = load_status()
    logs.configure(sync.log_format, [])
    _prove_foreign(website, plan)
    url, clock, anonymous = state_url(sync), SystemClock(), sync.anonymous != "skip"
    with read_state(url, clock) as state:
        known = _known(website, state)
        visitors = state.websites.visitors(known.id) if state else 0
    _ask(website, visitors, state_place(sync), agreed=agreed)
    with open_state(url, clock) as connection:
        store = Store(connection, clock=clock, anonymous=anonymous)
        with store.locked():
            with store.reading() as state:
                known = _known(website, state)
            visitors = clear(known.id, synced=sync.synced, store=store)
            with store.transaction() as state:
                state.websites.erase(known.id, website)
                due = state.ledger.due_count()
    say(f"{website} is out of the state, with {visitors} visitors; nothing was deleted in HubSpot")
    say(f"{due} contacts are due at the next run")
    return 0


def _prove_foreign(website: str, plan: PlanSettings) -> None:
    if website in (plan.website_id or ()):
        raise SettingsError(
            "The website is in the settings: the next run would read it again.",
            fix="Take it out of ZENOVAY_WEBSITE_ID first.",
        )


def _known(website: str, state: Transaction | None) -> KnownWebsite:
    websites = state.runs.websites() if state else {}
    if website not in websites:
        raise SettingsError(
            "The state does not know this website.", fix=f"It knows: {listed(sorted(websites)) or 'none'}."
        )
    return websites[website]


def _ask(website: str, visitors: int, where: str, *, agreed: bool) -> None:
    if agreed:
        return
    if not sys.stdin.isatty():
        raise SettingsError("forget-website asks before it begins, and nobody is there.", fix="Add --yes.")
    click.confirm(f"Take {visible(website)} and its {visitors} visitors out of {where}?", abort=True)
