"""Permits in the hands of processes: blocks, waits, months and days that are shared, and deaths."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock
from hammering import CONTEXT, SHORT, hold, spawned, use
from program import COMMAND, OURS, row
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from storm import FOREVER, Fault

from etl.clock import SystemClock
from etl.errors import InterruptedRunError, UnavailableError
from etl.extract.budget import Terms
from etl.fleet.allowances import SharedDay, SharedMonth, SharedStops, Turns
from etl.fleet.grants import HUBSPOT, SECOND, ZENOVAY, Learnt, Rule, Wish
from etl.fleet.limits import SharedRows
from etl.fleet.permits import Permits, permits
from etl.models.stop import Stop
from etl.network.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from program import Program

    from etl.clock import Clock
    from etl.fleet.grants import Grant

KEY = "zenovay/agency"
HOUR = timedelta(hours=1)


class Counting(SharedRows):
    """Rows that know how many permits they were asked for, each time; ``slow_s`` passes before the answer."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[int] = []
        self.slow_s = 0.0

    def take(self, name: str, rule: Rule, wish: Wish, clock: Clock) -> Grant:
        self.asked.append(wish.count)
        grant = super().take(name, rule, wish, clock)
        if isinstance(clock, FakeClock):
            clock.advance(self.slow_s)
        return grant


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def rows(sqlite_url: str) -> Iterator[Counting]:
    made = Counting(sqlite_url)
    yield made
    made.close()


def turns(mine: Permits, clock: Clock, *, limit: int = 30, **terms: Any) -> tuple[Turns, SharedMonth]:
    month = SharedMonth(
        mine, clock, Terms(**({"limit": 1000, "reserve": 0.0, "most": None, "tries": False} | terms))
    )
    return Turns(mine, clock, title="Zenovay", limit=limit, counting=month), month


def send(pace: Turns, month: SharedMonth, reply: Reply | None = None) -> None:
    """One request, as a client sends it."""
    month.spend()
    with pace.slot():
        pass
    month.heed(reply or said())


def said(status: int = 200, **headers: Any) -> Reply:
    return Reply(status, {name.replace("_", "-").lower(): value for name, value in headers.items()}, b"")


def used(url: str) -> int:
    """As another process sees it."""
    rows = SharedRows(url)
    try:
        return rows.look(KEY, SystemClock()).used
    finally:
        rows.close()


def test_blocks_grow_as_long_as_they_run_dry(rows: Counting, clock: FakeClock) -> None:
    mine = Permits(rows, KEY, ZENOVAY)
    for _ in range(12):
        mine.take(Wish(1, 30), clock, title="Zenovay")
    assert rows.asked == [1, 2, 4, 5]
    assert clock.waits == []


def test_a_block_that_was_not_used_in_time_is_given_back(rows: Counting, clock: FakeClock) -> None:
    mine = Permits(rows, KEY, ZENOVAY)
    for pause in (0.0, 0.0, 3.0):
        clock.advance(pause)
        mine.take(Wish(1, 30), clock, title="Zenovay")
    assert rows.asked == [1, 2, 1]
    found = rows.look(KEY, clock)
    assert (found.used, len(found.stamps)) == (3, 3)


def test_a_small_limit_is_not_taken_by_one_process_alone(rows: Counting, clock: FakeClock) -> None:
    mine = Permits(rows, KEY, ZENOVAY)
    for _ in range(8):
        mine.take(Wish(1, 9), clock, title="Zenovay")
    assert max(rows.asked) == 2


def test_who_finds_none_waits_until_there_is_room(rows: Counting, clock: FakeClock) -> None:
    one, other = Permits(rows, KEY, ZENOVAY), Permits(rows, KEY, ZENOVAY)
    for each in (one, other):
        each.take(Wish(1, 2), clock, title="Zenovay")
    began = clock.monotonic()
    one.take(Wish(1, 2), clock, title="Zenovay")
    assert 62.2 <= clock.monotonic() - began < 63
    assert {why for _, why in clock.waits} == {"Zenovay: limit of 2 requests per 60 s"}


def test_a_pause_and_a_lower_limit_hold_for_all(rows: Counting, clock: FakeClock) -> None:
    (one, _), (other, _) = (
        turns(Permits(rows, KEY, ZENOVAY), clock),
        turns(Permits(rows, KEY, ZENOVAY), clock),
    )
    one.pause(20)
    one.set_limit(1)
    began = clock.monotonic()
    with other.slot():
        pass
    assert 20 <= clock.monotonic() - began < 21
    assert other.limit == 1
    with other.slot():
        pass
    assert clock.monotonic() - began > 80


def test_a_signal_ends_the_wait_and_what_is_left_is_given_back(state_url: str) -> None:
    clock = SystemClock()
    with permits(state_url, {KEY: ZENOVAY}, clock) as mine:
        for _ in range(2):
            mine[KEY].take(Wish(1, 30), clock, title="Zenovay")
        assert mine[KEY].standing(clock, fresh=True).used == 3
        mine[KEY].learn(Learnt(pause=60 * SECOND), clock)
        clock.stop(signal.SIGTERM)
        mine[KEY].take(Wish(1, 30), clock, title="Zenovay")
        with pytest.raises(InterruptedRunError):
            mine[KEY].take(Wish(1, 30), clock, title="Zenovay")
    assert used(state_url) == 3


def test_what_is_left_is_given_back_after_a_signal(state_url: str) -> None:
    clock = SystemClock()
    with permits(state_url, {KEY: ZENOVAY}, clock) as mine:
        for _ in range(2):
            mine[KEY].take(Wish(1, 30), clock, title="Zenovay")
        clock.stop(signal.SIGTERM)
    assert used(state_url) == 2


def test_the_threads_of_a_process_share_the_blocks_of_a_key(sqlite_url: str) -> None:
    clock = SystemClock()
    with permits(sqlite_url, {KEY: ZENOVAY}, clock) as one:
        with permits(sqlite_url, {KEY: ZENOVAY, "hubspot/acme": HUBSPOT}, clock) as other:
            assert one[KEY] is other[KEY]
            for _ in range(2):
                other[KEY].take(Wish(1, 30), clock, title="Zenovay")
        assert used(sqlite_url) == 3  # the first still has a permit
        one[KEY].take(Wish(1, 30), clock, title="Zenovay")
    assert used(sqlite_url) == 3


def test_answers_that_always_come_too_late_end_the_run(rows: Counting, clock: FakeClock) -> None:
    rows.slow_s = 2.5
    with pytest.raises(UnavailableError, match="answer too slowly") as caught:
        Permits(rows, KEY, ZENOVAY).take(Wish(1, 30), clock, title="Zenovay")
    assert caught.value.exit_code == 4
    rows.slow_s = 0.0
    assert rows.look(KEY, clock).used <= 1


def test_the_month_of_a_key_is_spent_by_all_together(rows: Counting, clock: FakeClock) -> None:
    one, other = (turns(Permits(rows, KEY, ZENOVAY), clock, limit=100, reserve=0.05) for _ in range(2))
    rows.change(KEY, lambda each: replace(each, used=940, period_ends=ZENOVAY.end_of_period(each.now)), clock)
    sent = 0
    for each in (one, other) * 9:
        try:
            send(*each)
            sent += 1
        except UnavailableError:
            clock.advance(3)  # what the other holds and does not use is given back
    assert sent == 10
    with pytest.raises(UnavailableError, match=r"950 of the 1000 .* by our own count; the last 50 are kept"):
        send(*one)
    people = turns(Permits(rows, KEY, ZENOVAY), clock)
    send(*people)
    assert people[1].quota.used == 951


def test_a_spent_month_is_tried_once_an_hour_by_whoever_comes_first(rows: Counting, clock: FakeClock) -> None:
    one, other = (turns(Permits(rows, KEY, ZENOVAY), clock, limit=100) for _ in range(2))
    rows.change(
        KEY, lambda each: replace(each, used=1000, period_ends=ZENOVAY.end_of_period(each.now)), clock
    )
    send(*one, said(429))
    with pytest.raises(UnavailableError, match="once an hour a run asks all the same"):
        send(*other)
    clock.advance(3601)
    send(*other)
    send(*other)  # the good answer has disproved it
    with pytest.raises(UnavailableError):
        send(*one)


def test_who_insists_gets_one_try(rows: Counting, clock: FakeClock) -> None:
    rows.change(
        KEY, lambda each: replace(each, used=1000, period_ends=ZENOVAY.end_of_period(each.now)), clock
    )
    send(*turns(Permits(rows, KEY, ZENOVAY), clock, limit=100))
    person = turns(Permits(rows, KEY, ZENOVAY), clock, limit=100, tries=True)
    send(*person, said(429))
    with pytest.raises(UnavailableError):
        send(*person)


def test_a_command_may_send_no_more_than_it_was_given(rows: Counting, clock: FakeClock) -> None:
    mine = turns(Permits(rows, KEY, ZENOVAY), clock, limit=100, most=2)
    send(*mine)
    send(*mine)
    with pytest.raises(UnavailableError, match="--max-requests"):
        send(*mine)


def test_the_headers_of_zenovay_win(rows: Counting, clock: FakeClock) -> None:
    pace, month = turns(Permits(rows, KEY, ZENOVAY), clock, limit=100)
    headers: dict[str, Any] = {"x_usage_limit": "50", "x_usage_reset": "2026-02-20T00:00:00Z"}
    for count in range(1, 9):
        send(pace, month, said(x_usage_monthly=str(30 + count), **headers))
    assert (month.quota.used, month.limit) == (38 + 4, 50)  # four are in the block, charged and not sent
    assert month.quota.resets_at == NOW.replace(day=20, hour=0)
    send(pace, month, said(401))
    assert month.quota.used == 38 + 3  # three, and one that did not count


def test_the_clock_of_the_api_ends_the_month(rows: Counting, clock: FakeClock) -> None:
    pace, month = turns(Permits(rows, KEY, ZENOVAY), clock)
    send(pace, month)
    assert month.now() == clock.now()
    month.keep_time(clock.now() + timedelta(days=25))
    assert month.now() == clock.now() + timedelta(days=25)
    send(pace, month)
    assert month.quota.resets_at == NOW.replace(month=4, day=1, hour=0)


def day(mine: Permits, clock: Clock, most: int | None = None) -> tuple[Turns, SharedDay]:
    counting = SharedDay(mine, clock, most=most)
    return Turns(mine, clock, title="HubSpot", limit=100, counting=counting), counting


def test_a_spent_day_is_a_stop_that_is_tried_in_an_hour(rows: Counting, clock: FakeClock) -> None:
    pace, counting = day(Permits(rows, "hubspot/acme", HUBSPOT), clock, most=10)
    for _ in range(10):
        with pace.slot():
            pass
    with pytest.raises(
        UnavailableError, match=r"10 of the 10 requests of this day .* our own count"
    ) as caught:
        pace.slot().__enter__()
    assert caught.value.until == clock.now() + HOUR
    clock.advance(3601)
    with pace.slot():
        pass
    left: dict[str, Any] = {"x_hubspot_ratelimit_daily": "1000", "x_hubspot_ratelimit_daily_remaining": "900"}
    counting.heed(said(**left))
    for _ in range(3):
        with pytest.raises(UnavailableError):  # the declared limit is stricter than HubSpot's
            pace.slot().__enter__()


def test_hubspot_s_headers_say_what_is_left_of_the_day(rows: Counting, clock: FakeClock) -> None:
    mine = Permits(rows, "hubspot/acme", HUBSPOT)
    pace, counting = day(mine, clock)
    with pace.slot():
        pass
    counting.heed(said(x_hubspot_ratelimit_daily="1000", x_hubspot_ratelimit_daily_remaining="0"))
    with pytest.raises(UnavailableError, match="HubSpot's headers"):
        pace.slot().__enter__()
    clock.advance(24 * 3600)
    with pace.slot():
        pass


def test_a_stop_is_everybody_s(rows: Counting, clock: FakeClock) -> None:
    one, other = Permits(rows, KEY, ZENOVAY), Permits(rows, KEY, ZENOVAY)
    stops, older = SharedStops({"zenovay": one}, clock), SharedStops({"zenovay": other}, clock)
    pace, month = turns(other, clock)
    clock.advance(1)
    stops.remember_stop("zenovay", Stop(clock.now() + HOUR, "Spent.", "monthly", "Zenovay"))
    with pytest.raises(UnavailableError, match="Spent") as caught:
        send(pace, month)
    assert caught.value.until == clock.now() + HOUR
    assert [api for api, _ in older.stops()] == ["zenovay"]
    older.remember_stop("zenovay", None)  # a run that began before, and ended well
    assert older.stops()
    person = turns(one, clock, tries=True)
    for _ in range(3):
        send(*person)
    clock.advance(1)
    SharedStops({"zenovay": other}, clock).remember_stop("zenovay", None)
    assert older.stops() == []
    send(pace, month)


def test_the_connection_is_made_anew_once_the_server_is_back(postgres_url: str) -> None:
    clock = SystemClock()
    rows = SharedRows(postgres_url)
    rows.take(KEY, ZENOVAY, Wish(1, 30), clock)
    server = create_engine(postgres_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    assert rows.take(KEY, ZENOVAY, Wish(1, 30), clock).granted == 1
    rows.close()
    assert used(postgres_url) == 2


@pytest.mark.slow
def test_no_sliding_window_sees_more_than_the_limit(state_url: str) -> None:
    """Four processes, with blocks, threads of time between taking and using, and leftovers given back."""
    rows = SharedRows(state_url)
    rows.look("row", SystemClock())
    log = CONTEXT.Queue()
    processes = spawned(use, state_url, SHORT, 16, 20, log)
    found = [log.get(timeout=60) for _ in range(4 * 20)]
    for each in processes:
        each.join(timeout=30)
    uses = sorted(at for _, at in found)
    assert all(later - first >= SHORT.window_s for first, later in zip(uses, uses[16:], strict=False))
    assert {pid for pid, _ in found} == {each.pid for each in processes}
    assert rows.look("row", SystemClock()).used == 80
    rows.close()


@pytest.mark.slow
def test_the_permits_of_a_killed_process_age_out(postgres_url: str) -> None:
    rows, clock = SharedRows(postgres_url), SystemClock()
    rows.look("row", clock)
    log = CONTEXT.Queue()
    (process,) = spawned(hold, postgres_url, log, processes=1)
    os.kill(log.get(timeout=60), signal.SIGKILL)
    process.join(timeout=30)
    held = len(rows.look("row", clock).stamps)
    assert held == 7  # four were used
    now = rows.take("row", SHORT, Wish(16, 16), clock)
    assert now.granted in {16 - held, 16}
    time.sleep(SHORT.span / 1e6)
    assert rows.take("row", SHORT, Wish(16, 16), clock).granted == 16
    rows.close()


class Agency:
    """Two portals, each with its own HubSpot, whose websites are read with the key of the first's Zenovay."""

    def __init__(self, one: Program, other: Program, *, state_url: str, per_minute: int = 1000) -> None:
        self.zenovay = one.sandbox.zenovay
        self.folder: Path = one.folder
        self.websites = {"acme": one.website, "globex": "site_globex"}
        self.zenovay.websites["site_globex"] = []
        self.zenovay.requests_per_minute = per_minute
        first, second = one.sandbox.environment(), other.sandbox.environment()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
            "SYNC_STATE_URL": state_url,
            "AGENCY_KEY": first["ZENOVAY_API_KEY"],
            "ACME_TOKEN": first["HUBSPOT_ACCESS_TOKEN"],
            "GLOBEX_TOKEN": second["HUBSPOT_ACCESS_TOKEN"] + "-2",
        }
        other.sandbox.hubspot.access_token = self.environment["GLOBEX_TOKEN"]
        other.sandbox.hubspot.portal_id += 1
        (self.folder / "visitor-sync.toml").write_text(
            f"""
[[keys]]
name = "agency"
key_env = "AGENCY_KEY"
base_url = "{first["ZENOVAY_BASE_URL"]}"
requests_per_minute = {per_minute}
page_size = 10

[[portals]]
name = "acme"
token_env = "ACME_TOKEN"
base_url = "{first["HUBSPOT_BASE_URL"]}"

[[portals]]
name = "globex"
token_env = "GLOBEX_TOKEN"
base_url = "{second["HUBSPOT_BASE_URL"]}"

[[sites]]
website = "{self.websites["acme"]}"
portal = "acme"
key = "agency"

[[sites]]
website = "{self.websites["globex"]}"
portal = "globex"
key = "agency"
""",
            "utf-8",
        )

    def start(self, portal: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, "--portal", portal, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, portal: str, *arguments: str) -> tuple[int, str, str]:
        with self.start(portal, *arguments) as process:
            stdout, stderr = process.communicate(timeout=100)
        return process.returncode, stdout, stderr


def agency_at(state_url: str, program: Program, another: Program, **options: Any) -> Agency:
    base = f"{state_url}?schema=fleet" if state_url.startswith("postgresql") else state_url
    return Agency(program, another, state_url=base, **options)


def test_a_refusal_that_one_portal_met_stops_the_other_without_a_request(
    program: Program, another: Program, postgres_url: str
) -> None:
    agency = agency_at(postgres_url, program, another)
    body = {"success": False, "error": {"code": "MONTHLY_LIMIT_EXCEEDED", "message": "Spent."}}
    agency.zenovay.faults.add(Fault.answer(429, body), path="/visitors", times=FOREVER)
    code, _, told = agency.run("acme", "run", "--json")
    assert code == 4, told
    sent = len(agency.zenovay.requests)
    code, told, _ = agency.run("globex", "run", "--json")
    assert code == 4
    assert "requests of this month are spent" in told
    assert len(agency.zenovay.requests) == sent
    _, told, _ = agency.run("globex", "status", "--json")
    assert '"kind":"monthly"' in told

    agency.zenovay.faults.clear()
    code, _, told = agency.run("globex", "run", "--now", "--json")
    assert code == 0, told
    code, _, told = agency.run("acme", "run", "--json")
    assert code == 0, told


def test_two_portals_count_one_month(program: Program, another: Program, sqlite_url: str) -> None:
    agency = agency_at(sqlite_url, program, another)
    agency.zenovay.requests_per_month = 1000
    for portal in ("acme", "globex"):
        code, _, told = agency.run(portal, "run", "--json")
        assert code == 0, told
    counts = set()
    for portal in ("acme", "globex"):
        code, told, _ = agency.run(portal, "status", "--json")
        month = json.loads(told)["month"]
        assert month["limit"] == 1000
        counts.add(month["used"])
    (used,) = counts
    on_its_way = used - agency.zenovay.month_used
    assert on_its_way in {0, 1}  # what the other process sent in the last seconds may be still

    with closing(sqlite3.connect(agency.folder.parent / "fleet.db")) as tables, tables:
        counted = dict(tables.execute("SELECT name, used FROM limits WHERE used > 0").fetchall())
        assert counted == {
            "zenovay/agency": used,
            "hubspot/acme": len(program.sandbox.hubspot.requests),
            "hubspot/globex": len(another.sandbox.hubspot.requests),
        }
        tables.execute("UPDATE alembic_version SET version_num = '9999'")
    sent = len(agency.zenovay.requests)
    code, stdout, stderr = agency.run("acme", "run", "--now", "--json")
    assert code == 7
    assert "newer visitor-sync" in stdout + stderr
    assert len(agency.zenovay.requests) == sent


@pytest.mark.slow
def test_two_processes_keep_the_minute_of_a_key(
    program: Program, another: Program, postgres_url: str
) -> None:
    """Both have pages to read for minutes; together they send what one minute allows, and wait."""
    agency = agency_at(postgres_url, program, another, per_minute=6)
    for website in agency.websites.values():
        agency.zenovay.add_rows(
            website, [row(number, email=f"{number}@example.test") for number in range(300)]
        )
    with ExitStack() as stack:
        both = [stack.enter_context(agency.start(portal, "run", "--json")) for portal in ("acme", "globex")]
        ends = time.monotonic() + 40
        while len(agency.zenovay.requests) < 6 and time.monotonic() < ends:
            time.sleep(0.1)
        time.sleep(3)
        sent = len(agency.zenovay.requests)
        for process in both:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=60) for process in both]
    assert sent == 6
    assert codes == [143, 143]
