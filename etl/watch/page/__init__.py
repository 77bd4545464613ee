"""The report as one HTML page that needs nothing else: no network, no script, no file beside it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from etl.errors import SettingsError, installing

if TYPE_CHECKING:
    from etl.watch.report import Report


def page(report: Report) -> str:
    """The whole page; the same report makes the same text.

    Raises SettingsError where the packages that draw it are not installed.
    """
    if not (find_spec("jinja2") and find_spec("pygal")):
        raise SettingsError(
            "The page needs packages that are not installed.", fix=f"In the checkout: {installing('report')}"
        )
    from etl.watch.page.rendering import rendered  # noqa: PLC0415 -- it needs the extra

    return rendered(report)
