"""One tenant's run: the sites of one portal that are read with one key, in any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from etl.cli.printout import Collector
from etl.cli.syncing import sync_new
from etl.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from etl.clock import SystemClock
    from etl.models.summary import RunSummary
    from etl.settings import Settings


class Tenant(Protocol):
    """What a run needs to know of the sites of one portal that are read with one key."""

    @property
    def portal(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def every(self) -> Mapping[str, timedelta]:
        """How often each site is read."""
        ...


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
) -> TenantRun:
    """Sync the new visitors of all sites or these ``websites``, each once in its interval. Raises nothing.

    ``rest`` is what must lie between the starts of two runs of a site, where that is not its interval;
    ``now`` asks for no rest, and for no heed of limits that are spent. Who calls this sets up the log, and
    stops ``clock``.
    """
    collector = Collector()
    failure: SyncError | None = None
    try:
        code = sync_new(
            tenant.settings, clock, collector, now=now, websites=websites, every=tenant.every, rest=rest
        )
    except SyncError as exc:
        failure = exc
    except Exception as exc:  # noqa: BLE001 -- a bug in one tenant's run is no other's
        from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

        failure = as_bug(exc)
    return TenantRun(failure.exit_code if failure else code, tuple(collector.summaries), failure)
