"""``check``: proves the whole path without writing anything."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import click
import orjson

from etl.cli import derived, logs, wiring
from etl.cli.channels import watching
from etl.cli.month import UNOBSERVED, look
from etl.clock import SystemClock
from etl.errors import SettingsError, StateError, SyncError
from etl.extract import account
from etl.extract.budget import Budget
from etl.extract.visitors import ZenovayVisitors
from etl.load import records
from etl.load.access import prove_read_access, prove_write_access
from etl.load.portal import read_portal
from etl.load.properties import Properties, raise_for
from etl.load.words import HubSpotWords
from etl.models.reading import Page, ReadRequest
from etl.network.failures import UnknownHostError
from etl.network.route import route_to
from etl.network.trust import roots
from etl.pipeline.ownership import recognise
from etl.retry import Patience
from etl.settings import load
from etl.state.database import open_to_others
from etl.state.store import read_state
from etl.state.urls import parse_url, place, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from etl.extract.client import ZenovayClient
    from etl.fields import SyncedFields
    from etl.load.client import HubSpotClient
    from etl.settings import Settings

BRIEF = Patience(attempts=2, total_s=40.0, longest_asked_s=20.0)
SAMPLE = 100
ONE_DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what it saw, and what to do where it failed."""

    check: str
    ok: bool
    saw: str
    fix: str | None = None


def check_all(*, as_json: bool) -> int:
    """Run every check and print what it saw. Returns 0, or the exit code of the first failure."""
    findings: list[tuple[Finding, int]] = []
    try:
        settings = load()
    except SettingsError as exc:
        findings.append((Finding("settings", ok=False, saw=exc.what, fix=_fix(exc)), exc.exit_code))
    else:
        logs.configure(settings.sync.log_format, settings.secrets())
        findings.append((Finding("settings", ok=True, saw=_settings(settings)), 0))
        ways = [_run(f"{api} route", way) for api, way in _ways(settings)]
        findings += ways
        if settings.watch.is_set:
            findings.append(_run("watching", lambda: watching(settings.watch, SystemClock())))
        if all(finding.ok for finding, _ in ways):
            findings += _outside(settings)
    _print([finding for finding, _ in findings], as_json=as_json)
    return next((code for finding, code in findings if not finding.ok), 0)


def _outside(settings: Settings) -> list[tuple[Finding, int]]:
    clock = SystemClock()
    with ExitStack() as stack:
        stack.enter_context(wiring.stoppable(clock))
        zenovay = wiring.zenovay_client(
            settings.zenovay,
            clock,
            wiring.zenovay_pace(settings.zenovay, clock),
            Budget(clock=clock, limit=settings.zenovay.requests_per_month),
            BRIEF,
        )
        stack.callback(zenovay.close)
        hubspot = wiring.hubspot_client(
            settings.hubspot, clock, wiring.hubspot_pace(settings.hubspot, clock), BRIEF
        )
        stack.callback(hubspot.close)
        synced = settings.sync.synced
        visitors = ZenovayVisitors(zenovay, paging=settings.zenovay.paging, page_size=SAMPLE, synced=synced)
        sample = cache(lambda website: _sample(visitors, website))
        wanted = wiring.wanted_of(settings.sync)
        properties = Properties(hubspot, wanted)
        checks: list[tuple[str, Callable[[], str]]] = [
            ("state", lambda: _state(settings)),
            ("zenovay key", lambda: _websites(zenovay, settings)),
            *(
                (
                    f"zenovay rows of {website}",
                    lambda website=website: _rows(sample(website), synced),
                )
                for website in settings.zenovay.website_id
            ),
            ("zenovay limits", lambda: _usage(zenovay, settings)),
            ("schedule", lambda: _schedule(settings, clock)),
            ("hubspot read scope", lambda: _proved(lambda: prove_read_access(hubspot))),
            ("hubspot write scope", lambda: _proved(lambda: prove_write_access(hubspot))),
            ("hubspot portal", lambda: _portal(hubspot, settings, clock)),
            ("strangers", lambda: _strangers(settings, clock, sample, hubspot)),
            ("hubspot properties", lambda: _properties(properties, len(wanted))),
        ]
        return [_run(name, probe) for name, probe in checks]


def _run(name: str, probe: Callable[[], str]) -> tuple[Finding, int]:
    try:
        return Finding(name, ok=True, saw=probe()), 0
    except SyncError as exc:
        wrong = isinstance(exc.__cause__, UnknownHostError)  # a run may hope that the name server comes back
        code = SettingsError.exit_code if wrong else exc.exit_code
        return Finding(name, ok=False, saw=exc.what, fix=_fix(exc)), code


def _fix(exc: SyncError) -> str:
    return (exc.fix or "Run the check again.").strip()


def _settings(settings: Settings) -> str:
    count = len(settings.zenovay.website_id)
    return f"complete; {count} website{'s' if count > 1 else ''}, HubSpot API {settings.hubspot.api_version}"


def _ways(settings: Settings) -> list[tuple[str, Callable[[], str]]]:
    """How each API is gone to, to be shown before anything is sent there."""
    zenovay, hubspot = settings.zenovay.base_url, settings.hubspot.base_url
    return [
        ("zenovay", lambda: _way(zenovay, "Zenovay", "ZENOVAY_BASE_URL")),
        ("hubspot", lambda: _way(hubspot, "HubSpot", "HUBSPOT_BASE_URL")),
    ]


def _way(url: str, api: str, setting: str) -> str:
    return f"{route_to(url, api=api, setting=setting)}; trusts {roots()}"


def _state(settings: Settings) -> str:
    """Reads all of a file, so that a fault shows; nothing is written."""
    url = derived.state_url(settings.sync)
    where = place(parse_url(url))
    path = sqlite_path(parse_url(url))
    with read_state(url, SystemClock()) as state:
        if path:
            _raise_unless_writable(path, where)
        if state is None:
            reads = f"the first run makes it and reads the last {derived.days(settings.sync.initial_range)}"
            return f"{where} is new: it is not there yet; {reads}"
        state.prove_sound()
        holder = state.holder()
    return ", ".join(
        [
            where,
            f"held by process {holder.pid} on {holder.host}" if holder else "free",
            *([f"made by an older version ({state.older}), the next run upgrades it"] if state.older else []),
            *(["open to others, the next run closes it to them"] if path and open_to_others(path) else []),
        ]
    )


def _raise_unless_writable(path: Path, where: str) -> None:
    folder = next(parent for parent in path.parents if parent.exists())
    wanted = (path, folder) if path.exists() else (folder,)
    if not folder.is_dir() or not all(os.access(each, os.W_OK) for each in wanted):
        raise StateError(
            f"State database {where}: it, or its directory, cannot be written.",
            fix="Name a writable place in SYNC_STATE_URL.",
        )


def _websites(client: ZenovayClient, settings: Settings) -> str:
    found = account.websites(client)
    missing = [name for name in settings.zenovay.website_id if name not in {each.id for each in found}]
    codes = {each.tracking_code: each.id for each in found}
    if missing and missing[0] in codes:
        raise SettingsError(
            "ZENOVAY_WEBSITE_ID holds a tracking code.", fix=f"The website's id is {codes[missing[0]]}."
        )
    if missing:
        raise SettingsError(
            f"ZENOVAY_WEBSITE_ID names {', '.join(missing)}, which the key cannot see.",
            fix=f"It sees: {', '.join(each.id for each in found) or 'no website'}.",
        )
    return f"accepted; sees {len(found)} websites"


def _rows(page: Page, synced: SyncedFields) -> str:
    clocks = page.clocks
    reasons = Counter(rejection.code for rejection in page.rejections)
    known = sum(1 for visitor in page.visitors if visitor.email)
    stated = Counter(name for visitor in page.visitors for name in visitor.facts if name in synced.by_name)
    fields = ", ".join(f"{name} in {stated[name] or 'none'}" for name in synced.by_name)
    refused = f" ({', '.join(f'{count} {code}' for code, count in reasons.items())})" if reasons else ""
    return (
        f"{page.read} rows of the last 24 hours: {len(page.visitors)} valid, {len(page.rejections)} refused"
        f"{refused}; {known} with an e-mail address; {fields}"
        f"{f'; the clocks disagree: {clocks}' if clocks and clocks.disagree else ''}"
    )


def _usage(client: ZenovayClient, settings: Settings) -> str:
    usage = account.usage(client)
    month = usage.limit or settings.zenovay.requests_per_month
    used = "an unknown number" if usage.used is None else str(usage.used)
    minute = usage.per_minute or settings.zenovay.requests_per_minute
    resets = f", reset at {usage.resets_at:%Y-%m-%dT%H:%M:%SZ}" if usage.resets_at else ""
    return f"{used} of {month} requests used this month{resets}; {minute} a minute"


def _schedule(settings: Settings, clock: SystemClock) -> str:
    """What the runs so far cost in a month, and the shortest interval that the plan affords."""
    with read_state(derived.state_url(settings.sync), clock, derived.accounts(settings)) as state:
        if state is None:
            return UNOBSERVED
        plan = settings.zenovay
        return look(state, plan.website_id, plan, clock.now(), state.limits.quota("zenovay")).sentence


def _proved(proof: Callable[[], None]) -> str:
    proof()
    return "granted"


def _portal(client: HubSpotClient, settings: Settings, clock: SystemClock) -> str:
    """Whose token it is, and whether the state is that portal's."""
    met = read_portal(client)
    with read_state(derived.state_url(settings.sync), clock) as state:
        owner = state.ownership.owner() if state else None
    doubt = recognise(owner, met=met, credential=client.credential, words=HubSpotWords()).doubt
    if doubt:
        raise SettingsError(doubt)
    return str(met) if met else "HubSpot does not say which portal the token opens"


def _strangers(
    settings: Settings, clock: SystemClock, sample: Callable[[str], Page], client: HubSpotClient
) -> str:
    """What visitors of whom only the id is known come to, and whether they cost money."""
    mode = settings.sync.anonymous
    if mode != "upsert":
        return f"no contact is made for visitors without an address (SYNC_ANONYMOUS={mode})"
    valid = [visitor for website in settings.zenovay.website_id for visitor in sample(website).visitors]
    unknown = len({visitor.id for visitor in valid if not visitor.email})
    found = (
        f"{unknown} visitors without an address in {len(valid)} rows of the last 24 hours: each gets a"
        " contact of its own, so many a day at least; SYNC_ANONYMOUS=match or skip makes none"
    )
    with read_state(derived.state_url(settings.sync), clock) as state:
        made = state.records.one_made() if state else None
    marketing = records.is_marketing(client, made) if made else None
    if marketing:
        found += (
            "; warning: a contact that this program made is a marketing contact, which costs money at once: "
            "switch that off for this app (HubSpot: Settings, Integrations, Marketing contacts)"
        )
    return found


def _sample(visitors: ZenovayVisitors, website: str) -> Page:
    pages = visitors.read(ReadRequest(website, initial=ONE_DAY))
    return next(page for page in pages if isinstance(page, Page))


def _properties(properties: Properties, count: int) -> str:
    raise_for(properties.verify())
    return f"all {count} are there, with the right types"


def _print(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps([asdict(finding) for finding in findings]))
        return
    if sys.stdout.isatty():
        from etl.cli.display import show  # noqa: PLC0415 -- rich costs 40 ms

        rows = [(each.check, "ok" if each.ok else "FAILED", each.saw, each.fix) for each in findings]
        show("check", ("check", "", "saw", "what to do"), rows)
        return
    for each in findings:
        fix = f" {each.fix}" if each.fix else ""
        click.echo(f"{'ok' if each.ok else 'FAILED'}\t{each.check}\t{each.saw}{fix}")
