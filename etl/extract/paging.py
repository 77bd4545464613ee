"""Walking through a list that moves while it is read: which page to ask for next, and what of it is new.

Rows arrive and expire between any two requests, so the same offset does not mean the same row. Each page
therefore begins with the last row of the page before; where that row, or another one read before, is not in
it, rows have slipped past, and the walk steps back until two pages meet again. So no row that is in the list
from the first request to the last is missed, in whatever order the list is.

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

_WIDEST_SEAM = 16
"""Where pages are whole, the seam may be wider than asked, so that a nearly full page fits behind it."""

_MOST_MISSES = 24
_MOST_STALLS = 8
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

    Whole pages begin at multiples of their size: there a size is chosen so that the page begins before
    ``beyond``, about at ``offset``, and reaches as far as can be; where no size does, at ``beyond``.
    """
    if dialect == "offset":
        return Place(offset, size, {"limit": str(size), "offset": str(offset)})
    start, per_page = max(
        (
            (start, per_page)
            for start in range(max(0, offset - _WIDEST_SEAM), beyond + 1)
            for per_page in range(1, size + 1)
            if start % per_page == 0 and start + per_page > beyond
        ),
        key=lambda fit: (fit[0] < beyond, fit[0] + fit[1], fit[0]),
    )
    return Place(start, per_page, {"page": str(start // per_page + 1), "per_page": str(per_page)})


@dataclass(frozen=True, slots=True)
class Step:
    """What a page brought.

    ``fresh`` are the positions of rows that were not read before, ``behind`` is the position from which rows
    lie behind all that was read before. ``linked`` is false for a page that does not meet the one before: it
    is to be dropped. ``restarted`` marks the first page of a walk that had to begin anew. ``note`` is what
    somebody should know of this server.
    """

    fresh: Sequence[int] = ()
    behind: int = 0
    linked: bool = True
    done: bool = False
    restarted: bool = False
    note: str | None = None


class _Recent:
    """The names of the rows that were read last, in the order in which they came."""

    def __init__(self, names: Sequence[str], *, most: int) -> None:
        self._most = most
        self._order: deque[str] = deque()
        self._names: set[str] = set()
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

    def last(self, count: int) -> tuple[str, ...]:
        return tuple(self._order)[-count:]


class Walk:
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
        self._misses = self._stalls = self._repeats = self._pages = 0
        self._longest = 0
        self._doubted = False
        self._recent = _Recent(tail, most=max(_REMEMBERED, 4 * self._size))
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

    def take(self, payload: Payload, names: Sequence[str], *, sinks: bool) -> Step:
        """Move behind ``payload``, whose rows have these ``names``.

        ``sinks`` says that rows leave the list only at its end, so that an empty page is the end. The server
        may cap the page size, so a page shorter than asked is not the last. Raises ContractBrokenError for
        pages that would never end, UnavailableError where rows move faster than they can be read.
        """
        asked = self._place()
        self._refuse_repetition(payload, names, asked.offset)
        if not names and (asked.offset == 0 or sinks or payload.has_more):
            return self._end(payload)
        seam = self._seam(names)
        if seam is None and 0 < asked.offset < self._frontier and self._recent:
            return self._step_back()
        return self._step(payload, names, asked=asked, seam=seam)

    def _place(self) -> Place:
        if not self._recent:
            return place(self._dialect, self._frontier, self._size, beyond=self._frontier)
        offset = max(0, self._frontier - self._overlap - self._back)
        beyond = offset + 1 if self._back else self._frontier
        return place(self._dialect, offset, self._size, beyond=beyond)

    def _seam(self, names: Sequence[str]) -> int | None:
        """The position of the last row that was read before; None where no such row is in the page."""
        if self._last is not None and self._last in names:
            return names.index(self._last)
        return max((at for at, name in enumerate(names) if name in self._recent), default=None)

    def _step_back(self) -> Step:
        self._misses += 1
        if self._misses > _MOST_MISSES:
            raise UnavailableError(
                f"{self._where}: the rows move faster than they can be read.",
                fix="Nothing is lost; run again later.",
            )
        self._back = max(4 * self._overlap, 4 * self._back)
        return Step(linked=False)

    def _step(self, payload: Payload, names: Sequence[str], *, asked: Place, seam: int | None) -> Step:
        restarted = seam is None and bool(self._recent) and asked.offset == 0
        fresh = [at for at, name in enumerate(names) if name not in self._recent]
        behind = 0 if seam is None else seam + 1
        if self._back:
            self._overlap = max(self._overlap, min(2 * self._back, self._size // 2))
            self._back = 0
        self._longest = max(self._longest, len(names))
        is_new = len(names) > behind
        self._keep_to_the_cap(payload, len(names), asked)
        self._frontier = asked.offset + len(names)
        self._stalls = 0 if is_new else self._stalls + 1
        done = self._is_done(payload, names, is_new=is_new, asked=asked)
        note = self._note(payload, names, is_new=is_new, asked=asked)
        self._doubted = payload.has_more is False and not done
        if names:
            self._last = names[-1]
        self._recent.add(names)
        self._previous = (names, asked.offset)
        self._pages += 1
        return Step(fresh, behind, done=done, restarted=restarted, note=note)

    def _note(self, payload: Payload, names: Sequence[str], *, is_new: bool, asked: Place) -> str | None:
        if self._doubted and is_new:
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

    def _is_done(self, payload: Payload, names: Sequence[str], *, is_new: bool, asked: Place) -> bool:
        if payload.has_more is not None:
            if payload.has_more and self._stalls > _MOST_STALLS:
                raise self._repeating()
            return not payload.has_more and not (is_new and _is_full(payload, len(names), asked))
        if is_new:
            return False
        is_short = len(names) < min(self._longest, asked.size)
        return is_short or names == self._previous[0] or self._stalls > 1

    def _end(self, payload: Payload) -> Step:
        if payload.has_more:
            raise ContractBrokenError(
                f"{self._where}: page {self._pages + 1} is empty and says that more follow.",
                fix="Nothing is lost; run again later, and tell Zenovay if it stays so.",
            )
        return Step(done=True)

    def _refuse_repetition(self, payload: Payload, names: Sequence[str], asked: int) -> None:
        """The page of before at another place, unless the list may just have moved by as much."""
        previous, before = self._previous
        if not names or names != previous or asked == before or self._back:
            self._repeats = 0
            return
        self._repeats += 1
        if (
            payload.has_more is not None
            and not self._doubted
            and (self._repeats > 1 or len(names) >= _UNMISTAKABLE)
        ):
            raise self._repeating()

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
