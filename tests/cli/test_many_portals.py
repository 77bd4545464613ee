"""Several portals on one machine: side by side, and the trouble of one is its own."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from agency import Agency, agency
from program import balance, row
from prometheus_client.parser import text_string_to_metric_families
from situations import until
from sqlalchemy import inspect
from storm import FOREVER, Fault
from terminal import on_a_terminal, plain

from etl.clock import SystemClock
from etl.state.database import connect
from etl.state.store import Store, open_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from program import Ended
    from storm import Storm

    from etl.sandbox.wire import Call

NAMES = ("acme", "bolt", "core")
ALL = ("run", "--all", "--now", "--json")


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Agency]:
    """Three portals, each with the same three visitors on its website."""
    with agency(tmp_path, *NAMES) as made:
        made.visitors(1, 2, 3)
        yield made


def by_portal(ended: Ended) -> dict[str, dict[str, Any]]:
    """The one summary of each portal."""
    for summary in ended.summaries:
        balance(summary)
    return {summary["portal_name"]: summary for summary in ended.summaries}


def codes(ended: Ended) -> dict[str, int]:
    return {name: summary["exit_code"] for name, summary in by_portal(ended).items()}


def contacts(made: Agency) -> dict[str, int]:
    return {name: len(storm.hubspot.contacts) for name, storm in made.portals.items()}


def lines(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stderr.splitlines()]


def revoke(storm: Storm) -> None:
    storm.hubspot.faults.add(Fault.answer(401, {"status": "error", "message": "expired"}), times=FOREVER)


def take_down(storm: Storm) -> None:
    storm.zenovay.faults.add(Fault.answer(429, {}, headers={"retry-after": "7200"}), times=FOREVER)


def damage(made: Agency, portal: str) -> None:
    made.state_file(portal).parent.mkdir(exist_ok=True)
    made.state_file(portal).write_text("This is no database. " * 1000)


def test_each_portal_gets_its_contacts_and_a_line_for_each_site(three: Agency) -> None:
    three.sites["bolt"] = (three.portals["bolt"].website, "site_shop")
    three.declare()
    three.portals["bolt"].zenovay.websites["site_shop"] = [row(7)]

    ended = three(*ALL)

    assert ended.exit_code == 0
    told = [(each["portal_name"], each["website"], each["status"]) for each in ended.summaries]
    assert sorted(told) == [
        *((name, three.portals[name].website, "done") for name in NAMES[:2]),
        ("bolt", "site_shop", "done"),
        ("core", three.portals["core"].website, "done"),
    ]
    assert contacts(three) == {"acme": 3, "bolt": 4, "core": 3}
    ids = {name: storm.hubspot.portal_id for name, storm in three.portals.items()}
    assert {name: each["portal"] for name, each in by_portal(ended).items()} == ids
    assert {line["portal_name"] for line in lines(ended)} == {*NAMES}
    assert all("portal_name" in line for line in lines(ended))
    assert not three.base.exists()


def test_a_good_run_prints_nothing_and_at_once_again_it_rests(three: Agency) -> None:
    assert [(three("run", "--all").exit_code, three("run", "--all").stdout)] == [(0, "")]
    resting = three("run", "--all", "--json")
    assert [each["status"] for each in resting.summaries] == ["skipped"] * 3
    assert all("interval" in each["reason"] for each in resting.summaries)


def test_a_site_of_a_slower_rhythm_rests_while_another_is_synced(three: Agency) -> None:
    three("run", "--all")
    written = (three.folder / "visitor-sync.toml").read_text()
    first, rest = written.split('every = "5m"', 1)
    (three.folder / "visitor-sync.toml").write_text(f'{first}every = "1m"{rest}')
    for name in NAMES:  # the last run was two minutes ago
        age(three, name, seconds=120)
    assert {name: each["status"] for name, each in by_portal(three("run", "--all", "--json")).items()} == {
        "acme": "done",
        "bolt": "skipped",
        "core": "skipped",
    }


def age(made: Agency, portal: str, *, seconds: int) -> None:
    """Have all runs of a portal be so much older."""
    with sqlite3.connect(made.state_file(portal)) as state:
        state.execute("UPDATE runs SET started = started - ?, ended = ended - ?", [seconds * 10**6] * 2)
    state.close()


def test_the_trouble_of_one_portal_is_its_own(three: Agency) -> None:
    revoke(three.portals["acme"])
    damage(three, "bolt")

    ended = three(*ALL)

    assert codes(ended) == {"acme": 5, "bolt": 7, "core": 0}
    assert ended.exit_code == 7
    assert contacts(three) == {"acme": 0, "bolt": 0, "core": 3}
    assert by_portal(ended)["bolt"]["status"] == "failed"
    assert "bolt.db" in by_portal(ended)["bolt"]["reason"]
    assert {(each["portal_name"], each["exit_code"]) for each in ended.errors} == {("acme", 5), ("bolt", 7)}


def test_what_is_down_is_incomplete_and_the_others_go_on(three: Agency) -> None:
    take_down(three.portals["acme"])

    ended = three("run", "--all")

    assert ended.exit_code == 4
    assert contacts(three) == {"acme": 0, "bolt": 3, "core": 3}
    assert three("run", "--all", "--json").exit_code == 4
    assert "secret" not in ended.stdout + ended.stderr


def test_a_portal_whose_lock_is_held_is_left_out(three: Agency) -> None:
    three("run", "--all")
    clock = SystemClock()
    url = f"sqlite:///{three.state_file('bolt')}"
    with open_state(url, clock) as connection, Store(connection, clock=clock).locked():
        ended = three(*ALL)
    assert codes(ended) == {"acme": 0, "bolt": 75, "core": 0}
    assert ended.exit_code == 75
    assert three(*ALL).exit_code == 0


@contextmanager
def met(made: Agency, barrier: threading.Barrier) -> Iterator[None]:
    """No portal's Zenovay answers before all portals' have been asked."""
    for storm in made.portals.values():
        before = storm.zenovay.working_on

        @contextmanager
        def waiting(call: Call, before: Any = before) -> Iterator[None]:
            barrier.wait(30)
            with before(call):
                yield

        storm.zenovay.working_on = waiting  # type: ignore[method-assign,assignment]
    yield


def test_portals_are_asked_at_the_same_time(three: Agency) -> None:
    with met(three, threading.Barrier(3)):
        assert codes(three(*ALL)) == dict.fromkeys(NAMES, 0)


def test_with_one_job_they_take_turns_and_the_one_that_waits_longest_begins(three: Agency) -> None:
    three(*ALL)
    age(three, "core", seconds=900)
    age(three, "bolt", seconds=600)
    asked: list[str] = []
    for name, storm in three.portals.items():
        storm.zenovay.latency_s = 0.2
        before = storm.zenovay.working_on

        @contextmanager
        def noted(call: Call, name: str = name, before: Any = before) -> Iterator[None]:
            asked.append(f"{name} asks")
            with before(call):
                yield
            asked.append(f"{name} ends")

        storm.zenovay.working_on = noted  # type: ignore[method-assign,assignment]

    assert three(*ALL, "--jobs", "1").exit_code == 0

    begun = [line.partition(" ")[0] for line in asked]
    assert list(dict.fromkeys(begun)) == ["core", "bolt", "acme"]
    assert begun == sorted(begun, key=["core", "bolt", "acme"].index)


def test_a_dry_run_of_all_writes_nothing_and_says_what_it_would(three: Agency) -> None:
    ended = three("run", "--all", "--dry-run", "--detailed-exitcode")
    assert ended.exit_code == 10
    assert [line.split(":")[0] for line in ended.stdout.splitlines()[:3]] == [
        f"{name}/{three.portals[name].website}" for name in NAMES
    ]
    assert contacts(three) == dict.fromkeys(NAMES, 0)
    assert list(three.folder.rglob("*.db")) == []


def test_a_dry_run_tells_whose_contacts_they_are(three: Agency) -> None:
    lines = three("run", "--all", "--dry-run", "--limit", "1").stdout.splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("Portal ")]
    assert [lines[number] for number in heads] == [f"Portal {name}:" for name in NAMES]
    assert all(lines[number + 1].startswith("create ") for number in heads)
    assert sum(line.startswith("Contacts: ") for line in lines) == len(NAMES)


def test_a_backfill_names_the_portal_as_a_run_does(three: Agency) -> None:
    ended = three("backfill", "--portal", "acme", "--from", "2026-01-01", "--to", "2026-01-02", "--json")
    assert [summary["portal_name"] for summary in ended.summaries] == ["acme"]
    log = [json.loads(line) for line in ended.stderr.splitlines()]
    assert {line.get("portal_name") for line in log if line["action"] == "run_finished"} == {"acme"}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_only_looks_leaves_nothing_behind(
    three: Agency, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    if url:
        three.settings["SYNC_STATE_URL"] = url
    days = ("--from", "2026-01-01", "--to", "2026-01-02")
    codes = [
        three(*arguments).exit_code
        for arguments in (
            ("run", "--all", "--dry-run"),
            ("check", "--portal", "acme"),
            ("backfill", "--portal", "acme", *days, "--plan"),
            ("backfill", "--portal", "acme", *days, "--dry-run"),
        )
    ]

    assert {*codes} <= {0, 3}, codes
    assert list(three.folder.rglob("*.db")) == []
    if url:
        with connect(url) as connection:
            schemas = {name for name in inspect(connection).get_schema_names() if "visitor" in name}
            assert (schemas, inspect(connection).get_table_names()) == (set(), [])


def test_a_portal_that_is_named_twice_must_be_the_same(three: Agency) -> None:
    for arguments in (
        ("run", "--portal", "acme", "--portal", "bolt"),
        ("--portal", "acme", "run", "--portal", "bolt"),
    ):
        ended = three(*arguments)
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert "several portals" in ended.stderr
    assert contacts(three) == dict.fromkeys(NAMES, 0)
    assert three("--portal", "acme", "run", "--portal", "acme").exit_code == 0


def test_only_the_websites_that_are_named_are_synced(three: Agency) -> None:
    three.sites = {name: (f"site_{name}",) for name in NAMES}
    three.declare()
    three.visitors(1)

    ended = three(*ALL, "--website", "site_bolt")
    assert codes(ended) == {"bolt": 0}
    wrong = three(*ALL, "--website", "site_nowhere")
    assert (wrong.exit_code, wrong.summaries[0]["exit_code"]) == (2, 2)
    assert "site_bolt" in wrong.error["fix"]

    three.sites = dict.fromkeys(NAMES, ("site_same",))
    three.declare()
    wrong = three(*ALL, "--website", "site_nowhere")
    assert wrong.error["fix"] == "There are: site_same."


@pytest.mark.parametrize(
    "arguments",
    [
        ("--jobs", "2"),
        ("--all", "--jobs", "0"),
        ("--all", "--cron", "--json"),
        ("--all", "--every", "0s"),
    ],
)
def test_what_does_not_go_together_is_refused(three: Agency, arguments: tuple[str, ...]) -> None:
    assert three("run", *arguments).exit_code == 2


def test_without_portals_that_is_a_wrong_setting(three: Agency) -> None:
    (three.folder / "visitor-sync.toml").unlink()
    ended = three("run", "--all")
    assert ended.exit_code == 2
    assert "There is no " in ended.error["what"]


def test_a_signal_ends_all_of_them_and_each_is_told(three: Agency) -> None:
    for storm in three.portals.values():
        storm.zenovay.faults.add(Fault.answer(503, {}), times=FOREVER)
    with three.start(*ALL) as process:
        until(lambda: all(storm.zenovay.requests for storm in three.portals.values()))
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    told = [json.loads(line) for line in stdout.splitlines()]
    assert {each["portal_name"]: each["exit_code"] for each in told} == dict.fromkeys(NAMES, 143)
    assert {each["status"] for each in told} == {"incomplete"}


def test_killed_in_the_middle_it_loses_nothing(three: Agency) -> None:
    three.visitors(*range(10, 210))
    for storm in three.portals.values():
        storm.hubspot.latency_s = 0.3
    with three.start(*ALL, HUBSPOT_CONCURRENCY="1") as process:
        until(lambda: any(storm.hubspot.contacts for storm in three.portals.values()))
        process.kill()
    for storm in three.portals.values():
        storm.hubspot.latency_s = 0.0
    assert codes(three(*ALL)) == dict.fromkeys(NAMES, 0)
    assert contacts(three) == dict.fromkeys(NAMES, 203)
    assert not any(storm.hubspot.violations for storm in three.portals.values())


def test_cron_is_told_of_one_portal_and_of_its_end(three: Agency) -> None:
    revoke(three.portals["bolt"])
    mails = [three("run", "--all", "--cron", "--now") for _ in range(2)]
    assert [mail.exit_code for mail in mails] == [5, 5]
    place = f"bolt/{three.portals['bolt'].website}"
    assert mails[0].stdout.startswith(f"visitor-sync, {place}: ")
    assert mails[1].stdout == ""
    three.portals["bolt"].hubspot.faults.clear()
    well = three("run", "--all", "--cron", "--now")
    assert (well.exit_code, well.stdout.partition(". ")[0]) == (0, f"visitor-sync is well again: {place}")
    log = [json.loads(line) for line in (three.folder / "sync.log").read_text().splitlines()]
    assert {line.get("portal_name") for line in log} == {*NAMES}


def test_cron_logs_why_a_portal_could_not_begin(three: Agency) -> None:
    damage(three, "core")
    mail = three("run", "--all", "--cron")
    assert (mail.exit_code, mail.stdout.count("core.db")) == (7, 1)
    log = [json.loads(line) for line in (three.folder / "sync.log").read_text().splitlines()]
    (failed,) = [line for line in log if line["action"] == "run_failed"]
    assert (failed["portal_name"], failed["exit_code"]) == ("core", 7)


def test_those_who_watch_are_told_once_of_a_command_and_by_portal(three: Agency) -> None:
    metrics = three.folder / "sync.prom"
    three.settings |= three.portals["acme"].watching_environment() | {"SYNC_METRICS_FILE": str(metrics)}
    revoke(three.portals["core"])

    three("run", "--all", "--now")

    team = three.portals["acme"].team
    assert [ping.kind for ping in team.pings] == ["start", "fail"]
    assert all(f"{name}/" in team.pings[-1].body for name in NAMES)
    (message,) = team.messages
    assert message.text.startswith("visitor-sync, core/")
    families = {each.name: each for each in text_string_to_metric_families(metrics.read_text())}
    runs = families["visitor_sync_last_run_exit_code"].samples
    assert {(each.labels["portal"], each.value) for each in runs} == {("acme", 0), ("bolt", 0), ("core", 5)}
    confirmed = families["visitor_sync_contacts"].samples
    assert {(each.labels["portal"], each.labels["state"]) for each in confirmed} >= {("bolt", "confirmed")}
    assert families["visitor_sync_last_command_exit_code"].samples[0].labels == {}


def test_no_secret_of_any_portal_is_told(three: Agency) -> None:
    for storm in three.portals.values():
        echo = f"{storm.hubspot.access_token} {storm.zenovay.api_key} is wrong"
        wrong = Fault.answer(400, {"status": "error", "message": echo})
        storm.hubspot.faults.add(wrong, times=FOREVER)
    ended = three(*ALL, "--log-level", "debug")
    assert {*codes(ended).values()} == {6}
    assert not re.search(r"pat-eu1-|zv_(acme|bolt|core)", ended.stdout + ended.stderr)


def test_health_is_that_of_all_portals(three: Agency) -> None:
    assert three("status", "--healthy").stdout.count("no run has begun") == 3
    three("run", "--all")
    assert (three("status", "--healthy").exit_code, three("status", "--healthy").stdout) == (0, "healthy\n")
    revoke(three.portals["bolt"])
    three.visitors(4)
    three("run", "--all", "--now")
    ended = three("status", "--healthy", "--json")
    (why,) = ended.value["why"]
    assert (ended.exit_code, why.partition(": ")[0]) == (1, f"bolt/{three.portals['bolt'].website}")


def test_postgresql_holds_a_state_for_each(three: Agency, postgres_url: str) -> None:
    three.settings["SYNC_STATE_URL"] = postgres_url
    assert codes(three(*ALL)) == dict.fromkeys(NAMES, 0)
    again = three(*ALL)
    assert {name: each["contacts"]["unchanged"] for name, each in by_portal(again).items()} == dict.fromkeys(
        NAMES, 3
    )
    assert three("status", "--healthy").exit_code == 0
    assert not list(three.folder.rglob("*.db"))


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request: pytest.FixtureRequest, three: Agency) -> Agency:
    """Three portals, with their states in files, and on a server."""
    if request.param == "postgresql":
        three.settings["SYNC_STATE_URL"] = request.getfixturevalue("postgres_url")
    return three


def test_two_portals_that_are_one_account_are_refused(anywhere: Agency) -> None:
    acme, bolt = anywhere.portals["acme"].hubspot, anywhere.portals["bolt"].hubspot
    own, bolt.portal_id = bolt.portal_id, acme.portal_id
    first = anywhere(*ALL)
    assert sorted(codes(first).values()) == [0, 0, 2]
    assert sorted([len(acme.contacts), len(bolt.contacts)]) == [0, 3]

    (refused,) = [each for each in first.summaries if each["exit_code"] == 2]
    assert "portals" in refused["reason"]
    assert all(name in refused["reason"] for name in ("acme", "bolt", str(acme.portal_id)))
    checked = anywhere("check", "--portal", refused["portal_name"], "--json")
    assert checked.exit_code == 2
    (told,) = [each for each in checked.value if each["check"] == "hubspot portal"]
    assert "one HubSpot account" in str(told)
    bolt.portal_id = own  # as if its token were another one's now
    anywhere("resync", "--portal", "bolt", "--yes")
    assert anywhere("run", "--portal", "bolt", "--now").exit_code == 0  # as it was told to do first
    assert set(codes(anywhere(*ALL)).values()) == {0}
    assert contacts(anywhere) == {"acme": 3, "bolt": 3, "core": 3}


def test_two_portals_may_change_their_accounts_with_each_other(anywhere: Agency) -> None:
    anywhere(*ALL)
    acme, bolt = anywhere.portals["acme"].hubspot, anywhere.portals["bolt"].hubspot
    acme.portal_id, bolt.portal_id = bolt.portal_id, acme.portal_id
    for name in ("acme", "bolt"):
        assert anywhere("resync", "--portal", name, "--yes").exit_code == 0
    found = [anywhere("run", "--portal", name, "--now").exit_code for name in ("acme", "bolt", "acme")]
    assert found == [2, 0, 0]


def test_an_account_of_a_portal_that_is_gone_is_free(three: Agency) -> None:
    three(*ALL)
    acme, bolt = three.portals["acme"], three.portals["bolt"]
    bolt.hubspot.portal_id = acme.hubspot.portal_id
    del three.portals["acme"]
    three.declare()
    assert three("resync", "--portal", "bolt", "--yes").exit_code == 0
    assert codes(three(*ALL)) == {"bolt": 0, "core": 0}


def test_a_dry_run_claims_no_account_and_is_refused_all_the_same(three: Agency) -> None:
    acme, bolt = three.portals["acme"].hubspot, three.portals["bolt"].hubspot
    bolt.portal_id = acme.portal_id
    assert three("run", "--portal", "acme", "--dry-run").exit_code == 0
    assert three("run", "--portal", "bolt").exit_code == 0
    assert three("run", "--portal", "acme", "--dry-run").exit_code == 2


def test_one_portal_is_synced_without_the_secrets_of_the_others(three: Agency) -> None:
    ended = three("run", "--portal", "bolt", "--json", ACME_TOKEN="", CORE_KEY="")
    assert codes(ended) == {"bolt": 0}
    assert contacts(three) == {"acme": 0, "bolt": 3, "core": 0}
    assert three("status", "--healthy", "--portal", "bolt").exit_code == 0
    assert three("run", "--all", "--portal", "bolt").exit_code == 2
    unknown = three("run", "--portal", "bold")
    assert (unknown.exit_code, "bolt" in unknown.error["fix"]) == (2, True)


def test_without_a_portal_one_is_asked_for(three: Agency) -> None:
    ended = three("run")
    assert ended.exit_code == 2
    assert "--portal NAME" in ended.error["fix"]


def test_a_portal_that_is_read_with_two_keys_gets_the_visitors_of_both(three: Agency) -> None:
    declared = three.folder / "visitor-sync.toml"
    other = three.portals["core"]
    declared.write_text(
        f"""{declared.read_text()}
        [[sites]]
        website = "site_other"
        portal = "acme"
        key = "key-core"
        """
    )
    other.zenovay.websites["site_other"] = [row(8)]

    ended = three("run", "--portal", "acme", "--json")

    assert {each["website"]: each["contacts"]["created"] for each in ended.summaries} == {
        three.portals["acme"].website: 3,
        "site_other": 1,
    }
    assert {each["portal_name"] for each in ended.summaries} == {"acme"}
    assert three("status", "--healthy", "--portal", "acme").exit_code == 0


def test_a_terminal_gets_a_table_with_the_names_of_the_portals(three: Agency) -> None:
    code, shown = on_a_terminal(three, "run", "--all", columns=120)
    assert code == 0
    assert all(f"{name}/" in shown for name in NAMES)
    assert "3 websites: 3 done" in plain(shown)
