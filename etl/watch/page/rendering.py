"""The template of the page, and what it is given."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from etl.models.summary import utc_text
from etl.watch.page import figures, words

if TYPE_CHECKING:
    from etl.watch.report import Report

SHOWN_COUNTRIES = 8
_FOLDER = files("etl.watch.page")
_FILTERS = {
    "brief_instant": words.brief_instant,
    "counted": words.counted,
    "instant": words.instant,
    "listed": words.listed,
    "long_day": words.long_day,
    "number": words.number,
    "percent": words.percent,
    "range_text": words.range_text,
    "signed": words.signed,
    "span": words.span,
    "table_day": words.table_day,
    "utc_text": utc_text,
}


def rendered(report: Report) -> str:
    """The page. Whatever a template prints is escaped, and nothing of it is invisible."""
    so_far = figures.month_so_far(report)
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            report=report,
            sync=report.sync,
            read=[each for each in report.websites if each.traffic],
            unread=[each for each in report.websites if not each.traffic],
            visitors_chart=figures.visitors,
            delivered_chart=figures.delivered(report.history),
            rejected=figures.by_reason(report.sync.rejected),
            rejections_chart=figures.rejections(report.sync.rejected),
            month=so_far,
            quota_chart=figures.quota(report, so_far),
            not_given=words.NOT_GIVEN,
            most_bars=figures.MOST_BARS,
            shown_countries=SHOWN_COUNTRIES,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(lambda name: _FOLDER.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS
    return environment


def _shown(value: Any) -> Any:
    """Only what is no markup can hold what a stranger wrote."""
    return words.harmless(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
