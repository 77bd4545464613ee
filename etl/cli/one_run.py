"""One run: found by its id, and which contacts it created, updated, rejected."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click
import orjson

from etl.cli import logs
from etl.cli.derived import state_title, state_url
from etl.cli.people import at, say, tabbed
from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.models.summary import utc_text
from etl.settings import load_sync
from etl.state.store import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.models.deed import Deed
    from etl.models.summary import PastRun
    from etl.state.store import Transaction

SHORTEST = 6
"""Characters of an id that are enough to name a run."""

_LIST = "visitor-sync status --runs 10 lists the last runs with their ids; a dry run leaves none."


def named_run(named: str, state: Transaction | None) -> PastRun:
    """The run whose id is, or begins with, ``named``. Raises SettingsError where that is not one run."""
    named = named.strip().lower()
    if len(named) < SHORTEST:
        raise SettingsError(f"A run is named by {SHORTEST} or more characters of its id.", fix=_LIST)
    found = state.runs.named(named) if state else []
    if not found:
        raise SettingsError(f"No run is known whose id begins with {named!r}.", fix=_LIST)
    if len(found) > 1:
        ids = " and ".join(each.run for each in found)
        raise SettingsError(
            f"Several runs have ids that begin with {named!r}: {ids}.", fix="Give more of it."
        )
    return found[0]


def show_run(named: str, *, most: int, as_json: bool) -> int:
    """Print what a run did to the first contacts, and how many there are. Returns the exit code.

    For programs all of them. Raises SettingsError for a run that is not known.
    """
    sync, clock = load_sync(), SystemClock()
    logs.configure(sync.log_format, [])
    with read_state(state_url(sync), clock) as state:
        past = named_run(named, state)
        deeds = list(_deeds(past, state)) if state else []
        title = state_title(sync, state)
    counts = Counter(deed.outcome.value for deed in deeds)
    if as_json:
        click.echo(orjson.dumps(_object(past, deeds, counts)))
        return 0
    say(title)
    say(f"run {past.run}: {past.kind} of {past.website}, started {at(past.started, clock.now())}")
    say(", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or _nothing(past))
    for deed in deeds[:most]:
        changed = "; ".join(f"{name}: {_change(deed, name)}" for name in deed.changed)
        tabbed((deed.outcome.value, deed.key.value, deed.record, changed or None))
    if len(deeds) > most:
        say(f"{len(deeds) - most} more: --limit {len(deeds)} lists all")
    return 0


def _deeds(past: PastRun, state: Transaction) -> Iterator[Deed]:
    after: int | None = 0
    while past.number is not None and after is not None:
        page = state.verdicts.of_run(past.number, after=after)
        yield from page
        after = page[-1].contact_id if page else None


def _nothing(past: PastRun) -> str:
    return (
        "what it did to which contacts is not kept any more"
        if past.contacts
        else "no contact got a verdict in it"
    )


def _change(deed: Deed, name: str) -> str:
    return f"{deed.before[name] or '-'} → {deed.after[name]}"


def _object(past: PastRun, deeds: Sequence[Deed], counts: Counter[str]) -> dict[str, Any]:
    return {
        "run": past.run,
        "kind": past.kind,
        "website": past.website,
        "started": utc_text(past.started),
        "counts": dict(counts),
        "contacts": [
            {
                "key": deed.key.value,
                "kind": deed.key.kind.value,
                "record": deed.record,
                "outcome": deed.outcome.value,
                "before": {name: deed.before[name] for name in deed.changed},
                "after": {name: deed.after[name] for name in deed.changed},
            }
            for deed in deeds
        ],
    }
