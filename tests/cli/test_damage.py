"""A damaged state: exit 7, never a fact, never a value in a message, and the file as it was."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from situations import ANN, synced

if TYPE_CHECKING:
    from collections.abc import Callable

    from program import Ended, Program

RUN = ("run", "--now", "--json")


def edit(program: Program, statement: str) -> None:
    with closing(sqlite3.connect(program.state_file)) as state, state:
        state.execute("PRAGMA ignore_check_constraints = ON")
        state.execute(statement)


def overwrite(program: Program, old: bytes, new: bytes) -> None:
    content = program.state_file.read_bytes()
    assert old in content
    program.state_file.write_bytes(content.replace(old, new))


def undecodable(program: Program) -> None:
    overwrite(program, ANN.encode(), b"\xff\xfe" + ANN.encode()[2:])


def flipped_page(program: Program) -> None:
    """The b-tree of the contacts: the page that holds one of them."""
    content = bytearray(program.state_file.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    for start in range(size, len(content), size):
        if ANN.encode() in content[start : start + size]:
            content[start : start + 8] = b"\x55" * 8
    program.state_file.write_bytes(content)


def edited(statement: str) -> Callable[[Program], None]:
    return lambda program: edit(program, statement)


BAD_ROWS = [
    "UPDATE visitors SET last_seen = 'ann@example.test'",
    "UPDATE visitors SET last_seen = 9223372036854775807",
    "UPDATE visitors SET facts = 'ann@example.test'",
    "UPDATE visitors SET facts = x'00ff'",
    """UPDATE visitors SET facts = '{"country@": "ann@example.test"}'""",
    "UPDATE contacts SET kind = 'ann@example.test'",
    "UPDATE contacts SET facts = '[1]', due = 1",
    "UPDATE contacts SET facts = NULL, due = 1",
    "UPDATE facts SET value = 'ann@example.test'",
    "UPDATE websites SET watermark = 'ann@example.test'",
    "UPDATE runs SET summary = '{ann@example.test'",
    "UPDATE runs SET summary = '[]'",
    "UPDATE runs SET started = 'ann@example.test'",
    "UPDATE limits SET sent = 'ann@example.test'",
    "UPDATE limits SET stopped_until = 'ann@example.test'",
    "UPDATE limits SET resets_at = 'ann@example.test'",
    "UPDATE facts SET value = x'ff'",
    "INSERT OR REPLACE INTO facts SELECT 'told_month_' || name, 'ann@example.test' FROM websites",
    "UPDATE rejections SET last = 'ann@example.test'",
    "UPDATE rejections SET reason = x'ff'",
    "UPDATE rejections SET key = CAST(x'ff' AS TEXT)",
    "DROP TABLE facts",
    "ALTER TABLE visitors DROP COLUMN email",
]
COMMANDS = [RUN, ("run", "--dry-run", "--json"), ("status", "--json"), ("rejections", "--json")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [undecodable, flipped_page, *map(edited, BAD_ROWS)],
    ids=["undecodable", "flipped page", *BAD_ROWS],
)
def test_what_is_damaged_is_exit_7_or_does_not_matter(
    program: Program, damage: Callable[[Program], None]
) -> None:
    synced(program)
    damage(program)
    before = program.state_file.read_bytes()

    codes = []
    for command in reversed(COMMANDS):
        ended = program(*command)
        codes.append(ended.exit_code)
        says_nothing_of_anybody(ended, command)
        assert ended.exit_code in {0, 3, 7}, ended.stderr
        if ended.exit_code == 7:
            assert f"State database {program.state_file}" in ended.stderr
            assert program.state_file.read_bytes() == before
    assert 7 in codes


def says_nothing_of_anybody(ended: Ended, command: tuple[str, ...]) -> None:
    assert "example.test" not in ended.stderr
    if command[0] != "rejections" and "--dry-run" not in command:
        assert "example.test" not in ended.stdout


@pytest.mark.parametrize("damage", [undecodable, flipped_page])
def test_a_run_that_meets_damage_says_so_and_leaves_the_file_and_its_run_open(
    program: Program, damage: Callable[[Program], None]
) -> None:
    synced(program)
    damage(program)
    before = program.state_file.read_bytes()

    for _ in range(2):
        ended = program.run()
        assert ended.exit_code == 7, ended.stderr
        assert program.state_file.read_bytes() == before
        assert "SYNC_STATE_URL" in ended.stderr


def spoilt_index(program: Program) -> None:
    """An index without rows, though its table has some: no statement fails, quick_check finds a fault."""
    content = bytearray(program.state_file.read_bytes())
    size = int.from_bytes(content[16:18], "big")
    for start in range(size, len(content), size):
        if content[start] == 13 and b"zenovay" in content[start : start + size]:  # a leaf of some table
            content[start + 1 : start + 3] = b"\x0f\xf0"  # a free block where there is none
    program.state_file.write_bytes(content)


def test_check_looks_through_the_whole_file(program: Program) -> None:
    synced(program)
    spoilt_index(program)
    before = program.state_file.read_bytes()

    ended = program("check", "--json")

    assert ended.exit_code == 7
    (state,) = [finding for finding in ended.value if finding["check"] == "state"]
    assert not state["ok"]
    assert "damaged" in state["saw"] or "malformed" in state["saw"]
    assert "SYNC_STATE_URL" in state["fix"]
    assert program.state_file.read_bytes() == before


@pytest.mark.parametrize(
    "left",
    [
        "INSERT INTO lock (id, owner, host, pid, since) VALUES (1, 'x', 'h', 1, 1)",
        "INSERT INTO runs (id, website_id, kind, started) VALUES ('x', 1, 'incremental', 9000000000000000)",
    ],
    ids=["a signature", "a run without an end"],
)
def test_a_run_after_one_that_was_killed_looks_through_the_whole_file(program: Program, left: str) -> None:
    synced(program)
    edit(program, left)
    spoilt_index(program)
    before = program.state_file.read_bytes()

    ended = program.run()

    assert ended.exit_code == 7, ended.stderr
    assert "quick_check" in ended.stderr or "malformed" in ended.stderr
    assert (ended.summary["run"], ended.summary["reason"].split(":")[0]) == (
        None,
        f"State database {program.state_file}",
    )
    assert program.state_file.read_bytes() == before


def test_a_state_that_others_can_read_is_closed_to_them_with_a_warning(program: Program) -> None:
    synced(program)
    program.state_file.chmod(0o644)

    checked = program("check", "--json")
    (state,) = [finding for finding in checked.value if finding["check"] == "state"]
    assert "open to others" in state["saw"]
    assert stat.S_IMODE(program.state_file.stat().st_mode) == 0o644

    first, second = program.run(), program.run()

    assert stat.S_IMODE(program.state_file.stat().st_mode) == 0o600
    assert any("644" in warning and str(program.state_file) in warning for warning in warnings(first))
    assert "644" in first.stderr
    assert not any("644" in warning for warning in warnings(second))


def test_the_log_of_a_killed_run_is_closed_to_others_too(program: Program) -> None:
    synced(program)
    log = program.state_file.with_name("state.db-wal")
    with closing(sqlite3.connect(program.state_file)) as other:
        other.execute("SELECT count(*) FROM facts").fetchall()
        for path in (program.state_file, log):
            path.chmod(0o640)
        warned = warnings(program.run())
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert sum("640" in warning for warning in warned) == 2


def warnings(ended: Ended) -> list[Any]:
    return list(json.loads(ended.stdout)["warnings"])
