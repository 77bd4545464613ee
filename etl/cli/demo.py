"""``demo`` and ``sandbox``: the job without an account."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
import orjson

from etl.cli import acquaintance, streams
from etl.cli.memory import collect_seldom
from etl.fields import FIELDS
from etl.network.proxies import without_proxy
from etl.sandbox import Sandbox, Visitors
from etl.sandbox.arrivals import pause_between
from etl.settings import defaults, is_ours

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

VISITORS = 2500
NEW_VISITORS = 60
SEED = 7
SHOWN_LINES = 7
HOST = "127.0.0.1"
SHOWN_FIELDS = ("basic", "first_touch", "scoring")
ONE_DAY = timedelta(days=1)


def demonstrate() -> int:
    """Show the whole job on the sandbox, each command as a user would type it. Returns the exit code."""
    with TemporaryDirectory(prefix="visitor-sync-demo-") as folder, Sandbox(seed=SEED) as sandbox:
        return _Demonstration(sandbox, folder).show()


class _Demonstration:
    """The sandbox lives a day in the past until the day is told to pass."""

    def __init__(self, sandbox: Sandbox, folder: str) -> None:
        self._sandbox = sandbox
        self._folder = folder
        self._today = datetime.now(UTC)
        self._visitors = Visitors(SEED, self._today)
        self._her_visits = acquaintance.visits(self._today - ONE_DAY)
        self._record = sandbox.hubspot.seed(acquaintance.ENTERED)
        self._summaries: list[dict[str, Any]] = []

    def show(self) -> int:
        yesterday = self._today - ONE_DAY
        self._sandbox.zenovay.skew = -ONE_DAY
        self._arrive(VISITORS, yesterday - 29 * ONE_DAY, yesterday)
        self._add(self._her_visits)
        _say(f"A Zenovay with {VISITORS} visits, and a HubSpot that knows one person, at {self._sandbox.url}")

        self._type("setup", "Three fields would be on by default; here also the first touch and the score.")
        before = self._contact()
        why = (
            "The first run reads the last 30 days. Rows that cannot be read are refused, each with its reason"
            " (visitor-sync rejections): exit 3."
        )
        self._type("run", why)
        self._show_the_acquaintance(before)
        self._type("run --now", "The second run finds nothing new, and sends nothing.")

        self._sandbox.zenovay.skew = timedelta(0)
        self._arrive(NEW_VISITORS, yesterday, self._today)
        self._type("run --now", f"A day later, {NEW_VISITORS} new visitors: only their contacts are sent.")

        first, last = (self._today - 20 * ONE_DAY).date(), (self._today - 15 * ONE_DAY).date()
        why = "A backfill reads old days again. HubSpot holds them already: nothing is sent."
        self._type(f"backfill --from {first} --to {last}", why)

        self._type("report", "How the website and its sync fared on that day.")
        _say(self._totals())
        return 0

    def _show_the_acquaintance(self, before: dict[str, str]) -> None:
        """Whose visits they are, and what became of the contact, each property with the row that says so."""
        _say(
            f"One of them is {acquaintance.NAME}, whose country somebody had typed into HubSpot. Her visits:"
        )
        for row in self._her_visits:
            click.echo(f"  {acquaintance.described(row)}")
        fields = (field for field in FIELDS if field.member in SHOWN_FIELDS)
        lines = list(acquaintance.comparison(before, self._contact(), self._her_visits, fields))
        _say("Her contact before and after the run, and what each value comes from:")
        _print_columns([("property", "before", "after", "from"), *lines])

    def _contact(self) -> dict[str, str]:
        return self._sandbox.hubspot.contacts[self._record]

    def _totals(self) -> str:
        done = self._summaries
        rows = sum(each["rows"]["read"] for each in done)
        zenovay, hubspot = (sum(each["requests"][api] for each in done) for api in ("zenovay", "hubspot"))
        return (
            f"In all, {len(done)} runs have read {rows} rows by {zenovay} requests to Zenovay, and sent"
            f" {hubspot} to HubSpot, which now holds {len(self._sandbox.hubspot.contacts)} contacts."
            "\nThat is the whole job."
        )

    def _arrive(self, count: int, since: datetime, until: datetime) -> None:
        self._add(self._visitors.rows(count, between=(since, until)))

    def _add(self, rows: list[dict[str, Any]]) -> None:
        self._sandbox.zenovay.add_rows(self._sandbox.website, rows)

    def _type(self, command: str, why: str = "") -> None:
        """Run a command of this program in its own process, and show what it said."""
        _say(why)
        click.secho(f"$ visitor-sync {command}", bold=True)
        counted = command.startswith(("run", "backfill"))
        done = subprocess.run(  # noqa: S603 -- our own program and our own words
            [sys.executable, "-m", "etl", *command.split(), *(["--json"] if counted else [])],
            env=self._environment(),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = done.stdout.splitlines()
        if counted:
            self._summaries += map(orjson.loads, lines)
        for line in lines[:SHOWN_LINES]:
            click.echo(_story(self._summaries[-1]) if counted else f"  {line}")
        if len(lines) > SHOWN_LINES:
            click.echo(f"  … and {len(lines) - SHOWN_LINES} more")
        if not done.stdout:
            raise click.ClickException(f"visitor-sync {command} ended with {done.returncode}: {done.stderr}")

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not is_ours(name)}
        return inherited | _environment(self._sandbox, self._folder) | {"SYNC_FIELDS": ",".join(SHOWN_FIELDS)}


def _say(text: str) -> None:
    if text:
        click.echo(f"\n{text}")


def _print_columns(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo(f"  {'  '.join(cells)}".rstrip())


def _story(summary: dict[str, Any]) -> str:
    rows, contacts, requests = summary["rows"], summary["contacts"], summary["requests"]
    return (
        f"  {summary['status']} in {summary['elapsed_s']:.1f} s (exit {summary['exit_code']}):"
        f" {rows['read']} rows read, {rows['out_of_window']} of them outside the window,"
        f" {rows['opted_out']} opted out, {rows['rejected']} refused.\n"
        f"  Contacts: {contacts['created']} created, {contacts['updated']} updated,"
        f" {contacts['unchanged']} unchanged.\n"
        f"  It cost {requests['zenovay']} requests to Zenovay and {requests['hubspot']} to HubSpot."
    )


def _environment(sandbox: Sandbox, folder: str) -> dict[str, str]:
    """Every setting: the sandbox's own, the defaults of all others, and that no proxy is to be asked."""
    ours = {"SYNC_STATE_URL": f"sqlite:///{folder}/state.db", "SYNC_CONFIG": os.devnull}
    return defaults() | sandbox.environment() | ours | without_proxy(HOST)


def keep_sandbox(port: int, *, arrivals: str | None = None) -> int:
    """Serve until a signal, while visitors come at the rate of ``arrivals``; print what to export.

    Returns the exit code. Raises SettingsError for what is no rate.
    """
    pause = pause_between(arrivals) if arrivals is not None else None
    collect_seldom()
    done: SimpleQueue[None] = SimpleQueue()  # not an Event, whose lock a waiting thread may hold

    def stop(_number: int, _frame: FrameType | None) -> None:
        done.put(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with (
        TemporaryDirectory(prefix="visitor-sync-sandbox-") as folder,
        Sandbox(port=port, seed=SEED) as sandbox,
    ):
        sandbox.populate(VISITORS)
        for name, value in (_environment(sandbox, folder) | sandbox.watching_environment()).items():
            click.echo(f"export {name}={shlex.quote(value)}")
        click.echo(
            "# These are all settings, so that none of yours is used; the state is one of the sandbox's own"
        )
        click.echo("# and goes when it ends.")
        click.echo(f"# The contacts that its HubSpot holds, and what Slack was told: {sandbox.url}/")
        click.echo("# In another terminal, after these exports: visitor-sync setup && visitor-sync run")
        sys.stdout.flush()
        if not streams.is_lost():
            with sandbox.arrivals(pause) if pause else nullcontext():
                done.get()
    return 0
