"""A state of the version before carries over: nothing is lost, and nothing becomes due by it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes import NOW, FakeClock, World, facts, page, row
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from etl.instants import microseconds
from etl.models.contact import RECORD, UPDATE, UPSERT, Contact, ContactKey, ContactKind
from etl.models.verdict import Outcome, Verdict
from etl.state import migrate
from etl.state.database import SCHEMA, connect, rebuilding, upgrade
from etl.state.facts import facts_text
from etl.state.store import read_state
from etl.transform import fingerprint

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.models.contact import Parcel
    from etl.models.visitor import Visitor

BEFORE = "0004"
LATER = NOW + timedelta(minutes=5)
ROOT = Path(__file__).parents[2]
PEOPLE = {"ann": "501", "bob": None, "cleo": "504", "dora": "504", "eve": None}
"""Of each the record that the ledger has."""

AT = microseconds(NOW)
TABLES = {
    "websites": "id, name, watermark, swept, newest_first, read_at",
    "contacts": "id, kind, key, facts, wanted, confirmed, refused, blocked, due, hubspot_id, unanswered",
    "visitors": "website_id, id, contact_id, last_seen, facts, email, email_at, opted_out, opted_out_at",
    "rejections": "id, kind, contact_id, key, reason, code, attempts, first, last",
    "runs": "id, website_id, kind, started, ended, status, summary",
    "facts": "name, value",
}

UPGRADE_AND_DIE = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from etl.state.database import connect, upgrade
url, mark = sys.argv[1:]
def strike(_connection, _cursor, statement, *_):
    if mark in " ".join(statement.split()):
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(Engine, "before_cursor_execute", strike)
with connect(url) as connection:
    upgrade(connection)
"""


@dataclass(frozen=True)
class Old:
    """A state of revision 0004, and the rows that it was made of."""

    url: str
    rows: tuple[Visitor, ...]


def address(name: str) -> str:
    return f"{name}@example.com"


def people() -> tuple[Visitor, ...]:
    known = (
        row(f"of-{name}", email=address(name), country="FR", pageviews=number)
        for number, name in enumerate(PEOPLE, 1)
    )
    return (*known, row("stranger", country="KR", pageviews=7))


@pytest.fixture
def old(state_url: str) -> Old:
    """Everybody is confirmed but Eve, whom HubSpot has refused, and somebody opted out."""
    rows = people()
    with connect(state_url, create=True) as connection:
        with connection.begin():
            migrate.upgrade(connection, BEFORE)
        with connection.begin():
            _insert(connection, "websites", (1, "site", AT, AT, True, AT))
            for number, visitor in enumerate(rows, 1):
                _insert_person(connection, number, visitor)
            _insert(connection, "visitors", (1, "out", None, AT, "{}", None, None, True, AT))
            eve = tuple(PEOPLE).index("eve") + 1
            _insert(connection, "rejections", (1, "contact", eve, address("eve"), "no", "BAD", 2, AT, AT))
            _insert(connection, "runs", ("a" * 32, 1, "incremental", AT, AT, "partial", '{"a": 1}'))
            _insert(connection, "facts", ("note", "kept"))
    return Old(state_url, rows)


def _insert(connection: Connection, table: str, values: tuple[Any, ...]) -> None:
    names = TABLES[table]
    marks = ", ".join(f":v{number}" for number in range(len(values)))
    quoted = ", ".join(f'"{name}"' for name in names.split(", "))
    statement = text(f"INSERT INTO {table} ({quoted}) VALUES ({marks})")
    connection.execute(statement, {f"v{number}": value for number, value in enumerate(values)})


def _insert_person(connection: Connection, number: int, visitor: Visitor) -> None:
    name = visitor.id.removeprefix("of-")
    key = ContactKey(ContactKind.EMAIL, visitor.email) if visitor.email else None
    key = key or ContactKey(ContactKind.VISITOR, visitor.id)
    wanted = fingerprint(Contact(key, visitor.facts))
    confirmed, refused = (None, wanted) if name == "eve" else (wanted, None)
    stated, record = facts_text(visitor.facts), PEOPLE.get(name, "502")
    ledger = (number, *key, stated, wanted, confirmed, refused, False, False, record, 0)
    _insert(connection, "contacts", ledger)
    email_at = AT if visitor.email else None
    _insert(connection, "visitors", (1, visitor.id, number, AT, stated, visitor.email, email_at, None, None))


def held(connection: Connection, table: str, names: str) -> list[Any]:
    quoted = ", ".join(f'"{name}"' for name in names.split(", "))
    return list(connection.execute(text(f"SELECT {quoted} FROM {table} ORDER BY 1, 2")))


def changed(rows: tuple[Visitor, ...], *names: str, pageviews: int) -> list[Visitor]:
    """Later rows of these people."""
    return [replace_views(each, pageviews) for each in rows if each.id.removeprefix("of-") in names]


def replace_views(visitor: Visitor, pageviews: int) -> Visitor:
    email_at = LATER if visitor.email else None
    stated = facts(LATER, country="FR", pageviews=pageviews)
    return visitor._replace(last_seen=LATER, facts=stated, email_at=email_at)


def assert_sound(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_everything_that_the_state_held_it_holds(old: Old) -> None:
    with connect(old.url) as connection:
        with connection.begin():
            before = {table: held(connection, table, names) for table, names in TABLES.items()}
        upgrade(connection)
        with connection.begin():
            assert_sound(connection)
            now = TABLES | {"contacts": TABLES["contacts"].replace("hubspot_id", "record")}
            after = {table: held(connection, table, names) for table, names in now.items()}
    dora = tuple(PEOPLE).index("dora")
    before["contacts"][dora] = (*before["contacts"][dora][:9], None, 0)  # Cleo has the same, and came first
    assert after == before


@pytest.mark.parametrize(
    ("kind", "key", "into"),
    [
        pytest.param("phone", "x", None, id="another kind"),
        pytest.param("email", address("ann"), None, id="a key twice"),
        pytest.param("email", "x", 99, id="into nobody"),
    ],
)
def test_the_table_refuses_what_it_refused(old: Old, kind: str, key: str, into: int | None) -> None:
    with connect(old.url) as connection:
        upgrade(connection)
        statement = (
            'INSERT INTO contacts (id, kind, key, blocked, due, "into") VALUES (50, :k, :t, :f, :f, :i)'
        )
        with pytest.raises(IntegrityError), connection.begin():
            connection.execute(text(statement), {"k": kind, "t": key, "i": into, "f": False})


def test_nothing_becomes_due_by_it(old: Old) -> None:
    world = World(old.url)
    summary = world.run(page(*old.rows))

    assert world.crm.batches == []
    assert summary.exit_code == 0
    assert (summary.contacts.touched, summary.contacts.unchanged) == (len(old.rows), len(old.rows))
    assert summary.watermark_before == NOW


def test_who_has_a_record_is_updated_by_it_and_who_has_none_by_key_until_it_gets_one(old: Old) -> None:
    world = World(old.url)
    world.run(page(*changed(old.rows, "ann", "bob", "stranger", pageviews=50)))

    sent = {each.id_value: each for batch in world.crm.batches for each in batch}
    assert {name: (each.way, each.record) for name, each in sent.items()} == {
        address("ann"): (UPDATE, "501"),
        "stranger": (UPDATE, "502"),
        address("bob"): (UPSERT, None),
    }
    assert all(each.known for each in sent.values())
    world.crm.batches.clear()
    world.run(page(*changed(old.rows, "bob", pageviews=60)))
    ((bob,),) = world.crm.batches
    assert bob.record == f"hs-{bob.contact_id}"


def test_two_that_had_one_record_unite_with_one_sum(old: Old) -> None:
    world = World(old.url)

    def of_cleo(parcel: Parcel) -> Verdict | None:
        if parcel.id_value in {address("cleo"), address("dora")}:
            return Verdict(parcel.contact_id, Outcome.UPDATED, record="504")
        return None

    world.crm.verdict = of_cleo
    assert world.run(page(*changed(old.rows, "dora", pageviews=100))).exit_code == 0
    (first, last) = (batch[0] for batch in world.crm.batches)
    assert (first.record, first.id_value) == (None, address("dora"))
    assert (last.record, last.properties["zenovay_pageviews"]) == ("504", "103")
    world.crm.batches.clear()
    world.run(page(*changed(old.rows, "cleo", pageviews=200)))
    ((sent,),) = world.crm.batches
    assert (sent.record, sent.properties["zenovay_pageviews"]) == ("504", "300")


@pytest.mark.parametrize(
    "mark", ["contacts", "UPDATE contacts SET record", "CREATE TABLE links", "UPDATE alembic_version"]
)
def test_killed_in_the_middle_it_is_upgraded_the_next_time(old: Old, mark: str) -> None:
    died = subprocess.run(
        [sys.executable, "-c", UPGRADE_AND_DIE, old.url, mark],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        timeout=60,
    )
    assert died.returncode == -9

    test_everything_that_the_state_held_it_holds(old)
    test_nothing_becomes_due_by_it(old)


def test_it_is_read_as_it_is_and_left_so(old: Old) -> None:
    with read_state(old.url, FakeClock()) as state:
        assert state is not None
        assert state.older == BEFORE
        assert state.ledger.counts()[:3] == (5, 0, 1)
        assert state.runs.watermark("site") == NOW
    with connect(old.url, writing=False) as connection, connection.begin():
        assert held(connection, "alembic_version", "version_num, version_num")[0][0] == BEFORE


def alembic(url: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env={**os.environ, "SYNC_STATE_URL": url},
        check=True,
        capture_output=True,
        timeout=60,
    )


def test_alembic_takes_it_there_and_back_by_itself(old: Old) -> None:
    alembic(old.url, "upgrade", "head")
    test_nothing_becomes_due_by_it(old)
    alembic(old.url, "downgrade", BEFORE)
    with connect(old.url) as connection, connection.begin():
        assert_sound(connection)
        assert len(held(connection, "contacts", TABLES["contacts"])) == len(old.rows)
    test_nothing_becomes_due_by_it(old)


def test_the_way_back_leaves_what_the_older_version_can_hold(old: Old) -> None:
    with connect(old.url) as connection:
        upgrade(connection)
        with connection.begin():
            add = 'INSERT INTO contacts (id, kind, key, blocked, due, record, "into") VALUES'
            for statement in (
                f"{add} (20, 'record', '900', :f, :f, '900', NULL)",
                f"{add} (21, 'email', 'x', :f, :f, NULL, 20)",
                f"{add} (22, 'visitor', 'y', :f, :f, NULL, 1)",
                "UPDATE visitors SET contact_id = 20 WHERE id = 'stranger'",
                "UPDATE rejections SET contact_id = 20",
                "INSERT INTO links (visitor_id, record, since) VALUES ('stranger', '900', 1)",
            ):
                named = {"f": False} if ":f" in statement else {}
                connection.execute(text(statement), named)
        with rebuilding(connection), connection.begin():
            migrate.downgrade(connection, BEFORE)
        with connection.begin():
            assert_sound(connection)
            contacts = held(connection, "contacts", "id, kind, hubspot_id")
            assert [each[0] for each in contacts] == [1, 2, 3, 4, 5, 6, 21, 22]
            assert RECORD not in {each[1] for each in contacts}
            assert ("stranger", None) in held(connection, "visitors", "id, contact_id")
            assert held(connection, "rejections", "id, key") == []
        upgrade(connection)
        with connection.begin():
            assert_sound(connection)
            assert held(connection, "alembic_version", "version_num, version_num")[0][0] == SCHEMA
