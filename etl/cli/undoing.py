"""``undo``: put back what a run replaced in HubSpot."""

from __future__ import annotations

import uuid
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from etl.cli.derived import accounts, state_url
from etl.cli.limited import limited
from etl.cli.one_run import named_run
from etl.cli.orders import order_of
from etl.cli.people import say
from etl.cli.printout import Printout, exit_code
from etl.cli.stopping import stoppable
from etl.cli.syncing import start
from etl.clock import SystemClock
from etl.errors import LockedError, SettingsError, StateError, UnavailableError
from etl.extract.budget import Budget
from etl.models.summary import RunSummary, Status, UndoneCounts
from etl.pipeline.undoing import take_back
from etl.settings import load_one
from etl.state.store import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.models.stop import Stop
    from etl.models.summary import PastRun
    from etl.pipeline import Order
    from etl.settings import Settings
    from etl.state.store import Transaction

MOST_SHOWN = 50
"""Contacts that are listed on a terminal."""

_WITHOUT_STATE = (StateError.exit_code, LockedError.exit_code)


def undo_run(named: str, *, archive_created: bool, dry_run: bool, as_json: bool) -> int:
    """Undo the run of that id, and say what was put back. Returns the exit code.

    Raises SettingsError for a run that cannot be undone, LockedError and StateError.
    """
    from etl.cli.wiring import session  # noqa: PLC0415 -- the clients take 100 ms to import

    settings, clock = start(load_one()), SystemClock()
    past, stop = _found(named, settings, clock)
    order, printout = _order(past, settings, dry_run=dry_run), Printout(as_json=as_json, always=True)
    if stop:
        printout.add(summary := _stopped(order, past, stop))
    else:
        budget = Budget(clock=clock, limit=settings.zenovay.requests_per_month)
        with stoppable(clock), session(settings, clock=clock, dry_run=dry_run, budget=budget) as opened:
            summary = take_back(
                order,
                past,
                archive_created=archive_created,
                destination=opened.destination,
                store=opened.store,
                clock=clock,
                interruption=clock.interruption,
            )
            if opened.store.is_usable and summary.exit_code not in _WITHOUT_STATE:
                opened.remember_setup()
        printout.add(summary)
    if not as_json:
        for line in _lines(summary):
            say(line)
    return exit_code([summary])


def _found(named: str, settings: Settings, clock: SystemClock) -> tuple[PastRun, Stop | None]:
    """The run, and until when HubSpot does not want to be asked. Raises SettingsError."""
    with (
        read_state(state_url(settings.sync), clock, accounts(settings)) as state,
        limited(settings.shared, state, clock),
    ):
        past = named_run(named, state)
        _prove_kept(past, settings, clock, state)
        return past, state.limits.stop("hubspot", clock.now()) if state else None


def _prove_kept(past: PastRun, settings: Settings, clock: SystemClock, state: Transaction | None) -> None:
    """Raises SettingsError where it is not known any more, or never was, what the run replaced."""
    days = settings.sync.undo_days
    if past.number is None or state is None:
        raise SettingsError(
            f"The run {past.run} was made by an older version, which did not keep what it replaced.",
            fix="HubSpot shows what a property held before: see View property history of a contact.",
        )
    is_pruned = past.contacts > 0 and not state.verdicts.of_run(past.number, most=1)
    if is_pruned or past.started < clock.now() - timedelta(days=days):
        raise SettingsError(
            f"What the run {past.run} replaced is not kept any more: it is kept for {days} days.",
            fix="SYNC_UNDO_DAYS keeps it for longer, for the runs to come.",
        )


def _order(past: PastRun, settings: Settings, *, dry_run: bool) -> Order:
    return order_of(settings.sync, run=uuid.uuid4().hex, kind="undo", website=past.website, dry_run=dry_run)


def _stopped(order: Order, past: PastRun, stop: Stop) -> RunSummary:
    """That HubSpot wants to be left alone for a while."""
    return RunSummary(
        order.run,
        order.kind,
        order.website,
        order.dry_run,
        status=Status.INCOMPLETE,
        exit_code=UnavailableError.exit_code,
        reason=str(stop),
        undo=UndoneCounts(past.run),
    )


def _lines(summary: RunSummary) -> Iterator[str]:
    """What was put back, or would be; then the contacts, the first of them."""
    counts = summary.undo or UndoneCounts("")
    be = "would be " if summary.dry_run else ""
    told = summary.reason if summary.reason and summary.status is not Status.FAILED else ""
    yield (
        f"{summary.website}: undo of {counts.run} {summary.status.value}: {counts.restored} contacts"
        f" {be}restored, {counts.changed} changed since by somebody, {counts.gone} gone, {counts.left} left"
        f" as they are; {counts.created} had been created, {counts.archived} of them {be}archived."
        f" {told}"
    ).rstrip()
    yield from _first(list(_changes(summary)), "values")
    yield from _first(
        [f"created: {each.key} ({each.record}): {each.fate}" for each in summary.made], "contacts"
    )


def _changes(summary: RunSummary) -> Iterator[str]:
    """What a dry run would do."""
    for each in summary.differences:
        for change in each.changes:
            fate = "stays, changed since" if change.kept else f"-> {change.new or '(empty)'}"
            yield f"{each.key}: {change.property}: {change.old or '(empty)'} {fate}"


def _first(lines: list[str], what: str) -> Iterator[str]:
    yield from islice(lines, MOST_SHOWN)
    if len(lines) > MOST_SHOWN:
        yield f"and {len(lines) - MOST_SHOWN} more {what}: --json lists all."
