"""The synced fields from outside: sets, settings, own fields, renaming, and what becomes due by any of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from program import row

from etl.state import migrate
from etl.state.database import connect, rebuilding, upgrade

if TYPE_CHECKING:
    from program import Program

DATA = Path(__file__).parents[1] / "data"
STATED: dict[str, Any] = {
    "city": "Bern",
    "device_type": "desktop",
    "browser": "Firefox",
    "os": "Linux",
    "value_score": 61,
    "landing_page": "/docs?mail=ann@example.test#top",
    "referrer": "https://example.test/?token=secret",
    "had_interaction": True,
}
OPTIONAL = {
    "zenovay_city": "Bern",
    "zenovay_device": "desktop",
    "zenovay_browser": "Firefox",
    "zenovay_os": "Linux",
    "zenovay_value_score": "61",
    "zenovay_engaged": "true",
    "zenovay_first_page": "/docs",
    "zenovay_last_page": "/docs",
    "zenovay_first_referrer": "https://example.test/",
    "zenovay_last_referrer": "https://example.test/",
}
OWN = """
[fields.plan]
from = ["traits.plan", "plan"]
[fields.seats]
from = ["traits.seats"]
kind = "number"
rows = "largest"
people = "sum"
property = "seats"
label = "Seats"
[fields.renews]
from = ["traits.renews"]
kind = "instant"
[fields.trial]
from = ["traits.trial"]
kind = "flag"
rows = "any"
people = "any"
[fields.billed_in]
from = ["traits.country"]
kind = "country"
[fields.exit_page]
from = ["exit"]
"""


def held(program: Program, visitor_id: str) -> dict[str, Any]:
    """What the CRM holds of a visitor, without what every contact has."""
    contact = program.sandbox.hubspot.contact(visitor_id=visitor_id)
    assert contact is not None
    return {
        name: contact[name] for name in contact.keys() - {"hs_object_id", "createdate", "lastmodifieddate"}
    }


def optional(program: Program, visitor_id: str) -> dict[str, Any]:
    contact = held(program, visitor_id)
    return {name: contact[name] for name in contact.keys() & OPTIONAL.keys()}


def set_up(program: Program, **settings: str) -> None:
    program.settings.update(settings)
    assert program("setup").exit_code == 0


def test_everything_that_rows_state_reaches_the_crm(program: Program) -> None:
    set_up(program, SYNC_FIELDS="everything")
    program.visitors(row(1, **STATED))

    assert program.run().exit_code == 0
    contact = held(program, "v000001")
    assert optional(program, "v000001") == OPTIONAL
    assert contact["zenovay_first_seen"] == contact["zenovay_last_seen"]
    state = program.state_file.read_bytes()
    assert b"secret" not in state
    assert b"mail=" not in state


def test_a_field_that_is_off_is_neither_sent_nor_kept(program: Program) -> None:
    program.visitors(row(1, **STATED))

    assert program.run().exit_code == 0
    assert optional(program, "v000001") == {}
    assert b"Bern" not in program.state_file.read_bytes()


@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        ("basic,place", {"zenovay_city"}),
        ("technology", {"zenovay_device", "zenovay_browser", "zenovay_os"}),
        (" scoring , city ", {"zenovay_value_score", "zenovay_engaged", "zenovay_city"}),
        ("first_touch", {"zenovay_first_page", "zenovay_first_referrer"}),
        ("last_touch", {"zenovay_last_page", "zenovay_last_referrer"}),
    ],
)
def test_sets_and_fields_are_turned_on_by_name(program: Program, fields: str, properties: set[str]) -> None:
    set_up(program, SYNC_FIELDS=fields)
    program.visitors(row(1, **STATED))

    assert program.run().exit_code == 0
    assert optional(program, "v000001").keys() == properties
    assert ("country" in held(program, "v000001")) == ("basic" in fields)


def test_ones_own_fields(program: Program) -> None:
    (program.folder / "visitor-sync.toml").write_text(OWN)
    set_up(program)
    traits = {
        "plan": "gold",
        "seats": "1,200",
        "renews": "2026-12-24",
        "trial": "no",
        "country": "Austria",
    }
    program.visitors(row(1, traits=traits, exit="/bye?x=1"), row(2, plan="tin"))

    assert program.run().exit_code == 0
    assert (
        held(program, "v000001").items()
        >= {
            "zenovay_plan": "gold",
            "seats": "1200",
            "zenovay_renews": "2026-12-24T00:00:00Z",
            "zenovay_trial": "false",
            "zenovay_billed_in": "Austria",
            "zenovay_exit_page": "/bye",
        }.items()
    )
    assert held(program, "v000002")["zenovay_plan"] == "tin"


def test_the_environment_wins_over_the_file_of_fields(program: Program) -> None:
    (program.folder / "mine.toml").write_text('[fields.plan]\nfrom = "plan"\nproperty = "plan"\n')
    set_up(program, SYNC_CONFIG="mine.toml", SYNC_PLAN_PROPERTY="tariff", SYNC_FIELDS="plan")
    program.visitors(row(1, plan="gold"))

    assert program.run().exit_code == 0
    assert held(program, "v000001").keys() == {"zenovay_visitor_id", "firstname", "lastname", "tariff"}


def test_all_that_is_wrong_with_fields_is_told_at_once_and_without_values(program: Program) -> None:
    (program.folder / "visitor-sync.toml").write_text(
        """
        password = "hunter2"
        [fields.plan]
        from = "plan"
        kind = "hunter2"
        row = "latest"
        [fields.exit]
        from = []
        rows = "first"
        [fields.price]
        from = ["price"]
        kind = "text"
        people = "sum"
        [fields.city]
        from = ["town"]
        """
    )
    ended = program("run", SYNC_FIELDS="basik,plan", SYNC_PRICE_PROPERTY="hs_price", SYNC_LOOKBACK="x")

    assert ended.exit_code == 2
    for told in (
        "password is no key of this file",
        "fields.plan.kind is no kind; the nearest one is",
        "fields.plan.row is no key of a field; the nearest one is rows",
        "fields.exit.from must list",
        "fields.price.people: the rule sum does not fit the kind text",
        "fields.city is a field of this program",
        "SYNC_FIELDS names basik, which is no field and no set of fields; the nearest one is basic",
        "SYNC_PRICE_PROPERTY names a property that belongs to HubSpot",
        "SYNC_LOOKBACK must be a duration",
    ):
        assert told in ended.stderr
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[fields.plan\n", "line 1 is not TOML"),
        (b"\xff\xfe[\x00", "UTF-16"),
        (b"[fields.pl\xe4n]\n", "line 1 holds a byte that is not UTF-8"),
        (b'[fields.plan]\nfrom = "a"\n[fields.plan]\n', "is not TOML"),
        (b"fields = 3\n", "must be a table"),
        (b"[fields]\nplan = 3\n", "fields.plan must be a table"),
    ],
)
def test_a_file_of_fields_that_cannot_be_read(program: Program, content: bytes, told: str) -> None:
    (program.folder / "visitor-sync.toml").write_bytes(content)
    ended = program("run")
    assert (ended.exit_code, told in ended.stderr) == (2, True), ended.stderr


def test_a_file_of_fields_may_begin_with_a_byte_order_mark(program: Program) -> None:
    (program.folder / "visitor-sync.toml").write_text('[fields.plan]\r\nfrom = "plan"\r\n', "utf-8-sig")
    assert "zenovay_plan" in program("setup", "--print").stdout


def test_a_file_of_fields_that_is_named_must_be_there(program: Program) -> None:
    ended = program("run", SYNC_CONFIG="nowhere.toml")
    assert ended.exit_code == 2
    assert "SYNC_CONFIG names" in ended.stderr
    assert "which is not there" in ended.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {"SYNC_FIELDS": "place", "SYNC_CITY_PROPERTY": "zenovay_visitor_id"},
        {"SYNC_FIELDS": "technology", "SYNC_OS_PROPERTY": "zenovay_browser"},
        {"SYNC_FIELDS": "city", "SYNC_CITY_PROPERTY": "country"},
    ],
)
def test_two_fields_on_one_property_are_refused(program: Program, settings: dict[str, str]) -> None:
    ended = program("run", **settings)
    assert ended.exit_code == 2
    assert "must name different properties" in ended.stderr


def test_setup_shows_its_properties_without_asking_anybody(program: Program) -> None:
    ended = program(
        "setup", "--print", SYNC_FIELDS="scoring", SYNC_ENGAGED_PROPERTY="engaged", HUBSPOT_ACCESS_TOKEN=""
    )
    assert ended.exit_code == 0
    assert [line.split("\t")[:2] for line in ended.stdout.splitlines()] == [
        ["zenovay_value_score", "number"],
        ["engaged", "bool"],
        ["zenovay_visitor_id", "string"],
    ]
    assert program.sandbox.hubspot.requests == []


def test_check_says_which_fields_are_stated_and_which_properties_are_missing(program: Program) -> None:
    program.visitors(row(1, **STATED), row(2))
    ended = program("check", "--json", SYNC_FIELDS="basic,place")

    found = {each["check"]: each for each in ended.value}
    assert ended.exit_code == 2
    assert "city in 1" in found[f"zenovay rows of {program.website}"]["saw"]
    assert "country in 2" in found[f"zenovay rows of {program.website}"]["saw"]
    assert "zenovay_city" in found["hubspot properties"]["saw"]


def test_turning_a_field_on_or_off_makes_nothing_due_by_itself(program: Program) -> None:
    set_up(program, SYNC_FIELDS="everything")
    program.settings["SYNC_FIELDS"] = "basic"
    old = row(2, minutes_ago=2)
    program.visitors(row(1, minutes_ago=1), old)
    assert program.run().summary["contacts"]["created"] == 2

    program.settings["SYNC_FIELDS"] = "basic,place,technology"
    assert program.run().summary["requests"]["hubspot"] == 0

    program.replace_visitors(row(1, minutes_ago=0.01, city="Bern"), old)
    assert program.run().summary["contacts"]["updated"] == 1
    assert held(program, "v000001")["zenovay_city"] == "Bern"

    program.settings["SYNC_FIELDS"] = "basic"
    assert program.run().summary["requests"]["hubspot"] == 0


def test_renaming_a_property_makes_due_the_contacts_that_have_the_field(program: Program) -> None:
    set_up(program, SYNC_FIELDS="basic,place", SYNC_CITY_PROPERTY="zenovay_town")
    program.settings["SYNC_CITY_PROPERTY"] = "zenovay_city"
    assert program("setup").exit_code == 0
    program.visitors(row(1, city="Bern"), row(2), row(3, city='of "city": '))
    program.run()

    program.settings["SYNC_CITY_PROPERTY"] = "zenovay_town"
    contacts = program.run().summary["contacts"]
    assert contacts["updated"] == 2
    assert held(program, "v000001")["zenovay_town"] == "Bern"
    assert "zenovay_town" not in held(program, "v000002")


def test_a_field_that_was_renamed_while_it_was_off_is_sent_once_it_is_on(program: Program) -> None:
    set_up(program, SYNC_FIELDS="basic,place", SYNC_CITY_PROPERTY="zenovay_town")
    program.settings["SYNC_CITY_PROPERTY"] = "zenovay_city"
    assert program("setup").exit_code == 0
    program.visitors(row(1, city="Bern"))
    program.run()

    assert program.run(SYNC_FIELDS="basic").summary["requests"]["hubspot"] == 0
    program.settings["SYNC_CITY_PROPERTY"] = "zenovay_town"
    assert program.run(SYNC_FIELDS="basic").summary["requests"]["hubspot"] == 0
    assert program.run().summary["contacts"]["updated"] == 1
    assert held(program, "v000001")["zenovay_town"] == "Bern"


def restored(program: Program) -> None:
    """A state that revision 0003 has made, with all its contacts confirmed or refused, and its rows."""
    with closing(sqlite3.connect(program.state_file)) as state:
        state.executescript((DATA / "state_0003.sql").read_text())
    program.sandbox.zenovay.frozen_at = datetime(2026, 3, 10, 12, tzinfo=UTC)
    program.sandbox.hubspot.store._next_id = 9001  # HubSpot never gives an id a second time
    program.visitors(*json.loads((DATA / "state_0003_rows.json").read_text()))
    with (
        closing(sqlite3.connect(program.state_file)) as state,
        state,
    ):  # the sandbox has another port each time
        # the sandbox has another port each time, and with it another address to send the token to
        base_url, token = (program.environment()[f"HUBSPOT_{name}"] for name in ("BASE_URL", "ACCESS_TOKEN"))
        credential = blake2b(f"{base_url}\n{token}".encode(), digest_size=16).hexdigest()
        owner = "UPDATE facts SET value = json_set(value, '$.credential', ?) WHERE name = 'owner'"
        state.execute(owner, (credential,))
    assert program.website == "site_sandbox"


@pytest.mark.parametrize("fields", ["basic", "basic,technology,place,last_touch,scoring"])
def test_nothing_becomes_due_by_the_upgrade_of_a_state(program: Program, fields: str) -> None:
    restored(program)
    program.settings["SYNC_FIELDS"] = fields

    again = program.run().summary
    past = program("backfill", "--from", "2026-03-09", "--to", "2026-03-10", "--json").summary
    for summary in (again, past):
        assert summary["requests"]["hubspot"] == 0
        assert summary["contacts"]["created"] == summary["contacts"]["updated"] == 0
    assert past["rows"]["read"] == 11
    assert past["contacts"]["touched"] == past["contacts"]["unchanged"] == 6
    assert program.sandbox.hubspot.requests == []
    assert program.sandbox.hubspot.contacts == {}


def test_what_an_older_version_left_due_is_delivered(program: Program) -> None:
    restored(program)
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute("UPDATE contacts SET confirmed = NULL, due = 1 WHERE kind = 'visitor'")
    assert program("setup").exit_code == 0

    assert program.run(SYNC_RECREATE="always").summary["contacts"]["created"] == 4
    assert (
        held(program, "visitor-3").items()
        >= {
            "country": "Switzerland",
            "zenovay_pageviews": "3",
            "zenovay_last_seen": "2026-03-10T11:00:00Z",
        }.items()
    )
    assert "country" not in held(program, "visitor-4")
    assert held(program, "visitor-7")["zenovay_last_seen"] == "2026-03-10T04:00:00.250Z"


def test_a_renamed_property_of_a_state_of_an_older_version_is_noticed(program: Program) -> None:
    restored(program)
    program.settings["SYNC_COUNTRY_PROPERTY"] = "zenovay_land"
    assert program("setup").exit_code == 0

    made = program.run(SYNC_RECREATE="always").summary["contacts"]["created"]
    assert made == 4  # all that have a country, in an empty CRM
    assert program.sandbox.hubspot.contact(visitor_id="visitor-4") is None


def test_going_back_to_the_older_schema_loses_none_of_the_three(program: Program) -> None:
    restored(program)
    columns = (
        "id, contact_id, last_seen, pageviews, country, country_at, email, email_at, opted_out, opted_out_at"
    )
    queries = [
        f"SELECT {columns} FROM visitors ORDER BY id",
        "SELECT id, last_seen, country, pageviews, wanted, confirmed, refused, due FROM contacts ORDER BY id",
        "SELECT value FROM facts WHERE name = 'property_names'",
    ]

    def content() -> list[list[Any]]:
        with closing(sqlite3.connect(program.state_file)) as state:
            return [state.execute(query).fetchall() for query in queries]

    before = content()
    with connect(f"sqlite:///{program.state_file}") as connection:
        upgrade(connection)
        with rebuilding(connection), connection.begin():
            migrate.downgrade(connection, "0003")
    assert content() == before


def test_the_upgrade_packs_facts_on_postgresql_as_on_sqlite(postgres_url: str) -> None:
    with connect(postgres_url, create=True) as connection:
        with connection.begin():
            migrate.upgrade(connection, "0003")
        with connection.begin():
            connection.exec_driver_sql("INSERT INTO websites (id, name) VALUES (1, 'site')")
            connection.exec_driver_sql(
                "INSERT INTO visitors (website_id, id, last_seen, country, country_at, pageviews) VALUES"
                " (1, 'a', 20, 'CH', 10, 3), (1, 'b', 20, 'CH', 20, NULL), (1, 'c', 20, NULL, NULL, 0)"
            )
        upgrade(connection)
        with connection.begin():
            rows = connection.exec_driver_sql("SELECT facts FROM visitors ORDER BY id").scalars().all()
            assert [json.loads(each) for each in rows] == [
                {"country": "CH", "country@": 10, "last_seen": 20, "pageviews": 3},
                {"country": "CH", "last_seen": 20},
                {"last_seen": 20, "pageviews": 0},
            ]
        with connection.begin():
            migrate.downgrade(connection, "0003")
            back = connection.exec_driver_sql(
                "SELECT country, country_at, pageviews FROM visitors ORDER BY id"
            )
            assert [tuple(each) for each in back] == [("CH", 10, 3), ("CH", 20, None), (None, None, 0)]
