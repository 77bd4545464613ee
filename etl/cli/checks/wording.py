"""Words for findings, on a terminal and off it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from etl.cli.checks.finding import Finding


def mark(finding: Finding) -> str:
    if finding.because is not None:
        return "not checked"
    if not finding.ok:
        return "FAILED"
    return "warning" if finding.warning else "ok"


def names(findings: Iterable[Finding]) -> str:
    """The checks in a few words, however many websites they are of."""
    kinds = Counter(finding.check.partition(" of ")[0] for finding in findings)
    return ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in kinds.items())


def tally(findings: Sequence[Finding]) -> str:
    """How many there are of each kind, in a line."""
    return ", ".join(_counts(findings))


def _counts(findings: Sequence[Finding]) -> Iterator[str]:
    marks = [mark(finding) for finding in findings]
    warned = marks.count("warning")
    yield f"{len(marks)} check{'' if len(marks) == 1 else 's'}"
    yield f"{marks.count('FAILED')} failed"
    if left_out := marks.count("not checked"):
        yield f"{left_out} not checked"
    if warned:
        yield f"{warned} warning{'' if warned == 1 else 's'}"
