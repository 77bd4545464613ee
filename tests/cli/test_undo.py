"""What a run replaced is put back where nobody has changed it since; an undo is a run itself."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from mortal import Fate, lived
from program import row
from situations import until, wait_for_lock
from storm.faults import Fault

from etl.clock import SystemClock

if TYPE_CHECKING:
    from program import Program

ANN, BOB, CAT = "ann@example.test", "bob@example.test", "cat@example.test"
POLICIES = ["overwrite", "protect", "fill_empty"]
VISITOR_ID = "zenovay_visitor_id"
OURS = ("country", "zenovay_pageviews", "zenovay_last_seen")
BOOKKEEPING = {"lastmodifieddate"}


class Ahead(SystemClock):
    """A clock that is so far ahead."""

    def __init__(self, ahead: timedelta) -> None:
        super().__init__()
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


def crm(program: Program) -> dict[str, dict[str, str]]:
    """All that HubSpot holds, but for when it was changed last."""
    return {
        number: {name: text for name, text in contact.items() if name not in BOOKKEEPING}
        for number, contact in program.sandbox.hubspot.contacts.items()
    }


def record_of(program: Program, address: str) -> str:
    (record,) = (
        number for number, each in program.sandbox.hubspot.contacts.items() if each.get("email") == address
    )
    return record


def ran(program: Program, **settings: str) -> str:
    """A run that goes well; its id."""
    ended = program.run(**settings)
    assert ended.exit_code == 0, ended.stderr
    return str(ended.summary["run"])


def undone(program: Program, run: str, *arguments: str, code: int = 0, **settings: str) -> dict[str, Any]:
    ended = program("undo", run, "--json", *arguments, **settings)
    assert ended.exit_code == code, ended.stderr
    return ended.summary


def figures(summary: dict[str, Any]) -> dict[str, int]:
    return {name: number for name, number in summary["undo"].items() if name != "run" and number}


def paths(program: Program, since: int = 0) -> list[str]:
    return [each.path.rpartition("/contacts/")[2] for each in program.sandbox.hubspot.requests[since:]]


def with_three_people(program: Program) -> None:
    """Ann, Bob and Cat, as the program wrote them before."""
    for address in (ANN, BOB, CAT):
        program.sandbox.hubspot.seed({"email": address})
    program.visitors(*(row(number, email=each) for number, each in enumerate((ANN, BOB, CAT), 10)))
    ran(program)


def news(program: Program, *addresses: str, **facts: Any) -> None:
    """Something new of these, in the order of their numbers."""
    stated = {"pageviews": 9, "country_code": "FR", **facts}
    for number, address in enumerate((ANN, BOB, CAT), 10):
        if address in addresses:
            program.visitors(row(number, email=address, minutes_ago=0, **stated))


@pytest.mark.parametrize("policy", POLICIES)
def test_run_then_undo_gives_back_the_crm_of_before(program: Program, policy: str) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = policy
    hubspot = program.sandbox.hubspot
    hubspot.seed({"email": ANN, "country": "France", "firstname": "Ann"})
    hubspot.seed({"email": BOB, "zenovay_pageviews": "77"})
    program.visitors(*(row(number, email=each) for number, each in enumerate((ANN, BOB, CAT))))
    before = crm(program)

    run = ran(program)
    after = crm(program)
    assert after != before
    summary = undone(program, run)

    (made,) = after.keys() - before.keys()
    assert {number: each for number, each in crm(program).items() if number != made} == before
    assert figures(summary) == {"restored": 2, "created": 1}
    assert summary["created_contacts"] == [{"key": CAT, "kind": "email", "record": made, "fate": "left"}]
    assert (summary["kind"], summary["contacts"]["updated"]) == ("undo", 2)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_people_typed_before_the_run_and_since_is_kept(program: Program, policy: str) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = policy
    with_three_people(program)
    hubspot = program.sandbox.hubspot
    hubspot.edit(record_of(program, ANN), country="Spain", zenovay_pageviews="5")
    hubspot.edit(record_of(program, BOB), country="")
    news(program, ANN, BOB, CAT)
    before = crm(program)

    run = ran(program)
    hubspot.edit(record_of(program, CAT), country="Peru", jobtitle="Boss")
    summary = undone(program, run)

    expected = before | {record_of(program, CAT): crm(program)[record_of(program, CAT)]}
    assert crm(program) == expected
    cat = crm(program)[record_of(program, CAT)]
    wrote_country = policy != "fill_empty"
    assert (cat["country"], cat["jobtitle"], cat["zenovay_pageviews"]) == ("Peru", "Boss", "3")
    assert figures(summary) == {"restored": 3} | ({"changed": 1} if wrote_country else {})
    assert summary["values"]["kept"] == int(wrote_country)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_person_typed_is_put_back_also_where_the_run_only_repeated_itself(
    program: Program, policy: str
) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = policy
    with_three_people(program)
    program.sandbox.hubspot.edit(record_of(program, ANN), country="Spain", zenovay_pageviews="5")
    news(program, ANN, pageviews=3, country_code="CH")
    before = crm(program)

    run = ran(program)
    assert crm(program)[record_of(program, ANN)]["zenovay_pageviews"] == "3"
    undone(program, run)

    assert crm(program) == before


def test_what_was_there_before_a_state_that_was_lost_is_not_cleared(program: Program) -> None:
    with_three_people(program)
    before = crm(program)
    program.state_file.unlink()

    run = ran(program)
    summary = undone(program, run)

    assert crm(program) == before
    assert (figures(summary), summary["contacts"]["unchanged"]) == ({"restored": 3}, 3)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_next_run_sends_nothing_until_rows_change(program: Program, policy: str) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = policy
    with_three_people(program)
    news(program, ANN, BOB)
    undone(program, ran(program))
    restored = crm(program)

    nothing = program.run().summary
    assert (nothing["requests"]["hubspot"], nothing["contacts"]["unchanged"]) == (0, 3)
    assert crm(program) == restored

    news(program, ANN, pageviews=12)
    ran(program)
    ann, bob = (crm(program)[record_of(program, each)] for each in (ANN, BOB))
    assert (ann["zenovay_pageviews"], bob["zenovay_pageviews"]) == ("12", "3")
    assert ann["country"] == ("France" if policy == "overwrite" else "Switzerland")
    assert bob == restored[record_of(program, BOB)]

    news(program, ANN, pageviews=12, country_code="IT")
    ran(program)
    wins = {"overwrite": "Italy", "protect": "Italy", "fill_empty": "Switzerland"}
    assert crm(program)[record_of(program, ANN)]["country"] == wins[policy]


def test_what_a_person_typed_is_not_taken_for_ours_after_an_undo(program: Program) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = "overwrite"
    with_three_people(program)
    program.sandbox.hubspot.edit(record_of(program, ANN), country="Spain")
    news(program, ANN)
    undone(program, ran(program))

    program.settings["SYNC_COUNTRY_WRITE"] = "protect"
    news(program, ANN, country_code="IT")
    ran(program)

    assert crm(program)[record_of(program, ANN)]["country"] == "Spain"


def test_an_undo_can_be_undone(program: Program) -> None:
    with_three_people(program)
    before = crm(program)
    news(program, ANN, BOB)
    run = ran(program)
    after = crm(program)

    first = undone(program, run)
    assert crm(program) == before
    second = undone(program, str(first["run"]))
    assert crm(program) == after
    assert program.run().summary["requests"]["hubspot"] == 0
    third = undone(program, run[:8])

    assert crm(program) == before
    assert [figures(each) for each in (first, second, third)] == [{"restored": 2}] * 3
    assert program.run().summary["requests"]["hubspot"] == 0
    assert [each["kind"] for each in program("status", "--json").value["websites"][0]["runs"]][:4] == [
        "incremental",
        "undo",
        "incremental",
        "undo",
    ]


def test_runs_are_undone_one_after_the_other_the_latest_first(program: Program) -> None:
    with_three_people(program)
    held = [crm(program)]
    runs = []
    for views, country in ((9, "FR"), (10, "IT")):
        news(program, ANN, BOB, CAT, pageviews=views, country_code=country)
        runs.append(ran(program))
        held.append(crm(program))

    early = undone(program, runs[0])
    assert (figures(early), crm(program)) == ({"changed": 3}, held[2])
    undone(program, runs[1])
    assert crm(program) == held[1]
    undone(program, runs[0])
    assert crm(program) == held[0]
    repeated = undone(program, runs[0])
    assert (figures(repeated), repeated["contacts"]["unchanged"]) == ({"restored": 3}, 3)


def test_what_a_run_had_made_is_archived_only_where_that_is_wanted_and_nobody_touched_it(
    program: Program,
) -> None:
    hubspot = program.sandbox.hubspot
    program.visitors(*(row(number) for number in range(4)), row(10, email=ANN), row(11, email=BOB))
    run = ran(program)
    made = {visitor: record for record, each in crm(program).items() if (visitor := each.get(VISITOR_ID))}
    hubspot.edit(made["v000000"], email="somebody@example.test")
    hubspot.edit(made["v000001"], lastname="Meier")
    hubspot.edit(record_of(program, BOB), zenovay_pageviews="99")
    hubspot.delete(made["v000002"])
    bob = record_of(program, BOB)

    left = undone(program, run)
    assert (figures(left), len(hubspot.contacts)) == ({"created": 6}, 5)
    shown = undone(program, run, "--archive-created", "--dry-run")
    assert len(hubspot.contacts) == 5
    taken = undone(program, run, "--archive-created")

    assert set(hubspot.contacts) == {made["v000000"], made["v000001"], bob}
    assert figures(taken) == figures(shown) == {"created": 6, "archived": 2, "changed": 3, "gone": 1}
    fates = {each["key"]: each["fate"] for each in taken["created_contacts"]}
    assert fates == {
        "v000000": "changed",
        "v000001": "changed",
        "v000002": "gone",
        "v000003": "archived",
        ANN: "archived",
        BOB: "changed",
    }
    gone = program("rejections", "--json").value
    assert {each["key"] for each in gone} == {"v000002", "v000003", ANN}
    assert all(run[:8] in each["reason"] and each["code"] == "GONE" for each in gone)

    news(program, ANN)
    assert program.run().exit_code == 0
    assert len(hubspot.contacts) == 3
    assert figures(undone(program, run, "--archive-created")) == {"created": 6, "changed": 3, "gone": 3}


@pytest.mark.parametrize("how", ["retry", "always"])
def test_what_was_archived_is_made_again_once_somebody_wants_that(program: Program, how: str) -> None:
    program.visitors(row(1), row(10, email=ANN))
    undone(program, ran(program), "--archive-created")
    assert program.sandbox.hubspot.contacts == {}

    if how == "retry":
        program("rejections", "retry")
    assert ran(program, **({"SYNC_RECREATE": "always"} if how == "always" else {}))

    assert len(program.sandbox.hubspot.contacts) == 2
    assert program("rejections", "--json").value == []


def test_a_dry_run_shows_what_the_undo_then_does_and_writes_nothing(program: Program) -> None:
    with_three_people(program)
    news(program, ANN, BOB, CAT)
    run = ran(program)
    program.sandbox.hubspot.edit(record_of(program, BOB), country="Peru")
    program.sandbox.hubspot.delete(record_of(program, CAT))
    held, state, asked = crm(program), program.state_file.read_bytes(), len(program.sandbox.hubspot.requests)

    shown = undone(program, run, "--dry-run")
    assert paths(program, asked) == ["batch/read"]
    assert (crm(program), program.state_file.read_bytes()) == (held, state)
    done = undone(program, run)

    for same in ("contacts", "values", "undo"):
        assert shown[same] == done[same]
    assert figures(done) == {"restored": 2, "changed": 1, "gone": 1}
    assert (done["contacts"]["updated"], done["contacts"]["absent"]) == (2, 1)
    by_key = {each["key"]: each for each in shown["differences"]}
    assert [by_key[each]["action"] for each in (ANN, BOB, CAT)] == ["update", "update", "gone"]
    now = crm(program)
    for each in by_key.values():
        for change in each["changes"]:
            holds = now[each["record"]].get(change["property"])
            assert holds == (change["old"] if change["kept"] else change["new"])
            assert held[each["record"]].get(change["property"]) == change["old"]
    told = program("undo", run, "--dry-run").stdout
    assert f"undo of {run} done: 2 contacts would be restored, 1 changed since by somebody, 1 gone" in told
    assert f"{BOB}: country: Peru stays, changed since" in told


def test_a_hundred_contacts_cost_two_reads_and_a_write(program: Program) -> None:
    people = [f"p{number}@example.test" for number in range(230)]
    for address in people:
        program.sandbox.hubspot.seed({"email": address})
    program.visitors(*(row(number, email=each) for number, each in enumerate(people)))
    before = crm(program)
    assert before.keys()
    run = ran(program)
    asked = len(program.sandbox.hubspot.requests)

    summary = undone(program, run)

    requests = paths(program, asked)
    assert (requests.count("batch/read"), requests.count("batch/update")) == (5, 3)
    assert len(requests) == summary["requests"]["hubspot"] == 8
    assert crm(program) == before
    assert program.sandbox.hubspot.violations == []


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_commit_a_second_undo_completes_it(program: Program, *, after: bool) -> None:
    people = [f"p{number}@example.test" for number in range(120)]
    for address in people:
        program.sandbox.hubspot.seed({"email": address, "country": "Spain" if "9" in address else ""})
    program.settings["SYNC_COUNTRY_WRITE"] = "overwrite"
    program.visitors(*(row(number, email=each) for number, each in enumerate(people)), row(500))
    ran(program)
    for number, record in enumerate(program.sandbox.hubspot.contacts):
        if number % 7 == 0:
            program.sandbox.hubspot.edit(record, country="Peru")
    before = crm(program)
    program.visitors(
        *(
            row(number, email=each, minutes_ago=0, pageviews=8, country_code="FR")
            for number, each in enumerate(people)
        ),
        row(501, minutes_ago=0),
    )
    run = ran(program, SYNC_MAX_CHANGED="100%")
    (made,) = crm(program).keys() - before.keys()
    state, held = program.state_file.read_bytes(), crm(program)

    for commit in count(1):
        for path in program.folder.glob("state.db*"):
            path.unlink()
        program.state_file.write_bytes(state)
        for record, properties in held.items():
            if record in program.sandbox.hubspot.contacts:
                program.sandbox.hubspot.edit(record, **{name: properties.get(name, "") for name in OURS})
        first = lived(program, "undo", run, "--json", fate=Fate(commit, after))
        if first.exit_code == 0:
            break
        assert first.exit_code == -signal.SIGKILL, first.stderr

        again = lived(program, "undo", run, "--json")

        assert again.exit_code == 0, again.stderr
        assert figures(again.summary) == {"restored": 120, "created": 1}
        assert {record: each for record, each in crm(program).items() if record != made} == before
        assert program.run().summary["requests"]["hubspot"] == 0
    assert commit > 5


def test_an_outage_ends_it_and_the_same_command_goes_on(program: Program) -> None:
    with_three_people(program)
    before = crm(program)
    news(program, ANN, BOB, CAT)
    run = ran(program)
    program.sandbox.hubspot.faults.add(Fault.answer(503), path="/batch/update", times=None)

    stopped = undone(program, run, code=4)
    program.sandbox.hubspot.faults.clear()
    summary = undone(program, run)

    assert (stopped["status"], stopped["contacts"]["deferred"]) == ("incomplete", 3)
    assert (figures(summary), crm(program)) == ({"restored": 3}, before)


def test_a_spent_day_is_obeyed(program: Program) -> None:
    with_three_people(program)
    news(program, ANN)
    run = ran(program)
    program.sandbox.hubspot.faults.add(Fault.rate_limited("DAILY"), path="/batch/read")
    undone(program, run, code=4)
    asked = len(program.sandbox.hubspot.requests)

    assert undone(program, run, code=4)["reason"]
    assert len(program.sandbox.hubspot.requests) == asked


def test_a_value_that_hubspot_does_not_take_back_is_told(program: Program) -> None:
    program.settings |= {"HUBSPOT_API_VERSION": "2026-09", "SYNC_COUNTRY_WRITE": "overwrite"}
    program.sandbox.hubspot.seed({"email": ANN, "country": "somewhere"})
    program.visitors(row(1, email=ANN))
    run = ran(program)
    program.sandbox.hubspot.validation_rules["country"] = "[A-Z].*"

    summary = undone(program, run, code=3)

    assert (summary["status"], summary["contacts"]["rejected"], figures(summary)) == ("partial", 1, {})
    assert [each["key"] for each in program("rejections", "--json").value] == [ANN]


def test_a_record_that_was_merged_since_is_found(program: Program) -> None:
    with_three_people(program)
    news(program, ANN, BOB, CAT)
    run = ran(program)
    other = program.sandbox.hubspot.seed({"email": "other@example.test"})
    merged = program.sandbox.hubspot.merge(record_of(program, ANN), other)

    summary = undone(program, run)

    assert figures(summary) == {"restored": 3}
    assert crm(program)[merged]["country"] == "Switzerland"


def test_the_token_of_another_portal_undoes_nothing(program: Program) -> None:
    with_three_people(program)
    news(program, ANN)
    run = ran(program)
    hubspot, held = program.sandbox.hubspot, crm(program)
    hubspot.portal_id, hubspot.access_token = 4711, "pat-of-another-portal"

    summary = undone(program, run, code=2, HUBSPOT_ACCESS_TOKEN="pat-of-another-portal")

    assert (summary["status"], crm(program)) == ("failed", held)
    assert "4711" in summary["reason"]


def test_a_run_that_cannot_be_undone_is_told_from_one_that_can(program: Program) -> None:
    unknown = program("undo", "0123456789")
    assert (unknown.exit_code, "No run is known" in unknown.stderr) == (2, True)
    assert not program.state_file.exists()
    with_three_people(program)
    news(program, ANN)
    run = ran(program)
    dry = program.run("--dry-run").summary["run"]

    for named, said in (
        (run[:5], "6 or more"),
        (str(dry), "No run is known"),
        ("zz%_*zz", "No run is known"),
    ):
        ended = program("undo", named)
        assert (ended.exit_code, said in ended.stderr, "visitor-sync status" in ended.stderr) == (
            2,
            True,
            True,
        )
    assert "not kept any more" in program("undo", run, SYNC_UNDO_DAYS="0").stderr
    with closing(sqlite3.connect(program.state_file)) as state, state:
        (twin,) = state.execute("SELECT id FROM runs WHERE id <> ?", (run,)).fetchone()
        state.execute("UPDATE runs SET id = ? WHERE id = ?", (run[:8] + twin[8:], twin))
    assert "Several runs" in program("undo", run[:8]).stderr
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute("UPDATE runs SET number = NULL")
    assert "older version" in program("undo", run).stderr


def test_another_run_s_lock_keeps_it_out(program: Program) -> None:
    with_three_people(program)
    run = ran(program)
    program.sandbox.zenovay.latency_s = 30
    with program.start("run", "--now") as first:
        wait_for_lock(program)
        ended = program("undo", run, "--json")
        first.kill()
    assert ended.exit_code == 75


def test_addresses_stand_on_stdout_alone(program: Program) -> None:
    with_three_people(program)
    program.visitors(row(30, email="dan@example.test"))
    news(program, ANN)
    run = ran(program)

    ended = program("undo", run)

    assert "created: dan@example.test" in ended.stdout
    assert "example.test" not in ended.stderr
    with closing(sqlite3.connect(program.state_file)) as state:
        summaries = [text for (text,) in state.execute("SELECT summary FROM runs")]
    assert not any("example.test" in text for text in summaries)


@pytest.mark.parametrize("hours", [-5, 5])
def test_hubspots_clock_may_be_another(program: Program, hours: int) -> None:
    program.sandbox.hubspot.clock = Ahead(timedelta(hours=hours))
    program.settings["SYNC_COUNTRY_WRITE"] = "overwrite"
    with_three_people(program)
    program.sandbox.hubspot.edit(record_of(program, ANN), zenovay_pageviews="5")
    news(program, ANN, BOB)
    before = crm(program)

    undone(program, ran(program))

    assert crm(program) == before


def test_it_goes_with_postgresql(program: Program, postgres_url: str) -> None:
    program.settings["SYNC_STATE_URL"] = postgres_url
    with_three_people(program)
    before = crm(program)
    program.visitors(row(1))
    news(program, ANN, BOB, CAT)
    run = ran(program)

    summary = undone(program, run[:6], "--archive-created")

    assert crm(program) == before
    assert figures(summary) == {"restored": 3, "created": 1, "archived": 1}
    assert program.run().summary["requests"]["hubspot"] == 0


@pytest.mark.slow
def test_killed_while_it_archives_a_second_undo_completes_it(program: Program) -> None:
    program.visitors(*(row(number) for number in range(120)))
    run = ran(program)
    state = program.state_file.read_bytes()
    command = ("undo", run, "--archive-created", "--json")

    for commit in count(1):
        for path in program.folder.glob("state.db*"):
            path.unlink()
        program.state_file.write_bytes(state)
        for record in list(program.sandbox.hubspot.store.recycle_bin):
            program.sandbox.hubspot.restore(record)
        first = lived(program, *command, fate=Fate(commit))
        if first.exit_code == 0:
            break
        assert first.exit_code == -signal.SIGKILL, first.stderr

        again = lived(program, *command)

        assert again.exit_code == 0, again.stderr
        counts = figures(again.summary)
        assert counts.get("archived", 0) + counts.get("gone", 0) == counts["created"] == 120
        assert program.sandbox.hubspot.contacts == {}
        assert program("status", "--json").value["contacts"]["gone"] == 120
        assert program.run().summary["requests"]["hubspot"] == 0
        assert program.sandbox.hubspot.contacts == {}
    assert commit > 4


def test_two_contacts_that_are_one_now_are_put_back_once(program: Program) -> None:
    with_three_people(program)
    news(program, ANN, BOB, CAT)
    run = ran(program)
    hubspot = program.sandbox.hubspot
    merged = hubspot.merge(record_of(program, ANN), record_of(program, BOB))
    news(program, ANN, BOB, pageviews=30)
    ran(program)
    held = crm(program)

    summary = undone(program, run)

    assert figures(summary) == {"restored": 2, "changed": 1, "left": 1}
    assert crm(program)[merged]["zenovay_pageviews"] == held[merged]["zenovay_pageviews"] == "60"


def test_a_signal_ends_it_between_batches_and_the_same_command_goes_on(program: Program) -> None:
    people = [f"p{number}@example.test" for number in range(130)]
    for address in people:
        program.sandbox.hubspot.seed({"email": address})
    program.visitors(*(row(number, email=each) for number, each in enumerate(people)))
    before = crm(program)
    run = ran(program)
    asked = len(program.sandbox.hubspot.requests)
    program.sandbox.hubspot.latency_s = 0.5
    with program.start("undo", run, "--json") as process:
        until(lambda: "batch/update" in paths(program, asked))
        process.terminate()
        stdout, _ = process.communicate()
    program.sandbox.hubspot.latency_s = 0
    stopped = json.loads(stdout)

    summary = undone(program, run)

    assert (process.returncode, stopped["status"], stopped["undo"]["restored"]) == (143, "incomplete", 100)
    assert stopped["contacts"]["deferred"] == 30
    assert (figures(summary), crm(program)) == ({"restored": 130}, before)


def test_without_a_history_what_was_seen_or_remembered_comes_back(program: Program) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = "overwrite"
    program.sandbox.hubspot.seed({"email": ANN, "country": "Spain"})
    program.visitors(row(1, email=ANN))
    before = crm(program)
    run = ran(program)
    program.sandbox.hubspot.store.histories.clear()

    undone(program, run)

    assert crm(program) == before
