"""The counts of a website: every documented shape, what is not believed, and servers of another range."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from fakes import FakeClock
from loopback import Loopback, Served, served
from program import row
from storm import Storm

from etl.errors import ContractBrokenError, SettingsError, UnavailableError
from etl.extract.analytics import read_traffic, traffic
from etl.extract.budget import Budget
from etl.extract.client import ZenovayClient
from etl.extract.payload import UnreadableBodyError
from etl.jsontext import parse
from etl.models.traffic import CountryVisitors, Traffic, TrafficDay
from etl.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from loopback import Asked

SITE = "site_1"


def newest(summary: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"success": True, "data": {"summary": summary, **more}, "timestamp": "2026-02-07T12:00:00Z"}


DAYS = (TrafficDay(date(2026, 2, 6), 1, 2), TrafficDay(date(2026, 2, 7), 4))
COUNTRIES = (CountryVisitors("Switzerland", 4), CountryVisitors("France", 1))


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param(
            newest(
                {"total_visitors": 5, "total_page_views": 9, "unique_visitors": 3},
                daily_stats=[
                    {"date": "2026-02-07", "visitors": 4},
                    {"date": "2026-02-06", "visitors": 1, "page_views": 2},
                ],
            ),
            Traffic(5, 9, 3, days=DAYS),
            id="newest",
        ),
        pytest.param(
            {"success": True, "data": {"total_visitors": 5, "total_page_views": 9, "bounce_rate": 42.3}},
            Traffic(5, 9, bounce_rate=42.3),
            id="newest, flat in data",
        ),
        pytest.param(
            {
                "website": {"id": SITE},
                "timeRange": "24h",
                "totalVisitors": 5,
                "totalPageViews": 9,
                "bounceRate": 42.3,
                "topCountries": [{"code": "FR", "visitors": 1}, {"name": "Switzerland", "visitors": 4}],
                "dailyStats": [
                    {"date": "2026-02-06T00:00:00.000Z", "visitors": 1, "pageViews": 2, "bounceRate": 0.0},
                    {"date": "2026-02-07", "visitors": 4},
                ],
            },
            Traffic(5, 9, None, 42.3, COUNTRIES, DAYS),
            id="older, flat",
        ),
        pytest.param(
            newest({"total_visitors": 5}, top_countries=[{"country": "fr", "count": 1}]),
            Traffic(5, countries=(CountryVisitors("France", 1),)),
            id="countries beside the summary",
        ),
        pytest.param(
            newest({"total_visitors": 0, "total_page_views": 0}), Traffic(0, 0), id="nobody was there"
        ),
    ],
)
def test_every_documented_shape_is_understood(body: Any, found: Traffic) -> None:
    assert read_traffic(body)[0] == found


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (7, 7),
        (7.0, 7),
        (0, 0),
        (None, None),
        (7.5, None),
        (-1, None),
        (True, None),
        ("7", None),
        ([7], None),
        ({"count": 7}, None),
        (10**15, 10**15),
        (10**16, None),
        (10**19, None),
        (1e300, None),
        (float("inf"), None),
        (float("nan"), None),
    ],
)
def test_a_count_is_a_whole_number_that_can_be_meant(value: Any, count: int | None) -> None:
    found, _ = read_traffic(newest({"total_visitors": 5, "total_page_views": value}))

    assert found == Traffic(5, count)
    assert orjson.loads(orjson.dumps(asdict(found)))["page_views"] == count
    if count is None:
        with pytest.raises(UnreadableBodyError):
            read_traffic(newest({"total_visitors": value}))


def test_digits_without_end_are_no_count() -> None:
    body = parse(b'{"totalVisitors": 5, "totalPageViews": ' + b"9" * 400 + b"}")

    assert read_traffic(body)[0] == Traffic(5)


@pytest.mark.parametrize(
    ("stated", "rate"),
    [
        (42.3, 42.3),
        (42, 42.0),
        (0, 0.0),
        (100, 100.0),
        (0.29, 29.0),
        (100.1, None),
        (-1, None),
        (None, None),
        (True, None),
        ("42%", None),
        (float("nan"), None),
    ],
)
def test_the_bounce_rate_is_in_percent(stated: Any, rate: float | None) -> None:
    assert read_traffic({"totalVisitors": 5, "bounceRate": stated})[0].bounce_rate == rate


@pytest.mark.parametrize(
    ("entry", "country"),
    [
        ({"code": "CH", "name": "Schweiz", "visitors": 2}, "Switzerland"),
        ({"code": None, "name": "Switzerland", "visitors": 2}, "Switzerland"),
        ({"code": "", "name": "Switzerland", "visitors": 2}, "Switzerland"),
        ({"code": 41, "country_name": "switzerland", "visitors": 2.0}, "Switzerland"),
        ({"country_code": "ch", "unique_visitors": 2}, "Switzerland"),
        ({"name": "Atlantis", "visitors": 2}, "Atlantis"),
        ({"name": "  At\nlantis ", "visitors": 2}, "At lantis"),
        ({"name": "\x1b[31mRed\x07\u202e\ud800", "visitors": 2}, "[31mRed"),
        ({"name": "x" * 100, "visitors": 2}, "x" * 60),
        ({"name": "ann@example.test", "visitors": 2}, "<address>"),
        ({"name": "\x1b", "visitors": 2}, None),
        ({"name": " ", "visitors": 2}, None),
        ({"name": None, "visitors": 2}, None),
        ({"name": ["CH"], "visitors": 2}, None),
        ({"name": "Chad"}, None),
        ({"name": "Chad", "visitors": -2}, None),
        ({"name": "Chad", "visitors": True}, None),
        ("Chad", None),
        (None, None),
    ],
)
def test_a_country_has_its_english_name_and_a_count(entry: Any, country: str | None) -> None:
    found, _ = read_traffic({"totalVisitors": 5, "topCountries": [entry, {"code": "FR", "visitors": 9}]})

    france = CountryVisitors("France", 9)
    assert found.countries == ((france,) if country is None else (france, CountryVisitors(country, 2)))


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "2026-02-07",
        {},
        {"date": "2026-02-07"},
        {"date": None, "visitors": 1},
        {"date": 20260207, "visitors": 1},
        {"date": "yesterday", "visitors": 1},
        {"date": "2026-02-30", "visitors": 1},
        {"date": "2026-02-07", "visitors": "1"},
    ],
)
def test_a_day_that_is_none_is_left_out(entry: Any) -> None:
    found, _ = read_traffic(
        newest({"total_visitors": 5}, daily_stats=[entry, {"date": "2026-02-06", "visitors": 2}])
    )

    assert found.days == (TrafficDay(date(2026, 2, 6), 2),)


@pytest.mark.parametrize("wrong", [None, 7, "CH", {"CH": 7}, True])
def test_lists_that_are_none_are_left_out(wrong: Any) -> None:
    body = {"totalVisitors": 5, "topCountries": wrong, "dailyStats": wrong}

    assert read_traffic(body) == (Traffic(5), None)


@pytest.mark.parametrize(
    "body",
    [
        None,
        3,
        "5 visitors",
        [],
        [{"totalVisitors": 5}],
        {},
        {"data": []},
        {"data": {}},
        {"data": {"summary": {}}},
        {"data": {"summary": {"visitors": 5}}},
        {"data": {"visitors": []}},
        {"visitors": 5},
        {"totalVisitors": None},
        {"success": False, "data": {"summary": {"total_visitors": 5}}},
        {"error": {"code": "X"}, "totalVisitors": 5},
    ],
)
def test_a_third_shape_is_unreadable_and_never_no_visitors(body: Any) -> None:
    with pytest.raises(UnreadableBodyError):
        read_traffic(body)


@pytest.mark.parametrize(
    ("name", "stated", "known"),
    [
        ("range", "24h", "24h"),
        ("timeRange", "7d", "7d"),
        ("time_range", "1y", "1y"),
        ("range", "fortnight", None),
        ("range", None, None),
        ("range", [], None),
        ("range", {"since": "2026-02-06"}, None),
        ("range", 24, None),
    ],
)
def test_the_range_that_is_stated_is_told_where_it_is_one(name: str, stated: Any, known: str | None) -> None:
    assert read_traffic({"totalVisitors": 5, name: stated})[1] == known


def asked(
    answer: Callable[[Asked], Served], range_: str = "24h", website: str = SITE
) -> tuple[Traffic, list[Asked]]:
    with Loopback(answer) as server:
        return from_(server.url, range_, website), server.asked


def from_(url: str, range_: str, website: str, key: str = "zv_key") -> Traffic:
    clock = FakeClock()
    pace = Pace(limit=100, window_s=60, clock=clock, name="Zenovay")
    client = ZenovayClient(
        base_url=url, api_key=key, clock=clock, pace=pace, budget=Budget(clock=clock, limit=100)
    )
    try:
        return traffic(client, website, range_)
    finally:
        client.close()


def test_the_newest_server_is_asked_once() -> None:
    found, requests = asked(lambda _: served(newest({"total_visitors": 5})), website="a b/../c")

    assert found == Traffic(5)
    assert [(each.path.rpartition("/")[2], each.params) for each in requests] == [
        ("a%20b%2F..%2Fc", {"range": "24h"})
    ]


def test_a_server_that_takes_its_own_range_is_asked_once_more_by_the_older_name() -> None:
    with Storm() as sandbox:
        sandbox.zenovay.older_analytics = True
        sandbox.zenovay.add_rows(sandbox.website, [row(1), row(2), row(3, minutes_ago=3000)])
        found = from_(sandbox.zenovay_url, "24h", sandbox.website, sandbox.zenovay.api_key)
        whole = from_(sandbox.zenovay_url, "7d", sandbox.website, sandbox.zenovay.api_key)

    assert (found.visitors, whole.visitors) == (2, 3)
    assert [each.params for each in sandbox.zenovay.requests] == [
        {"range": "24h"},
        {"range": "24h", "timeRange": "24h"},
        {"range": "7d"},
    ]


def test_a_server_that_ignores_both_names_breaks_the_contract() -> None:
    with pytest.raises(ContractBrokenError, match="of the last 7d, where 24h was asked for") as caught:
        asked(lambda _: served({"timeRange": "7d", "totalVisitors": 5}))

    assert f"/analytics/{SITE}" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (served({"visitors": []}), ContractBrokenError),
        (served({"success": False, "error": {"code": "INTERNAL_ERROR"}}), ContractBrokenError),
        (Served(b"<html>5</html>"), ContractBrokenError),
        (served({}, status=404), SettingsError),
        (served({}, status=500), UnavailableError),
    ],
)
def test_what_is_no_count_is_an_error(answer: Served, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"/analytics/{SITE}"):
        asked(lambda _: answer)


def test_one_odd_answer_is_passed_over() -> None:
    script = iter([served({"visitors": []}), served({"totalVisitors": 5})])

    assert asked(lambda _: next(script))[0] == Traffic(5)
