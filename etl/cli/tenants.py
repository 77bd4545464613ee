"""One tenant's run: the sites of one portal that are read with one key, in any thread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from etl.cli.printout import Collector
from etl.cli.speech import retell
from etl.cli.syncing import sync_new, sync_past
from etl.cli.unbegun import unbegun
from etl.cli.websites import chosen
from etl.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from etl.clock import SystemClock
    from etl.models.summary import RunSummary
    from etl.settings import Tenant

_LONGEST_SLACK = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class TenantRun:
    """How a tenant's run ended: a summary for each site that it came to, and what ended it before its end."""

    exit_code: int
    summaries: tuple[RunSummary, ...]
    failure: SyncError | None = None


def sync_tenant(
    tenant: Tenant,
    clock: SystemClock,
    *,
    websites: Sequence[str] = (),
    now: bool = False,
    rest: timedelta | None = None,
    dry_run: bool = False,
    peeks: bool = True,
    tell: Callable[[RunSummary], None] | None = None,
) -> TenantRun:
    """Sync the new visitors of all sites or these ``websites``, each once in its interval. Raises nothing.

    ``rest`` is what must lie between the starts of two runs of a site, where that is not its interval;
    ``now`` asks for no rest, and for no heed of limits that are spent. ``peeks`` as in ``sync_new``. ``tell``
    hears of each site as soon as its run has ended. Who calls this sets up the log, and stops ``clock``.
    """
    return _ended(
        tenant,
        lambda report: sync_new(
            tenant.settings,
            clock,
            report,
            now=now,
            websites=websites,
            dry_run=dry_run,
            rests={site: _rest(every) if rest is None else rest for site, every in tenant.every.items()},
            peeks=peeks,
        ),
        tell=tell,
    )


def sync_tenant_past(
    tenant: Tenant,
    clock: SystemClock,
    *,
    window: tuple[datetime, datetime | None],
    max_requests: int | None = None,
) -> TenantRun:
    """Go on with the backfill of ``[begin, end)`` of all sites, as far as the requests last. As above."""
    return _ended(
        tenant,
        lambda report: sync_past(tenant.settings, clock, report, window=window, max_requests=max_requests),
    )


def not_come_to(
    tenant: Tenant, run: TenantRun, *, websites: Sequence[str] = (), dry_run: bool = False
) -> Iterator[RunSummary]:
    """For each site that ``run`` failed before it came to, the books of a run that had not begun."""
    begun = {summary.website for summary in run.summaries}
    for website in chosen(websites, tenant.settings.zenovay.website_id) if run.failure else ():
        if run.failure and website not in begun:
            yield unbegun(run.failure, website=website, portal=tenant.portal, dry_run=dry_run)


def _rest(every: timedelta) -> timedelta:
    """Almost the interval: who starts runs so often starts none a moment too early."""
    return every - min(_LONGEST_SLACK, every / 10)


def _ended(
    tenant: Tenant, sync: Callable[[Collector], int], *, tell: Callable[[RunSummary], None] | None = None
) -> TenantRun:
    terms = tenant.settings.terms

    def told(summary: RunSummary) -> None:
        summary.portal_name = tenant.portal
        retell(summary, terms.say)
        if tell:
            tell(summary)

    collector = Collector(told)
    failure: SyncError | None = None
    try:
        code = sync(collector)
    except SyncError as exc:
        failure = terms.tell(exc)
    except Exception as exc:  # noqa: BLE001 -- a bug in one tenant's run is no other's
        from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

        failure = as_bug(exc)
    return TenantRun(failure.exit_code if failure else code, tuple(collector.summaries), failure)
