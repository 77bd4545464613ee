"""The page of a report: as a text, and as a real browser shows it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import unescape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from browser import browsing, looking

from etl.errors import SettingsError
from etl.models.reading import Quota
from etl.models.summary import SyncedDay
from etl.models.traffic import CountryVisitors, Traffic, TrafficDay
from etl.watch.page import page
from etl.watch.page.charts import Series, bars, columns, lines
from etl.watch.page.words import harmless, range_text, signed, span
from etl.watch.report import Change, Report, SyncReport, WebsiteReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

AT = datetime(2026, 9, 30, 6, 0, 12, tzinfo=UTC)
FIRST = date(2026, 9, 1)
DAYS = tuple(FIRST + timedelta(days=past) for past in range(30))
COUNTRIES = (
    "Switzerland",
    "Germany",
    "Peru",
    "Japan",
    "France",
    "Italy",
    "Spain",
    "Chile",
    "Austria",
    "Kenya",
)
SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"{SCRIPT}\" onload='alert(2)' \u202e\x00\x1b[31m\ud800 " + "W" * 400


def traffic(scale: int = 100) -> Traffic:
    days = tuple(TrafficDay(day, scale + 37 * day.day % scale, scale * 3) for day in DAYS)
    visitors = sum(each.visitors for each in days)
    countries = tuple(CountryVisitors(name, 1000 - 99 * place) for place, name in enumerate(COUNTRIES))
    return Traffic(visitors, visitors * 3, visitors // 2, 41.26, countries, days)


def website(name: str = "shop.example", scale: int = 100) -> WebsiteReport:
    return WebsiteReport(name, traffic(scale), AT, Change(AT - timedelta(days=1), 12.34, -3.1))


def sync(**more: Any) -> SyncReport:
    said: dict[str, Any] = {
        "runs": {"done": 8420, "failed": 2},
        "created": 1234,
        "updated": 56789,
        "rejected": {"the address is not valid": 31, "INVALID_OPTION": 4},
        "confirmed": 12840,
        "due": 14,
        "absent": 220,
        "watermark_age": timedelta(hours=3, minutes=5),
        "quota": Quota(8840, 10_000, datetime(2026, 10, 1, tzinfo=UTC)),
        "month_limit": 10_000,
    }
    return SyncReport(AT - timedelta(days=30), **said | more)


HISTORY = tuple(
    SyncedDay(day, 3 + day.day, 40 + day.day * 7 % 50, day.day % 3, 290 + day.day) for day in DAYS
)


def report(*websites: WebsiteReport, **more: Any) -> Report:
    said: dict[str, Any] = {"range": "30d", "at": AT, "sync": sync(), "history": HISTORY}
    return Report(websites=websites or (website(), website("blog.example", 4000)), **said | more)


EMPTY = Report("7d", AT, (), SyncReport(AT))
NOTHING = report(
    WebsiteReport("a.example", Traffic(0)),
    WebsiteReport("b.example", Traffic(0, days=(TrafficDay(FIRST, 0),))),
    sync=sync(rejected={}, quota=None, watermark_age=None),
    history=tuple(SyncedDay(day) for day in DAYS),
)
FAILED = report(website(), WebsiteReport("old.example", error="Zenovay does not know it."))
STRANGE = report(
    WebsiteReport(HOSTILE, replace(traffic(), countries=(CountryVisitors(HOSTILE, 7),)), AT),
    WebsiteReport(HOSTILE, error=HOSTILE),
    website("W" * 300),
    sync=sync(rejected={HOSTILE: 5, "W" * 500: 2}, runs={HOSTILE: 1}),
)
MANY = report(*(website(f"shop-{number}.example", 50 + number * 999) for number in range(50)))
PAGES = {
    "usual": report(),
    "empty": EMPTY,
    "nothing": NOTHING,
    "failed": FAILED,
    "strange": STRANGE,
    "many": MANY,
}


def text_of(made: str) -> str:
    """What a reader sees of it, more or less."""
    body = re.sub(r"<svg.*?</svg>", " ", made.partition("<body>")[2], flags=re.DOTALL)
    words = re.sub(r"<[^>]*>", " ", re.sub(r"</?(?:strong|time|bdi)\b[^>]*>", "", body))
    return unescape(" ".join(words.split()))


def test_the_same_report_makes_the_same_page() -> None:
    assert page(report()) == page(report())


@pytest.mark.parametrize("name", PAGES)
def test_the_page_needs_nothing_else(name: str) -> None:
    made = page(PAGES[name])
    made.encode()
    assert (
        re.search(r"<script|\ssrc=|\shref=\"(?!#website-\d+\"|data:,\")|xlink|url\(|@import|<!--", made)
        is None
    )
    assert re.findall(r"""(?<!xmlns=")https?:""", made) == []
    assert re.search(r"\sid=\"\"|pygal", made) is None
    assert "default-src 'none'" in made.partition("</head>")[0]
    ids = re.findall(r"\sid=\"([^\"]*)\"", made)
    assert len(ids) == len(set(ids))


def test_the_page_is_small() -> None:
    five = report(*(website(f"shop-{number}.example", 10**number) for number in range(1, 6)))
    assert len(page(five).encode()) < 300_000
    assert len(page(MANY).encode()) < 2_500_000


@pytest.mark.parametrize("missing", ["jinja2", "pygal"])
def test_a_missing_extra_is_named_with_what_installs_it(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SettingsError) as caught:
        page(report())
    assert str(caught.value.fix).endswith("uv sync --locked --no-dev --inexact --extra report")


def test_what_is_known_is_said() -> None:
    seen = text_of(page(FAILED))
    for part in (
        "Websites' report last 30 days",
        "old.example could not be read: Zenovay does not know it.",
        "Made at 30 September 2026, 06:00:12 UTC",
        "+12.3% since 29 Sep 2026, 06:00 UTC",
        "\N{MINUS SIGN}3.1% since 29 Sep 2026, 06:00 UTC",
        "Bounce rate 41.3%",
        "And 2 countries more, with 317 visitors.",
        "Runs 8,422 8,420 done, 2 failed",
        "Contacts updated 56,789",
        "Rejected 35 for 2 reasons, see below",
        "Read up to 3 hours 5 minutes ago",
        "88.4% are used: 8,840 of 10,000. They begin anew at 1 October 2026, 00:00:00 UTC.",
        "Wed 30 Sep 2026 320 9,165",
    ):
        assert part in seen, part


def test_what_is_not_known_is_said_too() -> None:
    seen = text_of(page(NOTHING))
    for part in (
        "Page views not given",
        "no earlier report",
        "No country was given.",
        "No days were given.",
        "There was no visitor on any day.",
        "Read up to never",
        "None was counted yet; a month has 10,000.",
        "No contact was delivered in 30 days.",
        "Nothing was rejected.",
        "No request was counted this month.",
    ):
        assert part in seen, part
    assert "<svg" not in page(NOTHING)
    assert "Unique visitors" not in seen
    assert "No website is in this report." in text_of(page(EMPTY))


def test_what_was_nothing_before_is_not_compared() -> None:
    anew = replace(website(), change=Change(AT - timedelta(days=1), None, 0.0))
    seen = text_of(page(report(anew)))
    assert "no comparison with 29 Sep 2026, 06:00 UTC" in seen
    assert "unchanged since 29 Sep 2026, 06:00 UTC" in seen


def test_whose_countries_they_are_is_said() -> None:
    assert "countries of the visitors that this program has read" not in page(report())
    ours = report(replace(website(), countries_are_ours=True))
    assert "countries of the visitors that this program has read" in page(ours)


def test_a_month_that_the_history_has_not_from_its_first_day() -> None:
    late = report(at=datetime(2026, 10, 31, tzinfo=UTC), history=(SyncedDay(date(2026, 10, 2), requests=5),))
    assert "What was asked before 2 October 2026 is not counted." in page(late)
    unlimited = report(sync=sync(month_limit=0))
    assert "8,840 are used; the limit is not given." in text_of(page(unlimited))
    assert "The month's limit is not given." in text_of(page(unlimited))


def test_the_first_day_of_a_month_has_its_dot() -> None:
    first = report(at=datetime(2026, 9, 1, 5, tzinfo=UTC), history=HISTORY[:1])
    assert page(first).count('class="dot ') == 1


def test_only_the_most_frequent_reasons_are_drawn() -> None:
    made = page(report(sync=sync(rejected={f"reason {number}": number for number in range(1, 20)})))
    assert "The 12 most frequent are drawn." in made
    assert "reason 1</bdi>" in made


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Zürich, 東京", "Zürich, 東京"),
        ("a\u202eb", "a\\u202eb"),
        ("\x00\x1b\x7f", "\\u0000\\u001b\\u007f"),
        ("\ud800", "\\ud800"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_what_is_not_seen_is_written_out(written: str, read: str) -> None:
    assert harmless(written) == read


@pytest.mark.parametrize(
    ("change", "said"),
    [(12.34, "+12.3%"), (-5.0, "\N{MINUS SIGN}5.0%"), (0.01, "unchanged"), (1234.5, "+1,234.5%")],
)
def test_a_change_has_its_sign(change: float, said: str) -> None:
    assert signed(change) == said
    assert signed(None) == "no comparison"


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(seconds=-5), "less than a minute"),
        (timedelta(minutes=61), "1 hour 1 minute"),
        (timedelta(days=1234, hours=2, minutes=3), "1,234 days 2 hours"),
    ],
)
def test_an_age_in_words(length: timedelta, said: str) -> None:
    assert span(length) == said


def test_a_range_in_words() -> None:
    assert [range_text(each) for each in ("24h", "7d", "1y", "2w")] == [
        "last 24 hours",
        "last 7 days",
        "last year",
        "2w",
    ]


@pytest.mark.parametrize("top", [1, 3, 4, 5, 99, 100, 101, 12_345, 999_999, 1_000_001])
def test_an_axis_has_different_labels_from_zero_to_the_top(top: int) -> None:
    drawn = columns("", ["1 Sep"], Series([top], ["hint"]))
    axis = re.findall(
        r"<text[^>]*>([^<]+)</text>", drawn.partition('class="axis y')[2].partition('class="axis x')[0]
    )
    factor = {"M": 1_000_000, "k": 1_000}
    ticks = [float(each.rstrip("Mk").replace(",", "")) * factor.get(each[-1], 1) for each in axis]
    assert ticks[0] == 0
    assert ticks[-1] >= top
    assert all(low < high for low, high in pairwise(ticks))
    assert 2 <= len(ticks) <= 6


def test_a_chart_tells_its_numbers_and_shortens_what_does_not_fit() -> None:
    drawn = bars("Two <bars>", ["first", "second" * 20], Series([2, 1], ["first: 2", "second: 1"]))
    assert 'role="img"' in drawn
    assert 'aria-label="Two &lt;bars&gt;"' in drawn
    assert re.findall("<title>(.*?)</title>", drawn) == ["second: 1", "first: 2"]
    assert "secondsecondsecondsec…" in drawn
    assert lines("", ["1", "2"], Series([1, None])).count("<circle") == 1


CHARTS = """
return [...document.querySelectorAll('svg.chart')].map(svg => {
  const seen = node => { const box = node.getBoundingClientRect();
    return box.left >= 0 && box.right <= innerWidth + 0.5 && box.width > 0 };
  const bars = [...svg.querySelectorAll('.bar')].map(bar => ({
    hint: bar.querySelector('title').textContent, serie: bar.closest('.series').classList[1],
    height: bar.querySelector('rect').getBoundingClientRect().height,
    width: bar.querySelector('rect').getBoundingClientRect().width,
    inside: seen(bar.querySelector('rect')) }));
  const path = [...svg.querySelectorAll('.series path')].map(each => ({
    box: each.getBoundingClientRect().toJSON(), stroke: getComputedStyle(each).stroke, inside: seen(each) }));
  const dots = [...svg.querySelectorAll('.serie-0 circle')].map(each => each.getBoundingClientRect().top);
  const rows = [...svg.closest('.pair').querySelectorAll('tbody tr')].map(
    row => [...row.children].map(cell => cell.textContent));
  const box = svg.getBoundingClientRect();
  return { says: svg.getAttribute('aria-label'), role: svg.getAttribute('role'), rows, bars, path, dots,
           box: box.toJSON(), inside: seen(svg), beside: svg.closest('.pair').querySelector('table')
             .getBoundingClientRect().left >= box.right,
           texts: [...svg.querySelectorAll('text')].filter(each => each.textContent).map(seen) };
});
"""

CONTRASTS = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data] };
const light = colour => { const [r, g, b] = rgb(colour).map(part => part / 255).map(
  part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b };
const ground = node => { for (; node; node = node.parentElement) {
  const colour = getComputedStyle(node).backgroundColor; if (rgb(colour)[3] === 255) return colour } };
const contrast = (one, other) => { const [a, b] = [light(one), light(other)].sort((a, b) => b - a);
  return (a + 0.05) / (b + 0.05) };
const texts = [...document.querySelectorAll('body *')].filter(node => [...node.childNodes].some(
  child => child.nodeType === 3 && child.textContent.trim()) && node.tagName !== 'title');
const marks = [...document.querySelectorAll('.series rect, .series path, .key, .share > span')];
const fill = node => { const style = getComputedStyle(node);
  if (node.matches('.line')) return node.ownerSVGElement ? style.stroke : style.borderTopColor;
  return node.ownerSVGElement ? (style.fill === 'none' ? style.stroke : style.fill) : style.backgroundColor };
return { texts: texts.map(node => [node.tagName + ' ' + node.textContent.trim().slice(0, 40), contrast(
           node.ownerSVGElement ? getComputedStyle(node).fill : getComputedStyle(node).color, ground(node))]),
         marks: marks.map(node => [node.outerHTML.slice(0, 60), contrast(fill(node),
           ground(node.parentElement.closest('.card')))]) };
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name, what in PAGES.items():
        (folder / f"{name}.html").write_text(page(what), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("browser")) as chrome:
        chrome.execute_cdp_cmd("Network.enable", {})
        yield chrome


class Shown:
    """The pages in one window: so wide, and in one of the schemes."""

    def __init__(self, chrome: Chrome, files: Path, width: int, scheme: str) -> None:
        self.chrome, self.files, self.width = chrome, files, width
        looking(chrome, width=width, height=844 if width < 600 else 900, scheme=scheme)

    def open(self, name: str) -> None:
        self.chrome.get("about:blank")
        self.chrome.get_log("performance")  # type: ignore[no-untyped-call]
        self.chrome.get_log("browser")  # type: ignore[no-untyped-call]
        self.chrome.get((self.files / f"{name}.html").as_uri())

    def ask(self, script: str) -> Any:
        return self.chrome.execute_script(script)

    def requested(self) -> list[str]:
        entries = self.chrome.get_log("performance")  # type: ignore[no-untyped-call]
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            each["params"]["request"]["url"]
            for each in messages
            if each["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[390, 1280])
def shown(request: pytest.FixtureRequest, chrome: Chrome, files: Path, scheme: str) -> Shown:
    return Shown(chrome, files, request.param, scheme)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_the_browser_asks_nobody_and_runs_nothing(shown: Shown, name: str) -> None:
    shown.open(name)
    assert shown.ask("return document.scripts.length") == 0
    assert shown.ask("return document.querySelectorAll('[onload], iframe, object, img, base').length") == 0
    assert shown.ask("return performance.getEntriesByType('resource').map(each => each.name)") == []
    assert [url for url in shown.requested() if url != "data:,"] == [(shown.files / f"{name}.html").as_uri()]
    assert shown.chrome.get_log("browser") == []  # type: ignore[no-untyped-call]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_as_wide_as_the_window(shown: Shown, name: str) -> None:
    shown.open(name)
    assert shown.ask("return innerWidth") == shown.width
    scrolled, client = shown.ask("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert scrolled <= client


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_text_and_mark_stands_out(shown: Shown, name: str) -> None:
    shown.open(name)
    found = shown.ask(CONTRASTS)
    assert found["texts"]
    assert [(what, ratio) for what, ratio in found["texts"] if ratio < 4.5] == []
    assert [(what, ratio) for what, ratio in found["marks"] if ratio < 3] == []


@pytest.mark.slow
def test_the_page_follows_the_scheme(chrome: Chrome, files: Path) -> None:
    looks = {}
    for scheme in ("light", "dark"):
        Shown(chrome, files, 390, scheme).open("usual")
        looks[scheme] = chrome.execute_script(
            """const look = (what, property) => getComputedStyle(document.querySelector(what))[property];
            return [look('body', 'backgroundColor'), look('.card', 'backgroundColor'), look('body', 'color'),
                    look('.chart text', 'fill'), look('.series rect', 'fill')]"""
        )
    assert all(light != dark for light, dark in zip(looks["light"], looks["dark"], strict=True))


def counts(row: list[str]) -> list[int]:
    return [int(cell.replace(",", "")) for cell in row[1:] if cell != "not given"]


def hinted(bars_: list[dict[str, Any]]) -> list[int]:
    """The number that each bar tells."""
    return [int(re.search(r": ([\d,]+)", each["hint"])[1].replace(",", "")) for each in bars_]  # type: ignore[index]


def assert_proportional(sizes: list[float], values: list[int]) -> None:
    scale = max(sizes) / max(values)
    assert sizes == [pytest.approx(value * scale, abs=1.0) for value in values]


@pytest.mark.slow
def test_every_chart_is_inside_and_shows_the_numbers_of_its_table(shown: Shown) -> None:
    shown.open("usual")
    charts = shown.ask(CHARTS)
    first, second, delivered, rejected, quota = charts
    for chart in charts:
        assert (chart["role"], chart["inside"]) == ("img", True)
        assert len(chart["says"]) > 30
        assert all(chart["texts"])
        assert chart["beside"] == (shown.width > 1000)
        assert all(each["inside"] and each["width"] >= 1 for each in chart["bars"])
    for chart in (first, second):
        values = [counts(row)[0] for row in chart["rows"]]
        assert len(values) == len(DAYS)
        assert hinted(chart["bars"]) == values
        assert_proportional([each["height"] for each in chart["bars"]], values)
    series = [[each for each in delivered["bars"] if each["serie"] == f"serie-{place}"] for place in (0, 1)]
    stacked = [count for place in (0, 1) for count in (counts(row)[place] for row in delivered["rows"])]
    assert [number for each in series for number in hinted(each)] == stacked
    assert_proportional([each["height"] for each in delivered["bars"]], stacked)
    assert [counts(row)[0] for row in rejected["rows"]] == hinted(rejected["bars"])[::-1] == [31, 4]
    assert_proportional([each["width"] for each in rejected["bars"]], [4, 31])
    assert_line_shows(quota)


def assert_line_shows(quota: dict[str, Any]) -> None:
    """The dots stand as high as the sums of the table say, and the limit lies above them."""
    totals = [counts(row)[1] for row in quota["rows"]]
    assert len(quota["path"]) == 2
    assert all(each["inside"] for each in quota["path"])
    assert len({each["stroke"] for each in quota["path"]}) == 2
    climbed = [quota["dots"][0] - top for top in quota["dots"]]
    assert_proportional(climbed, [total - totals[0] for total in totals])
    assert min(quota["dots"]) > quota["path"][1]["box"]["top"]


@pytest.mark.slow
def test_what_strangers_wrote_is_text(shown: Shown) -> None:
    shown.open("strange")
    assert shown.ask("return document.querySelector('h2').textContent").startswith(SCRIPT)
    seen = shown.ask("return document.body.textContent")
    assert "\\u202e\\u0000\\u001b[31m\\ud800" in seen
    assert re.search("[\u202e\x00\x1b]", seen) is None


@pytest.mark.slow
def test_headings_and_tables_can_be_followed_without_eyes(shown: Shown) -> None:
    shown.open("failed")
    levels = shown.ask("return [...document.querySelectorAll('h1,h2,h3')].map(each => +each.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(deeper <= higher + 1 for higher, deeper in pairwise(levels))
    assert shown.ask("return document.documentElement.lang") == "en"
    assert shown.ask("return [...document.querySelectorAll('table')].every(each => each.caption.textContent)")
    assert shown.ask("return [...document.querySelectorAll('th')].every(each => each.scope)")


@pytest.mark.slow
def test_many_websites_are_found_by_a_list(shown: Shown) -> None:
    shown.open("many")
    assert shown.ask("return document.querySelectorAll('svg.chart').length") == 50 + 3
    links = "[...document.querySelectorAll('nav a')].map(each => document.getElementById(each.hash.slice(1)))"
    assert shown.ask(f"return {links}.filter(each => each).length") == 50


@pytest.mark.slow
def test_a_printed_page_has_every_row(chrome: Chrome, files: Path) -> None:
    shown = Shown(chrome, files, 1280, "light")
    shown.open("usual")
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        hidden = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollHeight > e.clientHeight + 1)"
        assert shown.ask(f"return {hidden}.length") == 0
    finally:
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
