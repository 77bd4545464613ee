"""A person who is forgotten is nowhere in the state, and stays away."""

from __future__ import annotations

import json
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from program import COMMAND, Ended, row
from situations import until
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool
from storm.faults import Fault

if TYPE_CHECKING:
    from program import Program

ANN = "ann.unforgettable@example.test"
BO = "bo@example.test"
ANNS_PHONE, ANNS_LAPTOP = "visitor-of-ann-phone", "visitor-of-ann-laptop"
LINK = "zenovay_form_visitor_id"


@pytest.fixture
def stateful(program: Program, state_url: str) -> Program:
    """The program with a state of either kind."""
    if not state_url.startswith("sqlite"):
        program.settings["SYNC_STATE_URL"] = state_url
    return program


def phone(**facts: Any) -> dict[str, Any]:
    return {**row(1), "id": ANNS_PHONE, "email": ANN, **facts}


def laptop(**facts: Any) -> dict[str, Any]:
    return {**row(2), "id": ANNS_LAPTOP, **facts}


def told(program: Program, keys: str, *arguments: str) -> Ended:
    """``forget -``, with keys on stdin."""
    done = subprocess.run(
        [COMMAND, "forget", "-", *arguments],
        input=keys,
        env=program.environment(),
        cwd=program.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def forgotten(program: Program, key: str, *arguments: str) -> dict[str, Any]:
    ended = program("forget", key, "--json", *arguments)
    assert (ended.exit_code, ended.stderr) == (0, "")
    (only,) = ended.value["forgotten"]
    assert only.pop("key") == key.strip()
    return dict(only)


def kept(program: Program) -> bytes:
    """Every byte that the program has kept anywhere."""
    files = [path.read_bytes() for path in program.folder.rglob("*") if path.is_file()]
    url = program.environment()["SYNC_STATE_URL"]
    return b"\n".join([*files, b"" if url.startswith("sqlite") else _rows(url).encode()])


def _rows(url: str) -> str:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        rows = [connection.execute(text(f'SELECT * FROM "{table}"')).all() for table in tables]
        if connection.dialect.name == "postgresql":
            rows.append(connection.execute(text("SELECT s::text FROM pg_stats s")).all())
        return "\n".join(str(each) for found in rows for each in found)


def record_of(program: Program, address: str) -> str:
    return next(
        number for number, held in program.sandbox.hubspot.contacts.items() if held.get("email") == address
    )


def link(program: Program, record: str, visitor_id: str) -> None:
    """A form on the website was filled in."""
    hubspot = program.sandbox.hubspot
    with hubspot.lock:
        hubspot.store.update(record, {LINK: visitor_id}, now=hubspot.now())


def far_away(program: Program) -> None:
    """The next record ids are like nothing else."""
    program.sandbox.hubspot.store._next_id = 770_123_456_789


def test_nothing_of_the_person_is_in_any_file_and_nothing_brings_them_back(stateful: Program) -> None:
    far_away(stateful)
    stateful.settings["SYNC_LOG_FILE"] = str(stateful.folder / "sync.log")
    stateful.visitors(phone(), laptop(email=ANN), row(3, email=BO), row(4))
    assert stateful("run", "--cron").exit_code == 0
    record = record_of(stateful, ANN)
    traces = [each.encode() for each in (ANN, ANNS_PHONE, ANNS_LAPTOP, record)]
    before = kept(stateful)
    assert [trace for trace in traces if trace not in before] == []

    counts = forgotten(stateful, f" {ANN.upper()} ")

    assert counts == {"known": True, "visitors": 2, "contacts": 1, "rejections": 0, "records": 1}
    assert [trace for trace in traces if trace in kept(stateful)] == []
    stateful.visitors(phone(pageviews=9, minutes_ago=0), {**laptop(), "email": None})
    since = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    again = stateful.run()
    backfill = stateful("backfill", "--from", since, "--json")
    assert again.summary["rows"]["excluded"] == backfill.summary["rows"]["excluded"] == 4
    assert [trace for trace in traces if trace in kept(stateful)] == []
    assert set(stateful.sandbox.hubspot.snapshot()) == {ANN, BO, "v000004"}
    assert again.summary["requests"]["hubspot"] == 0


def test_a_key_of_any_kind_leads_to_the_whole_person(stateful: Program) -> None:
    stateful.visitors(phone(), laptop(email=ANN), row(3, email=BO))
    stateful.run()
    expected = {"known": True, "visitors": 2, "contacts": 1, "rejections": 0, "records": 1}

    for key in (ANN, ANNS_PHONE, ANNS_LAPTOP, record_of(stateful, ANN)):
        assert forgotten(stateful, key, "--dry-run") == expected
    assert forgotten(stateful, record_of(stateful, ANN)) == expected
    assert forgotten(stateful, ANN) == dict.fromkeys(expected, 0) | {"known": False}


def test_what_was_left_behind_anonymously_is_erased_too(stateful: Program) -> None:
    far_away(stateful)
    stateful.visitors(laptop())
    stateful.run()
    stateful.visitors(laptop(email=ANN, minutes_ago=0))
    stateful.run()

    assert forgotten(stateful, ANN)["contacts"] == 2
    assert b"770123456" not in kept(stateful)
    assert ANNS_LAPTOP.encode() not in kept(stateful)


def test_a_new_visitor_id_under_a_forgotten_address_is_forgotten_as_well(stateful: Program) -> None:
    stateful.visitors(phone())
    stateful.run()
    forgotten(stateful, ANN)
    stateful.replace_visitors(laptop())
    stateful.run()
    assert ANNS_LAPTOP.encode() in kept(stateful)

    stateful.replace_visitors(laptop(), laptop(email=ANN, minutes_ago=0))
    assert stateful.run().summary["rows"]["excluded"] == 2
    stateful.replace_visitors(laptop(minutes_ago=0, pageviews=77))
    assert stateful.run().summary["rows"]["excluded"] == 1

    assert stateful("status", "--json").value["contacts"]["confirmed"] == 0
    assert stateful("forget", ANNS_LAPTOP, "--dry-run", "--json").value["forgotten"][0]["known"] is False


def test_a_refused_row_of_somebody_forgotten_is_not_listed(program: Program) -> None:
    program.visitors(phone(), {**laptop(), "email": ANN, "pageviews": "many"})
    assert program.run().exit_code == 3
    assert forgotten(program, ANNS_LAPTOP)["rejections"] == 1
    assert program("rejections", "--json").value == []

    again = program.run("--json")

    assert (again.exit_code, again.summary["rows"]["excluded"]) == (0, 1)
    assert program("rejections", "--json").value == []


def test_links_do_not_bring_a_person_back(stateful: Program) -> None:
    stateful.settings["SYNC_LINK_PROPERTY"] = LINK
    assert stateful("setup").exit_code == 0
    stateful.visitors(phone(), row(3, email=BO))
    stateful.run()
    ann, bo = record_of(stateful, ANN), record_of(stateful, BO)
    link(stateful, ann, ANNS_PHONE)
    stateful.run()
    forgotten(stateful, ann)

    stateful.visitors(laptop(), {**row(5), "id": "shared-with-bo"})
    stateful.run()
    link(stateful, ann, ANNS_LAPTOP)
    link(stateful, bo, ANNS_PHONE)
    linked = stateful.run()

    assert linked.exit_code == 0
    assert linked.summary["rows"]["excluded"] == 2
    for trace in (ANN, ANNS_PHONE, ANNS_LAPTOP):
        assert trace.encode() not in kept(stateful)


def test_somebody_else_s_contact_stays_without_the_visitors_that_are_forgotten(stateful: Program) -> None:
    stateful.settings["SYNC_LINK_PROPERTY"] = LINK
    assert stateful("setup").exit_code == 0
    shared = "a-browser-of-two"
    stateful.visitors(phone(), row(3, email=BO), {**row(5, pageviews=40), "id": shared})
    stateful.run()
    ann, bo = record_of(stateful, ANN), record_of(stateful, BO)
    link(stateful, ann, shared)
    stateful.run()
    link(stateful, bo, shared)
    stateful.run()
    assert stateful.sandbox.hubspot.contacts[bo]["zenovay_pageviews"] == "43"

    assert forgotten(stateful, ANN)["visitors"] == 2
    stateful.run()

    assert stateful.sandbox.hubspot.contacts[bo]["zenovay_pageviews"] == "3"
    assert shared.encode() not in kept(stateful)
    assert BO.encode() in kept(stateful)


def test_who_opted_out_is_found_by_the_address_as_well(stateful: Program) -> None:
    stateful.visitors(phone())
    stateful.run()
    stateful.replace_visitors(phone(gpc_opted_out=True, minutes_ago=0))
    stateful.run()

    assert forgotten(stateful, ANN)["visitors"] == 1
    assert ANNS_PHONE.encode() not in kept(stateful)


def test_another_address_of_a_forgotten_record_does_not_bring_it_back(stateful: Program) -> None:
    far_away(stateful)
    stateful.visitors(phone())
    stateful.run()
    ann = record_of(stateful, ANN)
    forgotten(stateful, ANN)
    hubspot = stateful.sandbox.hubspot
    with hubspot.lock:
        hubspot.store.update(ann, {"email": "ann.second@example.test"}, now=hubspot.now())

    stateful.replace_visitors(laptop(email="ann.second@example.test"), row(3, email=BO))
    met = stateful.run()
    again = stateful.run()

    assert (met.exit_code, met.summary["contacts"]["touched"]) == (0, 1)
    assert again.summary["rows"]["excluded"] == 1
    for trace in ("ann.second", ANNS_LAPTOP, ann):
        assert trace.encode() not in _rows(stateful.environment()["SYNC_STATE_URL"]).encode()


def test_what_is_said_of_others_names_nobody_who_was_forgotten(stateful: Program) -> None:
    far_away(stateful)
    stateful.visitors(phone())
    stateful.run()
    stateful.sandbox.hubspot.refused_addresses[BO] = f"taken by {record_of(stateful, ANN)}"
    stateful.visitors(row(3, email=BO, minutes_ago=0))
    assert stateful.run().exit_code == 3

    forgotten(stateful, ANN)

    (rejection,) = stateful("rejections", "--json").value
    assert (rejection["key"], rejection["reason"]) == (BO, "taken by …")
    assert b"770123456" not in kept(stateful)


def test_a_dry_run_writes_nothing(stateful: Program) -> None:
    stateful.visitors(phone())
    stateful.run()
    stateful.sandbox.hubspot.requests.clear()
    before = kept(stateful)

    ended = stateful("forget", ANN, "nobody", "--dry-run", "--in-hubspot")

    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == [
        f"{ANN}: 1 visitors, 1 contacts, 0 rejections would be erased; 1 records in HubSpot would be deleted",
        "nobody: the state knows nothing of it; it would stay away",
    ]
    assert kept(stateful) == before
    assert stateful.sandbox.hubspot.requests == []


def test_a_dry_run_without_a_state_makes_none(program: Program) -> None:
    assert forgotten(program, ANN, "--dry-run")["known"] is False
    assert list(program.folder.iterdir()) == []


def test_who_is_not_known_yet_never_comes_in(stateful: Program) -> None:
    assert "stays away from now on" in stateful("forget", ANN, ANNS_LAPTOP).stdout

    stateful.visitors(phone(), laptop(), row(3))

    assert stateful.run().summary["rows"]["excluded"] == 2
    assert set(stateful.sandbox.hubspot.snapshot()) == {"v000003"}


def test_keys_come_from_stdin_too(program: Program) -> None:
    program.visitors(phone(), row(3, email=BO))
    program.run()

    ended = told(program, f"{ANN}\n\n{BO}\n{ANN}\n", "--json")

    assert (ended.exit_code, ended.stderr) == (0, "")
    assert [each["key"] for each in ended.value["forgotten"]] == [ANN, BO]
    assert ended.value | {"forgotten": None} == {"forgotten": None, "in_hubspot": False, "dry_run": False}
    assert told(program, "\n").exit_code == 2


def test_hubspot_deletes_every_record_of_the_person(stateful: Program) -> None:
    stateful.visitors(laptop(), row(3, email=BO))
    stateful.run()
    stateful.visitors(laptop(email=ANN, minutes_ago=0))
    stateful.run()
    assert len(stateful.sandbox.hubspot.contacts) == 3

    ended = stateful("forget", ANN, "--in-hubspot")

    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.endswith("2 records in HubSpot deleted\n")
    assert set(stateful.sandbox.hubspot.snapshot()) == {BO}
    assert stateful.sandbox.hubspot.gdpr_deleted == {ANN}
    assert ANN.encode() not in kept(stateful)


def test_an_address_that_the_state_does_not_know_is_blocked_in_hubspot(program: Program) -> None:
    assert program("forget", ANN, "--in-hubspot").exit_code == 0
    assert program.sandbox.hubspot.gdpr_deleted == {ANN}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.answer(403, {"category": "MISSING_SCOPES", "message": "no"}), 5),
        (Fault.answer(401, {"category": "INVALID_AUTHENTICATION"}), 5),
        (Fault.answer(477, headers={"Retry-After": "7200"}), 4),
    ],
    ids=["scope", "token", "outage"],
)
def test_what_hubspot_does_not_do_leaves_the_state_as_it_is(
    program: Program, fault: Fault, code: int
) -> None:
    program.visitors(phone())
    program.run()
    program.sandbox.hubspot.faults.add(fault, path="gdpr-delete")

    ended = program("forget", ANN, "--in-hubspot")

    assert (ended.exit_code, ended.stdout) == (code, "")
    assert "@" not in ended.stderr
    assert forgotten(program, ANN, "--dry-run")["known"] is True


def test_killed_after_hubspot_has_deleted_it_can_be_repeated(stateful: Program) -> None:
    stateful.visitors(phone())
    stateful.run()
    hubspot = stateful.sandbox.hubspot
    hubspot.latency_s = 1.0
    with stateful.start("forget", ANN, "--in-hubspot") as process:
        until(lambda: bool(hubspot.gdpr_deleted) or not hubspot.contacts)
        process.send_signal(signal.SIGKILL)
    hubspot.latency_s = 0.0
    assert forgotten(stateful, ANN, "--dry-run")["known"] is True

    ended = stateful("forget", ANN, "--in-hubspot", "--json")

    assert (ended.exit_code, ended.value["forgotten"][0]["records"]) == (0, 1)
    assert ANN.encode() not in kept(stateful)


def test_the_records_of_another_portal_are_not_deleted(program: Program) -> None:
    program.visitors(phone())
    program.run()
    hubspot = program.sandbox.hubspot
    hubspot.portal_id, hubspot.access_token = 4711, "pat-of-another-portal"

    ended = program("forget", ANN, "--in-hubspot", HUBSPOT_ACCESS_TOKEN="pat-of-another-portal")

    assert ended.exit_code == 2
    assert "4711" in ended.stderr
    assert len(hubspot.contacts) == 1
    assert forgotten(program, ANN, "--dry-run")["known"] is True


def test_it_waits_for_no_run(program: Program) -> None:
    program.visitors(phone())
    program.run()
    program.visitors(row(3, minutes_ago=0))
    program.sandbox.zenovay.latency_s = 4.0
    with program.start("run", "--now") as process:
        until(lambda: program("status", "--json").value["lock"] is not None)
        ended = program("forget", ANN)
        process.kill()

    assert (ended.exit_code, ended.stdout) == (75, "")
    assert "Another run holds the lock" in ended.stderr


def test_the_json_is_one_object(program: Program) -> None:
    assert json.loads(program("forget", "nobody", "--json").stdout) == {
        "forgotten": [
            {"key": "nobody", "known": False, "visitors": 0, "contacts": 0, "rejections": 0, "records": 0}
        ],
        "in_hubspot": False,
        "dry_run": False,
    }
