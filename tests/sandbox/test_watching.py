"""What the sandbox has for watching: the live count, the counts of a website, Slack, pings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fakes import FakeClock
from storm import FOREVER, Fault, Storm

from etl.sandbox import Sandbox, TeamWorld, ZenovayWorld
from etl.sandbox.team import Ping, SlackMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SITE = "site_sandbox"
CODE = "ZV_SANDBOX"
RID = "6f1d3c1e-5a57-4ac4-9d4b-0d3b2f0c9a11"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    clock = FakeClock(NOW)
    with Sandbox(zenovay=ZenovayWorld(clock=clock), team=TeamWorld(clock=clock)) as sandbox:
        yield sandbox


def visit(name: str, *, ago: timedelta = timedelta(), **facts: Any) -> dict[str, Any]:
    return {"id": name, "last_seen": (NOW - ago).isoformat(), **facts}


def analytics(sandbox: Sandbox, **params: str) -> Any:
    headers = {"X-API-Key": sandbox.zenovay.api_key}
    asked = httpx.get(f"{sandbox.zenovay_url}/analytics/{SITE}", params=params, headers=headers)
    return asked.raise_for_status().json()


def post(sandbox: Sandbox, message: Any) -> tuple[int, str]:
    reply = httpx.post(sandbox.slack_url, json=message)
    return reply.status_code, reply.text


def test_the_live_count_has_two_places_and_two_shapes(sandbox: Sandbox) -> None:
    late = visit("late", ago=timedelta(minutes=6))
    sandbox.zenovay.add_rows(SITE, [visit("a"), visit("b", ago=timedelta(minutes=4)), late])

    assert httpx.get(f"{sandbox.url}/e/live/{CODE}").json() == {"count": 2}
    assert httpx.get(f"{sandbox.url}/live/{CODE}").json()["live_visitors"] == 2
    assert sandbox.zenovay.month_used == 0


def test_an_older_server_has_the_older_place_only(sandbox: Sandbox) -> None:
    sandbox.zenovay.older_live = True

    assert httpx.get(f"{sandbox.url}/e/live/{CODE}").status_code == 404
    assert httpx.get(f"{sandbox.url}/live/{CODE}").status_code == 200


def test_each_website_has_its_own_code(sandbox: Sandbox) -> None:
    sandbox.zenovay.add_rows(SITE, [visit("a")])
    sandbox.zenovay.add_rows("shop", [visit("b"), visit("c")])

    codes = (CODE, "ZV_SHOP")
    assert [httpx.get(f"{sandbox.url}/e/live/{code}").json()["count"] for code in codes] == [1, 2]
    assert httpx.get(f"{sandbox.url}/e/live/ZV_OTHER").status_code == 404


ROWS = [
    visit("a", country_code="CH", pageviews=1),
    visit("b", ago=timedelta(hours=1), country_code="CH", pageviews=4),
    visit("a", ago=timedelta(days=1), country_code="FR", pageviews=2),
    visit("c", ago=timedelta(days=6)),
]


def test_the_counts_of_a_website_in_the_newest_shape(sandbox: Sandbox) -> None:
    sandbox.zenovay.add_rows(SITE, ROWS)

    assert analytics(sandbox, range="24h")["data"] == {
        "summary": {"total_visitors": 3, "total_page_views": 7, "unique_visitors": 2},
        "daily_stats": [
            {"date": "2026-03-09", "visitors": 1, "page_views": 2},
            {"date": "2026-03-10", "visitors": 2, "page_views": 5},
        ],
    }


def test_the_counts_of_a_website_in_the_older_shape(sandbox: Sandbox) -> None:
    sandbox.zenovay.older_analytics = True
    sandbox.zenovay.add_rows(SITE, ROWS)

    assert analytics(sandbox, timeRange="24h") == {
        "website": {"id": SITE, "domain": "site-sandbox.example.test", "name": f"Sandbox {SITE}"},
        "timeRange": "24h",
        "totalVisitors": 3,
        "totalPageViews": 7,
        "bounceRate": 33.3,
        "topCountries": [
            {"name": "Switzerland", "code": "CH", "visitors": 2, "percentage": 66.7},
            {"name": "France", "code": "FR", "visitors": 1, "percentage": 33.3},
        ],
        "dailyStats": [
            {"date": "2026-03-09", "visitors": 1, "pageViews": 2, "bounceRate": 0.0},
            {"date": "2026-03-10", "visitors": 2, "pageViews": 5, "bounceRate": 50.0},
        ],
    }


def test_an_older_server_takes_a_range_that_it_does_not_know_for_seven_days(sandbox: Sandbox) -> None:
    sandbox.zenovay.older_analytics = True
    sandbox.zenovay.add_rows(SITE, ROWS)

    seen = analytics(sandbox, range="24h")

    assert (seen["timeRange"], seen["totalVisitors"]) == ("7d", 4)


def test_what_is_posted_to_the_channel_is_kept(sandbox: Sandbox) -> None:
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}

    reply = httpx.post(sandbox.slack_url, json={"text": "Hello", "blocks": [section] * 50})
    assert (reply.status_code, reply.text) == (200, "ok")
    assert reply.headers["content-type"].startswith("text/plain")
    assert post(sandbox, {"text": "Again"}) == (200, "ok")
    assert post(sandbox, {"blocks": [{"type": "divider"}]}) == (200, "ok")
    assert sandbox.team.messages == [
        SlackMessage("Hello", [section] * 50, NOW),
        SlackMessage("Again", [], NOW),
        SlackMessage("", [{"type": "divider"}], NOW),
    ]


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {"text": ""},
        {"text": 7},
        {"text": "x", "blocks": "y"},
        {"text": "x", "blocks": [{}]},
        {"text": "x", "blocks": [{"type": "divider"}] * 51},
        {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]},
    ],
)
def test_what_is_no_message_is_refused(sandbox: Sandbox, message: Any) -> None:
    assert post(sandbox, message) == (400, "invalid_payload")
    assert sandbox.team.messages == []


def test_a_body_that_is_not_json_is_refused(sandbox: Sandbox) -> None:
    reply = httpx.post(sandbox.slack_url, data={"text": "x"})

    assert (reply.status_code, reply.text) == (400, "invalid_payload")


@pytest.mark.parametrize("path", ["/slack/services/T000/B000/other", "/slack/services"])
def test_a_webhook_that_does_not_exist(sandbox: Sandbox, path: str) -> None:
    reply = httpx.post(f"{sandbox.url}{path}", json={"text": "x"})

    assert reply.status_code == 404
    assert sandbox.team.messages == []


def test_a_wrong_secret_is_no_service(sandbox: Sandbox) -> None:
    assert httpx.post(f"{sandbox.slack_url}x", json={"text": "x"}).text == "no_service"


@pytest.mark.parametrize(
    ("path", "kind", "exit_code"),
    [
        ("", "success", None),
        ("/start", "start", None),
        ("/fail", "fail", None),
        ("/log", "log", None),
        ("/0", "success", 0),
        ("/4", "fail", 4),
        ("/255", "fail", 255),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_pings_of_every_kind(
    sandbox: Sandbox, method: str, path: str, kind: str, exit_code: int | None
) -> None:
    reply = httpx.request(method, sandbox.ping_url + path, params={"rid": RID})

    assert (reply.status_code, reply.text) == (200, "" if method == "HEAD" else "OK")
    assert reply.headers["ping-body-limit"] == "10000"
    assert sandbox.team.pings == [Ping(kind, RID, "", NOW, exit_code)]


def test_the_body_of_a_ping_is_kept_up_to_its_limit(sandbox: Sandbox) -> None:
    httpx.post(sandbox.ping_url, content=b"done")
    httpx.post(sandbox.ping_url, content=b"x" * 10_001)

    assert [ping.body for ping in sandbox.team.pings] == ["done", "x" * 10_000]
    assert sandbox.team.pings[0].rid is None


@pytest.mark.parametrize("rid", ["", "7", "run-1", "6f1d3c1e5a574ac49d4b0d3b2f0c9a11"])
def test_a_malformed_rid_is_refused(sandbox: Sandbox, rid: str) -> None:
    assert httpx.get(sandbox.ping_url, params={"rid": rid}).status_code == 400
    assert sandbox.team.pings == []


def test_pings_that_mean_nothing(sandbox: Sandbox) -> None:
    unknown = httpx.get(f"{sandbox.url}/ping/{RID}")
    wrong = [httpx.get(f"{sandbox.ping_url}/{rest}").status_code for rest in ("256", "finish", "fail/now")]

    assert (unknown.status_code, unknown.text) == (200, "OK (not found)")
    assert (wrong, httpx.put(sandbox.ping_url).status_code) == ([404, 404, 404], 404)
    assert sandbox.team.pings == []


def test_the_environment_for_watching_points_at_the_team(sandbox: Sandbox) -> None:
    assert sandbox.watching_environment() == {
        "SLACK_WEBHOOK_URL": f"{sandbox.url}/slack/services/T000/B000/{sandbox.team.slack_secret}",
        "SYNC_NOTIFY": "slack",
        "SYNC_PING_URL": f"{sandbox.url}/ping/{sandbox.team.check}",
    }
    assert sandbox.environment().keys().isdisjoint(sandbox.watching_environment())


def test_the_page_shows_what_the_team_was_told(sandbox: Sandbox) -> None:
    assert "Slack" not in httpx.get(sandbox.url).text
    section = {"type": "section", "text": {"type": "mrkdwn", "text": "<b>5 & 6</b>"}}
    post(sandbox, {"text": "Visitors", "blocks": [section, {"type": "divider"}]})
    httpx.post(f"{sandbox.ping_url}/fail", content=b"<i>broken</i>")

    page = httpx.get(sandbox.url).text

    assert "Slack: 1" in page
    assert "Visitors\n&lt;b&gt;5 &amp; 6&lt;/b&gt;" in page
    assert "fail &lt;i&gt;broken&lt;/i&gt;" in page


def test_the_team_can_be_out_of_order() -> None:
    with Storm() as storm:
        storm.team.faults.add(Fault.answer(404, "channel_not_found"), times=FOREVER, path="/slack")
        storm.team.faults.add(Fault.closed(), path="/ping")

        assert httpx.post(storm.slack_url, json={"text": "x"}).text == "channel_not_found"
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(storm.ping_url)
        assert httpx.get(storm.ping_url).text == "OK"

        assert (len(storm.team.messages), len(storm.team.pings)) == (0, 1)
        assert [(each.method, each.status) for each in storm.team.requests] == [
            ("POST", 404),
            ("GET", None),
            ("GET", 200),
        ]
