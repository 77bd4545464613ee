"""What SYNC_STATE_URL may hold, told alike by every command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from program import COMMAND, Ended, called, cold

from etl.errors import SettingsError
from etl.state.urls import default_url, fault, parse_url, place, sqlite_path

ROOT = Path(__file__).parents[2]
FORGETFUL = [
    "sqlite:///",
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite+pysqlite://",
    "sqlite:///file::memory:?cache=shared&uri=true",
    "sqlite:///file:x.db?mode=memory&uri=true",
]
WRONG = [
    "sqlite://state.db",
    "sqlite://state.db/",
    "sqlite:///~/x.db",
    "sqlite:///~somebody/x.db",
    "sqlite:////~/x.db",
    "sqlite:///$HOME/x.db",
    "sqlite:////home/${USER}/x.db",
    "sqlite:///x.db?mode=ro",
    "sqlite+aiosqlite:///x.db",
    "postgresql://host/db",
    "postgresql+psycopg2://host/db",
    "postgresql+psycopg://host/db?schema=",
    "postgresql+psycopg://host/db?schema",
    "postgresql+psycopg://host/db?schema=&sslmode=require",
    "postgresql+psycopg://host/db?schema=a&schema=b",
    "postgresql+psycopg://host/db?schema=Mine",
    "postgresql+psycopg://host/db?schema=1st",
    "postgresql+psycopg://host/db?schema=a,public",
    "postgresql+psycopg://host/db?schema=a%22%3B",
    "postgresql+psycopg://user:pass%23word@host/db?schema=a-b",
    "postgresql+psycopg://user:pass#word@host/db?schema=a-b",
    "postgresql+psycopg://host/db?schema=pg_mine",
    "postgresql+psycopg://host/db?schema=information_schema",
    f"postgresql+psycopg://host/db?schema={'a' * 64}",
    "sqlite:///x.db?schema=mine",
    "mysql://host/db",
    "state.db",
    ":memory:",
]
COMMANDS = [
    ("run",),
    ("run", "--dry-run"),
    ("backfill", "--from", "2026-01-01T00:00Z"),
    ("check",),
    ("status",),
    ("rejections",),
    ("rejections", "retry"),
]
REQUIRED = {"ZENOVAY_API_KEY": "zv_x", "ZENOVAY_WEBSITE_ID": "site", "HUBSPOT_ACCESS_TOKEN": "pat-x"}


OURS = ("SYNC_", "ZENOVAY_", "HUBSPOT_", "XDG_")
WITHOUT_PASSWD = ("unshare", "--user", "--map-user=54321")


def command(*arguments: str, folder: Path, within: tuple[str, ...] = (), **environment: str | None) -> Ended:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    given = {name: value for name, value in (bare | REQUIRED | environment).items() if value is not None}
    if not within:
        return called(*arguments, environment=given, folder=folder)
    return cold(*within, str(COMMAND), *arguments, environment=given, folder=folder)


@pytest.mark.parametrize("url", FORGETFUL + WRONG)
def test_what_is_no_place_for_a_state_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="SYNC_STATE_URL") as caught:
        parse_url(url)

    assert ("forgets" in str(caught.value)) == (url in FORGETFUL)


@pytest.mark.parametrize("arguments", COMMANDS)
@pytest.mark.parametrize("url", ["sqlite://state.db", "sqlite:///~/x.db", "sqlite:///:memory:"])
def test_every_command_refuses_it_by_name_and_makes_nothing(
    arguments: tuple[str, ...], url: str, tmp_path: Path
) -> None:
    ended = command(*arguments, folder=tmp_path, SYNC_STATE_URL=url)

    assert ended.exit_code == 2, ended.stderr
    assert "SYNC_STATE_URL" in ended.stderr + ended.stdout
    assert "sqlite:////path/state.db" in ended.stderr + ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_alembic_refuses_it_too(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", ROOT / "alembic.ini", "upgrade", "head"],
        cwd=tmp_path,
        env={**os.environ, "SYNC_STATE_URL": "sqlite:///~/x.db"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode
    assert "SYNC_STATE_URL has ~" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", COMMANDS)
def test_without_a_home_the_setting_is_asked_for(arguments: tuple[str, ...], tmp_path: Path) -> None:
    if subprocess.run([*WITHOUT_PASSWD, "true"], check=False).returncode:
        pytest.skip("MAY NOT MAKE NAMESPACES: a user without a passwd entry could not be played")

    ended = command(*arguments, folder=tmp_path, within=WITHOUT_PASSWD, HOME=None)

    assert ended.exit_code == 2, ended.stderr
    assert "SYNC_STATE_URL" in ended.stderr + ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_empty_home_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")

    with pytest.raises(SettingsError, match="SYNC_STATE_URL is not set"):
        default_url()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///state.db",
        "sqlite:///./state.db",
        "sqlite:////var/lib/state~1/state.db",
        "postgresql+psycopg://user:hunter2@host/database?sslmode=require&password=hunter3",
        "postgresql+psycopg:///database",
        "postgresql+psycopg://user:hunter2@host/database?schema=visitor_sync&sslmode=require",
    ],
)
def test_these_are_good(url: str) -> None:
    assert fault(url) is None
    assert "hunter" not in place(parse_url(url))


def test_the_schema_is_shown_with_the_place() -> None:
    url = parse_url("postgresql+psycopg://user:hunter2@host/database?schema=visitor_sync")

    assert place(url) == "postgresql+psycopg://user:***@host/database?schema=visitor_sync"


def test_a_relative_path_is_meant_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert sqlite_path(parse_url("sqlite:///state.db")) == tmp_path / "state.db"
