"""Several states in one PostgreSQL database: each in a schema of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock, opened
from program import row
from situations import wait_for_lock
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from etl.errors import LockedError, StateError
from etl.state.store import Store, open_state, read_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from program import Program
    from sqlalchemy import Connection

ROOT = Path(__file__).parents[2]


def within(url: str, schema: str) -> str:
    return f"{url}?schema={schema}"


@contextmanager
def as_owner(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def asked(url: str, question: str, **values: Any) -> list[Any]:
    with as_owner(url) as connection:
        return list(connection.scalars(text(question), values))


def tables(url: str, schema: str) -> set[str]:
    return set(asked(url, "SELECT tablename FROM pg_tables WHERE schemaname = :schema", schema=schema))


def test_a_run_makes_its_schema_and_leaves_the_others_alone(program: Program, postgres_url: str) -> None:
    program.visitors(row(1), row(2))
    program.settings["SYNC_STATE_URL"] = within(postgres_url, "visitor_sync")

    assert program("status", "--json").value["websites"] == []
    assert asked(postgres_url, "SELECT nspname FROM pg_namespace WHERE nspname = 'visitor_sync'") == []
    assert program.run().summary["contacts"]["created"] == 2
    assert program.run().summary["requests"]["hubspot"] == 0

    assert {"alembic_version", "websites", "contacts"} <= tables(postgres_url, "visitor_sync")
    assert tables(postgres_url, "public") == set()
    assert program("status", "--json").value["state"].endswith("?schema=visitor_sync")
    assert program("run", "--dry-run", "--json").summary["contacts"]["created"] == 0


def test_two_schemas_are_two_states_whose_runs_go_on_at_the_same_time(
    program: Program, another: Program, postgres_url: str
) -> None:
    for each, schema in ((program, "one"), (another, "two")):
        each.settings["SYNC_STATE_URL"] = within(postgres_url, schema)
        each.visitors(row(1, id=f"visitor_of_{schema}"))
    program.sandbox.zenovay.latency_s = 30
    first = program.start("run", "--now")
    wait_for_lock(program)

    assert program.run().exit_code == 75
    assert another.run().summary["contacts"]["created"] == 1

    first.kill()
    first.communicate()
    assert asked(postgres_url, "SELECT id FROM two.visitors") == ["visitor_of_two"]
    assert asked(postgres_url, "SELECT id FROM one.visitors") == []


def test_the_lock_is_per_schema(postgres_url: str) -> None:
    clock = FakeClock()
    mine, other = within(postgres_url, "mine"), within(postgres_url, "other")
    with opened(mine, clock), opened(other, clock), read_state(mine, clock) as state:
        assert state
        assert state.holder()
        with open_state(mine) as connection:
            second = Store(connection, clock=clock)
            with pytest.raises(LockedError), second.locked():
                pass


def test_alembic_builds_it_in_the_schema_too(postgres_url: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={**os.environ, "SYNC_STATE_URL": within(postgres_url, "by_hand")},
        check=True,
        capture_output=True,
    )

    assert "alembic_version" in tables(postgres_url, "by_hand")
    assert tables(postgres_url, "public") == set()
    with opened(within(postgres_url, "by_hand"), FakeClock()):
        pass


def test_a_user_who_may_not_make_the_schema_is_told_the_statement_for_its_owner(postgres_url: str) -> None:
    with as_owner(postgres_url) as connection:
        connection.execute(text("DROP ROLE IF EXISTS narrow_user"))
        connection.execute(text("CREATE ROLE narrow_user LOGIN"))
    url = within(postgres_url.replace("//postgres@", "//narrow_user@"), "visitor_sync")
    try:
        with pytest.raises(StateError, match="may not make it") as caught, opened(url, FakeClock()):
            pass
        statement = str(caught.value).partition("run: ")[2]
        assert statement == "CREATE SCHEMA visitor_sync AUTHORIZATION narrow_user;"

        with as_owner(postgres_url) as connection:
            connection.execute(text(statement))
        with opened(url, FakeClock()) as store, store.transaction() as state:
            state.notebook.put("name", "value")
        assert asked(postgres_url, "SELECT value FROM visitor_sync.facts") == ["value"]
    finally:
        with as_owner(postgres_url) as connection:
            connection.execute(text("DROP OWNED BY narrow_user CASCADE"))
            connection.execute(text("DROP ROLE narrow_user"))


def test_tables_of_another_program_in_the_schema_are_left_alone(postgres_url: str) -> None:
    with as_owner(postgres_url) as connection:
        connection.execute(text("CREATE SCHEMA theirs"))
        connection.execute(text("CREATE TABLE theirs.diary (day date)"))

    with (
        pytest.raises(StateError, match="another program"),
        opened(within(postgres_url, "theirs"), FakeClock()),
    ):
        pass
    assert tables(postgres_url, "theirs") == {"diary"}


def test_a_word_of_sql_can_be_its_name(postgres_url: str) -> None:
    with opened(within(postgres_url, "select"), FakeClock()):
        pass

    assert "websites" in tables(postgres_url, "select")


def test_an_option_that_nobody_knows_is_still_refused(program: Program, postgres_url: str) -> None:
    ended = program("run", "--json", SYNC_STATE_URL=f"{postgres_url}?schema=mine&shema=yours")

    assert ended.exit_code == 2
    assert "SYNC_STATE_URL has an option" in ended.stderr
