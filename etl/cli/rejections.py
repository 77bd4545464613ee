"""``rejections``: what was refused and why, and making it due again."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click
import orjson

from etl import redact
from etl.cli import logs
from etl.cli.derived import state_title, state_url
from etl.cli.people import ago, say, shortened, tabbed
from etl.cli.speech import spoken
from etl.clock import SystemClock
from etl.errors import SettingsError
from etl.models.summary import utc_second
from etl.settings import load_sync
from etl.state.store import Store, open_state, read_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from etl.models.verdict import RefusedThing
    from etl.settings import SyncSettings
    from etl.state.store import Transaction

EXAMPLES = 3
"""Keys that stand for all that were refused for one reason."""

_ONWARDS = (
    "visitor-sync rejections list --all lists each by itself",
    "visitor-sync rejections retry KEY... (or --all) makes them due again",
)


@dataclass(slots=True)
class Group:
    """What was refused for one reason; numbers and addresses in it make no difference."""

    kind: str
    code: str
    reason: str
    first: datetime
    last: datetime
    count: int = 0
    keys: list[str] = field(default_factory=list)

    def add(self, thing: RefusedThing) -> None:
        self.count += 1
        self.first, self.last = min(self.first, thing.first), max(self.last, thing.last)
        if len(self.keys) < EXAMPLES and thing.key not in self.keys:
            self.keys.append(thing.key)


def grouped(things: Iterable[RefusedThing]) -> list[Group]:
    """The groups, the largest first."""
    groups: dict[tuple[str, str, str], Group] = {}
    for thing in things:
        reason = redact.numbers(redact.addresses(thing.reason))
        key = thing.kind, thing.code, reason
        group = groups.setdefault(key, Group(*key, thing.first, thing.last))
        group.add(thing)
    return sorted(groups.values(), key=lambda group: -group.count)


def list_rejections(*, everything: bool = False, as_json: bool) -> int:
    """Print what was refused: by its reasons, or ``everything`` by itself. Returns the exit code."""
    settings, clock = _settings(), SystemClock()
    with read_state(state_url(settings), clock) as state:
        title = state_title(settings, state)
        listed = list(state.rejections.listed()) if state else []
    if as_json:
        click.echo(orjson.dumps([thing.as_object() for thing in listed]))
        return 0
    say(title)
    if not listed:
        say("nothing was refused")
    elif everything:
        _print_all(listed, clock.now())
    else:
        for group in grouped(listed):
            _print_group(group, clock.now())
        for line in _ONWARDS:
            say(line)
    return 0


def _print_group(group: Group, now: datetime) -> None:
    terminal = sys.stdout.isatty()
    keys = [shortened(key) if terminal else key for key in group.keys]
    head = f"{group.count} {group.kind}{'' if group.count == 1 else 's'} refused: {group.code}"
    since = "" if group.first == group.last else f"first {ago(group.first, now)}, "
    lines = [group.reason, f"{since}last {ago(group.last, now)}: {', '.join(keys)}"]
    if group.count > len(keys):
        lines[-1] += ", …"
    if terminal:
        from etl.cli.display import block  # noqa: PLC0415 -- rich costs 40 ms

        block(head, lines)
        return
    say(head)
    for line in lines:
        say(f"    {line}")


def _print_all(listed: Sequence[RefusedThing], now: datetime) -> None:
    if sys.stdout.isatty():
        from etl.cli.display import block  # noqa: PLC0415 -- rich costs 40 ms

        for each in listed:
            tries = f"{each.attempts} times, last " if each.attempts > 1 else ""
            block(f"{shortened(each.key)}: {each.code}, {tries}{ago(each.last, now)}", [each.reason])
        return
    for each in listed:
        times = utc_second(each.first), utc_second(each.last)
        tabbed((each.key, each.kind, each.reason, each.code, each.attempts, *times, each.correlation_id))


def retry_rejections(keys: Sequence[str], *, as_json: bool) -> int:
    """Make refused contacts due again, all of them without ``keys``. Returns the exit code.

    Raises SettingsError where a key is not listed, and LockedError while a run goes on.
    """
    clock = SystemClock()
    with open_state(state_url(_settings()), clock) as connection:
        store = Store(connection, clock=clock)
        with store.locked(), store.transaction() as state:
            keys = _as_listed(keys, state)
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
        backfill = backfill and spoken(backfill)
        done = {"retried": count, "contacts_due": len(contact_ids)}
        click.echo(orjson.dumps({**done, "rows": rows[0] if rows else 0, "backfill": backfill}))
        return 0
    say(f"{count} rejections lifted; {len(contact_ids)} contacts are due at the next run")
    if rows:
        say(f"{rows[0]} of them are rows, which are not kept; this reads them again: {backfill}")
    return 0


def _as_listed(keys: Sequence[str], state: Transaction) -> list[str]:
    """The keys; of those that are not listed as they stand, addresses as HubSpot compares them."""
    unknown = state.rejections.unknown(keys)
    return [_address(key.strip()) if key in unknown else key for key in keys]


def _address(key: str) -> str:
    return key.lower() if "@" in key else key


def _settings() -> SyncSettings:
    settings = load_sync()
    logs.configure(settings.log_format, [])
    return settings
