"""A copy of the state's file, by SQLite's own online backup: whole, while a run goes on, and beside it."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from etl.errors import SettingsError, StateError
from etl.files import new_file
from etl.state.database import open_to_read, refuse_a_stump
from etl.state.failures import damaged, translated
from etl.state.urls import exists, parse_url, place, schema_of, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import URL

    from etl.clock import Clock

_FAULTS_OF_THE_COPY = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
"""Nothing is written to the state: what fails so is the copy."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def back_up(url: str, file: Path, clock: Clock) -> int:
    """Write what is committed now to ``file``, which must not be there yet. Returns its size in bytes.

    It takes no lock, and whoever holds that now is not named in the copy. Raises SettingsError where there
    is no file to copy, or none can be made, StateError where reading or writing fails, and
    InterruptedRunError once ``clock`` says so: then nothing is left.
    """
    source = _source(url)
    try:
        with new_file(file) as draft:
            with translated(source), _told_as(file):
                _copy(source, draft)
            clock.wait(0.0, "the state is saved")
            size = draft.stat().st_size
    except FileExistsError as exc:
        raise SettingsError(
            f"{file} is there already, and a backup is written over nothing.", fix="Name a new file."
        ) from exc
    except OSError as exc:
        if exc.errno in _NO_ROOM:
            raise _unwritten(file, exc.strerror) from exc
        raise SettingsError(
            f"{file} cannot be made: {exc.strerror}.", fix="Name one in a directory that can be written."
        ) from exc
    return size


def _source(url: str) -> URL:
    source = parse_url(url)
    if sqlite_path(source) is None:
        schema = schema_of(source)
        which = f" --schema={schema}" if schema else ""
        raise SettingsError(
            f"The state is in PostgreSQL ({place(source)}), which has a program for that:",
            fix=f"pg_dump --format=custom{which} --file=FILE --dbname={source.database or 'DATABASE'}",
        )
    if not exists(source):
        raise SettingsError(
            f"There is no state at {place(source)}.", fix="SYNC_STATE_URL names it; the first run makes it."
        )
    return source


def _copy(source: URL, draft: Path) -> None:
    """In one step, during which SQLite lets others read and write: so it is of one instant."""
    path = sqlite_path(source)
    assert path  # noqa: S101 -- for mypy: the caller has looked
    refuse_a_stump(path, source)
    with closing(sqlite3.connect(draft)) as copy:
        with closing(open_to_read(path)) as original:
            original.backup(copy)
        with copy:
            copy.execute("DELETE FROM lock")
        copy.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if copy.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            raise damaged(
                source, "the file is damaged, SQLite's integrity_check finds faults in a copy of it"
            )


@contextmanager
def _told_as(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        if getattr(exc, "sqlite_errorcode", None) in _FAULTS_OF_THE_COPY:
            raise _unwritten(file, "the disk is full, or fails") from exc
        raise


def _unwritten(file: Path, why: str | None) -> StateError:
    return StateError(
        f"{file} could not be written: {why}.", fix="Nothing is left of it. Make room, or name another place."
    )
