"""The place in one website's list while a window is read: page by page, with what was seen of their order.

The API knows relative ranges only, so a window is cut out of a range here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from etl.errors import UnavailableError
from etl.extract.filter import Sorted, WindowFilter
from etl.extract.listing import ListOrder
from etl.extract.rows import name
from etl.extract.windows import LONGEST, covered_by, narrowest
from etl.models.reading import Bookmark, Page, ReadResult, Window
from etl.models.summary import utc_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from etl.extract.client import Answer
    from etl.extract.endpoint import Endpoint
    from etl.extract.payload import Payload
    from etl.extract.windows import Span
    from etl.models.clocks import Clocks
    from etl.models.reading import ReadRequest

_SLACK = timedelta(hours=1)
"""What our clock may be off, and what a reading may take: the range moves on, and the window does not."""


class Cursor:
    """A pager, the order of the rows that it went by, and a filter for those of the window.

    ``whole`` says that the list was read to its end, ``from_start`` that it was read from its start.
    ``open`` comes first.
    """

    clocks: Clocks
    span: Span
    window: Window

    def __init__(self, endpoint: Endpoint, request: ReadRequest) -> None:
        self.endpoint = endpoint
        self.request = request
        self.order = ListOrder()
        self.pager = endpoint.pager()
        self.whole = False
        self.from_start = True
        self._counting = self._restarted = False
        self._longer: Span | None = None
        self._notes: dict[str, None] = {}

    @property
    def clock(self) -> datetime:
        """The source's, at the first answer."""
        return self.clocks.believed

    @property
    def begin(self) -> datetime:
        """Where the range began at the first answer."""
        return self.clocks.latest - self.span.length

    def open(self, *, start: int = 0, tail: Sequence[str] = ()) -> Answer[Payload]:
        """The first answer, in the shortest range that reaches back far enough by any clock of the source."""
        endpoint, request = self.endpoint, self.request
        since = request.since
        self._go_to(start, tail)
        self.span = narrowest(request.initial if since is None else endpoint.now() - since + _SLACK)
        answer = self._ask_the_time()
        begin = self.clock - request.initial if since is None else since
        while begin < self.begin and self.span is not LONGEST:
            self.span = narrowest(self.clocks.latest - begin + _SLACK)
            answer = self._ask_the_time()
        self.reach(begin)
        return answer

    def reach(self, since: datetime) -> None:
        """Let the window begin at ``since``."""
        clock, until = self.clock, self.request.until
        ceiling = clock + timedelta.resolution  # a row at the clock itself is in, one at ``until`` is not
        self.window = Window(since, clock if until is None else min(until, clock), self.span.range)
        last = ceiling if until is None else min(until, ceiling)
        self.filter = WindowFilter(since, last, self.endpoint.synced, self.endpoint.exclusions)

    def jump(self, start: int) -> Answer[Payload]:
        """Go to another place of the same list; what was seen of the order between them is no more."""
        self._go_to(start)
        self.order = ListOrder()
        return self._next()

    def begin_anew(self) -> Answer[Payload]:
        """Go to the start of the list, and count from nothing."""
        self._count_anew()
        return self.jump(0)

    def further(self) -> Answer[Payload] | None:
        """Go on in a range as long as the window; None where that does not go on where this one ended.

        Where some rows are out of order, others of the longer list may stand between those of this one: then
        it is begun anew.
        """
        self._longer = narrowest(self.clocks.latest - self.window.since + _SLACK)
        if self.order.is_broken:
            return self.begin_anew()
        tail = self.pager.tail
        self._go_to(self.pager.offset, tail)
        answer = self._next()
        return answer if any(name(row) in tail for row in answer.value.rows) else None

    def read(
        self, answer: Answer[Payload], *, until: Callable[[ListOrder], bool] = lambda _: False
    ) -> Iterator[Page]:
        """Page after page from ``answer`` on: to the end of the list, or ``until`` the order says so."""
        self.whole = False
        while True:
            page = self.take(answer)
            if page is not None:
                yield page
            if self.whole or until(self.order):
                return
            answer = self._next()

    def take(self, answer: Answer[Payload]) -> Page | None:
        """The page that ``answer`` makes, if there is anything new in it, or nothing before it."""
        rows = answer.value.rows
        step = self.pager.take(answer.value, [name(row) for row in rows], shrinks_at_end=self.order.holds)
        if step.note:
            self._notes[step.note] = None
        if step.recount:
            self._count_anew()
        if step.restarted:
            self.order, self.from_start = ListOrder(), True
        self.whole = step.done
        if not step.fresh and self._counting:
            return None
        found = Sorted()
        for at in step.fresh:
            seen = self.filter.put(rows[at], found)
            if seen is not None and at >= step.behind:
                self.order.look(seen)
        return self._page(found, self._bookmark() if self.request.past else None)

    def glimpse(self, bookmark: Bookmark) -> Page:
        """A page without rows, that nothing of the search is forgotten should the process end."""
        return self._page(Sorted(), bookmark)

    @property
    def lost(self) -> datetime | None:
        """Up to when rows of the window may have left the range while it was read to its end, if any have."""
        since, begin = self.request.since, self.begin + (self.endpoint.now() - self.clock)
        return begin if since is not None and self.whole and begin > since else None

    def result(self, *, swept: bool = False) -> ReadResult:
        """How the reading ended. Raises UnavailableError for lost rows that a longer range still has."""
        if not swept and self.lost:
            if self.span is not LONGEST:
                raise UnavailableError(
                    f"Rows have left the range {self.span.range} while it was read.",
                    fix="Nothing is lost; the next run reads a longer one.",
                )
            gap = f"between {utc_text(self.window.since)} and {utc_text(self.lost)} cannot be had any more"
            self._notes[f"The rows {gap}: no range of Zenovay's reaches back so far."] = None
        newest_first = self.order.newest_first if self.whole or swept else None
        return ReadResult(
            self.window,
            self.clock,
            self.request.newest_first if newest_first is None else newest_first,
            swept,
            covered_by(self.span),
            tuple(self._notes),
        )

    def _page(self, found: Sorted, bookmark: Bookmark | None) -> Page:
        restarted, self._restarted, self._counting = self._restarted, False, True
        return Page(
            window=self.window,
            clock=self.clock,
            read=found.read,
            out_of_window=found.out_of_window,
            visitors=tuple(found.visitors),
            rejections=tuple(found.rejections),
            bookmark=bookmark,
            restarted=restarted,
            clocks=self.clocks,
        )

    def _bookmark(self) -> Bookmark:
        """Where another process may go on: by the order, else by the place, else from the start."""
        pager = self.pager
        if self.order.holds:
            return Bookmark(pager.offset, pager.tail, self.order.lowest)
        return Bookmark(pager.offset, pager.tail, None) if self.from_start else Bookmark(0, (), None)

    def _go_to(self, start: int, tail: Sequence[str] = ()) -> None:
        self.pager = self.endpoint.pager(start, tail)
        self.from_start = start == 0 or bool(tail)

    def _count_anew(self) -> None:
        self._restarted, self._counting = self._counting, False

    def _next(self) -> Answer[Payload]:
        return self.endpoint.page(self._longer or self.span, self.pager)

    def _ask_the_time(self) -> Answer[Payload]:
        answer = self._next()
        self.clocks = self.endpoint.clocks(answer)
        return answer
