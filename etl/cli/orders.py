"""What the settings of the synchronisation tell a run to do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.pipeline import Order

if TYPE_CHECKING:
    from etl.models.summary import RunKind
    from etl.settings import SyncSettings


def order_of(sync: SyncSettings, *, run: str, kind: RunKind, website: str, **more: Any) -> Order:
    """An order under these settings; ``more`` is what Order takes beside."""
    return Order(
        run=run,
        kind=kind,
        website=website,
        anonymous=sync.anonymous != "skip",
        matched=sync.matched,
        recheck=sync.recheck,
        recreate=sync.recreate == "always",
        merge=sync.merge == "anonymous",
        retention=sync.retention,
        synced=sync.synced,
        exclusions=sync.exclusions,
        max_rejected=sync.max_rejected,
        max_changed=sync.max_changed,
        undo=timedelta(days=sync.undo_days),
        **more,
    )
