"""``status``, ``rejections`` and dry runs of a state of another version, or where nothing can be written."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, Ended
from situations import ANN, synced, without_privileges

from etl.state import migrate
from etl.state.database import connect, rebuilding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from program import Program

RUN = ("run", "--now", "--json")
LOOKS = [("status",), ("rejections",), ("run", "--dry-run", "--json")]


def make_older(url: str, revision: str) -> None:
    """Take the state back to a version that had less."""
    from alembic import command  # noqa: PLC0415 -- one test needs it
    from alembic.config import Config  # noqa: PLC0415 -- one test needs it

    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    with connect(url) as connection, rebuilding(connection), connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


@pytest.mark.parametrize("place", ["sqlite", "postgres"])
@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_the_state_of_an_older_version_is_read_and_left_as_it_is(
    program: Program, place: str, revision: str, request: pytest.FixtureRequest
) -> None:
    url = (
        request.getfixturevalue("postgres_url") if place == "postgres" else f"sqlite:///{program.state_file}"
    )
    program.settings["SYNC_STATE_URL"] = url
    synced(program)
    make_older(url, revision)
    before = program.state_file.read_bytes() if place == "sqlite" else b""

    status, rejections, dry = (program(*command) for command in LOOKS)
    as_json = program("status", "--json").value

    shown = str(program.state_file) if place == "sqlite" else url
    assert (status.exit_code, rejections.exit_code, dry.exit_code) == (0, 0, 0), dry.stderr
    for told in (status, rejections):
        first = told.stdout.splitlines()[0]
        assert shown in first
        assert f"older version ({revision}); the next run upgrades it" in first
    assert "2 confirmed, 0 due, 1 rejected" in status.stdout
    assert "bob.damaged@example.test" in rejections.stdout
    assert (as_json["state"], as_json["contacts"]["confirmed"]) == (shown, 2)
    if place == "sqlite":
        assert program.state_file.read_bytes() == before
    assert program.run().exit_code == 0
    assert "older version" not in program("status").stdout


@pytest.mark.parametrize("command", [*LOOKS, RUN, ("check", "--json"), ("rejections", "retry")])
def test_the_state_of_a_newer_version_is_refused(program: Program, command: tuple[str, ...]) -> None:
    synced(program)
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute("UPDATE alembic_version SET version_num = '9999'")
    before = program.state_file.read_bytes()

    told = program(*command)

    assert told.exit_code == 7, told.stderr
    assert str(program.state_file) in told.stderr + told.stdout
    assert "newer visitor-sync" in told.stderr + told.stdout
    assert program.state_file.read_bytes() == before


def test_a_state_that_is_not_there_yet_is_named(program: Program) -> None:
    for command in LOOKS[:2]:
        assert program(*command).stdout.splitlines()[0] == f"state: {program.state_file}, not there yet"


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
BARE = 'mount -o remount,ro,bind / && ! touch /tmp /var/tmp 2>/dev/null && shift && exec "$@"'


def mounted(program: Program, script: str, *command: str) -> Ended:
    """``command`` in a mount namespace of its own, after ``script``."""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", program.folder, COMMAND, *command],
        env=program.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def may_mount() -> None:
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False)
    if tried.returncode:
        pytest.skip("MAY NOT MOUNT: a read-only medium was not tried")


@pytest.mark.usefixtures("may_mount")
@pytest.mark.parametrize("command", [*LOOKS, ("check", "--json")])
def test_a_state_on_a_read_only_mount_is_read(program: Program, command: tuple[str, ...]) -> None:
    synced(program)
    before = {path.name: path.read_bytes() for path in program.folder.iterdir()}

    told = mounted(program, READ_ONLY, *command)

    if command[0] == "check":
        (state,) = [finding for finding in told.value if finding["check"] == "state"]
        assert (told.exit_code, state["ok"]) == (7, False)
        assert "cannot be written" in state["saw"]
    else:
        assert told.exit_code == 0, told.stderr
        assert "never synced" not in told.stdout
    assert {path.name: path.read_bytes() for path in program.folder.iterdir()} == before


@pytest.mark.usefixtures("may_mount")
@pytest.mark.parametrize("command", [*LOOKS, RUN])
def test_a_state_with_a_log_on_a_read_only_mount_is_read_or_named(
    program: Program, command: tuple[str, ...]
) -> None:
    synced(program)
    with closing(sqlite3.connect(program.state_file)) as writer:
        writer.execute("INSERT INTO facts VALUES ('name', 'value')")
        writer.commit()
        told = mounted(program, READ_ONLY, *command)
        program.state_file.with_name("state.db-shm").unlink()
        without_index = mounted(program, READ_ONLY, *command)

    for each in (told, without_index):
        assert each.exit_code in ({7} if command == RUN else {0, 7}), each.stderr
        assert each.exit_code == 0 or str(program.state_file) in each.stderr


@pytest.mark.usefixtures("may_mount")
@pytest.mark.parametrize("command", LOOKS)
def test_a_read_only_root_without_a_place_for_temporary_files_keeps_nobody_from_looking(
    program: Program, command: tuple[str, ...]
) -> None:
    synced(program)

    told = mounted(program, BARE, *command)
    if told.exit_code == 1 and not told.stderr:
        pytest.skip("/tmp IS A MOUNT OF ITS OWN: a read-only root was not tried")

    assert told.exit_code == 0, told.stderr


def a_folder_of_another(program: Program) -> None:
    os.chown(program.folder, 12345, 12345)
    program.folder.chmod(0o700)


def a_file_of_another(program: Program) -> None:
    os.chown(program.state_file, 12345, 12345)
    program.state_file.chmod(0o600)


def a_readable_file_of_another(program: Program) -> None:
    for path in (program.folder, *program.folder.iterdir()):
        os.chown(path, 12345, 12345)
    program.folder.chmod(0o755)
    program.state_file.chmod(0o644)


@pytest.mark.parametrize("command", [*LOOKS, RUN, ("rejections", "retry"), ("check", "--json")])
@pytest.mark.parametrize(
    ("belongs", "codes"),
    [(a_folder_of_another, {7}), (a_file_of_another, {7}), (a_readable_file_of_another, {0, 7})],
)
def test_a_state_of_another_user_is_read_or_named(
    program: Program, command: tuple[str, ...], belongs: Callable[[Program], None], codes: set[int]
) -> None:
    if os.geteuid():
        pytest.skip("NOT ROOT: files could not be given to another user")
    synced(program)
    belongs(program)
    done = subprocess.run(
        [COMMAND, *command],
        env=program.environment(),
        cwd="/",
        preexec_fn=without_privileges,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    os.chown(program.folder, 0, 0)

    assert done.returncode in codes, done.stderr
    assert done.returncode == 0 or str(program.state_file) in done.stderr + done.stdout
    if belongs is a_readable_file_of_another and command in LOOKS:
        assert done.returncode == 0
    assert ANN not in done.stderr
    if command == ("check", "--json"):
        (state,) = [each for each in json.loads(done.stdout) if each["check"] == "state"]
        assert not state["ok"]


def test_a_dry_run_leaves_no_copy_behind_even_if_it_is_killed(program: Program, tmp_path: Path) -> None:
    synced(program)
    (tmp_path / "temporary").mkdir()
    program.sandbox.zenovay.latency_s = 30
    folder = str(tmp_path / "temporary")
    dry = program.start("run", "--dry-run", SQLITE_TMPDIR=folder, TMPDIR=folder)
    with pytest.raises(subprocess.TimeoutExpired):
        dry.wait(3)
    dry.kill()
    dry.communicate()

    assert list((tmp_path / "temporary").iterdir()) == []
