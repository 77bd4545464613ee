"""One reading of a window: which pages are asked for, and when enough of them are read.

The API knows relative ranges only, so a window is cut out of a range here. Reading the whole range every
five minutes would eat the month, so the order in which the rows are listed is made use of, as far as it has
been seen: newest first, a page that reaches behind the window is the last one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Self

from etl.extract.forecast import announce
from etl.extract.listing import Descent
from etl.extract.rows import name
from etl.extract.search import Search
from etl.extract.sieve import Sieve, instants
from etl.extract.windows import LONGEST, SHORTEST, covered_by, narrowest
from etl.models.reading import Ending, Mark, Page, Window

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from datetime import datetime

    from etl.extract.client import Answer
    from etl.extract.paging import Step, Walk
    from etl.extract.payload import Payload
    from etl.extract.visitors import ZenovayList
    from etl.extract.windows import Span
    from etl.models.clocks import Clocks
    from etl.models.reading import Reading

_SLACK = timedelta(seconds=60)
"""What our clock may be off, and what a short reading takes; for a longer one is made up at its end."""

LATE = timedelta(hours=4)
"""A sweep reaches so far behind the one before, for rows that arrived late."""

_SAMPLE = 5
"""Rows of one look of a search: enough to see their order."""

_MOST_STEPS_BACK = 5

_NEAR = 3
"""To so many pages ahead a search is not worth its looks."""


class Extraction:
    """The pages of one reading. After the last one, ``ending`` says what was read.

    ``clocks`` are those of its first answer.
    """

    def __init__(self, rows: ZenovayList, reading: Reading) -> None:
        self.ending: Ending | None = None
        self._rows = rows
        self._reading = reading
        self._made_before = rows.client.requests
        self._descent = Descent(reading.listing)
        self._begun = False
        self._restarted = False
        self._from_start = True
        self._whole = False
        self._notes: dict[str, None] = {}
        self._pages = self._past() if reading.past else self._newest()
        self.clocks: Clocks
        self._span: Span
        self._clock: datetime
        self._ahead: timedelta
        self._window: Window
        self._sieve: Sieve
        self._last: Walk

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Page:
        return next(self._pages)

    def _newest(self) -> Iterator[Page]:
        """The newest rows: all of the range on the first run and in a sweep, else as many as it takes."""
        walk = self._walk()
        answer = self._open(walk)
        sweep = self._reading.sweep
        sweeping = sweep is not None and self._span is SHORTEST and sweep.is_due(self._clock)
        if sweep and sweeping:
            self._reach_back(to=sweep.last - LATE)
        stop = self._window.since if self._reading.listing.newest_first and not sweeping else None
        yield from self._read(walk, answer, stop=stop)
        whole = self._whole
        made_up = not sweeping and (yield from self._make_up())
        if sweeping and self._window.since < self._everything():
            yield from self._read_further(walk)
        swept = whole and (sweeping or self._reading.since is None)
        reaches_back = whole and not sweeping and not made_up
        self._end(self._everything() if reaches_back else self._window.since, swept=swept)

    def _past(self) -> Iterator[Page]:
        """A window that lies anywhere in the past: its own pages, if the order tells where they are."""
        mark = self._reading.mark
        if mark is not None and mark.reached is None:
            walk = self._walk(start=mark.offset, tail=mark.tail)
            answer = self._open(walk)
            self._announce(None, walk)
            yield from self._read(walk, answer, stop=None)
        else:
            yield from self._seek(start=mark.offset if mark else 0)
            if not self._whole and not self._descent.has_passed(self._window.since):
                yield from self._read_everything()
        made_up = yield from self._make_up()
        self._end(self._moved_to() if self._whole and not made_up else self._window.since)

    def _read(
        self, walk: Walk, answer: Answer[Payload], *, stop: datetime | None, span: Span | None = None
    ) -> Iterator[Page]:
        """Page after page: to the end of the list, or until all that follows is older than ``stop``."""
        self._last = walk
        while True:
            step, page = self._take(walk, answer.value)
            if page is not None:
                yield page
            if step.done:
                self._whole = True
                return
            if stop is not None and self._descent.has_passed(stop):
                return
            answer = self._rows.page(span or self._span, walk)

    def _take(self, walk: Walk, payload: Payload) -> tuple[Step, Page | None]:
        """The page that ``payload`` makes, if there is anything new in it, or nothing before it."""
        names = [name(row) for row in payload.rows]
        step = walk.take(payload, names, sinks=self._descent.holds)
        if step.note:
            self._notes[step.note] = None
        if step.restarted:
            self._begin_anew()
        if not step.fresh and self._begun:
            return step, None
        found = self._sieve.sort(payload.rows, names, step, self._descent)
        self._begun, restarted, self._restarted = True, self._restarted, False
        page = Page(
            window=self._window,
            clock=self._clock,
            read=found.read,
            out_of_window=found.out_of_window,
            visitors=tuple(found.visitors),
            rejections=tuple(found.rejections),
            mark=self._mark(walk) if self._reading.past else None,
            restarted=restarted,
            doubt=self.clocks.doubt,
        )
        return step, page

    def _mark(self, walk: Walk) -> Mark:
        """Where another process may go on: by the order, else by the place, else from the start."""
        if self._descent.holds:
            return Mark(walk.offset, walk.tail, self._descent.lowest)
        return Mark(walk.offset, walk.tail, None) if self._from_start else Mark(0, (), None)

    def _reach_back(self, to: datetime) -> None:
        """Widen the window to the whole range; and further, if the order allows to stop behind ``to``."""
        reach = to if self._reading.listing.newest_first else self._everything()
        self._set_window(min(self._window.since, max(reach, self._clock - LONGEST.length)))

    def _read_further(self, walk: Walk) -> Iterator[Page]:
        """Go on behind the range that was read, in a longer one, as far as the window reaches.

        If that cannot be, then the window ends with the shorter one.
        """
        span = narrowest(self._clock + self._ahead - self._window.since + _SLACK)
        if not (yield from self._read_on(walk, span)):
            self._set_window(self._everything())

    def _read_on(self, walk: Walk, span: Span) -> Generator[Page, None, bool]:
        """Read on behind ``walk`` in a longer range, to the start of the window.

        Returns false where the order did not hold, or the longer list does not go on where the shorter one
        ended.
        """
        if not self._descent.holds:
            return False
        further = self._walk(start=walk.offset, tail=walk.tail)
        answer = self._rows.page(span, further)
        if not any(name(row) in walk.tail for row in answer.value.rows):
            return False
        yield from self._read(further, answer, stop=self._window.since, span=span)
        return True

    def _make_up(self) -> Generator[Page, None, bool]:
        """Read what has left the range while it was read: the range moves on, and the window does not.

        Returns whether there can be any such row.
        """
        if not self._whole or self._reading.since is None or self._moved_to() <= self._window.since:
            return False
        if self._span is LONGEST:
            return False
        self._span = narrowest(self._rows.now() + self._ahead - self._window.since + _SLACK)
        self._set_window(self._window.since)
        if not (yield from self._read_on(self._last, self._span)):
            yield from self._read_everything()
        return True

    def _seek(self, *, start: int) -> Iterator[Page]:
        """Find the first page of the window, and read on until a page reaches behind it.

        Ends before that where the rows turn out not to be listed newest first.
        """
        walk = self._walk(start=start)
        answer = self._open(walk)
        if start and not self._begins_before_the_window(answer):
            start, walk = 0, self._walk()  # rows have gone from the front of the list
            answer = self._rows.page(self._span, walk)
        self._from_start = start == 0
        seen = instants(answer.value.rows)
        if answer.value.has_more is False or not seen:
            is_all = answer.value.has_more is False or not answer.value.rows
            self._announce(0 if is_all else None, walk)
            yield from self._read(walk, answer, stop=self._window.since)
            return
        mark = self._reading.mark
        search = Search(
            ceiling=self._ceiling(),
            size=walk.size,
            start=start,
            seen=seen,
            goes_on=mark is not None and not mark.tail,
            past=mark.past if mark and start else None,
        )
        is_before = search.is_orderly and seen[-1] >= self._ceiling() and self._is_far(search, walk)
        if is_before:
            _, page = self._take(walk, answer.value)
            if page is not None:
                yield page
            yield from self._look_around(search, {name(row) for row in answer.value.rows})
        self._announce(search.rows_until(self._window.since) if search.is_orderly else None, walk)
        if is_before and search.is_orderly:
            walk, answer = self._arrive(search, walk, start)
        elif is_before:
            return
        yield from self._read_in_order(walk, answer)

    def _is_far(self, search: Search, walk: Walk) -> bool:
        """Whether to search for the window is cheaper than to read on to it, as far as one page can tell."""
        rows = search.rows_until(self._ceiling())
        return rows is None or rows > _NEAR * walk.size

    def _read_in_order(self, walk: Walk, answer: Answer[Payload]) -> Iterator[Page]:
        """As ``_read``, but give up as soon as the order breaks, unless nothing was left out so far."""
        for page in self._read(walk, answer, stop=self._window.since):
            yield page
            if self._descent.is_broken and not self._from_start:
                break
        self._whole = self._whole and self._from_start

    def _look_around(self, search: Search, first: set[str]) -> Iterator[Page]:
        """Let ``search`` look until it knows; a server that always shows the ``first`` page has no order.

        Each look makes a page without rows, so that neither the place nor the request is forgotten should the
        process end.
        """
        while search.is_orderly and (offset := search.offset) is not None:
            at, rows = self._rows.sample(self._span, offset, _SAMPLE)
            seen = instants(rows)
            if rows and (not seen or name(rows[0]) in first):
                search.is_orderly = False
            else:
                search.look(at, seen)
            yield self._glimpse(search)

    def _glimpse(self, search: Search) -> Page:
        reached = self._ceiling() - timedelta.resolution
        mark = Mark(search.start, (), reached, search.past) if search.is_orderly else Mark(0, (), None)
        return Page(
            window=self._window,
            clock=self._clock,
            read=0,
            out_of_window=0,
            visitors=(),
            rejections=(),
            mark=mark,
            doubt=self.clocks.doubt,
        )

    def _arrive(self, search: Search, walk: Walk, start: int) -> tuple[Walk, Answer[Payload]]:
        """The walk that begins at the page which ``search`` has found, and that page."""
        if search.start != start:
            walk = self._walk(start=search.start)
            self._descent, self._from_start = Descent(self._reading.listing), False
        answer = self._rows.page(self._span, walk)
        for _ in range(_MOST_STEPS_BACK):
            if search.start == start or self._begins_before_the_window(answer):
                break
            search.start = max(start, search.start - walk.size)
            walk = self._walk(start=search.start)
            answer = self._rows.page(self._span, walk)
        return walk, answer

    def _begins_before_the_window(self, answer: Answer[Payload]) -> bool:
        seen = instants(answer.value.rows)
        return bool(seen) and seen[0] >= self._ceiling()

    def _announce(self, rows: int | None, walk: Walk) -> None:
        made = self._rows.client.requests - self._made_before
        announce(self._rows.client, website=self._reading.website, rows=rows, page=walk.size, made=made)

    def _read_everything(self) -> Iterator[Page]:
        """From the start to the end of the list, counting anew."""
        self._begin_anew()
        self._from_start = True
        walk = self._walk()
        yield from self._read(walk, self._rows.page(self._span, walk), stop=None)

    def _begin_anew(self) -> None:
        self._restarted = self._begun
        self._begun = False
        self._descent = Descent(self._reading.listing)

    def _walk(self, *, start: int = 0, tail: Sequence[str] = ()) -> Walk:
        return self._rows.walk(start=start, tail=tail)

    def _open(self, walk: Walk) -> Answer[Payload]:
        """The first answer, in the shortest range that reaches back far enough by any clock of the source."""
        reading = self._reading
        since = reading.since
        self._span = narrowest(reading.initial if since is None else self._rows.now() - since + _SLACK)
        answer = self._ask_the_time(walk)
        begin = self._clock - reading.initial if since is None else since
        while self._clock + self._ahead - begin > self._span.length and self._span is not LONGEST:
            self._span = narrowest(self._clock + self._ahead - begin + _SLACK)
            answer = self._ask_the_time(walk)
        self._set_window(begin)
        return answer

    def _ask_the_time(self, walk: Walk) -> Answer[Payload]:
        """A first answer; ``_ahead`` is how much later than ``_clock`` the range that it covers may end."""
        answer = self._rows.page(self._span, walk)
        self.clocks = self._rows.clocks(answer)
        self._clock = self.clocks.believed
        self._ahead = self.clocks.latest - self._clock
        return answer

    def _set_window(self, since: datetime) -> None:
        clock, until = self._clock, self._reading.until
        ceiling = clock + timedelta.resolution  # a row at the clock itself is in, one at ``until`` is not
        self._window = Window(since, clock if until is None else min(until, clock), self._span.range)
        self._sieve = Sieve(since=since, ceiling=ceiling if until is None else min(until, ceiling))

    def _everything(self) -> datetime:
        """Where the range begins."""
        return self._clock + self._ahead - self._span.length

    def _moved_to(self) -> datetime:
        """Where the range begins by now."""
        return self._rows.now() + self._ahead - self._span.length

    def _ceiling(self) -> datetime:
        """Rows from here on are too new to be looked for, or an earlier process has read them."""
        mark = self._reading.mark
        if mark is None or mark.reached is None:
            return self._sieve.ceiling
        return min(self._sieve.ceiling, mark.reached + timedelta.resolution)

    def _end(self, horizon: datetime, *, swept: bool = False) -> None:
        listing = self._descent.listing(whole=self._whole)
        ranges = covered_by(self._span)
        self.ending = Ending(self._window, self._clock, horizon, listing, swept, ranges, tuple(self._notes))
