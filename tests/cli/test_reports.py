"""``visitor-sync report``: what it shows, what it costs, and where it goes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from mortal import lived
from program import python_that_waits, row
from situations import until
from storm import FOREVER, Fault
from terminal import on_a_terminal, plain

from etl.watch import wording
from etl.watch.slack import SETTING

if TYPE_CHECKING:
    from program import Ended, Program

COUNTS = {"summary": {"total_visitors": 12, "total_page_views": 34}}


def asked(program: Program) -> list[str]:
    """Of which websites the counts were asked for."""
    prefix = "/api/external/v1/analytics/"
    return [
        each.path.removeprefix(prefix) for each in program.sandbox.zenovay.requests if prefix in each.path
    ]


def websites(program: Program, *others: str) -> dict[str, Any]:
    for name in others:
        program.sandbox.zenovay.add_rows(name, [row(1)])
    return {"ZENOVAY_WEBSITE_ID": ",".join((program.website, *others))}


def slack(program: Program) -> dict[str, Any]:
    return {SETTING: program.sandbox.slack_url}


def unseen(program: Program, ended: Ended) -> bool:
    """Whether neither the webhook nor a key is in what was printed."""
    secrets = (program.sandbox.team.slack_secret, "T000/B000", program.sandbox.zenovay.api_key)
    return not any(secret in ended.stdout + ended.stderr for secret in secrets)


def test_a_report_says_how_the_website_and_its_sync_fare(program: Program) -> None:
    program.visitors(row(1), row(2, country_code="FR"), row(3), {"id": "odd", "country_code": "CH"})
    assert program.run().exit_code == 3

    shown = program("report")

    assert (shown.exit_code, shown.stderr) == (0, "")
    title, website, *sync = shown.stdout.splitlines()
    assert re.fullmatch(r"Daily Report, 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", title)
    assert website == (
        f"{program.website}: 4 visitors, 9 page views, 4 unique, top countries Switzerland 2, France 1"
    )
    assert sync == [
        "Sync of the last day: 1 partial runs",
        "Contacts: 3 created, 0 updated, 0 due, 0 absent",
        "Rejected: 1 no_last_seen",
        "Watermark: 0 min behind",
        f"Requests to Zenovay: {program.sandbox.zenovay.month_used} of 10000 (0 %) of the month are used",
    ]


def test_a_report_within_five_minutes_of_another_asks_nothing(program: Program) -> None:
    program.visitors(row(1))
    first = lived(program, "report", "--json").value
    program.visitors(row(2))
    second = lived(program, "report", "--json").value

    assert asked(program) == [program.website]
    assert first["websites"] == second["websites"]
    assert (first["websites"][0]["visitors"], first["websites"][0]["change"]) == (1, None)
    assert second["sync"]["quota"]["used"] == program.sandbox.zenovay.month_used == 1

    assert lived(program, "report", "--json", "--range", "7d").value["websites"][0]["visitors"] == 2
    assert len(asked(program)) == 2


def aged(program: Program, minutes: int) -> None:
    """What was read is older than it was."""
    code = (
        "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as state:\n"
        f"    state.execute('UPDATE readings SET at = at - {minutes * 60_000_000}')\nprint('done')\n"
    )
    with python_that_waits(code, str(program.state_file), said="done"):
        pass


def test_the_change_is_against_the_last_report_that_was_made(program: Program) -> None:
    """One that could not be posted was not: the next is compared with the one before it."""
    program.visitors(row(1), row(2))
    lived(program, "report", "--json")
    aged(program, 24 * 60)
    program.visitors(row(3))
    program.sandbox.team.faults.add(Fault.answer(404, b"no_service"))
    assert lived(program, "report", "--slack", "--json", **slack(program)).exit_code == 2
    aged(program, 6)

    (website,) = lived(program, "report", "--json").value["websites"]

    assert website["change"]["visitors"] == website["change"]["page_views"] == 50.0
    assert len(asked(program)) == 3


def test_an_older_server_gives_its_bounce_rate_and_countries(program: Program) -> None:
    program.sandbox.zenovay.older_analytics = True
    program.visitors(row(1, pageviews=1), row(2, country_code="FR"), row(3, minutes_ago=3000))

    ended = lived(program, "report", "--json")
    (website,) = ended.value["websites"]

    assert (website["visitors"], website["page_views"], website["bounce_rate"]) == (2, 4, 50.0)
    assert {each["country"] for each in website["top_countries"]} == {"Switzerland", "France"}
    assert not website["countries_are_ours"]
    assert program.sandbox.zenovay.month_used == ended.value["sync"]["quota"]["used"] == 2


@pytest.mark.parametrize(
    ("fault", "exit_code", "told"),
    [
        (
            Fault.answer(403, {"success": False, "error": {"code": "FORBIDDEN", "message": "no"}}),
            5,
            "FORBIDDEN",
        ),
        (Fault.answer(404, {"error": "gone"}), 2, "ZENOVAY_WEBSITE_ID"),
        (Fault.answer(502, {}), 4, "status 502"),
        (Fault.answer(200, {"data": {"sessions": 5}}), 6, "data.sessions and no count of visitors"),
        (Fault.unsuccessful(), 6, "success:false"),
        (Fault.answer(200, {"error": {"code": "\x1b[31mX", "message": "no"}}), 6, "[31mX"),
    ],
    ids=["403", "404", "502", "third shape", "success:false", "escape"],
)
def test_a_website_that_fails_keeps_no_other_from_being_shown(
    program: Program, fault: Fault, exit_code: int, told: str
) -> None:
    program.visitors(row(1))
    both = websites(program, "shop")
    program.sandbox.zenovay.faults.add(fault, path="/shop", times=FOREVER)

    ended = lived(program, "report", **both)

    assert ended.exit_code == exit_code
    assert f"{program.website}: 1 visitors, 3 page views" in ended.stdout
    said = f"{ended.error['what']} {ended.error['fix'] or ''}".strip()
    assert told in said
    assert f"shop: {said}" in ended.stdout
    assert "\x1b" not in ended.stdout + ended.stderr


def test_counts_that_no_number_can_hold_are_no_crash(program: Program) -> None:
    huge = {"total_visitors": 12, "total_page_views": 10**25, "unique_visitors": 1e300}
    countries = [{"name": "\ud800\x1b[2J", "visitors": 1}]
    answer = Fault.answer(200, {"data": {"summary": huge, "top_countries": countries, "timeRange": []}})
    program.sandbox.zenovay.faults.add(answer)

    ended = lived(program, "report", "--json")

    (website,) = ended.value["websites"]
    assert (ended.exit_code, website["visitors"], website["page_views"]) == (0, 12, None)
    assert website["top_countries"] == [{"country": "[2J", "visitors": 1}]


def test_slack_gets_blocks_and_the_fallback_of_the_guide(program: Program) -> None:
    program.sandbox.zenovay.faults.add(Fault.answer(200, {"success": True, "data": COUNTS}))

    ended = program("report", "--slack", **slack(program))

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "")
    (message,) = program.sandbox.team.messages
    assert message.text == "Daily Report: 12 visitors, 34 page views"
    assert [block["type"] for block in message.blocks] == [
        "header",
        "section",
        "divider",
        "section",
        "context",
    ]
    assert message.blocks[1]["text"]["text"].startswith(f"*{program.website}*\n12 visitors, 34 page views")


@pytest.mark.parametrize(
    ("fault", "exit_code", "posts"),
    [
        (Fault.answer(400, b"invalid_payload"), 6, 1),
        (Fault.answer(403, b"action_prohibited"), 5, 1),
        (Fault.answer(404, b"no_service"), 2, 1),
        (Fault.answer(410, b"channel_is_archived"), 2, 1),
        (Fault.answer(429, b"", headers={"Retry-After": "3600"}), 4, 1),
        (Fault.answer(500, b"rollup_error"), 4, 3),
        (Fault.closed(), 4, 3),
    ],
    ids=["400", "403", "404", "410", "429", "500", "closed"],
)
def test_a_refused_post_names_the_setting_and_not_the_webhook(
    program: Program, fault: Fault, exit_code: int, posts: int
) -> None:
    program.sandbox.team.faults.add(fault, times=FOREVER)

    ended = lived(program, "report", "--slack", **slack(program))

    assert ended.exit_code == exit_code
    assert SETTING in f"{ended.error['what']} {ended.error['fix']}"
    assert unseen(program, ended)
    assert len(program.sandbox.team.requests) == posts
    assert program.sandbox.team.messages == []


@pytest.mark.slow
def test_a_slack_that_hangs_is_given_up(program: Program) -> None:
    program.sandbox.team.faults.add(Fault.hang(), times=FOREVER)

    ended = lived(program, "report", "--slack", **slack(program))

    assert ended.exit_code == 4
    assert SETTING in ended.stderr
    assert unseen(program, ended)


def test_slack_without_a_webhook_asks_nothing(program: Program) -> None:
    ended = lived(program, "report", "--slack")

    assert (ended.exit_code, asked(program)) == (2, [])
    assert SETTING in ended.stderr


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
def test_a_report_works_while_a_run_holds_the_lock(
    program: Program, place: str, request: pytest.FixtureRequest
) -> None:
    url = str(request.getfixturevalue(f"{place}_url"))
    program.settings["SYNC_STATE_URL"] = url
    hold = (
        "import sys\nfrom etl.clock import SystemClock\nfrom etl.state.store import Store, open_state\n"
        "with open_state(sys.argv[1]) as state:\n"
        "  with Store(state, clock=SystemClock()).locked():\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with python_that_waits(hold, url, said="held"):
        first = lived(program, "report", "--json")
        news = lived(program, "alert", "--visitors-below", "1")
        refused = lived(program, "run", "--now")

    assert (first.exit_code, first.value["websites"][0]["visitors"]) == (0, 0), first.stderr
    assert news.stdout == f"{program.website}: 0 visitors in the last 24h, below 1.\n"
    assert refused.exit_code == 75
    assert asked(program) == [program.website]


def test_requests_beside_a_run_that_goes_on_are_counted_once(program: Program) -> None:
    program.settings["ZENOVAY_PAGE_SIZE"] = "10"
    program.sandbox.zenovay.latency_s = 0.2
    program.visitors(*(row(number) for number in range(120)))
    with program.start("run", "--now", "--json") as run:
        until(lambda: program.sandbox.zenovay.visitor_requests > 2)
        beside = [lived(program, "report", "--json", "--range", each) for each in ("24h", "7d")]
        going_on = run.poll() is None
        run.communicate()

    assert (going_on, run.returncode, [each.exit_code for each in beside]) == (True, 0, [0, 0])
    assert (
        lived(program, "report", "--json").value["sync"]["quota"]["used"]
        == program.sandbox.zenovay.month_used
    )


def test_a_stop_in_force_costs_no_request_and_what_is_known_is_shown(program: Program) -> None:
    program.visitors(row(1))
    assert lived(program, "report").exit_code == 0
    spent = {"success": False, "error": {"code": "MONTHLY_LIMIT_EXCEEDED", "message": "no more"}}
    program.sandbox.zenovay.faults.add(Fault.answer(429, spent), times=FOREVER)
    assert lived(program, "report", "--range", "7d").exit_code == 4
    before = len(asked(program))

    stopped = (
        lived(program, "report", "--range", "7d"),
        lived(program, "run", "--json", SYNC_MIN_INTERVAL="0s"),
    )
    known = lived(program, "report")

    assert [each.exit_code for each in stopped] == [4, 4]
    assert "Nothing is asked before 20" in stopped[0].stderr
    assert (known.exit_code, len(asked(program))) == (0, before)
    assert "1 visitors" in known.stdout


def test_the_reserve_is_for_reports_and_not_for_alerts(program: Program) -> None:
    program.settings |= {"ZENOVAY_REQUESTS_PER_MONTH": "3", "ZENOVAY_RESERVE": "34%"}
    program.sandbox.zenovay.requests_per_month = None
    ranges = iter(["24h", "7d", "30d", "90d"])
    assert lived(program, "alert", "--visitors-above", "1", "--range", next(ranges)).exit_code == 0
    assert lived(program, "alert", "--visitors-above", "1", "--range", next(ranges)).exit_code == 0
    refused = lived(program, "alert", "--visitors-above", "1", "--range", next(ranges), "--json")
    assert (refused.exit_code, len(asked(program))) == (4, 2)
    assert "ZENOVAY_RESERVE" in refused.stderr

    assert lived(program, "report", "--range", "30d").exit_code == 0
    spent = lived(program, "report", "--range", "90d")
    assert (spent.exit_code, len(asked(program))) == (4, 3)
    assert "3 of the 3 requests of this month" in spent.stderr


def test_a_terminal_shows_a_table_with_a_bar_for_each_day(program: Program) -> None:
    days = [{"date": f"2026-02-{number + 1:02d}", "visitors": number} for number in range(28)]
    countries = [
        {"name": "[bold]Bosnia & Herzegovina[/]", "visitors": 1234567},
        {"code": "LI", "visitors": 3},
    ]
    summary = {"total_visitors": 1234567, "total_page_views": 7654321, "bounce_rate": 42.3}
    counts = {"summary": summary, "daily_stats": days, "top_countries": countries}
    program.sandbox.zenovay.faults.add(Fault.answer(200, {"data": counts}))
    broken = "[red]0123456789abcdef0123456789abcdef"

    code, shown = on_a_terminal(
        program, "report", "--range", "30d", columns=80, ZENOVAY_WEBSITE_ID=f"{program.website},{broken}"
    )

    assert code == 2
    assert "Traceback" not in shown
    text = plain(shown)
    table = text.partition("error:")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert wording.sparkline(range(14, 28)) in text
    for part in ("1234567", "7654321", "42.3 %", "Monthly Report", "Sync of the last day"):
        assert part in text
    assert "[bold]" in text


@pytest.mark.parametrize("website", ["a\x1b[31mb", "a\u202eb", "a\x07b"])
def test_a_website_that_a_terminal_would_obey_is_a_wrong_setting(program: Program, website: str) -> None:
    ended = lived(program, "report", ZENOVAY_WEBSITE_ID=website)

    assert ended.exit_code == 2
    assert "ZENOVAY_WEBSITE_ID must be website ids" in ended.stderr
    assert website not in ended.stderr


def test_an_odd_website_is_quoted_and_cannot_call_a_channel(program: Program) -> None:
    odd = "<!channel>[b]é%2e&*x*"
    program.sandbox.zenovay.websites[odd] = [row(1)]

    shown = lived(program, "report", "--slack", "--json", ZENOVAY_WEBSITE_ID=odd, **slack(program))

    assert (shown.exit_code, shown.value["websites"][0]["website"]) == (0, odd)
    sent: Any = json.dumps(program.sandbox.team.requests[-1].body)
    assert "<!" not in sent
    assert "&lt;!channel&gt;" in sent
