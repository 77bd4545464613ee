"""``fleet`` as its operator has it: real PostgreSQL, real workers, a sandbox for each portal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from fleets import Fleet, FleetWorker, fleet_of, soon
from program import row
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storm.worlds import StormyHubSpot

pytestmark = pytest.mark.timeout(400)  # a busy machine takes its time to start a worker

SITES = {"acme": ["a1", "a2"], "beta": ["b1"], "gamma": ["c1"]}
ADDRESS = "ann.fleet@example.test"


@pytest.fixture
def fleet(postgres_url: str, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_of(postgres_url, tmp_path, SITES) as fleet:
        yield fleet


def visit(fleet: Fleet, portal: str, website: str, *rows: dict[str, Any]) -> None:
    fleet.portals[portal].zenovay.add_rows(website, list(rows))


def contacts(fleet: Fleet, portal: str) -> int:
    return len(fleet.portals[portal].hubspot.contacts)


Span = tuple[datetime, datetime]


def spans(*workers: FleetWorker) -> dict[str, list[Span]]:
    """From when to when each site was run, whoever did."""
    found: dict[str, list[Span]] = {}
    begun: dict[str, datetime] = {}
    lines = [line for worker in workers for line in worker.lines]
    for line in sorted(lines, key=lambda line: str(line["at"])):
        name, at = f"{line.get('portal_name')}/{line.get('website')}", datetime.fromisoformat(line["at"])
        if line["action"] == "job_started":
            begun[name] = at
        elif line["action"] == "job_finished":
            found.setdefault(name, []).append((begun.pop(name), at))
    return found


def test_each_site_runs_in_its_interval_and_one_of_a_portal_at_a_time(fleet: Fleet) -> None:
    fleet.every = "5s"
    fleet.declare()
    for portal, websites in SITES.items():
        fleet.portals[portal].zenovay.latency_s = 1.5  # four such runs are more than one of the two can do
        for website in websites:
            visit(fleet, portal, website, row(1, email=ADDRESS), row(2))
    workers = [fleet.start("--concurrency", "1") for _ in range(2)]
    names = {f"{portal}/{website}" for portal, websites in SITES.items() for website in websites}

    soon(lambda: all(len(spans(*workers).get(name, ())) >= 5 for name in names))

    found = spans(*workers)
    for name, times in found.items():
        _, *gaps = [(after[0] - before[0]).total_seconds() for before, after in pairwise(times)]
        assert max(gaps) < 5 * 2, (name, gaps)
    one_portal = sorted(found["acme/a1"] + found["acme/a2"])
    assert all(before[1] <= after[0] for before, after in pairwise(one_portal)), one_portal
    assert {portal: contacts(fleet, portal) for portal in SITES} == dict.fromkeys(SITES, 2)
    both = [len(worker.said("job_finished")) for worker in workers]
    assert min(both) > 0, both
    assert all(line["level"] != "error" for worker in workers for line in worker.lines)


def test_a_run_that_is_asked_for_does_not_wait_for_a_tick(fleet: Fleet) -> None:
    worker = fleet.start()
    visit(fleet, "acme", "a1", row(1))

    told = fleet("run", "acme")
    assert (told.exit_code, told.stderr) == (0, "")
    assert "2 sites queued" in told.stdout
    soon(lambda: len(worker.said("job_finished", portal_name="acme", exit_code=0)) == 2)

    assert contacts(fleet, "acme") == 1
    found = fleet.site("acme", "a1")
    assert (found["exit_code"], found["failures"], found["runner"]) == (0, 0, None)
    assert found["last_success"] < found["watermark"] < found["next_run"]
    assert found["watermark_age_s"] < 60
    assert fleet.portal("acme")["contacts"] == {"due": 0, "rejected": 0}
    assert len(worker.said("run_finished", portal_name="acme")) == len(worker.said("run_finished")) == 2
    fleet("run", "acme")
    soon(lambda: len(worker.said("job_finished", portal_name="acme", rested=True)) == 2)
    shown = fleet("status").stdout
    assert "a1, a2: skipped. The last run started at " in shown
    assert "visitor-sync fleet run acme --now runs regardless" in shown
    assert fleet.site("acme", "a1")["exit_code"] == 0
    fleet("run", "acme", "--now")
    soon(lambda: len(worker.said("job_finished", portal_name="acme", rested=False)) == 4)


def slowed(fleet: Fleet, worker: FleetWorker, *, latency_s: float) -> StormyHubSpot:
    """The HubSpot of acme, which takes long for each request of a run that writes for its website a1."""
    hubspot = fleet.portals["acme"].hubspot
    visit(fleet, "acme", "a1", row(100))  # so that its properties are known by then
    fleet("run", "acme")
    soon(lambda: len(worker.said("job_finished", portal_name="acme")) >= 2)
    visit(fleet, "acme", "a1", *(row(number) for number in range(30)))
    hubspot.latency_s = latency_s
    before = len(worker.said("run_started", website="a1"))
    fleet("run", "acme", "--now")
    soon(lambda: len(worker.said("run_started", website="a1")) > before)
    return hubspot


def test_what_a_killed_worker_ran_is_run_by_another_and_nothing_is_lost(fleet: Fleet) -> None:
    first = fleet.start()
    hubspot = slowed(fleet, first, latency_s=20)
    fleet("run", "acme")  # the same site waits in the queue, as a sibling of the one that is about to die
    soon(lambda: len(fleet.asked("SELECT id FROM procrastinate_jobs WHERE lock = 'acme'")) == 3)
    running = fleet.site("acme", "a1")["runner"]
    assert (running["pid"], running["alive"]) == (first.pid, True)
    soon(lambda: bool(hubspot.busy))
    first.strike(signal.SIGKILL)
    first.ended()
    hubspot.latency_s = 0
    second = fleet.start()

    soon(lambda: second.said("job_finished", website="a1", exit_code=0))
    soon(lambda: second.said("job_finished", website="a2", exit_code=0))

    assert contacts(fleet, "acme") == 31
    assert second.said("job_reaped", portal_name="acme")
    assert second.said("worker_died", pid=first.pid)
    assert [each["alive"] for each in fleet.status["workers"] if each["pid"] == first.pid] == [False]
    assert "DEAD, had worked since" in fleet("status").stdout
    fleet.told("UPDATE workers SET gone_at = gone_at - 600000000")
    assert [each["pid"] for each in fleet.status["workers"]] == [second.pid]
    ticks = len(second.said("tick"))
    soon(lambda: len(second.said("tick")) > ticks + 2)


@pytest.mark.parametrize("is_pruned", [False, True], ids=["known", "forgotten by the engine"])
def test_a_worker_that_was_frozen_goes_on_where_it_was(fleet: Fleet, *, is_pruned: bool) -> None:
    """Its machine was suspended, say: it is taken for dead, but still holds the lock of its portal."""
    first = fleet.start()
    hubspot = slowed(fleet, first, latency_s=2)
    soon(lambda: bool(hubspot.busy))
    first.strike(signal.SIGSTOP)
    second = fleet.start()
    soon(lambda: second.said("job_reaped", portal_name="acme"))
    if is_pruned:
        second.strike(signal.SIGTERM)
        second.ended()
        second = fleet.start()  # the engine forgets the dead whenever a worker starts
    fleet("run", "acme")
    soon(lambda: second.said("job_finished", portal_name="acme"))
    kept_out = second.said("job_finished", portal_name="acme")[0]
    first.strike(signal.SIGCONT)

    assert kept_out["exit_code"] == 75
    soon(lambda: first.said("job_finished", website="a1", exit_code=0)[1:])
    assert contacts(fleet, "acme") == 31
    fleet("run", "acme", "--now")
    soon(lambda: fleet.site("acme", "a1")["exit_code"] == fleet.site("acme", "a2")["exit_code"] == 0)
    second.strike(signal.SIGTERM)
    second.ended()
    soon(lambda: [(each["pid"], each["alive"]) for each in fleet.status["workers"]] == [(first.pid, True)])
    before = len(first.said("job_finished"))
    fleet("run", "acme", "--now")
    soon(lambda: len(first.said("job_finished")) >= before + 2)
    assert fleet.asked("SELECT id FROM procrastinate_jobs WHERE status = 'doing'") == []


def test_a_look_does_not_wait_for_a_place_that_a_slow_portal_has(fleet: Fleet) -> None:
    worker = fleet.start("--concurrency", "1")
    hubspot = slowed(fleet, worker, latency_s=20)
    soon(lambda: bool(hubspot.busy))
    ticks = len(worker.said("tick"))

    soon(lambda: len(worker.said("tick")) > ticks + 2, patience_s=15)
    assert hubspot.busy
    hubspot.latency_s = 0


def test_a_paused_portal_rests_and_the_others_do_not(fleet: Fleet) -> None:
    fleet.every = "2s"
    fleet.declare()
    told = fleet("pause", "acme")
    assert (told.exit_code, told.stdout) == (0, "acme is paused.\n")
    assert fleet("pause", "acme").stdout == "acme was paused already.\n"
    assert "without --portal" in fleet("pause", "--portal", "acme").error["what"]
    worker = fleet.start()
    soon(lambda: len(worker.said("job_finished", portal_name="beta")) >= 3)

    assert not worker.said("job_started", portal_name="acme")
    refused = fleet("run", "acme")
    assert refused.exit_code == 2
    assert "acme is paused since" in refused.error["what"]
    assert "fleet resume acme" in refused.error["fix"]
    found = fleet.portal("acme")
    assert found["paused"]
    assert [site["next_run"] for site in found["sites"]] == [None, None]
    assert fleet("resume", "acme").exit_code == 0
    soon(lambda: worker.said("job_finished", portal_name="acme"))


def test_a_revoked_token_is_its_portal_s_own_trouble(fleet: Fleet) -> None:
    for portal, (website, *_) in SITES.items():
        visit(fleet, portal, website, row(1))
    fleet.portals["beta"].hubspot.access_token = "pat-eu1-another"
    worker = fleet.start()
    for portal in SITES:
        fleet("run", portal)

    soon(lambda: worker.said("job_finished", portal_name="beta"))
    soon(lambda: worker.said("job_finished", portal_name="acme", website="a1"))
    soon(lambda: worker.said("job_finished", portal_name="gamma"))

    found = fleet.site("beta", "b1")
    assert (found["exit_code"], found["failures"]) == (5, 1)
    assert "HubSpot" in found["reason"]
    assert [contacts(fleet, portal) for portal in SITES] == [1, 0, 1]
    shown = fleet("status").stdout
    assert "portal beta: failing" in shown
    assert "b1: exit code 5" in shown
    assert "pat-eu1" not in shown + worker.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_in_flight_come_back(fleet: Fleet, number: signal.Signals) -> None:
    worker = fleet.start()
    hubspot = slowed(fleet, worker, latency_s=4)
    soon(lambda: bool(hubspot.busy))
    worker.strike(number)

    assert worker.ended() == 128 + number
    ended = worker.said("job_finished", website="a1")[-1]
    assert ended["exit_code"] in {0, 128 + number}
    assert contacts(fleet, "acme") == 31
    assert fleet.site("acme", "a1")["runner"] is None
    assert fleet.status["workers"] == []
    assert fleet.asked("SELECT id FROM procrastinate_jobs WHERE status = 'doing'") == []
    if ended["exit_code"]:
        assert fleet.site("acme", "a1")["next_run"] <= fleet.status["at"]


def test_a_newer_version_s_tables_send_the_worker_home_and_nothing_is_lost(fleet: Fleet) -> None:
    worker = fleet.start()
    fleet.told("UPDATE alembic_version SET version_num = '0002'")

    assert worker.ended() == 7
    (error,) = worker.said("error")
    assert "made by a newer visitor-sync" in error["what"]
    refused = fleet.start()
    assert refused.ended() == 7
    told = fleet("status", "--json")
    assert (told.exit_code, told.value["error"]["fix"].split(".")[0]) == (7, "They were left untouched")
    fleet.told("UPDATE alembic_version SET version_num = '0001'")
    assert fleet.asked("SELECT count(*) FROM sites WHERE worker IS NOT NULL") == [0]


def test_a_portal_s_state_of_a_newer_version_sends_the_worker_home(fleet: Fleet) -> None:
    worker = fleet.start()
    fleet("run", "acme")
    soon(lambda: worker.said("job_finished", website="a2"))
    fleet.told("UPDATE visitor_sync_acme.alembic_version SET version_num = '9999'")
    fleet("run", "acme", "--now")

    assert worker.ended() == 7
    (error,) = worker.said("error")
    assert "made by a newer visitor-sync" in error["what"]
    found = fleet.site("acme", "a1")
    assert found["exit_code"] in {0, 7}
    assert fleet.asked("SELECT id FROM procrastinate_jobs WHERE status = 'doing'") == []


def test_a_site_that_another_worker_declares_is_left_to_it(fleet: Fleet) -> None:
    fleet.declare("beta", "gamma")
    older = fleet.start()
    fleet.declare()
    fleet("run", "acme", "--now")
    ticks = len(older.said("tick"))
    soon(lambda: len(older.said("tick")) > ticks + 2)
    assert fleet.asked("SELECT at_once FROM sites WHERE portal = 'acme'") == [True, True]
    newer = fleet.start()

    soon(lambda: newer.said("job_finished", website="a1", exit_code=0))
    soon(lambda: newer.said("job_finished", website="a2", exit_code=0))

    assert not older.said("job_started", portal_name="acme")
    fleet.declare("beta")
    assert [each["portal"] for each in fleet.status["portals"]] == ["beta"]


def test_a_worker_that_knows_a_part_of_a_portal_keeps_none_of_the_rest_from_others(fleet: Fleet) -> None:
    """They are asked for time and again: who looks first is a matter of luck."""
    fleet.sites["acme"].remove("a2")
    fleet.declare()
    older = fleet.start()
    fleet.sites["acme"] += ["a2"]
    fleet.declare()
    fleet("run", "acme", "--now")
    soon(lambda: older.said("job_left", website="a2"))
    newer = fleet.start()

    def done(worker: FleetWorker, times: int) -> bool:
        return len(worker.said("job_finished", website="a2")) >= times

    for number in range(1, 5):
        fleet("run", "acme", "--now")
        soon(partial(done, newer, number), patience_s=20)

    assert not older.said("job_started", website="a2")
    assert older.said("job_finished", website="a1") or newer.said("job_finished", website="a1")


def test_what_is_asked_for_while_no_worker_is_alive_is_told(fleet: Fleet) -> None:
    asked, past = fleet("run", "beta"), fleet("backfill", "beta", "--from", "2026-01-01")

    assert "beta: 1 site queued." in asked.stdout
    assert "begins once a worker is alive" in past.stdout
    for told in (asked, past):
        assert told.exit_code == 0
        assert "no worker is alive: visitor-sync fleet worker" in told.stdout
    assert "0 sites queued, 1 was queued already" in fleet("run", "beta").stdout


def test_a_worker_warns_that_it_tells_nobody(fleet: Fleet) -> None:
    assert not fleet.start().said("watching_left_out")
    fleet.settings |= {"SYNC_PING_URL": "https://ping.example.test/check", "SYNC_METRICS_FILE": "sync.prom"}
    (warned,) = fleet.start().said("watching_left_out")

    assert warned["level"] == "warning"
    assert warned["settings"] == ["SYNC_PING_URL", "SYNC_METRICS_FILE"]
    assert "status --healthy" in warned["fix"]


def test_a_backfill_is_read_slice_by_slice_beside_the_runs(fleet: Fleet) -> None:
    fleet.portals["acme"].zenovay.latency_s = 0.01
    many = [row(number, minutes_ago=60 * 24 * 3 + number) for number in range(2500)]
    visit(fleet, "acme", "a1", *many)
    worker = fleet.start()
    told = fleet("backfill", "acme", "--from", many[-1]["last_seen"])
    assert told.exit_code == 0, told.stderr
    assert "20 requests at a time" in told.stdout
    assert "goes on already" in fleet("backfill", "acme", "--from", many[-1]["last_seen"]).stdout
    wrong = fleet("backfill", "acme", "--from", "yesterday")
    assert (wrong.exit_code, wrong.error["what"]) == (2, "--from is neither a date nor an ISO 8601 instant.")

    soon(lambda: fleet.asked("SELECT exit_code FROM backfills WHERE ended_at IS NOT NULL") == [0])

    assert len(worker.said("slice_finished", exit_code=4)) >= 1
    (done,) = fleet.portal("acme")["backfills"]
    assert done["requests"] > 3
    assert done["rows"] >= 2500
    assert contacts(fleet, "acme") == 2500
    assert "ended" in fleet("status").stdout


def test_a_database_that_is_away_for_a_moment_does_not_end_the_worker(fleet: Fleet) -> None:
    worker = fleet.start()
    fleet.told(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    ticks = len(worker.said("tick"))
    soon(lambda: len(worker.said("tick")) > ticks + 2)
    fleet("run", "beta")

    soon(lambda: worker.said("job_finished", portal_name="beta", exit_code=0))
    assert worker.process.is_alive()
    assert "Traceback" not in worker.log.read_text()


def test_a_database_that_is_away_for_long_ends_the_worker(fleet: Fleet, postgres_url: str) -> None:
    worker = fleet.start()
    server, name = make_url(postgres_url).set(database="postgres"), make_url(postgres_url).database
    with create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        question = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        connection.execute(text(question), {"name": name})
        code = worker.ended()
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))

    assert code == 4
    assert "is away" in worker.said("error")[0]["what"]
    assert worker.said("fleet_lost")


def test_init_is_safe_to_repeat_and_beside_workers(fleet: Fleet) -> None:
    fleet.start()
    told = fleet("init")

    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.count("were there") == 2
    assert "declared: 3 portals, 4 sites" in told.stdout


def test_status_shows_what_is_declared_before_anything_ran(fleet: Fleet) -> None:
    found = fleet.status

    assert [portal["portal"] for portal in found["portals"]] == [*SITES]
    assert {site["website"] for portal in found["portals"] for site in portal["sites"]} == {
        "a1", "a2", "b1", "c1",
    }  # fmt: skip
    assert found["workers"] == []
    shown = fleet("status").stdout
    assert "portal acme: not synced yet" in shown
    assert "no worker is alive" in shown


@pytest.mark.parametrize("command", [["init"], ["worker"], ["pause", "gamma"], ["run", "gamma"]])
def test_what_is_of_no_one_portal_is_refused_with_one(fleet: Fleet, command: list[str]) -> None:
    told = fleet(*command, "--portal", "acme")
    assert (told.exit_code, told.stdout) == (2, "")
    assert "without --portal" in told.stderr


def test_an_unknown_portal_is_told_with_the_nearest(fleet: Fleet) -> None:
    for command in (["pause"], ["resume"], ["run"], ["backfill", "--from", "2026-01-01"]):
        told = fleet(command[0], "acne", *command[1:])
        assert told.exit_code == 2
        assert "acme" in told.error["fix"]


@pytest.mark.parametrize("command", ["status", "worker"])
def test_without_tables_the_commands_say_what_makes_them(
    postgres_url: str, tmp_path: Path, command: str
) -> None:
    with fleet_of(postgres_url, tmp_path, {"acme": ["a1"]}) as fleet:
        fleet.settings["SYNC_STATE_URL"] = f"{postgres_url}?schema=elsewhere"
        told = fleet(command)
    assert told.exit_code == 7
    assert "fleet init" in told.error["fix"]


def test_without_postgresql_the_fleet_says_what_to_set(tmp_path: Path, postgres_url: str) -> None:
    with fleet_of(postgres_url, tmp_path, {"acme": ["a1"]}) as fleet:
        fleet.settings["SYNC_STATE_URL"] = f"sqlite:///{tmp_path / 'state.db'}"
        for command in (["init"], ["status"], ["worker"], ["pause", "acme"]):
            told = fleet(*command)
            assert told.exit_code == 2
            assert "SYNC_STATE_URL=postgresql+psycopg://" in told.error["fix"]


WITHOUT = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "procrastinate" else found(name, *rest)
from etl.cli import main
main()
"""


def test_without_the_extra_the_fleet_names_it(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT, "fleet", "status"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert "--extra fleet" in told.stderr


ENDING = """
    SELECT {} FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE '%procrastinate_finish_job%'
"""


def test_a_job_whose_end_could_not_be_written_down_does_not_hold_its_portal(fleet: Fleet) -> None:
    """The server loses the one connection by which a job is ended; the worker lives on."""
    worker = fleet.start()
    hubspot = slowed(fleet, worker, latency_s=1)
    engine = create_engine(fleet.url, poolclass=NullPool)
    with engine.begin() as holder:
        holder.execute(
            text("SELECT id FROM visitor_sync.procrastinate_jobs WHERE status = 'doing' FOR UPDATE")
        )
        soon(lambda: fleet.asked(ENDING.format("pid")))
        fleet.asked(ENDING.format("pg_terminate_backend(pid)"))
    hubspot.latency_s = 0
    before = len(worker.said("job_finished", portal_name="acme"))

    fleet("run", "acme")

    soon(lambda: len(worker.said("job_finished", portal_name="acme")) >= before + 2, patience_s=30)
    assert len(fleet.asked("SELECT pid FROM workers")) == 1
