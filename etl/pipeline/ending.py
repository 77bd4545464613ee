"""How a run ended: which of its errors decides, what the summary then says, and what is written down."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

from etl.errors import InterruptedRunError, SyncError, TooManyRejectedError, UnavailableError
from etl.models.stop import Stop
from etl.models.summary import Status

if TYPE_CHECKING:
    from datetime import datetime

    from etl.models.summary import RunSummary
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Transaction

PRUNED = 20_000
"""So many verdicts that are too old to be undone are dropped at the end of a run."""

_STATUS = {
    UnavailableError: Status.INCOMPLETE,
    InterruptedRunError: Status.INCOMPLETE,
    TooManyRejectedError: Status.PARTIAL,
}


def conclude(summary: RunSummary, failure: SyncError | None, *, newly_rejected: int) -> None:
    """Write into ``summary`` how the run ended; its contacts and warnings are known."""
    summary.is_cut_short = failure is not None
    if failure:
        kinds = (status for kind, status in _STATUS.items() if isinstance(failure, kind))
        summary.status = next(kinds, Status.FAILED)
        summary.exit_code, summary.reason = failure.exit_code, str(failure)
    elif summary.contacts.deferred:
        summary.status, summary.exit_code = Status.INCOMPLETE, UnavailableError.exit_code
        summary.reason = f"{summary.contacts.deferred} contacts got no verdict; they stay due."
    elif newly_rejected:
        summary.status, summary.exit_code = Status.PARTIAL, TooManyRejectedError.exit_code
        summary.reason = f"{newly_rejected} newly rejected. See: visitor-sync rejections"
    else:
        summary.reason = " ".join(summary.concerns) or None


def as_bug(exc: Exception) -> SyncError:
    """A bug, told by its place alone: the text of an unexpected error may hold anything."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(exc.__traceback__)]
    return SyncError(
        f"A bug in visitor-sync: {type(exc).__name__} at {' > '.join(frames[-4:])}.",
        fix="Please report it. Nothing that was confirmed is lost.",
    )


def graver(one: SyncError | None, other: SyncError | None) -> SyncError | None:
    """The error that decides how the run ends: a failure before an outage, then the higher exit code."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda error: (not isinstance(error, UnavailableError), error.exit_code))


def remember_stop(api: str, failure: SyncError | None, *, asked: int, state: Transaction) -> None:
    """What an API asked us to wait for outlives this run; once it answers well again, it is forgotten."""
    stop = Stop.asked_by(failure) if isinstance(failure, UnavailableError) else None
    if stop or (failure is None and asked):
        state.limits.remember_stop(api, stop)


def write_down(summary: RunSummary, order: Order, state: Transaction, *, now: datetime) -> None:
    """That the run has ended, and how; runs that cannot be undone any more may be forgotten."""
    state.runs.end(order.run, now, summary.as_dict(), kept_since=now - order.undo)


def drop_verdicts(order: Order, state: Transaction, *, now: datetime) -> None:
    """Drop verdicts that are too old to be undone: a bounded number of them."""
    state.verdicts.prune(before=now - order.undo, most=PRUNED)


def facts(order: Order, action: str) -> dict[str, object]:
    """What a line in the log says of a run."""
    return {"action": action, "run": order.run, "website": order.website}
