"""People's edits survive: what may be written over what HubSpot holds, and what it costs to know that."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from mortal import Fate, lived
from program import row

from etl.sandbox.hubspot_schema import Definition
from etl.state import migrate
from etl.state.database import connect, rebuilding

if TYPE_CHECKING:
    from program import Ended, Program

ANN, BOB, CLEO = "ann@example.test", "bob@example.test", "cleo@example.test"
RUN = ("run", "--now", "--json")
NAMES = {"CH": "Switzerland", "IT": "Italy", "FR": "France", "ES": "Spain"}
POLICIES = ["protect", "overwrite", "fill_empty"]
EIGHT_DAYS = 8 * 86_400 * 1_000_000


def record_of(program: Program, address: str) -> str:
    held = program.sandbox.hubspot.contacts.items()
    (record,) = (record for record, each in held if each.get("email") == address)
    return record


def held(program: Program, address: str = ANN, name: str = "country") -> str | None:
    return program.sandbox.hubspot.contacts[record_of(program, address)].get(name)


def types(program: Program, address: str = ANN, **properties: str) -> None:
    """Somebody changes a contact in HubSpot."""
    program.sandbox.hubspot.edit(record_of(program, address), **properties)


def comes(program: Program, country: str, address: str = ANN, number: int = 1, **settings: str) -> Ended:
    """Somebody visits from a country, and a run tells HubSpot."""
    program.visitors(row(number, email=address, country_code=country, minutes_ago=0))
    return program.run(**settings)


def reads(program: Program, since: int = 0) -> list[int]:
    """How many contacts each request asked for that only reads."""
    requests = program.sandbox.hubspot.requests[since:]
    return [len(each.body["inputs"]) for each in requests if each.path.endswith("batch/read")]


def asked(program: Program) -> int:
    return len(program.sandbox.hubspot.requests)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_typed_between_two_runs_stays_unless_it_may_be_overwritten(
    program: Program, policy: str
) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = policy
    comes(program, "CH")
    assert held(program) == "Switzerland"
    types(program, country="Wonderland")

    ended = comes(program, "IT")

    assert held(program) == ("Italy" if policy == "overwrite" else "Wonderland")
    assert ended.exit_code == 0
    assert ended.summary["values"]["kept"] == (policy != "overwrite")
    comes(program, "FR")
    assert held(program) == ("France" if policy == "overwrite" else "Wonderland")


@pytest.mark.parametrize("policy", POLICIES)
def test_what_nobody_typed_follows_unless_only_gaps_are_filled(program: Program, policy: str) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = policy
    for country in ("CH", "IT", "FR"):
        comes(program, country)
    assert held(program) == ("Switzerland" if policy == "fill_empty" else "France")


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_emptied_is_filled_again_when_we_want_something_else(program: Program, policy: str) -> None:
    program.settings["SYNC_COUNTRY_WRITE"] = policy
    comes(program, "CH")
    types(program, country="")
    if policy != "overwrite":
        program.visitors(row(1, email=ANN, country_code="CH", pageviews=9, minutes_ago=0))
        program.run()
        assert held(program) is None
    comes(program, "IT")
    assert held(program) == "Italy"


def test_what_was_typed_and_put_back_follows_again(program: Program) -> None:
    comes(program, "CH")
    types(program, country="Wonderland")
    comes(program, "IT")
    types(program, country="Switzerland")
    comes(program, "FR")
    assert held(program) == "France"


def test_what_somebody_typed_as_we_want_it_is_not_ours(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "country": "Switzerland"})
    comes(program, "CH")
    comes(program, "IT")
    assert held(program) == "Switzerland"


def test_a_first_run_on_a_portal_with_history_writes_over_nothing(program: Program) -> None:
    hubspot = program.sandbox.hubspot
    typed = {f"p{number}@example.test": f"Land {number}" for number in range(150)}
    for address, country in typed.items():
        hubspot.seed({"email": address, "country": country, "firstname": "P", "city": "Bern"})
    hubspot.seed({"zenovay_visitor_id": "v000900", "country": "Oz", "firstname": "X"})
    hubspot.seed({"email": BOB})
    program.visitors(
        *(row(number, email=address) for number, address in enumerate(typed)),
        row(900),
        row(901),
        row(902, email=BOB),
    )

    ended = program.run()

    after = {each.get("email"): each for each in hubspot.contacts.values()}
    assert {address: after[address]["country"] for address in typed} == typed
    assert {after[address]["city"] for address in typed} == {"Bern"}
    assert {after[address]["zenovay_pageviews"] for address in typed} == {"3"}
    stranger = hubspot.contact(visitor_id="v000900")
    assert stranger
    assert (stranger["country"], stranger["firstname"]) == ("Oz", "X")
    assert held(program, BOB) == "Switzerland"
    assert ended.summary["values"] == {"kept": 151, "replaced": 0}
    assert ended.summary["contacts"]["updated"] == 152
    assert sorted(reads(program)) == [2, 51, 100]
    before = asked(program)
    assert program.run().summary["requests"]["hubspot"] == 0
    assert asked(program) == before


def test_what_was_kept_is_counted_where_nothing_else_was_written(program: Program) -> None:
    program.settings["SYNC_FIELDS"] = "country"
    program.sandbox.hubspot.seed({"email": ANN, "country": "Oz"})
    program.visitors(row(1, email=ANN), row(2, email=BOB))

    ended = program.run()

    assert ended.summary["contacts"]["kept"] == ended.summary["values"]["kept"] == 1
    assert ended.summary["contacts"]["created"] == 1
    assert (
        program.run().summary["contacts"] | {"unchanged": 2, "kept": 0} == program.run().summary["contacts"]
    )
    types(program, BOB, country="Oz")
    program.visitors(row(2, email=BOB, country_code="IT", minutes_ago=0.1))
    assert program.run().summary["contacts"]["kept"] == 1


def test_it_is_shown_in_a_dry_run(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "country": "Oz"})
    comes(program, "CH")
    program.visitors(row(1, email=ANN, pageviews=9, minutes_ago=0))
    lines = program("run", "--dry-run").stdout.splitlines()
    assert f"update {ANN} country: Oz -> Switzerland [by people] [kept (protect)]" in lines


def test_looking_costs_a_request_a_hundred_contacts_whose_country_changes(program: Program) -> None:
    people = [
        row(number, email=f"p{number}@example.test" if number % 2 else None, minutes_ago=5)
        for number in range(250)
    ]
    program.settings["SYNC_MAX_CHANGED"] = "100%"
    program.visitors(*people)
    program.run()
    assert sorted(reads(program)) == [25, 25, 100, 100]

    before = asked(program)
    assert program.run().summary["requests"]["hubspot"] == 0
    assert asked(program) == before

    program.replace_visitors(*({**each, "pageviews": 9} for each in people))
    assert program.run().summary["contacts"]["updated"] == 250
    assert reads(program, before) == []

    before = asked(program)
    later = row(0, minutes_ago=4)["last_seen"]
    some = [{**each, "country_code": "IT", "last_seen": later} for each in people[:110]]
    program.replace_visitors(*some, *({**each, "pageviews": 10} for each in people[110:]))
    assert program.run().summary["contacts"]["updated"] == 250
    assert sorted(reads(program, before)) == [10, 100]
    assert {each["country"] for each in program.sandbox.hubspot.contacts.values()} == {"Italy", "Switzerland"}


def test_what_was_kept_is_not_asked_about_until_we_want_something_else(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "country": "Oz"})
    comes(program, "CH")
    before = asked(program)
    for views in (10, 20):
        program.visitors(row(1, email=ANN, pageviews=views, minutes_ago=0))
        ended = program.run()
        assert (ended.summary["contacts"]["updated"], ended.summary["values"]["kept"]) == (1, 0)
    assert reads(program, before) == []
    ended = comes(program, "IT")
    assert ended.summary["values"]["kept"] == 1
    assert reads(program, before) == [1]


def pass_eight_days(program: Program) -> None:
    """For what the state remembers of kept values."""
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute("UPDATE contacts SET kept_at = kept_at - ?", (EIGHT_DAYS,))


def test_after_a_while_it_is_asked_about_again_and_filled_where_it_was_emptied(program: Program) -> None:
    for address in (ANN, BOB):
        program.sandbox.hubspot.seed({"email": address, "country": "Oz"})
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    program.run()
    types(program, ANN, country="")
    before = asked(program)
    assert program.run().summary["requests"]["hubspot"] == 0
    pass_eight_days(program)

    ended = program.run()

    assert (held(program, ANN), held(program, BOB)) == ("Switzerland", "Oz")
    assert reads(program, before) == [2]
    assert ended.summary["contacts"] | {"updated": 1, "kept": 1} == ended.summary["contacts"]
    assert program.run().summary["requests"]["hubspot"] == 0
    comes(program, "IT")
    assert held(program, ANN) == "Italy"


def test_what_was_kept_is_reconsidered_under_another_policy(program: Program) -> None:
    program.sandbox.hubspot.seed({"email": ANN, "country": "Oz"})
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    program.run()

    ended = program.run(SYNC_COUNTRY_WRITE="overwrite")

    assert held(program, ANN) == "Switzerland"
    assert ended.summary["contacts"] | {"updated": 1, "unchanged": 1} == ended.summary["contacts"]
    assert ended.summary["values"]["replaced"] == 1
    assert program.run(SYNC_COUNTRY_WRITE="overwrite").summary["requests"]["hubspot"] == 0
    assert program.run(SYNC_COUNTRY_WRITE="fill_empty").summary["requests"]["hubspot"] == 0
    comes(program, "IT")
    assert held(program, ANN) == "Italy"


def test_a_property_of_our_own_is_protected_where_that_is_said(program: Program) -> None:
    program.settings["SYNC_PAGEVIEWS_WRITE"] = "protect"
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    program.run()
    types(program, ANN, zenovay_pageviews="1000")
    program.visitors(*(row(n, email=each, pageviews=9, minutes_ago=0.1) for n, each in ((1, ANN), (2, BOB))))
    ended = program.run()
    assert held(program, ANN, "zenovay_pageviews") == "1000"
    assert held(program, BOB, "zenovay_pageviews") == "9"
    assert ended.summary["values"]["kept"] == 1


def test_the_file_names_policies_too_and_the_environment_wins(program: Program) -> None:
    (program.folder / "visitor-sync.toml").write_text(
        '[fields.country]\nwrite = "overwrite"\n'
        '[fields.plan]\nfrom = "plan"\nproperty = "plan"\nwrite = "fill_empty"\n'
    )
    program.sandbox.hubspot.schema.add(Definition("plan"))
    program.sandbox.hubspot.seed({"email": ANN, "country": "Oz", "plan": "gold"})
    program.visitors(row(1, email=ANN, plan="free"), row(2, email=BOB, plan="free"))
    program.run()
    assert (held(program, ANN), held(program, ANN, "plan")) == ("Switzerland", "gold")
    program.visitors(*(row(n, email=who, plan="pro", minutes_ago=0.1) for n, who in ((1, ANN), (2, BOB))))
    program.run()
    assert [held(program, each, "plan") for each in (ANN, BOB)] == ["gold", "free"]
    types(program, ANN, country="Oz")
    comes(program, "IT", SYNC_COUNTRY_WRITE="protect", SYNC_PLAN_WRITE="overwrite")
    assert (held(program, ANN), held(program, ANN, "plan")) == ("Oz", "pro")


@pytest.mark.parametrize(
    ("settings", "file", "nearest"),
    [
        ({"SYNC_COUNTRY_WRITE": "protekt"}, "", "protect"),
        ({"SYNC_PAGEVIEWS_WRITE": "overrite"}, "", "overwrite"),
        ({}, '[fields.country]\nwrite = "fill"\n', "fill_empty"),
        ({}, '[fields.plan]\nfrom = "plan"\nwrite = "protected"\n', "protect"),
        ({}, "[fields.country]\nwrite = 7\n", "overwrite"),
        ({}, '[fields.country]\nwrites = "protect"\n', "write"),
    ],
)
def test_a_word_that_is_no_policy_is_told_with_the_nearest(
    program: Program, settings: dict[str, str], file: str, nearest: str
) -> None:
    (program.folder / "visitor-sync.toml").write_text(file)
    ended = program.run(**settings)
    assert ended.exit_code == 2
    assert nearest in ended.stderr
    assert asked(program) == 0


def test_after_a_resync_ours_follows_and_theirs_stays(program: Program) -> None:
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    program.run()
    types(program, ANN, country="Oz")
    program("resync", "--yes")
    program.run()
    assert (held(program, ANN), held(program, BOB)) == ("Oz", "Switzerland")
    program.visitors(*(row(n, email=e, country_code="IT", minutes_ago=0.1) for n, e in ((1, ANN), (2, BOB))))
    program.run()
    assert (held(program, ANN), held(program, BOB)) == ("Oz", "Italy")


def test_a_property_with_another_name_is_looked_at_anew(program: Program) -> None:
    program.sandbox.hubspot.schema.add(Definition("land"))
    program.visitors(row(1, email=ANN), row(2, email=BOB))
    program.run()
    types(program, ANN, land="Oz")
    program.settings["SYNC_COUNTRY_PROPERTY"] = "land"
    program.run()
    assert (held(program, ANN, "land"), held(program, BOB, "land")) == ("Oz", "Switzerland")
    program.visitors(*(row(n, email=e, country_code="IT", minutes_ago=0.1) for n, e in ((1, ANN), (2, BOB))))
    program.run()
    assert (held(program, ANN, "land"), held(program, BOB, "land")) == ("Oz", "Italy")


@pytest.mark.parametrize("typed", [True, False])
def test_of_merged_records_ours_follows_whosever_it_was_and_theirs_stays(
    program: Program, *, typed: bool
) -> None:
    program.visitors(row(1, email=ANN, country_code="CH"), row(2, email=BOB, country_code="IT"))
    program.run()
    merged = program.sandbox.hubspot.merge(record_of(program, ANN), record_of(program, BOB))
    if typed:
        program.sandbox.hubspot.edit(merged, country="Oz")
    for number, address, country in ((1, ANN, "FR"), (2, BOB, "ES"), (1, ANN, "CH")):
        comes(program, country, address, number)
        now = program.sandbox.hubspot.contacts[merged]["country"]
        assert now == ("Oz" if typed else NAMES[country])


def test_what_hubspot_refused_was_never_ours(program: Program) -> None:
    program.sandbox.hubspot.refused_addresses[ANN] = "no"
    assert comes(program, "CH").exit_code == 3
    program.sandbox.hubspot.refused_addresses.clear()
    program.sandbox.hubspot.seed({"email": ANN, "country": "Switzerland"})
    comes(program, "IT")
    assert held(program) == "Switzerland"


def test_who_is_deleted_and_made_again_is_somebody_else_s_again(program: Program) -> None:
    program.settings["SYNC_RECREATE"] = "always"
    comes(program, "CH")
    program.sandbox.hubspot.delete(record_of(program, ANN))
    program.sandbox.hubspot.seed({"email": ANN, "country": "Switzerland"})
    comes(program, "IT")
    assert held(program) == "Switzerland"


def before_this_version(program: Program) -> None:
    """Make of the state one of revision 0006, as it was before texts were kept."""
    with connect(f"sqlite:///{program.state_file}") as connection:
        with rebuilding(connection), connection.begin():
            migrate.downgrade(connection, "0006")
        with connection.begin():
            known = ("texts_remembered", "write_policies")
            for name in known:
                connection.exec_driver_sql("DELETE FROM facts WHERE name = ?", (name,))


def test_a_state_of_the_version_before_knows_what_is_ours(program: Program) -> None:
    people = ((1, ANN), (2, BOB), (3, CLEO))
    program.visitors(*(row(number, email=address) for number, address in people), row(4))
    program.run()
    before_this_version(program)
    types(program, ANN, country="Oz")
    before = asked(program)
    assert program.run().summary["requests"]["hubspot"] == 0
    program.visitors(
        *(row(number, email=each, country_code="IT", minutes_ago=0.2) for number, each in people[:2]),
        row(4, country_code="IT", minutes_ago=0.2),
        row(3, email=CLEO, pageviews=9, minutes_ago=0.2),
    )

    ended = program.run()

    assert [held(program, each) for each in (ANN, BOB, CLEO)] == ["Oz", "Italy", "Switzerland"]
    stranger = program.sandbox.hubspot.contact(visitor_id="v000004")
    assert stranger
    assert stranger["country"] == "Italy"
    assert ended.summary["values"]["kept"] == 1
    assert reads(program, before) == [3]


def afresh(program: Program) -> None:
    for path in program.folder.iterdir():
        path.unlink()
    for record in list(program.sandbox.hubspot.contacts):
        program.sandbox.hubspot.delete(record)
    program.replace_visitors()


def everybody(country: str) -> list[dict[str, Any]]:
    facts: dict[str, Any] = {"country_code": country, "minutes_ago": 0}
    return [row(1, email=ANN, **facts), row(2, email=BOB, **facts), row(3, **facts)]


def countries(program: Program) -> list[str | None]:
    stranger = program.sandbox.hubspot.contact(visitor_id="v000003") or {}
    return [held(program, ANN), held(program, BOB), stranger.get("country")]


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("known", [False, True], ids=["first", "later"])
def test_a_kill_makes_nothing_of_ours_look_like_theirs(program: Program, *, known: bool, after: bool) -> None:
    for commit in count(1):
        afresh(program)
        program.sandbox.hubspot.seed({"email": ANN})
        if known:
            program.visitors(*everybody("CH"))
            assert lived(program, *RUN).exit_code == 0
        program.replace_visitors(*everybody("IT"))
        killed = lived(program, *RUN, fate=Fate(commit, after))
        if killed.exit_code == 0:
            break
        assert killed.exit_code == -signal.SIGKILL, killed.stderr

        program.replace_visitors(*everybody("FR"))
        assert lived(program, *RUN).exit_code == 0
        assert countries(program) == ["France"] * 3
        types(program, ANN, country="Oz")
        program.replace_visitors(*everybody("ES"))
        assert lived(program, *RUN).exit_code == 0
        assert countries(program) == ["Oz", "Spain", "Spain"]
    assert commit > 8
