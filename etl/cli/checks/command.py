"""The command: all checks, in their order, and what is printed of them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from etl.cli import logs
from etl.cli.channels import watching
from etl.cli.checks.finding import STATE, Finding, Probe, Saw, failed, found, proved
from etl.cli.checks.hubspot import HubSpotChecks
from etl.cli.checks.printout import print_findings
from etl.cli.checks.state import StateChecks
from etl.cli.checks.strangers import strangers
from etl.cli.checks.zenovay import ZenovayChecks
from etl.cli.stopping import stoppable
from etl.clock import SystemClock
from etl.errors import AccessRefusedError, SettingsError, UnavailableError
from etl.load.records import is_marketing
from etl.settings import chosen_portal, doubles, exposed, load, load_fleet, remarks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from etl.settings import Settings

SETTINGS = "settings"


def check_all(*, as_json: bool) -> int:
    """Run every check and print what it saw. Returns 0, or the exit code of the first failure.

    Of a portal that is read with several keys, all are made with each.
    """
    try:
        paths, notes = _paths()
    except SettingsError as exc:
        findings = [failed(SETTINGS, exc)]
    else:
        first = next(iter(paths.values()))
        secrets = [secret for settings in paths.values() for secret in settings.secrets()]
        logs.configure(first.sync.log_format, secrets)
        findings = [found(SETTINGS, _settings(list(paths.values()), notes))]
        for key, settings in paths.items():
            about = key if len(paths) > 1 else None
            findings += _named(_told(_path(settings, SystemClock()), settings.terms.say), about)
    print_findings(findings, as_json=as_json)
    return next((finding.exit_code for finding in findings if finding.failed), 0)


def _paths() -> tuple[dict[str | None, Settings], list[str]]:
    """The settings by the keys of a portal, and what there is to remark. Raises SettingsError."""
    if (portal := chosen_portal()) is None:
        settings = load()
        return {None: settings}, doubles(settings)
    fleet = load_fleet()
    return {tenant.key: tenant.settings for tenant in fleet.tenants_of(portal)}, fleet.remarks()


def _told(findings: Sequence[Finding], say: Callable[[str], str]) -> list[Finding]:
    """The ``findings`` in the terms of their portal."""
    return [
        replace(
            each,
            saw=say(each.saw),
            fix=each.fix and say(each.fix),
            warning=each.warning and say(each.warning),
        )
        for each in findings
    ]


def _named(findings: Sequence[Finding], key: str | None) -> list[Finding]:
    """The ``findings``, told apart from those with other keys."""
    if key is None:
        return [*findings]
    mark = f" (key {key})"
    return [
        replace(each, check=f"{each.check}{mark}", because=each.because and f"{each.because}{mark}")
        for each in findings
    ]


def _settings(paths: Sequence[Settings], notes: Sequence[str]) -> Saw:
    count = sum(len(settings.zenovay.website_id) for settings in paths)
    websites = f"{count} website{'' if count == 1 else 's'}"
    concerns = [*filter(None, [exposed()]), *(remark.removesuffix(".") for remark in (*remarks(), *notes))]
    return Saw(
        f"complete; {websites}, HubSpot API {paths[0].hubspot.api_version}", "; ".join(concerns) or None
    )


def _path(settings: Settings, clock: SystemClock) -> list[Finding]:
    """From the state over both APIs to what the visitors come to."""
    with ExitStack() as stack:
        stack.enter_context(stoppable(clock))
        state = StateChecks(settings, clock)
        zenovay = ZenovayChecks(settings, state, clock, stack)
        hubspot = HubSpotChecks(settings, state, clock, stack)
        of_watching = proved(_watching(settings, clock))
        of_state = proved([Probe(STATE, state.whole)])
        of_zenovay = proved(zenovay.probes())
        of_schedule = proved([Probe("schedule", lambda: state.schedule(zenovay.quota()))])
        of_hubspot = proved(hubspot.probes())

        def costs_money() -> bool | None:
            made = state.one_made() if _answers(of_hubspot) else None
            return is_marketing(hubspot.client, made) if made else None

        probe = Probe(
            "strangers",
            lambda: strangers(
                settings.sync.anonymous,
                zenovay.samples.values(),
                unread=next((each.check for each in of_zenovay if each.failed), None),
                costs_money=costs_money,
            ),
        )
        return [*of_watching, *of_state, *of_zenovay, *of_schedule, *of_hubspot, *proved([probe])]


def _watching(settings: Settings, clock: SystemClock) -> Iterator[Probe]:
    if settings.watch.is_set:
        yield Probe("watching", lambda: watching(settings.watch, clock))


def _answers(findings: Iterable[Finding]) -> bool:
    """Whether their side let itself be asked everything."""
    refused = {AccessRefusedError.exit_code, UnavailableError.exit_code}
    return not any(finding.because or finding.exit_code in refused for finding in findings)
