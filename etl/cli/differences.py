"""What a dry run would do, contact by contact: a table on a terminal, lines anywhere else."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import click

from etl.cli.people import say, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from etl.models.difference import Action, Difference, ValueChange
    from etl.models.summary import RunSummary

_TITLES: Mapping[Action, str] = {
    "create": "Would be created",
    "update": "Would be updated",
    "keep": "Would stay as HubSpot has them",
    "absent": "Absent in HubSpot, and not to be made",
    "gone": "Gone from HubSpot",
    "refused": "Would be refused",
    "deferred": "Would be deferred",
}
"""In the order in which they are shown. What is unchanged is counted only."""

_HEAD = ("property", "HubSpot now", "ours", "")
_GAP = "  "
_NOTHING = "-"
_LEAST = 8
"""Characters of a value that are shown on however narrow a terminal."""


class _Cells(NamedTuple):
    """A property of a contact."""

    property: str
    now: str
    ours: str
    mark: str


def show_differences(summaries: Sequence[RunSummary], *, limit: int) -> None:
    """Print what the dry runs of all websites would do: the first ``limit`` contacts, 0 for all."""
    found = [each for summary in summaries for each in summary.differences]
    order = list(_TITLES)
    told = sorted((each for each in found if each.action in order), key=lambda each: order.index(each.action))
    shown = told[: limit or None]
    show = _show_table if sys.stdout.isatty() else _show_lines
    for action, group in groupby(shown, key=lambda each: each.action):
        show(action, list(group))
    if left_out := len(told) - len(shown):
        click.echo(f"{left_out} more contacts are not shown: --limit 0 shows all.")
    for concern in dict.fromkeys(each for summary in summaries for each in summary.concerns):
        say(concern)
    click.echo(_totals(found))


def _totals(differences: Sequence[Difference]) -> str:
    counts = Counter(each.action for each in differences)
    actions: tuple[Action, ...] = (*_TITLES, "unchanged")
    contacts = [f"{counts[action]} {action}" for action in actions if counts[action]]
    fates = Counter(_fate(change) for each in differences for change in each.changes)
    values = [f"{fates[fate]} {fate}" for fate in ("filled", "replaced", "kept") if fates[fate]]
    total = f"Contacts: {', '.join(contacts) or 'nothing to do'}."
    return f"{total} Values: {', '.join(values)}." if values else total


def _fate(change: ValueChange) -> str:
    if change.kept:
        return "kept"
    return "filled" if change.old is None else "replaced"


def _show_lines(action: Action, differences: Iterable[Difference]) -> None:
    for each in differences:
        contact, remarks = visible(each.key), "".join(f" [{remark}]" for remark in _remarks(each))
        if remarks or not each.changes:
            click.echo(f"{action} {contact}{remarks}")
        for change in each.changes:
            cells, marks = _cells(change), "".join(f" [{mark}]" for mark in _marks(change))
            click.echo(f"{action} {contact} {cells.property}: {cells.now} -> {cells.ours}{marks}")


def _show_table(action: Action, differences: Sequence[Difference]) -> None:
    """A line for each property under its contact; contacts without any stand under the reason for that."""
    from etl.cli import display  # noqa: PLC0415 -- rich costs 40 ms

    console = display.console()
    console.soft_wrap = True
    console.print(f"{_TITLES[action]} ({len(differences)})", style="bold")
    if changed := [each for each in differences if each.changes]:
        _show_changes(changed, console)
    bare = [(_remarks(each), visible(each.key)) for each in differences if not each.changes]
    for remarks, contacts in groupby(sorted(bare, key=_reason), key=_reason):
        for remark in remarks:
            console.print(f"{_GAP}{remark}")
        for _, contact in contacts:
            console.print(f"{_GAP * 2}{contact}")
    console.print()


def _show_changes(changed: Sequence[Difference], console: Console) -> None:
    widths = _widths([_cells(change) for each in changed for change in each.changes], console.width)
    console.print(_line(_HEAD, widths), style="dim")
    for each in changed:
        console.print(f"{_GAP}{visible(each.key)}")
        for remark in _remarks(each):
            console.print(f"{_GAP * 2}{remark}")
        for change in each.changes:
            console.print(_line(_cells(change), widths))


def _reason(bare: tuple[list[str], str]) -> list[str]:
    return bare[0]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (_GAP * 2 + _GAP.join(map(_fitted, cells, widths))).rstrip()


def _fitted(text: str, width: int) -> str:
    from rich.text import Text  # noqa: PLC0415 -- rich costs 40 ms

    fitted = Text(text)
    fitted.truncate(width, overflow="ellipsis", pad=True)
    return fitted.plain


def _widths(rows: Sequence[_Cells], columns: int) -> list[int]:
    """Names of properties and marks are whole; the values share the room that is left."""
    from rich.cells import cell_len  # noqa: PLC0415 -- rich costs 40 ms

    prop, now, ours, mark = (max(map(cell_len, column)) for column in zip(_HEAD, *rows, strict=True))
    room = max(columns - prop - mark - len(_GAP) * (len(_HEAD) + 1), 2 * _LEAST)
    now = min(now, max(room // 2, room - ours))
    return [prop, now, min(ours, room - now), mark]


def _cells(change: ValueChange) -> _Cells:
    now, marks = _NOTHING if change.old is None else visible(change.old), _marks(change)
    return _Cells(visible(change.property), now, visible(change.new), marks[-1] if marks else "")


def _marks(change: ValueChange) -> list[str]:
    """What is to be said of a value, what matters most last."""
    marks = ["by people"] if change.by_people else []
    if change.kept:
        marks.append("kept (no news)" if change.policy == "overwrite" else f"kept ({change.policy})")
    return marks


def _remarks(difference: Difference) -> list[str]:
    remarks = [visible(difference.reason)] if difference.reason else []
    if difference.refused_before:
        remarks.append(f"was refused before: {visible(difference.refused_before)}")
    return remarks
