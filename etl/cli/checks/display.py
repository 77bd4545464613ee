"""The findings on a terminal: how many, then what failed and what mends it, then the others."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from etl.cli.checks.wording import mark, names, tally
from etl.cli.display import console
from etl.cli.people import visible, visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.cli.checks.finding import Finding

_ORDER = ("FAILED", "not checked", "warning", "ok")
_STYLES = {"FAILED": "bold red", "not checked": "dim", "warning": "yellow", "ok": "green"}


def show_findings(findings: Sequence[Finding]) -> None:
    """On stdout. The words tell the kinds apart where there are no colours."""
    out = console()
    out.print(Text(tally(findings), style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for kind, text in _rows(sorted(findings, key=lambda each: _ORDER.index(mark(each)))):
        table.add_row(Text(kind, style=_STYLES[kind]), text)
    out.print(table)


def _rows(findings: Sequence[Finding]) -> Iterator[tuple[str, Text]]:
    for kind, of_kind in groupby(findings, key=mark):
        if kind == "not checked":
            for because, left_out in groupby(of_kind, key=lambda each: each.because):
                yield kind, Text(f"{visible(names(left_out))}: as the check of {because} failed")
            continue
        for finding in of_kind:
            yield kind, _told(finding)


def _told(finding: Finding) -> Text:
    told = Text.assemble((visible(finding.check), "bold"), f": {visible_lines(finding.saw)}")
    if finding.warning:
        told.append(f"\nwarning: {visible_lines(finding.warning)}", style="yellow")
    if finding.fix:
        told.append("\nto mend it: ", style="bold").append(visible_lines(finding.fix), style="not bold")
    return told
