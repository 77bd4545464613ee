"""A report in words: what is said, what Slack takes, and what nobody can slip in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fakes import NOW

from etl.models.reading import Quota
from etl.models.traffic import CountryVisitors, Traffic, TrafficDay
from etl.watch import wording
from etl.watch.report import Change, Report, SyncReport, WebsiteReport
from etl.watch.slack import LONGEST_SECTION, MOST_BLOCKS, fitting

DAY = timedelta(days=1)
RESET = datetime(2026, 3, 1, tzinfo=UTC)
FULL = Traffic(
    visitors=1200,
    page_views=3400,
    unique_visitors=900,
    bounce_rate=42.3,
    countries=tuple(CountryVisitors(f"Country {number}", 9 - number) for number in range(7)),
    days=(TrafficDay(date(2026, 2, 6), 500, 1400), TrafficDay(date(2026, 2, 7), 700)),
)


def site(name: str = "site_1", traffic: Traffic | None = FULL, **facts: Any) -> WebsiteReport:
    return WebsiteReport(name, traffic, NOW if traffic else None, **facts)


def report(*websites: WebsiteReport, range_: str = "24h", **sync: Any) -> Report:
    return Report(range_, NOW, websites or (site(),), SyncReport(NOW - DAY, **sync))


def test_the_fallback_says_the_counts_of_the_only_website() -> None:
    assert wording.fallback(report(site(traffic=Traffic(12, 34)))) == (
        "Daily Report: 12 visitors, 34 page views"
    )
    assert wording.fallback(report(site(traffic=Traffic(0)))) == "Daily Report: 0 visitors"


def test_the_fallback_of_several_websites_has_a_line_for_each() -> None:
    broken = site("b", None, error="Zenovay is away.")

    assert wording.fallback(report(site("a", Traffic(12, 34)), broken)).splitlines() == [
        "Daily Report",
        "a: 12 visitors, 34 page views",
        "b: Zenovay is away.",
    ]


@pytest.mark.parametrize(
    ("range_", "title"),
    [
        ("24h", "Daily Report"),
        ("7d", "Weekly Report"),
        ("30d", "Monthly Report"),
        ("90d", "Report of the last 90d"),
        ("1y", "Report of the last 1y"),
    ],
)
def test_each_range_has_a_title(range_: str, title: str) -> None:
    made = report(range_=range_)

    assert wording.lines(made)[0] == f"{title}, 2026-02-07T12:00:00Z"
    assert wording.blocks(made)[0]["text"] == {"type": "plain_text", "text": title}


def test_every_count_that_is_known_is_told_with_its_change() -> None:
    change = Change(NOW - DAY, visitors=9.6, page_views=-0.2)

    assert wording.lines(report(site(change=change)))[1] == (
        "site_1: 1200 visitors (+10 %), 3400 page views (+0 %), 900 unique, bounce rate 42.3%,"
        " top countries Country 0 9, Country 1 8, Country 2 7, Country 3 6, Country 4 5"
    )


def test_a_change_against_nothing_is_not_told() -> None:
    change = Change(NOW - DAY, visitors=None, page_views=None)

    assert wording.lines(report(site(traffic=Traffic(3, 4), change=change)))[1] == (
        "site_1: 3 visitors, 4 page views"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [(None, None), (0.0, "+0 %"), (-0.4, "+0 %"), (0.6, "+1 %"), (-100.0, "-100 %"), (1e6, "+1000000 %")],
)
def test_a_change_has_a_sign_and_no_negative_nought(change: float | None, told: str | None) -> None:
    assert wording.percent(change) == told


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (timedelta(0), "0 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=47, minutes=59), "47 h"),
        (2 * DAY, "2 days"),
        (400 * DAY, "400 days"),
    ],
)
def test_a_span_is_told_in_the_largest_unit_that_says_something(length: timedelta, told: str) -> None:
    assert wording.span(length) == told


@pytest.mark.parametrize(
    ("counts", "bars"),
    [
        ([], ""),
        ([0], "▁"),
        ([0, 0], "▁▁"),
        ([5], "█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([10**15, 0, 10**15], "█▁█"),
    ],
)
def test_a_sparkline_has_a_bar_for_each_count(counts: list[int], bars: str) -> None:
    assert wording.sparkline(counts) == bars


def test_the_sync_of_a_day_is_told() -> None:
    made = report(
        runs={"done": 280, "failed": 0, "unfinished": 1},
        created=5,
        updated=6,
        rejected={"INVALID_EMAIL": 2, "no_timestamp": 1},
        due=7,
        absent=8,
        watermark_age=timedelta(minutes=4),
        quota=Quota(250, 1000, RESET),
        month_limit=1000,
    )

    assert list(wording.sync_lines(made.sync)) == [
        "Sync of the last day: 280 done, 1 unfinished runs",
        "Contacts: 5 created, 6 updated, 7 due, 8 absent",
        "Rejected: 2 INVALID_EMAIL, 1 no_timestamp",
        "Watermark: 4 min behind",
        "Requests to Zenovay: 250 of 1000 (25 %) of the month are used",
    ]


def test_a_sync_that_never_was_is_told_too() -> None:
    assert list(wording.sync_lines(report().sync)) == [
        "Sync of the last day: no runs",
        "Contacts: 0 created, 0 updated, 0 due, 0 absent",
        "Watermark: nothing was synced yet",
    ]


def test_the_object_is_json_and_has_every_fact() -> None:
    change = Change(NOW - DAY, visitors=10.0, page_views=None)
    sync: dict[str, Any] = {"quota": Quota(250, None, RESET), "month_limit": 1000}
    told = json.loads(json.dumps(wording.as_object(report(site(change=change), **sync))))

    (website,) = told["websites"]
    assert website == {
        "website": "site_1",
        "visitors": 1200,
        "page_views": 3400,
        "unique_visitors": 900,
        "bounce_rate": 42.3,
        "top_countries": [{"country": f"Country {number}", "visitors": 9 - number} for number in range(7)],
        "countries_are_ours": False,
        "days": [
            {"day": "2026-02-06", "visitors": 500, "page_views": 1400},
            {"day": "2026-02-07", "visitors": 700, "page_views": None},
        ],
        "change": {"since": "2026-02-06T12:00:00Z", "visitors": 10.0, "page_views": None},
        "read_at": "2026-02-07T12:00:00Z",
        "error": None,
    }
    assert told["sync"]["quota"] == {
        "used": 250,
        "limit": 1000,
        "share": 0.25,
        "resets_at": "2026-03-01T00:00:00Z",
    }
    assert (told["range"], told["at"]) == ("24h", "2026-02-07T12:00:00Z")
    assert told["sync"]["watermark_age_s"] is None


def test_a_website_that_could_not_be_read_is_null_and_says_why() -> None:
    (website,) = wording.as_object(report(site(traffic=None, error="Zenovay is away.")))["websites"]

    assert (website["visitors"], website["top_countries"], website["read_at"]) == (None, [], None)
    assert website["error"] == "Zenovay is away."


@pytest.mark.parametrize("count", [1, 2, 46, 47, 60, 92, 93, 200])
def test_any_number_of_websites_fits_into_slack_s_blocks(count: int) -> None:
    names = [f"site-{number:03d}" for number in range(count)]
    made = wording.blocks(report(*(site(name, replace(FULL, countries=())) for name in names)))

    assert len(made) <= MOST_BLOCKS
    assert fitting(made) == made
    text = "\n".join(block["text"]["text"] for block in made if block["type"] == "section")
    assert [line.strip("*") for line in text.splitlines() if line.startswith("*site")] == names
    assert all(len(block["text"]["text"]) <= LONGEST_SECTION for block in made if block["type"] == "section")


def test_the_blocks_say_what_the_lines_say() -> None:
    made = wording.blocks(report(created=5))

    assert [block["type"] for block in made] == ["header", "section", "divider", "section", "context"]
    assert made[1]["text"]["text"].startswith("*site_1*\n1200 visitors, 3400 page views")
    assert "5 created" in made[3]["text"]["text"]


def test_nothing_that_is_reported_is_markup_for_slack() -> None:
    evil = "<!channel> <https://example.test|here> & co"
    shown = report(
        site(evil, Traffic(1, countries=(CountryVisitors(evil, 1),))),
        site("b", None, error=evil),
        rejected={evil: 1},
    )

    sent = json.dumps(wording.blocks(shown))

    assert "<" not in sent
    assert ">" not in sent
    assert sent.count("&lt;!channel&gt;") == 4
