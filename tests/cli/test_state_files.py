"""``state backup`` and ``state copy``, from outside."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from program import COMMAND, Ended, row
from situations import synced, wait_for_lock
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from program import Program


def content(file: Path, *tables: str) -> list[Any]:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        return [database.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]


def sound(file: Path) -> bool:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        checks = [
            database.execute(f"PRAGMA {check}").fetchall()
            for check in ("integrity_check", "foreign_key_check")
        ]
    return checks == [[("ok",)], []]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    made = tmp_path / "shelf"
    made.mkdir()
    return made


def test_a_backup_is_the_whole_state_private_and_sound(program: Program, shelf: Path) -> None:
    synced(program)
    file = shelf / "monday.db"

    ended = program("state", "backup", str(file), "--json")

    assert ended.exit_code == 0
    assert ended.value == {"state": str(program.state_file), "file": str(file), "bytes": file.stat().st_size}
    assert names(shelf) == {"monday.db"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert sound(file)
    tables = ("websites", "contacts", "visitors", "rejections", "runs", "facts")
    assert content(file, *tables) == content(program.state_file, *tables)
    said = program("state", "backup", str(shelf / "tuesday.db")).stdout
    assert said.startswith(f"{shelf / 'tuesday.db'}: all of {program.state_file}, ")


def test_a_run_that_goes_on_is_neither_waited_for_nor_disturbed_nor_named(
    program: Program, shelf: Path
) -> None:
    program.visitors(*(row(number) for number in range(50)))
    assert program.run().exit_code == 0
    program.visitors(*(row(number) for number in range(50, 90)))
    program.sandbox.hubspot.latency_s = 3
    running = program.start("run", "--now", "--json")
    wait_for_lock(program)

    codes = [program("state", "backup", str(shelf / f"{number}.db")).exit_code for number in range(5)]
    assert running.poll() is None
    stdout, stderr = running.communicate(timeout=60)

    assert codes == [0] * 5
    assert running.returncode == 0, stdout + stderr
    for number in range(5):
        assert sound(shelf / f"{number}.db")
        assert content(shelf / f"{number}.db", "lock") == [[]]


def test_backups_amid_many_commits_are_each_of_one_instant(program: Program, shelf: Path) -> None:
    """A writer changes two rows in each transaction: no backup may hold one of them without the other."""
    program.visitors(row(1))
    program.run()
    over = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(program.state_file, timeout=10)) as database:
            number = 0
            while not over.is_set():
                number += 1
                with database:
                    for name in ("left", "right"):
                        database.execute("REPLACE INTO facts VALUES (?, ?)", (name, str(number)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(8):
            assert program("state", "backup", str(shelf / f"{number}.db")).exit_code == 0
    finally:
        over.set()
        writer.join()

    for number in range(8):
        (facts,) = content(shelf / f"{number}.db", "facts")
        assert sound(shelf / f"{number}.db")
        assert dict(facts).get("left") == dict(facts).get("right")


def test_a_restored_backup_goes_on_where_it_was_made(program: Program, shelf: Path) -> None:
    synced(program)
    program("state", "backup", str(shelf / "saved.db"))
    for path in program.folder.iterdir():
        path.unlink()
    (shelf / "saved.db").rename(program.state_file)

    summary = program.run().summary

    assert summary["contacts"]["created"] == 1
    assert summary["contacts"]["updated"] == 1


def test_what_is_there_is_never_written_over(program: Program, shelf: Path) -> None:
    program.run()
    kept = shelf / "kept.db"
    kept.write_text("mine")
    (shelf / "nowhere").symlink_to(shelf / "absent")

    for name in ("kept.db", "nowhere"):
        ended = program("state", "backup", str(shelf / name))
        assert ended.exit_code == 2
        assert "is there already" in ended.stderr
    assert program("state", "backup", str(program.state_file)).exit_code == 2
    assert names(shelf) == {"kept.db", "nowhere"}
    assert kept.read_text() == "mine"


@pytest.mark.parametrize("file", ["absent/a.db", "text/a.db", "."])
def test_what_cannot_be_made_is_a_wrong_argument(program: Program, shelf: Path, file: str) -> None:
    program.run()
    (shelf / "text").write_text("no directory")

    ended = program("state", "backup", str(shelf / file))

    assert ended.exit_code == 2
    assert str(shelf / file) in ended.stderr
    assert names(shelf) == {"text"}


def test_without_a_state_there_is_nothing_to_save(program: Program, shelf: Path) -> None:
    ended = program("state", "backup", str(shelf / "a.db"))

    assert ended.exit_code == 2
    assert "There is no state at" in ended.stderr
    assert names(shelf) == set()
    assert not program.state_file.exists()


def restricted(program: Program, restrict: Callable[[], None], *arguments: str) -> Ended:
    done = subprocess.run(
        [COMMAND, *arguments],
        env=program.environment(),
        cwd=program.folder,
        preexec_fn=restrict,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("command", ["backup", "copy"])
def test_a_full_disk_leaves_nothing_half_done(program: Program, shelf: Path, command: str) -> None:
    program.visitors(*(row(number) for number in range(400)))
    program.run()
    half = program.state_file.stat().st_size // 2
    target = str(shelf / "a.db") if command == "backup" else f"sqlite:///{shelf / 'a.db'}"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (half, half))

    ended = restricted(program, limit, "state", command, target)

    assert ended.exit_code == 7, ended.stderr
    assert str(shelf / "a.db") in ended.stderr
    assert "Traceback" not in ended.stderr
    assert names(shelf) == set()
    assert program.run().exit_code == 0


def test_a_damaged_state_is_told_and_nothing_is_kept(program: Program, shelf: Path) -> None:
    program.visitors(*(row(number) for number in range(300)))
    program.run()
    os.truncate(program.state_file, program.state_file.stat().st_size // 2 // 4096 * 4096)

    ended = program("state", "backup", str(shelf / "a.db"))

    assert ended.exit_code == 7
    assert f"State database {program.state_file}" in ended.stderr
    assert names(shelf) == set()


def test_postgresql_is_saved_by_its_own_program(program: Program, postgres_url: str, shelf: Path) -> None:
    ended = program("state", "backup", str(shelf / "a.db"), SYNC_STATE_URL=f"{postgres_url}?schema=mine")

    assert ended.exit_code == 2
    assert "pg_dump --format=custom --schema=mine" in ended.stderr
    assert names(shelf) == set()


def argument(url: str) -> tuple[str, dict[str, str]]:
    """The URL as it may stand in the list of processes, and the environment with its password."""
    parsed = make_url(url)
    bare = parsed.set(password=None).render_as_string(hide_password=False)
    return bare, {"PGPASSWORD": str(parsed.password)} if parsed.password else {}


def test_a_run_against_the_copy_sends_nothing_and_back_again_neither(
    program: Program, postgres_url: str, tmp_path: Path
) -> None:
    synced(program)
    assert program.run().exit_code == 0
    there, password = argument(postgres_url)
    back = f"sqlite:///{tmp_path / 'back.db'}"
    sent = len(program.sandbox.hubspot.upserts)

    copied = program("state", "copy", there, "--json", **password)
    assert copied.exit_code == 0, copied.stderr
    assert copied.value["tables"]["contacts"] == 4
    settled = program("status", "--json", SYNC_STATE_URL=postgres_url).value
    assert settled["contacts"] == program("status", "--json").value["contacts"]
    ran = program.run(SYNC_STATE_URL=postgres_url).summary
    assert (ran["requests"]["hubspot"], ran["contacts"]["unchanged"]) == (0, ran["contacts"]["touched"])

    assert program("state", "copy", back, SYNC_STATE_URL=postgres_url).exit_code == 0
    again = program.run(SYNC_STATE_URL=back).summary
    assert again["requests"]["hubspot"] == 0
    assert again["watermark"]["before"] == ran["watermark"]["after"]
    assert len(program.sandbox.hubspot.upserts) == sent


def test_the_counts_of_all_tables_are_printed(program: Program, tmp_path: Path) -> None:
    synced(program)

    said = program("state", "copy", f"sqlite:///{tmp_path / 'b.db'}").stdout.splitlines()

    counts = dict(line.split() for line in said[:-1])
    assert counts["contacts"] == "3"
    assert {"visitors", "websites", "runs", "limits"} <= counts.keys()
    assert str(tmp_path / "b.db") in said[-1]


def test_a_second_copy_to_the_same_place_is_refused(program: Program, tmp_path: Path) -> None:
    program.run()
    url = f"sqlite:///{tmp_path / 'b.db'}"
    assert program("state", "copy", url).exit_code == 0
    before = (tmp_path / "b.db").read_bytes()

    ended = program("state", "copy", url)

    assert ended.exit_code == 2
    assert "is not empty" in ended.stderr
    assert (tmp_path / "b.db").read_bytes() == before


def test_no_password_may_stand_in_the_list_of_processes(program: Program) -> None:
    program.run()

    ended = program("state", "copy", "postgresql+psycopg://user:hunter2@127.0.0.1:1/database")

    assert ended.exit_code == 2
    assert "~/.pgpass" in ended.stderr
    assert "hunter2" not in ended.stderr


def test_the_url_may_come_from_stdin(program: Program, tmp_path: Path) -> None:
    program.run()

    ended = subprocess.run(
        [COMMAND, "state", "copy", "-"],
        env=program.environment(),
        cwd=program.folder,
        input=f"sqlite:///{tmp_path / 'b.db'}\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "b.db").exists()


def test_a_run_that_goes_on_keeps_the_copy_out(program: Program, tmp_path: Path) -> None:
    program.visitors(row(1))
    program.sandbox.zenovay.latency_s = 30
    running = program.start("run", "--now")
    wait_for_lock(program)

    ended = program("state", "copy", f"sqlite:///{tmp_path / 'b.db'}")

    running.kill()
    running.communicate()
    assert ended.exit_code == 75
    assert str(running.pid) in ended.stderr
    assert not (tmp_path / "b.db").exists()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_copy_that_is_stopped_leaves_nothing(
    program: Program, request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    program.run()
    with closing(sqlite3.connect(program.state_file)) as database, database:
        many = ((f"fact {number}", "x" * 200) for number in range(200_000))
        database.executemany("INSERT INTO facts VALUES (?, ?)", many)
    url, password = argument(
        f"sqlite:///{tmp_path / 'b.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    )
    copying = program.start("state", "copy", url, **password)
    wait_for_lock(program)

    copying.terminate()
    _, stderr = copying.communicate(timeout=60)

    assert copying.returncode == 143, stderr
    assert not list(tmp_path.glob("b.db*"))
    assert program("status", "--json", SYNC_STATE_URL=url, **password).value["websites"] == []
    assert program.run().exit_code == 0
