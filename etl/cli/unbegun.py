"""The books of a run that failed before it began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.cli.notices import reasons
from etl.cli.speech import retell
from etl.models.summary import RunSummary
from etl.pipeline.ending import conclude

if TYPE_CHECKING:
    from etl.errors import SyncError
    from etl.models.summary import RunKind


def unbegun(
    failure: SyncError,
    *,
    kind: RunKind = "incremental",
    website: str = "",
    portal: str | None = None,
    dry_run: bool = False,
) -> RunSummary:
    """A summary without an id; also without a website where the failure is that of a whole command."""
    summary = RunSummary("", kind, website, dry_run, portal_name=portal)
    conclude(summary, failure, newly_rejected=0)
    retell(summary)
    return summary


def unbegun_object(
    failure: SyncError, *, kind: RunKind = "incremental", dry_run: bool = False
) -> dict[str, Any]:
    """What ``--json`` answers for a whole command: all keys of a summary, and the error."""
    return unbegun(failure, kind=kind, dry_run=dry_run).as_object() | {"error": reasons(failure)}
