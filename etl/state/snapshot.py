"""A throw-away copy of the state, on which a dry run may write as it likes."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from etl.errors import StateError
from etl.state.database import (
    SCHEMA,
    connect,
    exists,
    parse_url,
    refuse_a_stump,
    revision,
    sqlite_path,
    translated,
    upgrade,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


@contextmanager
def snapshot(url: str, *, keep_lock: bool = False) -> Iterator[Connection]:
    """A connection to a private copy of the state; the state itself is only read, and not made if missing."""
    with TemporaryDirectory(prefix="visitor-sync-") as folder:
        copy = Path(folder) / "state.db"
        path = sqlite_path(parse_url(url))
        if path and path.exists():
            refuse_a_stump(path)
            with translated(parse_url(url)):
                _copy_file(path, copy)
        with connect(f"sqlite:///{copy}", create=True) as connection:
            upgrade(connection)
            if exists(url) and not path:
                _copy_rows(url, connection)
            if not keep_lock:
                with connection.begin():
                    connection.exec_driver_sql("DELETE FROM lock")
            yield connection


def _copy_file(path: Path, copy: Path) -> None:
    """Copy a database that may be in use.

    A read-only connection leaves the files of the write-ahead log behind, a writing one would fold a log
    with content into the file when it closes: so each is used where it changes nothing.
    """
    log = path.with_name(f"{path.name}-wal")
    mode = "ro" if log.exists() and log.stat().st_size else "rw"
    with (
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _copy_rows(url: str, target: Connection) -> None:
    from etl.state.tables import metadata  # noqa: PLC0415 -- takes 30 ms, and a file needs none of it

    with connect(url, writing=False) as source, translated(source.engine.url), source.begin():
        found = revision(source)
        if found is None:
            return
        if found != SCHEMA:
            raise StateError(
                f"The state has the schema of another version ({found}).",
                fix="A run of this version upgrades it; then try the dry run again.",
            )
        with target.begin():
            for table in metadata.sorted_tables:
                rows = source.execute(select(table), execution_options={"yield_per": 5000}).mappings()
                for chunk in rows.partitions():
                    target.execute(insert(table), [dict(row) for row in chunk])
