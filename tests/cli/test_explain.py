"""``explain``: why a contact would be sent or not, what it holds, and whose statement that is."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from program import COMMAND, Ended, row
from situations import until
from sqlalchemy.engine import make_url
from storm import FOREVER, Fault

from etl.pipeline.explaining import Reason

if TYPE_CHECKING:
    from program import Program

ANN, BOB = "ann@example.test", "bob@example.test"
LINK = "zenovay_form_visitor_id"
DAY = 24 * 60
READ = "batch/read"
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def stateful(program: Program, state_url: str) -> Program:
    """The program with a state of either kind."""
    if not state_url.startswith("sqlite"):
        program.settings["SYNC_STATE_URL"] = state_url
    return program


def explained(program: Program, key: str, *arguments: str, **settings: str) -> dict[str, Any]:
    ended = program("explain", key, "--json", *arguments, **settings)
    assert (ended.exit_code, ended.stderr) == (0, "")
    return dict(ended.value)


def reasons(program: Program, key: str, **settings: str) -> list[str]:
    """Why, beginning with the answer: the same whether HubSpot is asked or not."""
    online, offline = (explained(program, key, *each, **settings) for each in ((), ("--offline",)))
    assert online["answer"] == offline["answer"]
    assert online["answer"]["sentence"] == online["reasons"][0]["sentence"]
    return [str(each["reason"]) for each in online["reasons"]]


def told(program: Program, key: str, reason: Reason, *arguments: str, **settings: str) -> dict[str, Any]:
    """What is said of a reason, and whether the contact would be sent for it."""
    told_of = explained(program, key, *arguments, **settings)["reasons"]
    (found,) = [each for each in told_of if each["reason"] == reason]
    return dict(found)


def record_of(program: Program, **properties: str) -> str:
    (record,) = [
        number
        for number, held in program.sandbox.hubspot.contacts.items()
        if all(held.get(name) == text for name, text in properties.items())
    ]
    return record


def field_of(explanation: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in explanation["fields"] if each["field"] == name]
    return dict(found)


def paths(program: Program) -> list[str]:
    return [each.path for each in program.sandbox.hubspot.requests]


def refusing(program: Program) -> Ended:
    """A run whose deliveries the token does not open: what it has read is due."""
    program.sandbox.hubspot.faults.add(Fault.answer(403, {"category": "MISSING_SCOPES"}), times=FOREVER)
    ended = program.run()
    program.sandbox.hubspot.faults.clear()
    assert ended.exit_code == 5
    return ended


def excluding(program: Program, *lines: str) -> None:
    (program.folder / "visitor-sync.toml").write_text("\n".join(["[exclude]", *lines]))


def linking(program: Program) -> None:
    program.settings["SYNC_LINK_PROPERTY"] = LINK
    assert program("setup").exit_code == 0


def test_what_hubspot_confirmed_is_not_sent_again(stateful: Program) -> None:
    stateful.visitors(row(1, email=ANN, pageviews=5), row(2, email=ANN, country_code="FR", minutes_ago=90))
    stateful.run()
    record = record_of(stateful, email=ANN)

    for key, kind in ((ANN.upper(), "email"), (record, "record"), ("v000002", "visitor")):
        found = explained(stateful, key)

        assert found["kinds"] == [kind]
        contact = {"key": ANN, "kind": "email", "record": record, "made": True, "due": False}
        assert found["contact"] == contact
        answer = found["answer"]
        assert (answer["would_be_sent"], answer["reason"]) == (False, Reason.CONFIRMED)
        assert answer["command"] == "visitor-sync resync"
    assert reasons(stateful, "v000002") == [Reason.CONFIRMED, Reason.MOVED]
    assert stateful.run().summary["requests"]["hubspot"] == 0


def test_each_field_tells_what_is_wanted_written_and_held_and_who_decides(program: Program) -> None:
    program.visitors(row(1, email=ANN, pageviews=5), row(2, email=ANN, country_code="FR", minutes_ago=90))
    program.run()
    program.sandbox.hubspot.edit(record_of(program, email=ANN), country="Italy")

    found = explained(program, ANN)

    assert field_of(found, "country") == {
        "field": "country",
        "property": "country",
        "policy": "protect",
        "rows": "latest",
        "people": "of_latest",
        "wanted": "Switzerland",
        "last_written": "Switzerland",
        "in_hubspot": "Italy",
        "changed_by_people": True,
        "settings": ["SYNC_COUNTRY_PROPERTY", "SYNC_COUNTRY_WRITE"],
    }
    views = field_of(found, "pageviews")
    assert (views["wanted"], views["in_hubspot"], views["changed_by_people"]) == ("8", "8", False)
    deciding = {
        each["visitor"]: {fact["field"] for fact in each["facts"] if fact["decides"]}
        for each in found["visitors"]
    }
    assert deciding == {"v000001": {"country", "last_seen", "pageviews"}, "v000002": {"pageviews"}}
    (country, *_) = found["visitors"][1]["facts"]
    assert (country["value"], country["stated_at"]) == ("France", found["visitors"][1]["last_seen"])


def test_the_fact_of_an_earlier_row_is_told_with_the_instant_of_that_row(program: Program) -> None:
    early, late = row(1, email=ANN, minutes_ago=60), row(1, email=ANN, minutes_ago=1, country_code=None)
    program.visitors(early, late)
    program.run()

    ((visitor),) = explained(program, ANN)["visitors"]

    (country, seen, _) = visitor["facts"]
    assert datetime.fromisoformat(country["stated_at"]) == datetime.fromisoformat(early["last_seen"])
    assert (seen["value"], seen["stated_at"]) == (late["last_seen"], None)


def test_what_was_never_confirmed_is_due(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    program.visitors(row(2, email=BOB, minutes_ago=0))
    refusing(program)

    assert reasons(program, BOB) == [Reason.NEW]
    found = explained(program, BOB)
    assert found["answer"]["would_be_sent"]
    assert found["answer"]["command"] == "visitor-sync run --now"
    assert (found["hubspot"]["found"], field_of(found, "country")["in_hubspot"]) == (False, None)
    (failed,) = found["failed"]
    assert failed["website"] == program.website
    assert program.run().summary["contacts"]["created"] == 1


def test_changed_facts_are_due_and_the_properties_are_named(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0))
    refusing(program)

    assert reasons(program, ANN) == [Reason.CHANGED]
    assert told(program, ANN, Reason.CHANGED)["properties"] == ["zenovay_last_seen", "zenovay_pageviews"]
    assert program.run().summary["contacts"]["updated"] == 1


def test_after_a_resync_all_is_due(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    program("resync", "--yes")

    assert reasons(program, ANN)[0] == Reason.DOUBTED
    assert program.run().summary["contacts"]["updated"] == 1


def test_a_renamed_property_is_due_before_a_run_has_noticed(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    renamed = {"SYNC_PAGEVIEWS_PROPERTY": "zenovay_views"}
    assert program("setup", **renamed).exit_code == 0

    found = told(program, ANN, Reason.CHANGED, **renamed)

    assert (found["sends"], found["properties"]) == (True, ["zenovay_views"])
    assert program.run(**renamed).summary["contacts"]["updated"] == 1


def test_what_is_due_and_there_already_is_not_written(program: Program) -> None:
    record = program.sandbox.hubspot.seed({"email": ANN, "country": "Italy"})
    program.settings |= {"SYNC_FIELDS": "country", "SYNC_COUNTRY_WRITE": "protect"}
    program.visitors(row(1, email=ANN, country_code="IT"))
    program.sandbox.hubspot.faults.add(Fault.answer(403, {}), path=READ, times=FOREVER)
    assert program.run().exit_code == 5
    program.sandbox.hubspot.faults.clear()

    assert explained(program, ANN, "--offline")["answer"]["reason"] == Reason.NEW
    found = explained(program, ANN)

    assert [each["reason"] for each in found["reasons"]] == [Reason.EQUAL, Reason.NEW]
    assert found["hubspot"]["record"] == record
    assert not found["answer"]["would_be_sent"]
    before = len(paths(program))
    assert program.run().exit_code == 0
    assert [path.rpartition("/")[2] for path in paths(program)[before:]] == ["read"]


def test_a_value_that_was_kept_is_told_with_its_policy_and_its_end(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "country": "Italy"})
    program.visitors(row(1, email=ANN))
    program.run()

    assert reasons(program, ANN) == [Reason.KEPT, Reason.CONFIRMED]
    found = told(program, ANN, Reason.KEPT)
    assert found["properties"] == ["country"]
    assert "SYNC_COUNTRY_WRITE=protect" in found["sentence"]
    ends = datetime.fromisoformat(found["at"]) - datetime.now(UTC)
    assert timedelta(days=6.9) < ends < timedelta(days=7)
    explanation = explained(program, ANN)
    assert explanation["answer"]["command"] == "SYNC_COUNTRY_WRITE=overwrite"
    country = field_of(explanation, "country")
    assert (country["wanted"], country["last_written"], country["in_hubspot"]) == (
        "Switzerland",
        None,
        "Italy",
    )
    assert country["changed_by_people"]

    assert told(program, ANN, Reason.KEPT, SYNC_COUNTRY_WRITE="overwrite")["sends"]
    assert told(program, ANN, Reason.KEPT, "--offline", SYNC_RECHECK="0s")["sends"]
    assert not told(program, ANN, Reason.KEPT, SYNC_RECHECK="0s")["sends"]
    assert program.run(SYNC_COUNTRY_WRITE="overwrite").summary["contacts"]["updated"] == 1


def test_what_gave_way_before_is_news_once_we_want_another_value(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "country": "Italy"})
    program.visitors(row(1, email=ANN))
    program.run()
    program.visitors(row(1, email=ANN, country_code="FR", minutes_ago=0))
    refusing(program)

    assert reasons(program, ANN) == [Reason.CHANGED]
    assert "country" in told(program, ANN, Reason.CHANGED)["properties"]


def test_a_due_contact_of_which_all_gives_way_is_not_written(program: Program) -> None:
    program.settings["SYNC_FIELDS"] = "country"
    program.visitors(row(1, email=ANN))
    program.run()
    program.sandbox.hubspot.edit(record_of(program, email=ANN), country="Italy")
    program.visitors(row(1, email=ANN, country_code="FR", minutes_ago=0))
    refusing(program)

    found = explained(program, ANN)

    assert [each["reason"] for each in found["reasons"]] == [Reason.KEPT, Reason.CHANGED]
    assert not found["answer"]["would_be_sent"]
    assert program.run().summary["contacts"]["kept"] == 1


def test_a_refusal_is_told_with_hubspots_reason_and_how_to_retry(program: Program) -> None:
    program.sandbox.hubspot.refused_addresses[ANN] = "The number is out of range"
    program.visitors(row(1, email=ANN), row(2))
    assert program.run().exit_code == 3

    assert reasons(program, ANN) == [Reason.REFUSED]
    found = explained(program, ANN)
    assert "The number is out of range" in found["answer"]["sentence"]
    assert found["answer"]["command"] == f"visitor-sync rejections retry {ANN}"
    (rejection,) = found["rejections"]
    assert (rejection["key"], rejection["kind"], rejection["attempts"]) == (ANN, "contact", 1)
    program("rejections", "retry", ANN)
    assert reasons(program, ANN) == [Reason.NEW]


def test_who_is_deleted_under_gdpr_is_blocked_for_good(program: Program) -> None:
    program.sandbox.hubspot.gdpr_deleted.add(ANN)
    program.visitors(row(1, email=ANN), row(2))
    program.run()
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0))
    program.run()

    assert reasons(program, ANN) == [Reason.BLOCKED]
    assert "GDPR" in told(program, ANN, Reason.BLOCKED)["sentence"]


@pytest.mark.parametrize(("email", "setting"), [(ANN, "SYNC_KNOWN"), (None, "SYNC_ANONYMOUS")])
def test_who_is_absent_is_looked_for_later(program: Program, email: str | None, setting: str) -> None:
    program.settings[setting] = "match"
    program.visitors(row(1, email=email))
    program.run()
    key = email or "v000001"

    assert reasons(program, key) == [Reason.ABSENT]
    found = told(program, key, Reason.ABSENT)
    assert f"{setting}=match" in found["sentence"]
    assert datetime.fromisoformat(found["at"]) - datetime.now(UTC) > timedelta(days=6.9)
    assert explained(program, key)["answer"]["command"] == f"{setting}=upsert"
    assert told(program, key, Reason.ABSENT, "--offline", SYNC_RECHECK="0s")["sends"]
    assert not told(program, key, Reason.ABSENT, SYNC_RECHECK="0s")["sends"]
    assert explained(program, key, "--offline", **{setting: "upsert"})["answer"]["would_be_sent"]
    assert program.run(**{setting: "upsert"}).summary["contacts"]["created"] == 1


def test_a_due_contact_that_must_not_be_made_and_is_not_there_is_absent(program: Program) -> None:
    program.settings["SYNC_KNOWN"] = "match"
    program.visitors(row(1, email=ANN))
    program.run()
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0))
    refusing(program)

    assert explained(program, ANN, "--offline")["answer"]["would_be_sent"]
    assert explained(program, ANN)["answer"]["reason"] == Reason.ABSENT


def test_what_was_deleted_there_is_gone(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    record = record_of(program, email=ANN)
    program.sandbox.hubspot.archive(record)
    found = explained(program, ANN)
    assert (found["answer"]["reason"], found["hubspot"]["found"]) == (Reason.CONFIRMED, False)
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0))
    assert program.run().exit_code == 3

    assert reasons(program, ANN) == [Reason.GONE]
    found = explained(program, ANN)
    assert "SYNC_RECREATE=never" in found["answer"]["sentence"]
    assert found["answer"]["command"] == "SYNC_RECREATE=always"
    assert told(program, ANN, Reason.GONE, SYNC_RECREATE="always")["sends"]
    assert program.run(SYNC_RECREATE="always").summary["contacts"]["created"] == 1


def test_who_opted_out_is_not_wanted_by_whatever_key(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    record = record_of(program, email=ANN)
    program.replace_visitors(row(1, email=ANN, gpc_opted_out=True, minutes_ago=0))
    program.run()

    for key in (ANN, "v000001", record):
        assert reasons(program, key)[0] == Reason.OPTED_OUT
    found = told(program, ANN, Reason.OPTED_OUT)
    assert "v000001" in found["sentence"]
    assert found["at"] is not None
    (visitor,) = explained(program, ANN)["visitors"]
    assert (visitor["opted_out"], visitor["belongs"]) == (True, False)


def test_who_is_excluded_is_not_wanted_before_and_after_the_run_that_notices(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2, country_code="FR"))
    program.run()
    excluding(program, f'addresses = ["{ANN}"]', 'countries = ["FR"]')

    for key in (ANN, "v000001", "v000002"):
        assert reasons(program, key)[0] == Reason.EXCLUDED
    program.run()
    for key in (ANN, "v000001", "v000002"):
        assert reasons(program, key)[0] == Reason.EXCLUDED
        assert "visitor-sync.toml" in told(program, key, Reason.EXCLUDED)["sentence"]


def test_anonymous_visitors_are_left_out_where_the_settings_say_so(program: Program) -> None:
    program.visitors(row(1))
    program.run(SYNC_ANONYMOUS="skip")

    assert reasons(program, "v000001", SYNC_ANONYMOUS="skip") == [Reason.ANONYMOUS]
    found = explained(program, "v000001", SYNC_ANONYMOUS="skip")
    assert found["contact"] is None
    assert found["answer"]["command"] == "SYNC_ANONYMOUS=upsert"
    assert reasons(program, "v000001") == [Reason.NEXT_ROW]


def test_an_anonymous_contact_that_is_due_is_not_sent_once_the_settings_leave_it_out(
    program: Program,
) -> None:
    program.visitors(row(1))
    program.run()
    program("resync", "--yes")

    assert reasons(program, "v000001", SYNC_ANONYMOUS="skip") == [Reason.ANONYMOUS]
    before = len(paths(program))
    program.run(SYNC_ANONYMOUS="skip")
    assert [path for path in paths(program)[before:] if "/batch/" in path] == []


def test_who_was_forgotten_stays_away(stateful: Program) -> None:
    stateful.visitors(row(1, email=ANN))
    stateful.run()
    stateful("forget", ANN)

    for key in (ANN, "v000001"):
        found = explained(stateful, key)
        assert [each["reason"] for each in found["reasons"]] == [Reason.FORGOTTEN]
        assert (found["contact"], found["visitors"], found["kinds"]) == (None, [], [])


def test_what_pruned_visitors_came_to_is_told(program: Program) -> None:
    program.visitors(
        row(1, email=ANN, pageviews=5, minutes_ago=20 * DAY), row(2, email=ANN, minutes_ago=19 * DAY)
    )
    program.run()
    program.settings["SYNC_RETENTION"] = "10d"
    program.run()

    assert reasons(program, ANN) == [Reason.CONFIRMED, Reason.PRUNED]
    found = explained(program, ANN)
    assert found["visitors"] == []
    views = next(each for each in found["remains"] if each["field"] == "pageviews")
    assert (views["value"], views["decides"]) == ("8", True)
    assert "SYNC_RETENTION" in told(program, "v000001", Reason.UNKNOWN)["sentence"]


def test_a_visitor_that_became_known_by_its_address_is_another_key(program: Program) -> None:
    program.visitors(row(1))
    program.run()
    left = record_of(program, zenovay_visitor_id="v000001")
    program.visitors(row(1, email=ANN, minutes_ago=0))
    program.run()

    assert reasons(program, "v000001") == [Reason.CONFIRMED, Reason.MOVED]
    assert reasons(program, left) == [Reason.MOVED, Reason.DESERTED]
    for key in ("v000001", left):
        sentence = told(program, key, Reason.MOVED)["sentence"]
        assert f"belongs to {ANN} by its address" in sentence
        assert f"record {left}" in sentence


def test_a_visitor_that_a_link_leads_elsewhere_is_another_key(program: Program) -> None:
    linking(program)
    program.visitors(row(1, email=BOB))
    program.run()
    ann = program.sandbox.hubspot.seed({"email": ANN, LINK: "v000001"})
    program.run()

    assert (
        f"belongs to record {ann} by a link of record {ann}" in told(program, BOB, Reason.MOVED)["sentence"]
    )
    assert reasons(program, ann) == [Reason.CONFIRMED]
    found = explained(program, "v000001")
    assert found["contact"]["record"] == ann
    (link,) = found["links"]
    assert (link["visitor_id"], link["record"]) == ("v000001", ann)
    (visitor,) = found["visitors"]
    assert (visitor["linked_to"], visitor["belongs"]) == (ann, True)


def test_an_address_that_hubspot_says_is_the_same_record_is_another_key(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "hs_additional_emails": BOB})
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    program.run()

    keys = {explained(program, key)["contact"]["key"] for key in (ANN, BOB)}

    assert len(keys) == 1
    (other,) = {ANN, BOB} - keys
    assert reasons(program, other)[0] == Reason.CONFIRMED
    assert {Reason.ANOTHER_KEY, Reason.MOVED} & {*reasons(program, other)}
    assert "another key of" in program("explain", other, "--offline").stdout or "belongs to" in (
        program("explain", other, "--offline").stdout
    )


def test_a_contact_to_which_nobody_belongs_any_more(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    record = record_of(program, email=ANN)
    program.visitors(row(1, email=BOB, minutes_ago=0))
    program.run()

    for key in (ANN, record):
        assert reasons(program, key) == [Reason.DESERTED]
        assert f"record {record}" in told(program, key, Reason.DESERTED)["sentence"]


def test_a_refused_row_is_told(program: Program) -> None:
    program.visitors(row(1, pageviews="many"), row(2))
    assert program.run().exit_code == 3

    assert reasons(program, "v000001") == [Reason.ROW_REFUSED]
    found = explained(program, "v000001")
    assert found["answer"]["command"] == "visitor-sync rejections retry v000001"
    assert [each["kind"] for each in found["rejections"]] == ["row"]


def test_an_unknown_key_is_no_error(program: Program) -> None:
    assert reasons(program, "nobody") == [Reason.UNKNOWN]
    assert not program.state_file.exists()
    program.visitors(row(1))
    program.run()

    assert reasons(program, "nobody") == [Reason.UNKNOWN]
    ended = program("explain", "nobody")
    assert ended.stdout == "would be sent now: no, because the state knows nothing of it\n"


def test_every_reason_is_explained_in_the_help(program: Program) -> None:
    topic = program("help", "explain").stdout

    assert [reason for reason in Reason if f"`{reason}`" not in topic] == []


def test_verdicts_are_told_with_their_runs_and_what_undoes_them(program: Program) -> None:
    program.visitors(row(1, email=ANN, pageviews=5))
    first = program.run().summary["run"]
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=1))
    second = program.run().summary["run"]

    found = explained(program, ANN)

    assert [(each["run"], each["outcome"]) for each in found["verdicts"]] == [
        (second, "updated"),
        (first, "created"),
    ]
    latest = found["verdicts"][0]
    assert (latest["before"]["zenovay_pageviews"], latest["after"]["zenovay_pageviews"]) == ("5", "9")
    assert f"visitor-sync undo {second}" in [each["command"] for each in found["commands"]]


def test_the_answer_stands_first_and_the_parts_follow(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()

    lines = program("explain", ANN).stdout.splitlines()

    assert lines[0].startswith("would be sent now: no, because HubSpot confirmed it")
    parts = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert parts == ["fields:", "visitors:", "verdicts:", "what would change it:"]
    (country,) = [line for line in lines if line.startswith("  country ")]
    assert country.split() == ["country", "Switzerland", "Switzerland", "Switzerland"]
    assert "  country: rows = latest, people = of_latest;" in "\n".join(lines)


def test_the_key_may_come_from_stdin(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()

    def piped(text: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [COMMAND, "explain", "-", "--json", "--offline"],
            input=text,
            env=program.environment(),
            cwd=program.folder,
            capture_output=True,
            check=False,
            timeout=60,
        )

    assert json.loads(piped(f"  {ANN}\n\n".encode()).stdout)["answer"]["reason"] == Reason.CONFIRMED
    for wrong in (b"", b"\n", f"{ANN}\n{BOB}\n".encode(), b"\xff\xfe\n", b"a\0b\n"):
        ended = piped(wrong)
        assert (ended.returncode, json.loads(ended.stdout)["exit_code"]) == (2, 2)
        assert ANN.encode() not in ended.stdout + ended.stderr


def test_offline_asks_nobody_and_leaves_the_column_empty(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    before = len(paths(program))

    for arguments, settings in ((("--offline",), {}), ((), {"HUBSPOT_ACCESS_TOKEN": ""})):
        found = explained(program, ANN, *arguments, **settings)
        assert found["hubspot"] == {
            "asked": False,
            "found": None,
            "record": None,
            "error": None,
            "doubt": None,
        }
        views = field_of(found, "pageviews")
        assert (views["last_written"], views["in_hubspot"], views["changed_by_people"]) == ("3", None, None)
    assert len(paths(program)) == before


def test_it_needs_no_settings_of_zenovay(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()

    assert explained(program, ANN, ZENOVAY_API_KEY="", ZENOVAY_WEBSITE_ID="")["answer"]["reason"]


def test_it_costs_one_read_and_writes_nothing(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    kept = {path.name: path.read_bytes() for path in program.folder.iterdir()}
    before = len(paths(program))

    for key in (ANN, "v000001"):
        explained(program, key)

    asked = paths(program)[before:]
    assert [path.rpartition("/contacts/")[2] for path in asked] == [READ, READ]
    after = {path.name: path.read_bytes() for path in program.folder.iterdir()}
    assert after.pop("state.db") == kept.pop("state.db")
    assert {name for name in after if not name.endswith("-shm")} <= {*kept, "state.db-wal"}
    assert after.get("state.db-wal", b"") == b""


def test_an_outage_of_hubspot_is_told_beside_all_else(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    program.sandbox.hubspot.faults.add(Fault.rate_limited("DAILY"), path=READ, times=FOREVER)

    ended = program("explain", ANN, "--json")

    assert ended.exit_code == 4
    (error,) = [line for line in map(json.loads, ended.stderr.splitlines()) if line["action"] == "error"]
    assert error["exit_code"] == 4
    assert error["what"] in ended.value["hubspot"]["error"]
    assert ANN not in ended.stderr
    assert ended.value["answer"]["reason"] == Reason.CONFIRMED
    assert ended.value["hubspot"]["found"] is None
    told_to_people = program("explain", ANN)
    assert told_to_people.exit_code == 4
    assert "in HubSpot now: not known" in told_to_people.stdout


def test_a_token_that_is_refused_is_told_beside_all_else(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()

    ended = program("explain", ANN, "--json", HUBSPOT_ACCESS_TOKEN="pat-wrong")

    assert ended.exit_code == 5
    assert ended.value["answer"]["reason"] == Reason.CONFIRMED
    assert "pat-wrong" not in ended.stdout + ended.stderr


def test_another_portal_s_token_is_noticed_and_its_contacts_are_not_shown(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    hubspot = program.sandbox.hubspot
    hubspot.portal_id, hubspot.access_token = 4711, "pat-of-another-portal"
    before = len(paths(program))

    ended = program("explain", ANN, "--json", HUBSPOT_ACCESS_TOKEN="pat-of-another-portal")

    assert ended.exit_code == 2
    assert "4711" in ended.value["hubspot"]["error"]
    assert all(READ not in path for path in paths(program)[before:])
    assert explained(program, ANN, "--offline", HUBSPOT_ACCESS_TOKEN="pat-of-another-portal")["contact"]


def test_a_stop_that_holds_everything_back_is_told_and_kept(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0))
    program.sandbox.hubspot.faults.add(Fault.rate_limited("DAILY"), times=FOREVER)
    assert program.run().exit_code == 4
    before = len(paths(program))

    lines = program("explain", ANN, "--offline").stdout.splitlines()
    online = program("explain", ANN, "--json")

    assert lines[0].startswith("would be sent now: yes, because it is due")
    assert lines[1].startswith("held back: nothing is asked of hubspot before ")
    assert [each["api"] for each in online.value["held_back"]] == ["hubspot"]
    assert online.exit_code == 4
    assert len(paths(program)) == before


def test_a_brake_that_holds_everything_back_is_told(program: Program) -> None:
    program.settings |= {"SYNC_COUNTRY_WRITE": "overwrite", "SYNC_INITIAL_RANGE": "2d"}
    people = [f"p{number}@example.test" for number in range(110)]
    for each in people:
        program.sandbox.hubspot.seed({"email": each, "country": "Italy"})
    program.visitors(*(row(number, email=each) for number, each in enumerate(people)))
    assert program.run().exit_code == 3

    found = explained(program, people[0], "--offline")

    assert found["answer"]["would_be_sent"]
    (failed,) = found["failed"]
    assert "SYNC_MAX_CHANGED" in failed["reason"]


def test_control_characters_of_others_are_written_out(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    program.sandbox.hubspot.edit(record_of(program, email=ANN), country="\x1b[31mred\u202eder")

    ended = program("explain", ANN)

    assert "\x1b" not in ended.stdout
    assert "\u202e" not in ended.stdout
    assert r"\x1b[31mred\u202eder" in ended.stdout
    assert field_of(explained(program, ANN), "country")["in_hubspot"] == "\x1b[31mred\u202eder"


def test_beside_a_run_it_answers_at_once_and_the_run_leaves_room_for_it(program: Program) -> None:
    program.visitors(row(1, email=ANN))
    program.run()
    program.visitors(row(2, minutes_ago=0))
    program.sandbox.zenovay.latency_s = 4.0
    with program.start("run", "--now") as process:
        until(lambda: program("status", "--json").value["lock"] is not None)
        found = explained(program, ANN)
        assert process.poll() is None
        process.kill()

    assert (found["answer"]["reason"], found["hubspot"]["found"]) == (Reason.CONFIRMED, True)
    with closing(sqlite3.connect(program.state_file)) as state:
        (announced,) = state.execute("SELECT beside FROM limits WHERE api = 'hubspot'").fetchone()
    assert len(json.loads(announced)) == 1


def test_a_state_of_an_older_version_is_read_and_left_as_it_is(program: Program) -> None:
    with closing(sqlite3.connect(program.state_file)) as state:
        state.executescript((DATA / "state_0003.sql").read_text())
        ((key,), *_) = state.execute("SELECT key FROM contacts WHERE confirmed IS NOT NULL").fetchall()
    before = program.state_file.read_bytes()

    found = explained(program, key, "--offline")

    assert found["contact"]["key"] == key
    assert found["visitors"]
    assert program.state_file.read_bytes() == before


def test_what_it_says_is_what_the_next_run_does(program: Program) -> None:
    """All kinds of contacts at once: exactly those are written that would be sent."""
    hubspot = program.sandbox.hubspot
    people = {name: f"{name}@example.test" for name in ("same", "news", "kept", "refused", "gone", "views")}
    hubspot.seed({"email": people["kept"], "country": "Italy"})
    hubspot.refused_addresses[people["refused"]] = "no"
    program.visitors(*(row(number, email=each) for number, each in enumerate(people.values())))
    assert program.run().exit_code == 3
    hubspot.edit(record_of(program, email=people["news"]), country="Spain")
    hubspot.archive(record_of(program, email=people["gone"]))
    for number, name in ((1, "news"), (4, "gone"), (5, "views")):
        program.visitors(row(number, email=people[name], country_code="FR", minutes_ago=0, pageviews=70))
    program.visitors(row(9, email="new@example.test", minutes_ago=0))
    refusing(program)
    keys = [*people.values(), "new@example.test"]

    said = {key: explained(program, key) for key in keys}
    program.run()

    sent = {key for key in keys if said[key]["answer"]["would_be_sent"]}
    assert sent == {people["news"], people["views"], "new@example.test"}
    assert said[people["gone"]]["answer"]["reason"] == Reason.GONE
    done = {key: explained(program, key)["verdicts"][0]["outcome"] for key in keys}
    assert done == {
        people["same"]: "created",
        people["news"]: "updated",
        people["kept"]: "updated",
        people["refused"]: "rejected",
        people["gone"]: "gone",
        people["views"]: "updated",
        "new@example.test": "created",
    }
    for key in (people["news"], people["views"]):
        before, after = said[key], explained(program, key)
        for name in ("last_seen", "pageviews"):
            assert field_of(after, name)["in_hubspot"] == field_of(before, name)["wanted"]
    assert field_of(explained(program, people["news"]), "country")["in_hubspot"] == "Spain"


def test_the_state_s_place_is_no_part_of_what_is_said(stateful: Program) -> None:
    stateful.visitors(row(1, email=ANN))
    stateful.run()
    url = make_url(stateful.environment()["SYNC_STATE_URL"])

    ended = stateful("explain", ANN)

    assert str(url.database) not in ended.stdout
