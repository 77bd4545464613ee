"""Tables for people, on a terminal."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from etl.cli.people import ago, named, visible
from etl.models.summary import Status
from etl.watch import wording

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from etl.models.summary import RunSummary
    from etl.watch.report import Report, WebsiteReport


WIDE = 100
"""Characters of a terminal on which there is room for what is not needed daily."""
MOST_DAYS, FEW_DAYS = 30, 14
LEAST_ID = 8
"""Characters that are left of an id, however narrow the terminal is."""

_INDENT = 4
_STYLES = {
    "ok": "green",
    "done": "green",
    "partial": "yellow",
    "incomplete": "yellow",
    "skipped": "dim",
    "FAILED": "bold red",
    "killed": "bold red",
    "failing": "bold red",
}
"""Of cells that are exactly such a word; none is told from another by its colour alone."""


class Column(NamedTuple):
    """A column of the table of runs; one that is ``wide`` is left out where there is no room."""

    title: str
    cells: Sequence[object]
    wide: bool = False


def console(*, stderr: bool = False) -> Console:
    """What prints to a terminal; texts as they are, and without a style where NO_COLOR says so."""
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(
        color_system=None if plain else "auto", markup=False, emoji=False, highlight=False, stderr=stderr
    )


def show(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    whole: Collection[str] = (),
    ids: Collection[str] = (),
) -> None:
    """A table on stdout, without the columns in which nothing stands; "" is no title.

    The ``whole`` columns are not folded; ``ids`` are cut short where there is no room for them.
    """
    known = list(rows)
    table = Table(
        title=visible(title) or None, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    filled = [number for number in range(len(columns)) if any(row[number] for row in known)]
    for number in filled:
        name = columns[number]
        numeric = all(isinstance(row[number], int | float | None) for row in known)
        table.add_column(
            name,
            overflow="ellipsis" if name in ids else "fold",
            min_width=LEAST_ID if name in ids else None,
            no_wrap=numeric or name in whole,
            justify="right" if numeric else "left",
        )
    for row in known:
        table.add_row(*(_cell(row[number]) for number in filled))
    console().print(table)


def _cell(cell: object) -> Text:
    text = "-" if cell is None else visible(str(cell))
    return Text(text, style=_STYLES.get(text, ""))


def block(head: str, lines: Iterable[str] = ()) -> None:
    """A line, and below it, set in, what belongs to it; folded between words."""
    out = console()
    out.print(Text(visible(head)))
    for line in lines:
        out.print(Padding(Text(visible(line)), (0, 0, 0, _INDENT)))


def run_table(summaries: Sequence[RunSummary], now: datetime) -> None:
    """The closing summary of ``run`` and ``backfill``: a line for each website, then what is to be said."""
    wide = console().width >= WIDE
    columns = [column for column in _run_columns(summaries, now) if wide or not column.wide]
    dry = any(summary.dry_run for summary in summaries)
    title = "Dry run: nothing was written" if dry else "Sync"
    titles = [column.title for column in columns]
    rows = zip(*(column.cells for column in columns), strict=True)
    show(title, titles, rows, whole={"status", "range", "up to"}, ids={"website"})
    for line in _remarks(summaries):
        console().print(Text(visible(line)))


def _run_columns(summaries: Sequence[RunSummary], now: datetime) -> list[Column]:
    return [
        Column("website", [summary.place for summary in summaries]),
        Column("status", [status_word(summary.status) for summary in summaries]),
        Column("range", [summary.window and summary.window.range for summary in summaries], wide=True),
        Column("rows", [summary.rows.read for summary in summaries]),
        Column("bad rows", [summary.rows.rejected for summary in summaries]),
        Column("created", [summary.contacts.created for summary in summaries]),
        Column("updated", [summary.contacts.updated for summary in summaries]),
        Column("unchanged", [summary.contacts.unchanged for summary in summaries], wide=True),
        Column("rejected", [summary.contacts.rejected for summary in summaries]),
        Column("kept", [summary.contacts.kept for summary in summaries]),
        Column("deferred", [summary.contacts.deferred for summary in summaries]),
        Column("absent", [summary.contacts.absent for summary in summaries], wide=True),
        Column("up to", [_ago(summary.watermark_after, now) for summary in summaries], wide=True),
        Column("seconds", [summary.elapsed_s for summary in summaries], wide=True),
    ]


def _ago(instant: datetime | None, now: datetime) -> str | None:
    return ago(instant, now) if instant else None


def status_word(status: str | None) -> str:
    """How a run ended; what failed is not to be overlooked, be it without colour."""
    if status is None:
        return "killed"
    return "FAILED" if status == Status.FAILED else str(status)


def _remarks(summaries: Sequence[RunSummary]) -> Iterable[str]:
    """Each reason once, with the websites that it is about; stderr has those of what failed."""
    about: dict[str, list[str]] = {}
    for summary in summaries:
        if summary.reason and summary.status is not Status.FAILED:
            about.setdefault(summary.reason, []).append(summary.place)
    for reason, websites in about.items():
        yield f"{named(websites)}: {reason}"
    if len(summaries) > 1:
        counts = Counter(status_word(summary.status) for summary in summaries)
        told = ", ".join(f"{count} {word}" for word, count in counts.most_common())
        yield f"{len(summaries)} websites: {told}"


def report_table(report: Report) -> None:
    """The websites, with a bar for each day, and the sync in a few lines."""
    out = console()
    days = MOST_DAYS if out.width >= WIDE else FEW_DAYS
    columns = ("website", "visitors", "change", "views", "bounced", "top countries", "by day")
    rows = (_website_cells(website, days) for website in report.websites)
    show(wording.title(report), columns, rows, whole={*columns[1:5], columns[-1]}, ids={"website"})
    for line in wording.sync_lines(report.sync):
        out.print(Text(visible(line)))


def _website_cells(website: WebsiteReport, days: int) -> Sequence[object]:
    traffic, change = website.traffic, website.change
    if traffic is None:
        return (website.website, *(None,) * 4, website.error, None)
    top = ", ".join(f"{each.country} {each.visitors}" for each in traffic.countries[: wording.MOST_COUNTRIES])
    bounced = None if traffic.bounce_rate is None else f"{traffic.bounce_rate:g} %"
    return (
        website.website,
        traffic.visitors,
        wording.percent(change.visitors if change else None),
        traffic.page_views,
        bounced,
        top or None,
        wording.sparkline([day.visitors for day in traffic.days[-days:]]) or None,
    )
