"""What ``check`` prints: JSON, a line each, or, on a terminal, what failed first."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import TYPE_CHECKING

import click
import orjson

from etl.cli.checks.wording import mark, names
from etl.cli.people import visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etl.cli.checks.finding import Finding


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps([finding.as_object() for finding in findings]))
        return
    if sys.stdout.isatty():
        from etl.cli.checks.display import show_findings  # noqa: PLC0415 -- rich costs 40 ms

        show_findings(findings)
        return
    for because, group in groupby(findings, key=lambda each: each.because):
        for line in (_left_out(group, because),) if because else map(_line, group):
            click.echo("\t".join(map(visible_lines, line)))


def _line(finding: Finding) -> tuple[str, str, str]:
    fix = f" {finding.fix}" if finding.fix else ""
    return mark(finding), finding.check, f"{finding.text}{fix}"


def _left_out(findings: Iterable[Finding], because: str) -> tuple[str, str, str]:
    return "not checked", names(findings), f"as the check of {because} failed"
