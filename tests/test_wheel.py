"""The wheel: what it carries, and that it works where there is no checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from etl.state.database import SCHEMA

ROOT = Path(__file__).parents[1]
UNREACHABLE = re.compile(
    r"failed to fetch|error sending request|dns error|could not connect|timed out|network is unreachable",
    re.IGNORECASE,
)

pytestmark = pytest.mark.slow


def without_surroundings() -> dict[str, str]:
    """Our environment but for what could lead back to the checkout, or set up the program."""
    ours = ("VIRTUAL_ENV", "PYTHON", "UV_PROJECT", "ZENOVAY_", "HUBSPOT_", "SYNC_", "XDG_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def uv(*arguments: str | Path) -> None:
    """Run uv; skip loudly where the registry cannot be reached, except in CI."""
    program = os.environ.get("UV") or shutil.which("uv")
    if program is None:
        missing("uv is not there: run the tests with `uv run`")
    ended = subprocess.run(
        [program, *arguments],
        cwd=ROOT,
        env=without_surroundings(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    if ended.returncode != 0 and UNREACHABLE.search(ended.stderr):
        missing(f"the package registry cannot be reached: {ended.stderr[-300:]}")
    assert ended.returncode == 0, ended.stderr


def missing(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(f"THE WHEEL WAS NOT TESTED: {what}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--quiet", "--out-dir", folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of the wheel, installed with the versions of uv.lock into an environment of its own."""
    folder = tmp_path_factory.mktemp("installed")
    locked, environment = folder / "locked.txt", folder / "environment"
    chosen = ["--locked", "--no-dev", "--no-emit-project", "--no-hashes"]
    uv("export", "--quiet", *chosen, "--output-file", locked)
    uv("venv", "--quiet", "--python", sys.executable, environment)
    uv("pip", "install", "--quiet", "--python", environment, "--constraints", locked, wheel)
    return environment / "bin" / "visitor-sync"


def test_the_wheel_carries_the_migrations_types_topics_and_the_page_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    scripts = {f"etl/{path.relative_to(ROOT)}" for path in (ROOT / "migrations").rglob("*.py")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "etl").rglob("*.py")}
    topics = {str(path.relative_to(ROOT)) for path in (ROOT / "etl").rglob("*.md")}
    template = {"etl/watch/page/page.html.jinja", "etl/watch/page/page.css"}
    assert topics
    assert scripts | modules | topics | template | {"etl/py.typed"} <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"etl"}
    assert [name for name in names if "/licenses/LICENSE" in name]
    assert [name for name in names if "test" in name or "__pycache__" in name] == []


def test_the_sandbox_of_the_wheel_knows_no_faults(wheel: Path) -> None:
    """They are the storm's, which is a part of the tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("etl/sandbox/")]
        shipped = {Path(name).name: archive.read(name).decode() for name in names}

    assert "server.py" in shipped
    assert shipped.keys() & {"faults.py", "weather.py", "worlds.py"} == set()
    assert [name for name, source in shipped.items() if re.search(r"\bstorm\b|\bFaults?\b", source)] == []


def test_the_installed_program_makes_its_own_database(installed: Path, tmp_path: Path) -> None:
    state = tmp_path / "somewhere" / "state.db"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def ask(*arguments: str) -> str:
        return subprocess.run(
            [installed, *arguments],
            cwd=elsewhere,
            env=without_surroundings() | {"SYNC_STATE_URL": f"sqlite:///{state}", "HOME": str(elsewhere)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout

    assert "# Exit codes" in ask("help", "exit-codes")
    assert "no website was ever synced" in ask("status")
    assert json.loads(ask("rejections", "list", "--json")) == []
    assert not state.exists()

    assert "0 contacts are due" in ask("rejections", "retry")

    with closing(sqlite3.connect(state)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
    contacts = json.loads(ask("status", "--json"))["contacts"]
    assert contacts == {"confirmed": 0, "due": 0, "rejected": 0, "absent": 0, "gone": 0}
    assert list(elsewhere.iterdir()) == []


def test_the_installed_program_says_which_extra_a_command_lacks(installed: Path, tmp_path: Path) -> None:
    environment = without_surroundings() | {"SYNC_STATE_URL": "postgresql+psycopg://nobody@localhost/none"}

    ended = subprocess.run(
        [installed, "status"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert "uv sync --locked --no-dev --inexact --extra postgres" in ended.stderr
