"""A process that ends at a chosen instant, played inside this one."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from fakes import FakeClock, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from etl.pipeline.ports import Transaction
    from etl.state.store import Store


class Killed(BaseException):
    """The process ends here: nothing that catches errors may catch this."""


class MortalStore:
    """Dies at its n-th commit, right before or right after it."""

    def __init__(self, store: Store, *, commits: int, after: bool) -> None:
        self._store = store
        self._commits = commits
        self._after = after

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._commits -= 1
        with self._store.transaction() as state:
            yield state
            if self._commits == 0 and not self._after:
                raise Killed
        if self._commits == 0:
            raise Killed

    def reading(self) -> AbstractContextManager[Transaction]:
        return self._store.reading()

    def take_notes(self) -> tuple[str, ...]:
        return self._store.take_notes()


@cache
def empty_state() -> Path:
    path = Path(mkdtemp()) / "state.db"
    with opened(f"sqlite:///{path}", FakeClock()):
        pass
    return path
