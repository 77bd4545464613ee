"""What a worker's jobs are about: the run of a site, a slice of a backfill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.cli import logs
from etl.cli.derived import accounts, state_url
from etl.cli.tenants import sync_tenant, sync_tenant_past
from etl.clock import SystemClock
from etl.errors import SettingsError, SyncError, UnavailableError
from etl.fleet.outcome import Counts, Outcome
from etl.fleet.slices import SLICE, undeclared
from etl.models.summary import Status
from etl.state.failures import NewerError
from etl.state.store import peek_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from etl.cli.tenants import TenantRun
    from etl.fleet.roster import Site
    from etl.models.summary import RunSummary
    from etl.settings import Fleet, Tenant


class TenantWork:
    """Runs tenants of a fleet, all of them stopped by one ``clock``."""

    def __init__(self, fleet: Fleet, clock: SystemClock) -> None:
        self._fleet = fleet
        self._clock = clock

    def run(self, site: Site, *, at_once: bool, counts: bool) -> Outcome:
        """A run of one site; between two lies half its interval, or less if the settings say so."""
        tenant = self._fleet.tenant(site.portal, site.website)
        rest = min(site.every / 2, tenant.settings.sync.min_interval)
        with logs.of_portal(site.portal):
            ended = sync_tenant(
                tenant, self._clock, websites=(site.website,), now=at_once, rest=rest, peeks=False
            )
        return self._outcome(tenant, ended, counts=counts)

    def backfill(self, portal: str, key: str, *, since: datetime, until: datetime | None) -> Outcome:
        """A slice of so many requests to Zenovay."""
        found = [tenant for tenant in self._fleet.tenants_of(portal) if tenant.key == key]
        if not found:
            return Outcome(SettingsError.exit_code, undeclared(portal, key))
        with logs.of_portal(portal):
            ended = sync_tenant_past(found[0], self._clock, window=(since, until), max_requests=SLICE)
        return self._outcome(found[0], ended)

    def _outcome(self, tenant: Tenant, ended: TenantRun, *, counts: bool = False) -> Outcome:
        summaries, failure = ended.summaries, ended.failure
        last = summaries[-1] if summaries else None
        return Outcome(
            ended.exit_code,
            str(failure) if failure else _reason(summaries, ended.exit_code),
            run=last.run if last else None,
            rested=bool(last)
            and failure is None
            and all(each.status is Status.SKIPPED for each in summaries),
            watermark=last.watermark_after if last else None,
            until=failure.until if isinstance(failure, UnavailableError) else None,
            counts=self._counts(tenant) if counts or _had_contacts(ended) else None,
            requests=sum(each.requests.zenovay for each in summaries),
            rows=sum(each.rows.read for each in summaries),
            is_newer=isinstance(failure, NewerError),
        )

    def _counts(self, tenant: Tenant) -> Counts | None:
        try:
            with peek_state(
                state_url(tenant.settings.sync), SystemClock(), accounts(tenant.settings)
            ) as state:
                found = state.ledger.counts() if state else None
        except SyncError:
            return None
        return Counts(found.due, found.rejected) if found else None


def _had_contacts(ended: TenantRun) -> bool:
    """Whether the portal's contacts may be others than when they were counted: that reads all of them."""
    return any(each.contacts.touched or each.contacts.carried_over for each in ended.summaries)


def _reason(summaries: Sequence[RunSummary], exit_code: int) -> str | None:
    """Why the run ended as it did: in the words of the site that gave the exit code."""
    told = [each.reason for each in summaries if each.exit_code == exit_code and each.reason]
    return told[0] if told else None
