"""Tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from etl.models.summary import utc_text
from etl.watch import wording

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from etl.models.summary import RunSummary
    from etl.watch.report import Report, WebsiteReport


WIDE = 100
"""Characters of a terminal on which a month of days has room."""
MOST_DAYS, FEW_DAYS = 30, 14


def show(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, whole: Collection[str] = ()
) -> None:
    """A table on stdout. Texts are printed as they are: no markup. The ``whole`` columns are not folded."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in whole)
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    Console(markup=False, emoji=False, highlight=False).print(table)


def run_table(summaries: Sequence[RunSummary]) -> None:
    """The closing summary of ``run`` and ``backfill``."""
    columns = ["", *(summary.website for summary in summaries)]
    lines: list[tuple[str, list[object]]] = [
        ("status", [summary.status.value for summary in summaries]),
        ("window", [_window(summary) for summary in summaries]),
        ("rows read", [summary.rows.read for summary in summaries]),
        ("rows rejected", [summary.rows.rejected for summary in summaries]),
        ("contacts created", [summary.contacts.created for summary in summaries]),
        ("contacts updated", [summary.contacts.updated for summary in summaries]),
        ("contacts unchanged", [summary.contacts.unchanged for summary in summaries]),
        ("contacts rejected", [summary.contacts.rejected for summary in summaries]),
        ("contacts deferred", [summary.contacts.deferred for summary in summaries]),
        ("requests to Zenovay", [summary.requests.zenovay for summary in summaries]),
        ("requests to HubSpot", [summary.requests.hubspot for summary in summaries]),
        ("watermark", [utc_text(summary.watermark_after) for summary in summaries]),
        ("seconds", [summary.elapsed_s for summary in summaries]),
        ("reason", [summary.reason for summary in summaries]),
    ]
    dry = any(summary.dry_run for summary in summaries)
    title = "Dry run: nothing was written" if dry else "Sync"
    show(title, columns, [(name, *cells) for name, cells in lines])


def _window(summary: RunSummary) -> str | None:
    window = summary.window
    if window is None:
        return None
    return f"{utc_text(window.since)} to {utc_text(window.until)} ({window.range})"


def _text(cell: object) -> str:
    return "-" if cell is None else str(cell)


def report_table(report: Report) -> None:
    """The websites, with a bar for each day, and the sync in a few lines."""
    console = Console(markup=False, emoji=False, highlight=False)
    days = MOST_DAYS if console.width >= WIDE else FEW_DAYS
    columns = ("", "visitors", "change", "views", "bounced", "top countries", "by day")
    rows = (_website_cells(website, days) for website in report.websites)
    show(wording.title(report), columns, rows, whole={*columns[1:5], columns[-1]})
    for line in wording.sync_lines(report.sync):
        console.print(line)


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
