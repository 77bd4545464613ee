"""What can go wrong, grouped by what somebody has to do about it.

Every error carries what happened and, in ``fix``, what to do next; its class fixes the exit code of the
command. The text of an error never holds an e-mail address, a payload or a secret: what a vendor says goes
through ``etl.redact`` on its way here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def installing(extra: str) -> str:
    """The command that adds an extra in the checkout, and takes nothing away that is installed."""
    return f"~/.uv/bin/uv sync --locked --no-dev --inexact --extra {extra}"


class SyncError(Exception):
    """The base of every error this program raises on purpose; alone it means a bug (exit 1)."""

    exit_code = 1

    def __init__(self, what: str, *, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.what} {self.fix}" if self.fix else self.what


class BooksDoNotBalanceError(SyncError):
    """The counts of a run contradict each other: a bug in this program."""


class SettingsError(SyncError):
    """A setting or an argument is missing, malformed or wrong (exit 2)."""

    exit_code = 2


class SetupError(SettingsError):
    """HubSpot lacks a property, or has it in another shape: one error of the set-up, not many rejections."""


class UnavailableError(SyncError):
    """An outage, a spent quota or a spent budget; nothing is lost, run again later (exit 4).

    ``until`` is the instant before which trying again is pointless, where there is one; ``kind`` is one of
    ``etl.models.stop``, and ``said_by`` says who named that instant, and how.
    """

    exit_code = 4

    def __init__(
        self,
        what: str,
        *,
        fix: str | None = None,
        until: datetime | None = None,
        kind: str = "wait",
        said_by: str | None = None,
    ) -> None:
        super().__init__(what, fix=fix)
        self.until = until
        self.kind = kind
        self.said_by = said_by


class AccessRefusedError(SyncError):
    """401 or 403: a person must act (exit 5)."""

    exit_code = 5


class ContractBrokenError(SyncError):
    """The other side answered something that its documentation does not allow (exit 6)."""

    exit_code = 6


class TooManyRejectedError(SyncError):
    """HubSpot refuses so many contacts that something must be wrong with all of them (exit 3)."""

    exit_code = 3


class TooManyChangedError(TooManyRejectedError):
    """So many values of others would be written over that a mapping must be wrong; none was (exit 3)."""


class StateError(SyncError):
    """The state database cannot be used (exit 7)."""

    exit_code = 7


class LockedError(SyncError):
    """Another run holds the lock, or has taken it from this one (exit 75, EX_TEMPFAIL)."""

    exit_code = 75


class InterruptedRunError(SyncError):
    """A signal asked the run to stop; the exit code is 128 + the signal's number."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("Stopped by a signal.", fix="Nothing is lost; the next run goes on from here.")
        self.exit_code = 128 + signal_number
