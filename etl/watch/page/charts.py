"""Charts as static SVG, drawn by pygal: the page's own style colours them, in either scheme.

pygal's styles, scripts and comments, which name a day and addresses, are taken out; what is left has no id,
so that any number of charts may stand on one page. Texts are given without what is not seen.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

import pygal
from pygal.etree import etree
from pygal.style import Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# pygal looks for its maps whenever a module is missing, in a way that Python warns of
sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, pygal.PluginImportFixer)]

_WIDTH, _HEIGHT = 480, 270
_BAR = 26
_SLIM = 8
"""Fewer columns than these are not as wide as there is room."""

_LARGEST_TEXT = 16
"""In units of the drawing, as it is on a phone: the margins are made for it."""

_TEXT = {"label_font_size": _LARGEST_TEXT, "major_label_font_size": _LARGEST_TEXT, "value_font_size": 12}
_LABELS, _LABEL = 5, 22
_STEPS = 4
_SCALES = ((1_000_000, 1_000_000, "M"), (10_000, 1_000, "k"), (0, 1, ""))
"""From which top on, by what the values are divided, and the letter for that."""

_OUTLINE = {"defs", "style", "script", "desc", "title"}
_TOOLTIP = "plot tooltip-overlay"


@dataclass(frozen=True, slots=True)
class Series:
    """What is drawn in one colour. ``hints`` are shown over its bars, one for each value."""

    values: Sequence[int | None]
    hints: Sequence[str] = ()


def columns(says: str, labels: Sequence[str], *series: Series) -> str:
    """Upright bars, the series upon each other. ``says`` is the chart for who does not see it."""
    top = max(map(sum, zip(*(each.values for each in series), strict=True)))
    chart = pygal.StackedBar(**_settings(top), x_labels=_few(labels))
    chart._series_margin = max(0.06, (_SLIM - len(labels)) / 2 / _SLIM)  # noqa: SLF001 -- no setting is for it
    return _drawn(chart, says, series)


def bars(says: str, labels: Sequence[str], series: Series) -> str:
    """Lying bars, the first on top, with their values."""
    chart = pygal.HorizontalBar(
        **_settings(max(value or 0 for value in series.values))
        | {"height": 2 * _LARGEST_TEXT + _BAR * len(labels), "show_x_labels": False, "margin_right": 48},
        x_labels=[_shortened(label) for label in reversed(labels)],
        print_values=True,
        print_values_position="top",
    )
    return _drawn(chart, says, [Series(series.values[::-1], series.hints[::-1])])


def lines(says: str, labels: Sequence[str], *series: Series) -> str:
    """Lines from zero on; a series ends where its values do. The first has dots."""
    top = max(value for each in series for value in each.values if value is not None)
    chart = pygal.Line(**_settings(top), x_labels=_few(labels), dots_size=3)
    return _drawn(chart, says, series)


def _settings(top: int) -> dict[str, Any]:
    ticks = _ticks(top)
    return {
        "js": [],
        "no_prefix": True,
        "show_legend": False,
        "disable_xml_declaration": True,
        "style": Style(**_TEXT),
        "width": _WIDTH,
        "height": _HEIGHT,
        "margin": 8,
        "margin_right": 20,
        "spacing": 8,
        "range": (0, ticks[-1]),
        "y_labels": ticks,
        "value_formatter": lambda value: _brief(value, top),
        "truncate_label": -1,
    }


def _ticks(top: int) -> list[int]:
    """Whole numbers at even distances, from zero to ``top`` or beyond."""
    steps = (factor * 10**power for power in count() for factor in (1, 2, 5))
    step = next(each for each in steps if each * _STEPS >= top)
    return [*takewhile(lambda tick: tick < top, count(0, step)), -(-top // step) * step]


def _brief(value: float, top: int) -> str:
    """``value`` in the unit that suits ``top``."""
    _, factor, unit = next(scale for scale in _SCALES if top >= scale[0])
    return f"{value / factor:,g}{unit if value else ''}"


def _few(labels: Sequence[str]) -> list[str]:
    every = -(-len(labels) // _LABELS)
    return ["" if index % every else label for index, label in enumerate(labels)]


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL else label[: _LABEL - 1] + "…"


def _drawn(chart: Any, says: str, series: Sequence[Series]) -> str:
    for place, each in enumerate(series):
        chart.add("", list(each.values), show_dots=place == 0)
    root = chart.render_tree()
    _strip(root)
    hints = (hint for each in series for hint in each.hints)
    for bar, hint in zip(_of_class(root, "bar"), hints, strict=False):
        etree.SubElement(bar, "title").text = hint
    root.attrib.pop("id")
    root.attrib.update({"class": "chart", "role": "img", "aria-label": says})
    return str(etree.tostring(root, encoding="unicode"))


def _strip(node: Any) -> None:
    for child in list(node):
        is_tag = isinstance(child.tag, str)
        if not is_tag or child.tag in _OUTLINE or child.get("class") == _TOOLTIP:
            node.remove(child)
        else:
            _strip(child)


def _of_class(root: Any, name: str) -> Iterator[Any]:
    return (node for node in root.iter() if node.get("class") == name)
