"""A state that cannot be used: a clear message, exit 7, and the file as it was."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from program import COMMAND, Ended, row
from situations import without_privileges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from program import Program

RUN = ("run", "--now", "--json")
COMMANDS = [RUN, ("backfill", "--from", "2026-01-01T00:00Z", "--json"), ("status",)]
COMMANDS += [("run", "--dry-run", "--json"), ("rejections", "retry")]


def restricted(program: Program, restrict: Callable[[], None]) -> Ended:
    """A run in a process that ``restrict`` was called in."""
    done = subprocess.run(
        [COMMAND, *RUN],
        env=program.environment(),
        cwd=program.folder.parent,
        preexec_fn=restrict,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def says_it_clearly(ended: Ended, program: Program) -> None:
    assert ended.exit_code == 7, ended.stderr
    assert f"State database {program.state_file}" in ended.stderr
    assert "SYNC_STATE_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


def truncated_to(share: float) -> Callable[[Program], None]:
    def truncate(program: Program) -> None:
        program.visitors(*(row(number) for number in range(300)))
        program.run()
        os.truncate(program.state_file, int(program.state_file.stat().st_size * share))

    return truncate


def a_text(program: Program) -> None:
    program.state_file.write_text("Dear diary, this is no database.\n" * 100)


def another_programs_database(program: Program) -> None:
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute("CREATE TABLE bookmarks (url TEXT)")
        state.execute("INSERT INTO bookmarks VALUES ('https://example.test')")


def another_programs_alembic(program: Program) -> None:
    another_programs_database(program)
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute("CREATE TABLE alembic_version (version_num TEXT)")
        state.execute("INSERT INTO alembic_version VALUES ('0001')")


def zeros(program: Program) -> None:
    program.state_file.write_bytes(bytes(20_000))


SPOILT = [truncated_to(0.01), truncated_to(0.5), truncated_to(0.99), a_text]
SPOILT += [another_programs_database, another_programs_alembic, zeros]
NAMES = ["1 %", "50 %", "99 %", "text", "foreign", "foreign alembic", "zeros"]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", SPOILT, ids=NAMES)
def test_a_file_that_is_no_state_of_ours_is_left_as_it_is(
    program: Program, spoil: Callable[[Program], None]
) -> None:
    spoil(program)
    before = program.state_file.read_bytes()
    asked = len(program.sandbox.zenovay.requests)

    for arguments in COMMANDS:
        says_it_clearly(program(*arguments), program)
        assert program.state_file.read_bytes() == before

    assert len(program.sandbox.zenovay.requests) == asked


def test_a_directory_in_the_place_of_the_file_is_said(program: Program) -> None:
    program.state_file.mkdir()

    for arguments in COMMANDS:
        says_it_clearly(program(*arguments), program)

    assert list(program.state_file.iterdir()) == []


@pytest.mark.parametrize("place", ["file/state.db", "file/sub/state.db"])
def test_a_path_through_a_file_is_said(program: Program, place: str) -> None:
    (program.folder / "file").write_text("no directory")

    ended = program.run(SYNC_STATE_URL=f"sqlite:///{program.folder / place}")

    assert ended.exit_code == 7
    assert f"State database {program.folder / place}" in ended.stderr


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(program: Program) -> None:
    program.visitors(*(row(number) for number in range(100)))
    assert program.run().exit_code == 0
    program.visitors(*(row(number, minutes_ago=0) for number in range(1000, 4000)))

    def fill_the_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    ended = restricted(program, fill_the_disk)

    says_it_clearly(ended, program)
    assert ended.summary["status"] == "failed"
    assert ended.summary["exit_code"] == 7
    with closing(sqlite3.connect(program.state_file)) as state:
        assert state.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert program.run().exit_code == 0
    assert len(program.sandbox.hubspot.snapshot()) == 3100


@pytest.fixture
def small_disk(program: Program) -> Iterator[Path]:
    """The program's folder on a file system of 8 MiB."""
    folder = program.folder
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("NO mount COMMAND: the disk was not really filled")
    if mounted.returncode:
        pytest.skip("MAY NOT MOUNT A FILE SYSTEM: the disk was not really filled")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_is_really_full_is_said_and_loses_nothing(program: Program, small_disk: Path) -> None:
    program.visitors(*(row(number) for number in range(100)))
    assert program.run().exit_code == 0
    program.visitors(*(row(number, minutes_ago=0) for number in range(1000, 2000)))
    before = program.state_file.read_bytes()
    ballast = small_disk / "ballast"
    fill(ballast)

    full = program.run()

    says_it_clearly(full, program)
    assert program.state_file.read_bytes() == before
    ballast.unlink()
    assert program.run().exit_code == 0
    assert len(program.sandbox.hubspot.snapshot()) == 1100


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as ballast:
        while os.statvfs(path).f_bavail:
            ballast.write(bytes(1024))


@pytest.mark.parametrize("made_before", [False, True], ids=["no file", "a state"])
def test_a_read_only_directory_is_said(program: Program, *, made_before: bool) -> None:
    program.visitors(row(1))
    if made_before:
        assert program.run().exit_code == 0
    before = [(path.name, path.read_bytes()) for path in program.folder.iterdir()]
    asked = len(program.sandbox.zenovay.requests)
    program.folder.chmod(0o500)

    ended = restricted(program, without_privileges)

    program.folder.chmod(0o700)
    says_it_clearly(ended, program)
    assert [(path.name, path.read_bytes()) for path in program.folder.iterdir()] == before
    assert len(program.sandbox.zenovay.requests) == asked
