"""Paging through a list that moves while it is read: which page to ask for next, and what of it is new.

Rows arrive and expire between any two requests, so the same offset does not mean the same row. Each page
therefore begins with the last row of the page before; where that row, or another one read before, is not in
it, rows have slipped past, and the pager steps back until two pages meet again. So no row that is in the list
from the first request to the last is missed, in whatever order the list is. The rows of a page that meets no
other are taken at once: a server that gives one page after the other, whatever is asked, gives them but once.

Pure: no HTTP, and no idea of what a row means.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from etl.errors import ContractBrokenError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.extract.payload import Payload

Dialect = Literal["offset", "page"]

_LARGEST = {"offset": 1000, "page": 100}
_PARAMETER = {"offset": "offset", "page": "page"}
_OTHER = {"offset": "page", "page": "offset"}

_SMALLEST = 2
"""One row to recognise, and one to get on."""

_REMEMBERED = 10_000
"""So many of the rows read last are recognised when they come again; at least four pages of them."""

_MOST_IDLE = 24
"""So many pages in a row may fail to get on in the list: each steps back four times as far."""

_UNMISTAKABLE = 10
"""A page of so many rows does not come twice by chance: then the server ignores the place asked for."""

_SMALLEST_CUT = 50

TAIL = 20
"""So many rows are enough to find the place again in another process."""


class Place(NamedTuple):
    """Where a page begins, in rows from the start of the list, its size, and the parameters for both."""

    offset: int
    size: int
    params: dict[str, str]


def place(dialect: Dialect, offset: int, size: int, *, beyond: int) -> Place:
    """A page of up to ``size`` rows that begins at ``offset``, and has a row at ``beyond`` or behind it.

    Whole pages begin at multiples of their size: there the size is chosen with which a page begins at
    ``offset`` or before it, and reaches as far as can be; where no size does, it begins at ``beyond``.
    """
    if dialect == "offset":
        return Place(offset, size, {"limit": str(size), "offset": str(offset)})
    start, per_page = max(
        (
            (begin // per_page * per_page, per_page)
            for per_page in range(1, size + 1)
            for begin in (offset, beyond)
            if begin // per_page * per_page + per_page > beyond
        ),
        key=lambda fit: (fit[0] < beyond, sum(fit), fit[0]),
    )
    return Place(start, per_page, {"page": str(start // per_page + 1), "per_page": str(per_page)})


@dataclass(frozen=True, slots=True)
class Step:
    """What a page brought.

    ``fresh`` are the positions of rows that were not read before, ``behind`` is the position from which rows
    lie behind all that was read before. ``restarted`` marks the first page of a list that had to be begun
    anew, and ``recount`` says that all of it is fresh once more, as some that was read before is forgotten.
    ``note`` is what somebody should know of this server.
    """

    fresh: Sequence[int] = ()
    behind: int = 0
    done: bool = False
    restarted: bool = False
    recount: bool = False
    note: str | None = None


class _Recent:
    """The names of the rows that were read last, in the order in which they came."""

    def __init__(self, names: Sequence[str], *, most: int) -> None:
        self._most = most
        self._order: deque[str] = deque()
        self._names: set[str] = set()
        self.has_forgotten = False
        self.add(names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def __bool__(self) -> bool:
        return bool(self._order)

    def add(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._names:
                self._names.add(name)
                self._order.append(name)
        while len(self._order) > self._most:
            self._names.discard(self._order.popleft())
            self.has_forgotten = True

    def last(self, count: int) -> tuple[str, ...]:
        return tuple(self._order)[-count:]


class Pager:
    """The place in one list.

    With a ``pagination`` block, ``has_more`` decides, but for a page that is full to a limit of the server's
    own which is smaller than what was asked: some servers reckon with the number asked for. Without a block
    the end shows in an empty page, or in one that brings nothing new: then the server may not page at all.
    """

    def __init__(
        self, dialect: Dialect, *, size: int, where: str, start: int = 0, tail: Sequence[str] = ()
    ) -> None:
        """Begins at ``start``; ``tail`` names the rows that were read before it, the last one last."""
        self._dialect = dialect
        self._size = max(_SMALLEST, min(size, _LARGEST[dialect]))
        self._where = where
        self._overlap = 1
        self._frontier = start + min(1, len(tail))
        self._back = 0
        self._pages = self._idle = self._longest = 0
        self._doubted = False
        self._recent, self._astray = self._memory(4, tail), self._memory(_MOST_IDLE)
        self._last = tail[-1] if tail else None
        self._previous: tuple[Sequence[str], int] = ((), 0)

    @property
    def size(self) -> int:
        """Rows in a page."""
        return self._size

    @property
    def offset(self) -> int:
        """Where the next page begins."""
        return self._place().offset

    @property
    def params(self) -> dict[str, str]:
        """The query parameters of the next page."""
        return self._place().params

    @property
    def tail(self) -> tuple[str, ...]:
        """The names of the rows that were read last."""
        return self._recent.last(TAIL)

    def take(self, payload: Payload, names: Sequence[str], *, shrinks_at_end: bool) -> Step:
        """Move behind ``payload``, whose rows have these ``names``.

        ``shrinks_at_end`` says that rows leave the list only at its end, so that an empty page is the end.
        The server may cap the page size, so a page shorter than asked is not the last. Raises
        ContractBrokenError for pages that would never end, UnavailableError where rows move faster than they
        can be read.
        """
        asked = self._place()
        if self._is_repeated(payload, names, asked):
            raise self._repeating()
        if not names and (asked.offset == 0 or shrinks_at_end or payload.has_more):
            return self._end(payload)
        overlap_at = self._overlap_at(names)
        if overlap_at is None and 0 < asked.offset < self._frontier and self._recent:
            return self._step_back(names)
        return self._step(payload, names, asked=asked, overlap_at=overlap_at)

    def _place(self) -> Place:
        if not self._recent:
            return place(self._dialect, self._frontier, self._size, beyond=self._frontier)
        offset = max(0, self._frontier - self._overlap - self._back)
        beyond = offset + 1 if self._back else self._frontier
        return place(self._dialect, offset, self._size, beyond=beyond)

    def _overlap_at(self, names: Sequence[str]) -> int | None:
        """The position of the last row that was read before; None where no such row is in the page."""
        if self._last is not None and self._last in names:
            return names.index(self._last)
        return max((at for at, name in enumerate(names) if name in self._recent), default=None)

    def _step_back(self, names: Sequence[str]) -> Step:
        """Look for where the pages meet. The rows of this one are new all the same: it may not come again."""
        self._idle += 1
        if self._idle > _MOST_IDLE:
            raise UnavailableError(
                f"{self._where}: the rows move faster than they can be read.",
                fix="Nothing is lost; run again later.",
            )
        self._back = max(4 * self._overlap, 4 * self._back)
        fresh = self._fresh(names)
        self._astray.add(names)
        return Step(fresh, behind=len(names))

    def _memory(self, pages: int, names: Sequence[str] = ()) -> _Recent:
        return _Recent(names, most=max(_REMEMBERED, pages * self._size))

    def _fresh(self, names: Sequence[str]) -> list[int]:
        return [at for at, name in enumerate(names) if name not in self._recent and name not in self._astray]

    def _step(self, payload: Payload, names: Sequence[str], *, asked: Place, overlap_at: int | None) -> Step:
        restarted = overlap_at is None and bool(self._recent) and asked.offset == 0
        recount = restarted and (self._recent.has_forgotten or self._astray.has_forgotten)
        if recount:
            self._recent, self._astray = self._memory(4), self._memory(_MOST_IDLE)
        fresh = self._fresh(names)
        behind = 0 if overlap_at is None else overlap_at + 1
        gets_on, stepped_back = len(names) > behind, bool(self._back)
        if stepped_back:
            self._overlap = max(self._overlap, min(2 * self._back, self._size // 2))
            self._back = 0
        self._idle = 0 if gets_on and not restarted else self._idle + 1
        self._longest = max(self._longest, len(names))
        self._keep_to_the_cap(payload, len(names), asked)
        self._frontier = asked.offset + len(names)
        done = self._is_done(payload, names, asked=asked, gets_on=gets_on, stepped_back=stepped_back)
        note = self._note(payload, names, gets_on=gets_on, asked=asked)
        self._doubted = payload.has_more is False and not done
        if names:
            self._last = names[-1]
        self._recent.add(names)
        self._previous = (names, asked.offset)
        self._pages += 1
        return Step(fresh, behind, done=done, restarted=restarted, recount=recount, note=note)

    def _note(self, payload: Payload, names: Sequence[str], *, gets_on: bool, asked: Place) -> str | None:
        if self._doubted and gets_on:
            return (
                f"Zenovay gives {payload.limit} rows in a page, and says that none follow where some do. They"
                f" were read all the same; with ZENOVAY_PAGE_SIZE={payload.limit} it may say so rightly."
            )
        cut = names == self._previous[0] and (len(names) >= asked.size or _is_round(len(names)))
        if self._pages and cut and payload.has_more is not True:
            return (
                f"Zenovay does not page: it gave the same {len(names)} rows twice. The list may have been cut"
                " there; what it holds beyond them cannot be had in this range."
            )
        return None

    def _keep_to_the_cap(self, payload: Payload, count: int, asked: Place) -> None:
        """Whole pages begin where the server's own size says, should it be smaller than ours.

        Pages of a single row cannot overlap.
        """
        if self._pages or not (payload.has_more or _is_full(payload, count, asked)):
            return
        if count == 1:
            self._overlap = 0
        elif self._dialect == "page":
            self._size = max(_SMALLEST, min(self._size, count))

    def _is_done(
        self, payload: Payload, names: Sequence[str], *, asked: Place, gets_on: bool, stepped_back: bool
    ) -> bool:
        if payload.has_more is not None:
            if payload.has_more and self._idle > _MOST_IDLE:
                raise self._repeating()
            return not payload.has_more and not (gets_on and _is_full(payload, len(names), asked))
        if gets_on:
            return False
        is_short = len(names) < min(self._longest, asked.size)
        return is_short or names == self._previous[0] or (self._idle > 1 and not stepped_back)

    def _end(self, payload: Payload) -> Step:
        if payload.has_more:
            raise ContractBrokenError(
                f"{self._where}: page {self._pages + 1} is empty and says that more follow.",
                fix="Nothing is lost; run again later, and tell Zenovay if it stays so.",
            )
        return Step(done=True)

    def _is_repeated(self, payload: Payload, names: Sequence[str], asked: Place) -> bool:
        """The page of before at another place, unless the list may just have moved by as much."""
        previous, before = self._previous
        if not names or names != previous or asked.offset == before or self._back:
            return False
        is_told = payload.has_more is not None and not self._doubted
        return is_told and (self._idle > 0 or len(names) >= _UNMISTAKABLE)

    def _repeating(self) -> ContractBrokenError:
        parameter, other = _PARAMETER[self._dialect], _OTHER[self._dialect]
        return ContractBrokenError(
            f"{self._where}: a repeating page; page {self._pages + 1} holds the rows of an earlier page, "
            f"so the server ignores the parameter {parameter}.",
            fix=f"Set ZENOVAY_PAGING={other}.",
        )


def _is_full(payload: Payload, count: int, asked: Place) -> bool:
    """Whether a page holds all that the server gives in one, and that is less than was asked for."""
    return payload.limit is not None and payload.limit < asked.size and count >= payload.limit


def _is_round(count: int) -> bool:
    """Whether a list of so many rows looks as if it were cut: 50, 60 or 100, say."""
    return count >= _SMALLEST_CUT and count % 10 == 0
