"""What a check found, and how the checks of one side are made one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import (
    AccessRefusedError,
    InterruptedRunError,
    SettingsError,
    SyncError,
    UnavailableError,
)
from etl.load.statuses import ScopeMissingError
from etl.network.failures import ImpassableError, UnknownHostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STATE = "state"


@dataclass(frozen=True, slots=True)
class Saw:
    """What a check saw that did not fail. ``warning`` is a sentence on what is going to hurt all the same."""

    text: str
    warning: str | None = None


class NotCheckedError(Exception):
    """Raised by a check that cannot be made, as the check named ``because`` failed."""

    def __init__(self, because: str) -> None:
        super().__init__(because)
        self.because = because


@dataclass(frozen=True, slots=True)
class Probe:
    """One check: ``look`` returns what it saw, or raises a SyncError or NotCheckedError.

    ``opens``: where it fails, nothing of its side can be asked. ``apart``: what is refused here may be
    allowed elsewhere.
    """

    name: str
    look: Callable[[], Saw | str]
    opens: bool = False
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what it saw, and what to do where it failed.

    ``because`` names the failed check that kept this one from being made; then ``exit_code`` says nothing.
    """

    check: str
    ok: bool
    saw: str
    fix: str | None = None
    exit_code: int = 0
    warning: str | None = None
    because: str | None = None

    @property
    def failed(self) -> bool:
        return not self.ok and self.because is None

    @property
    def text(self) -> str:
        """All that it saw."""
        return f"{self.saw.rstrip('.')}; warning: {self.warning}" if self.warning else self.saw

    def as_object(self) -> dict[str, Any]:
        """As ``check --json`` prints it."""
        return {"check": self.check, "ok": self.ok, "saw": self.text, "fix": self.fix}


def found(name: str, saw: Saw | str) -> Finding:
    seen = saw if isinstance(saw, Saw) else Saw(saw)
    return Finding(name, ok=True, saw=seen.text, warning=seen.warning)


def failed(name: str, exc: SyncError) -> Finding:
    """A run may hope that a name server comes back; here a host that does not resolve is a wrong setting."""
    wrong = isinstance(exc.__cause__, UnknownHostError)
    code = SettingsError.exit_code if wrong else exc.exit_code
    fix = (exc.fix or "Run the check again.").strip()
    return Finding(name, ok=False, saw=exc.what, fix=fix, exit_code=code)


def not_checked(name: str, because: str) -> Finding:
    return Finding(
        name,
        ok=False,
        saw=f"not checked, as the check of {because} failed",
        fix=f"Mend {because} first.",
        because=because,
    )


def proved(probes: Iterable[Probe]) -> list[Finding]:
    """The findings of one side, whose ``probes`` are made in their order.

    Once nothing more is to be had of it, the others are not made: the same refusal would come each time, or
    an outage would be waited for once more. Raises InterruptedRunError.
    """
    findings: list[Finding] = []
    stopped: str | None = None
    for probe in probes:
        if stopped is not None:
            findings.append(not_checked(probe.name, stopped))
            continue
        finding, ends = _made(probe)
        findings.append(finding)
        stopped = probe.name if ends else None
    return findings


def _made(probe: Probe) -> tuple[Finding, bool]:
    """What the check found, and whether nothing more is to be had of its side."""
    try:
        return found(probe.name, probe.look()), False
    except InterruptedRunError:
        raise
    except NotCheckedError as exc:
        return not_checked(probe.name, exc.because), False
    except SyncError as exc:
        return failed(probe.name, exc), _ends(exc, probe)


def _ends(exc: SyncError, probe: Probe) -> bool:
    """Whether everything else that is asked of this side would end so, too."""
    if isinstance(exc, AccessRefusedError):
        return not (probe.apart or isinstance(exc, ScopeMissingError))
    return probe.opens or isinstance(exc, UnavailableError | ImpassableError)
