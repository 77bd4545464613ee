"""What stderr says of errors, warnings and hints: a sentence for people, an object for programs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from etl.cli import logs
from etl.cli.speech import spoken

if TYPE_CHECKING:
    from etl.errors import SyncError
    from etl.models.summary import RunSummary

log = logging.getLogger(__name__)


def error(failure: SyncError, **facts: Any) -> None:
    """Say why something failed; ``facts`` say what, such as ``website``."""
    stated = {"exit_code": failure.exit_code, **reasons(failure)}
    logs.reach_stderr()
    log.error("the command failed", extra={"action": "error", **facts, **stated})


def reasons(failure: SyncError) -> dict[str, str | None]:
    """What happened, and what to do next."""
    return {"what": spoken(failure.what), "fix": failure.fix and spoken(failure.fix.strip())}


def failed(summary: RunSummary) -> None:
    """Say why the run of a website failed."""
    about = {"run": summary.run or None, "website": summary.website, "exit_code": summary.exit_code}
    if summary.portal_name:
        about["portal_name"] = summary.portal_name
    logs.reach_stderr()
    log.error(
        "the run failed",
        extra={"action": "error", **about, "what": summary.reason and spoken(summary.reason), "fix": None},
    )


def warn(what: str) -> None:
    """Say what somebody should know, though nothing failed."""
    logs.reach_stderr()
    log.warning("something needs a look", extra={"action": "warning", "what": spoken(what)})


def hint(what: str) -> None:
    """Say what may be of use."""
    logs.reach_stderr()
    log.info("something may be of use", extra={"action": "hint", "what": spoken(what)})
