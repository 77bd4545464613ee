"""``explain``: read the state, ask HubSpot, judge, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import orjson

from etl.cli import logs, notices
from etl.cli.derived import state_url
from etl.cli.explaining.asking import NOT_ASKED, account_of, ask
from etl.cli.explaining.explanation import explained
from etl.cli.explaining.printing import show
from etl.cli.explaining.reading import Findable, look_up
from etl.cli.keys import given_key
from etl.cli.limited import limited
from etl.cli.orders import order_of
from etl.clock import SystemClock
from etl.models.dossier import Dossier
from etl.pipeline.explaining import parcel_of
from etl.settings import load_shared, load_status, load_token
from etl.state.store import read_state

if TYPE_CHECKING:
    from datetime import datetime

    from etl.models.contact import Parcel
    from etl.pipeline import Order
    from etl.settings import HubSpotSettings, PlanSettings, SyncSettings


def explain_key(given: str, *, offline: bool, as_json: bool) -> int:
    """Print all that is known of a key. Returns the exit code: that of the error where HubSpot failed.

    Writes nothing; while a run goes on, it is told of the request to HubSpot, so that the limit is kept.
    """
    key = given_key(given)
    plan, sync = load_status()
    hubspot = None if offline else load_token()
    logs.configure(sync.log_format, [hubspot.access_token.get_secret_value()] if hubspot else [])
    clock = SystemClock()
    order = order_of(sync, run="", kind="incremental", website="")  # as far as it decides what is sent
    found = _found(key, hubspot, plan, sync, clock)
    now = clock.now()
    parcel = _parcel(found.dossier, order, now)
    shown = ask(parcel, found, hubspot, sync, clock) if hubspot and parcel else NOT_ASKED
    explanation = explained(found, shown, parcel, order, now=now, for_people=not as_json)
    if as_json:
        click.echo(orjson.dumps(explanation.as_object()))
    else:
        show(explanation, now)
    if shown.error is None:
        return 0
    notices.error(shown.error)
    return shown.error.exit_code


def _found(
    key: str,
    hubspot: HubSpotSettings | None,
    plan: PlanSettings,
    sync: SyncSettings,
    clock: SystemClock,
) -> Findable:
    anonymous = sync.anonymous != "skip"
    with (
        read_state(state_url(sync), clock, account_of(hubspot), anonymous=anonymous) as state,
        limited(load_shared(), state, clock),
    ):
        if state is None:
            return Findable(Dossier(key))
        return look_up(key, sync.synced, state, websites=plan.website_id, hubspot=hubspot is not None)


def _parcel(dossier: Dossier, order: Order, now: datetime) -> Parcel | None:
    """The contact, which asks for all that may be written of it."""
    if dossier.contact is None:
        return None
    parcel = parcel_of(dossier, dossier.contact, order, now=now)
    names = {*order.synced.mapping().values(), *parcel.wanted, *parcel.written.last}
    return parcel._replace(asks=tuple(sorted(names)))
