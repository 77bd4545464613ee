"""The migrations build exactly the schema that the program works with, on both databases."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from etl.errors import StateError
from etl.state import migrate
from etl.state.database import REVISIONS, SCHEMA, connect, upgrade
from etl.state.indexes import metadata
from etl.state.migrate import scripts

ROOT = Path(__file__).parents[2]


def differences(url: str) -> list[object]:
    with connect(url, create=True) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def test_a_new_database_is_what_the_tables_say(state_url: str) -> None:
    with connect(state_url, create=True) as connection:
        upgrade(connection)

    assert differences(state_url) == []


def test_the_migrations_build_what_the_tables_say(state_url: str) -> None:
    with connect(state_url, create=True) as connection, connection.begin():
        migrate.upgrade(connection, SCHEMA)

    assert differences(state_url) == []


def test_a_new_database_has_the_columns_that_the_migrations_build(state_url: str) -> None:
    """Defaults, too, which the comparison of alembic leaves out."""

    def columns(connection: Connection) -> dict[str, list[tuple[str, str, bool, bool]]]:
        found = inspect(connection)
        return {
            table: sorted(
                (each["name"], str(each["type"]), each["nullable"], bool(each["default"]))
                for each in found.get_columns(table)
            )
            for table in found.get_table_names()
        }

    with connect(state_url, create=True) as connection:
        upgrade(connection)
        made = columns(connection)
        connection.rollback()
        with connection.begin():
            migrate.downgrade(connection, "base")
        with connection.begin():
            migrate.upgrade(connection, SCHEMA)
        assert columns(connection) == made


def test_alembic_builds_the_same_schema_by_itself(state_url: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={**os.environ, "SYNC_STATE_URL": state_url},
        check=True,
        capture_output=True,
    )

    assert differences(state_url) == []


def test_the_program_knows_all_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts()))

    script = ScriptDirectory.from_config(config)
    assert script.get_current_head() == SCHEMA
    assert sorted(each.revision for each in script.walk_revisions()) == list(REVISIONS)


def test_upgrading_twice_changes_nothing(state_url: str) -> None:
    with connect(state_url, create=True) as connection:
        upgrade(connection)
        upgrade(connection)

    assert differences(state_url) == []


def test_a_newer_database_is_refused_and_left_untouched(sqlite_url: str, tmp_path: Path) -> None:
    with connect(sqlite_url, create=True) as connection:
        upgrade(connection)
        with connection.begin():
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = (tmp_path / "state.db").read_bytes()

    with connect(sqlite_url) as connection, pytest.raises(StateError, match="newer visitor-sync"):
        upgrade(connection)

    assert (tmp_path / "state.db").read_bytes() == before


def test_a_new_state_file_is_readable_by_its_owner_only(sqlite_url: str, tmp_path: Path) -> None:
    with connect(sqlite_url, create=True) as connection:
        upgrade(connection)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert modes == dict.fromkeys(modes, 0o600)
    assert "state.db" in modes


def test_a_file_that_is_no_database_is_refused_and_left_untouched(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("dear diary, " * 100)

    with pytest.raises(StateError, match="not a database"), connect(sqlite_url, create=True) as connection:
        upgrade(connection)

    assert (tmp_path / "state.db").read_text() == "dear diary, " * 100


def test_the_database_of_another_program_is_refused_and_left_untouched(
    sqlite_url: str, tmp_path: Path
) -> None:
    import sqlite3  # noqa: PLC0415 -- one test needs it

    with sqlite3.connect(tmp_path / "state.db") as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    before = (tmp_path / "state.db").read_bytes()

    with connect(sqlite_url) as connection, pytest.raises(StateError, match="another program"):
        upgrade(connection)

    assert (tmp_path / "state.db").read_bytes() == before


def test_half_a_state_file_is_refused_and_left_untouched(sqlite_url: str, tmp_path: Path) -> None:
    with connect(sqlite_url, create=True) as connection:
        upgrade(connection)
    whole = (tmp_path / "state.db").read_bytes()
    (tmp_path / "state.db").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(StateError, match="malformed"), connect(sqlite_url) as connection:
        upgrade(connection)

    assert (tmp_path / "state.db").read_bytes() == whole[: len(whole) // 2]
