"""How a run ended: which of its errors decides, and what the summary then says."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

from etl.errors import InterruptedRunError, SyncError, TooManyRejectedError, UnavailableError
from etl.models.summary import Status

if TYPE_CHECKING:
    from etl.models.summary import RunSummary

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
