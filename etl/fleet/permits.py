"""Permits in the hands of a process: blocks that its threads share, and what it does where there are none."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter, deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from etl.errors import SyncError, UnavailableError
from etl.fleet import grants
from etl.fleet.grants import SECOND, Learnt, Standing
from etl.fleet.limits import SharedRows
from etl.instants import microseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from etl.clock import Clock
    from etl.fleet.grants import Grant, Rule, Why, Wish
    from etl.fleet.limits import Rows

_JITTER_S = 0.2
_FRESH_S = 1.0
_PART_OF_LIMIT = 4
"""A block is at most this part of what a window allows: others want to send, too."""

_TOO_LATE = 8
"""So many grants in a row that came too late to be used."""


class NotGrantedError(Exception):
    """No permit, and waiting does not help: the row says why."""

    def __init__(self, why: Why, standing: Standing) -> None:
        super().__init__(why)
        self.why = why
        self.standing = standing


@dataclass(slots=True)
class _Block:
    """Permits that were granted ``at`` an instant of the tables, good until our monotonic ``use_by``."""

    left: int = 0
    at: int = 0
    ends: int | None = None
    """The end of the period in which they count."""

    use_by: float = float("-inf")


class Permits:
    """The permits of one row, for all threads of a process."""

    def __init__(self, rows: Rows, name: str, rule: Rule) -> None:
        self.rule = rule
        self._rows = rows
        self._name = name
        self._lock = threading.Lock()
        self._block = _Block()
        self._size = 1
        self._closed_until = float("-inf")
        self._answered: deque[int] = deque(maxlen=1000)
        self._answering = threading.Lock()
        self._seen: tuple[Standing, int] | None = None
        self._looked_at = float("-inf")
        self._limit: int | None = None

    @property
    def limit(self) -> int | None:
        """Requests in a window, by the last look; None before the first one."""
        return self._limit

    def take(self, wish: Wish, clock: Clock, *, title: str) -> int:
        """Wait for a permit, which is to be used at once; returned is when it was granted.

        Raises NotGrantedError where waiting does not help, InterruptedRunError, and SyncError where the
        tables cannot be asked.
        """
        late = 0
        while True:
            with self._lock:
                at, delay = self._try(wish, clock)
            if at is not None:
                return at
            late = late + 1 if delay == 0 else 0
            if late >= _TOO_LATE:
                raise UnavailableError(
                    f"{title}: the shared tables answer too slowly for a limit in {self.rule.window_s:g} s.",
                    fix="Nothing is lost; run again later. Is their server overloaded, or far away?",
                )
            if delay:
                window = f"{self._limit or wish.limit} requests per {self.rule.window_s:g} s"
                clock.wait(delay + random.uniform(0, _JITTER_S), f"{title}: limit of {window}")  # noqa: S311 -- no secret

    def answered(self, at: int) -> None:
        """The request of a permit has its answer: it is counted by whatever is asked later."""
        with self._answering:
            self._answered.append(at)

    def known(self) -> tuple[int, ...]:
        """The grants of those that have their answer."""
        with self._answering:
            return tuple(self._answered)

    def standing(self, clock: Clock, *, fresh: bool = False) -> Standing:
        """The row by the last look, one of this second if a ``fresh`` one is wanted; its ``now`` is now."""
        age_s = clock.monotonic() - self._looked_at
        if self._seen is None or (fresh and age_s >= _FRESH_S):
            self._note(self._rows.look(self._name, clock), clock)
        seen, ahead = self._seen or (Standing(0), 0)
        return grants.current(replace(seen, now=microseconds(clock.now()) + ahead), self.rule)

    def learn(self, learnt: Learnt, clock: Clock) -> None:
        """Tell all others what an answer said."""
        if learnt.pause:
            with self._lock:
                until = clock.monotonic() + learnt.pause / SECOND
                self._closed_until = max(self._closed_until, until)
        self.change(lambda row: grants.learn(row, self.rule, learnt), clock)

    def change(self, made: Callable[[Standing], Standing], clock: Clock) -> Standing:
        """Replace the row by what is ``made`` of it. Returned is that."""
        row = self._rows.change(self._name, made, clock)
        self._note(row, clock)
        return row

    def give_back(self, clock: Clock) -> None:
        """Return what was not used; who comes next begins with a small block anew. Raises SyncError."""
        with self._lock:
            self._return_the_rest(clock)
            self._block = _Block()

    def _try(self, wish: Wish, clock: Clock) -> tuple[int | None, float]:
        """The instant of a permit, or the seconds after which to try again; 0: it came too late."""
        block, now = self._block, clock.monotonic()
        if not (block.left and now < block.use_by):
            if now < self._closed_until:
                return None, self._closed_until - now
            if delay := self._refill(wish, clock):
                return None, delay
        if clock.monotonic() >= block.use_by:
            return None, 0.0
        block.left -= 1
        return block.at, 0.0

    def _refill(self, wish: Wish, clock: Clock) -> float:
        """Ask for a block. Returns 0, or the seconds after which to try again."""
        asked, block = clock.monotonic(), self._block
        ran_dry = block.left == 0 and asked < block.use_by
        self._return_the_rest(clock)
        most = min(self.rule.block, max(1, (self._limit or 1) // _PART_OF_LIMIT))
        self._size = min(2 * self._size, most) if ran_dry else 1
        count = 1 if wish.tries else self._size
        grant = self._rows.take(self._name, self.rule, replace(wish, count=count), clock)
        self._limit = grant.limit
        self._note(grant.standing, clock)
        if grant.granted:
            block.left, block.at, block.ends = grant.granted, grant.standing.now, grant.standing.period_ends
            block.use_by = asked + self.rule.use_by_s
            return 0.0
        return self._refused(grant, clock)

    def _refused(self, grant: Grant, clock: Clock) -> float:
        if grant.why in {"stop", "period"}:
            raise NotGrantedError(grant.why, grant.standing)
        delay = max(0.001, grant.retry / SECOND)
        self._closed_until = clock.monotonic() + delay
        return delay

    def _return_the_rest(self, clock: Clock) -> None:
        block, self._block.left = replace(self._block), 0
        if block.left:
            given_back = partial(
                grants.give_back, rule=self.rule, at=block.at, count=block.left, ends=block.ends
            )
            self._rows.change(self._name, given_back, clock)

    def _note(self, row: Standing, clock: Clock) -> None:
        self._seen = row, row.now - microseconds(clock.now())
        self._looked_at = clock.monotonic()


class _Desk:
    """The rows of one place, and the permits from them, as long as anybody in this process needs them."""

    def __init__(self, url: str) -> None:
        self.rows = SharedRows(url)
        self.permits: dict[str, Permits] = {}
        self.users: Counter[str] = Counter()
        self.holders = 0


_desks: dict[tuple[int, str], _Desk] = {}
_desks_lock = threading.Lock()


@contextmanager
def permits(url: str, wanted: Mapping[str, Rule], clock: Clock) -> Iterator[dict[str, Permits]]:
    """The permits of the rows of these names, shared with whoever else in this process has them.

    In the end the last of them gives back what was not used; where that cannot be, it ages out. The
    connection is kept as long as anybody is in here, be it with no name at all.
    """
    place = os.getpid(), url  # after a fork, the connection is the parent's
    with _desks_lock:
        desk = _desks.setdefault(place, _Desk(url))
        desk.holders += 1
        desk.users.update(wanted.keys())
        for name, rule in wanted.items():
            desk.permits.setdefault(name, Permits(desk.rows, name, rule))
        mine = {name: desk.permits[name] for name in wanted}
    try:
        yield mine
    finally:
        _leave(desk, place, mine, clock)


@contextmanager
def shared_rows(url: str, clock: Clock) -> Iterator[SharedRows]:
    """The rows themselves, by the connection that all in this process have."""
    with permits(url, {}, clock):
        yield _desks[os.getpid(), url].rows


def _leave(desk: _Desk, place: tuple[int, str], mine: Mapping[str, Permits], clock: Clock) -> None:
    with _desks_lock:
        desk.holders -= 1
        desk.users.subtract(mine.keys())
        unused = [each for name, each in mine.items() if not desk.users[name]]
        if not desk.holders:
            _desks.pop(place, None)
    for each in unused:
        with suppress(SyncError):
            each.give_back(clock)
    if not desk.holders:
        desk.rows.close()
