"""A reading of the source: what is asked, what came, and what is remembered of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from etl.models.clocks import Clocks
    from etl.models.visitor import Rejection, Visitor


@dataclass(frozen=True, slots=True)
class Window:
    """``[since, until)`` asked of the source, and the relative ``range`` that was asked to cover it."""

    since: datetime
    until: datetime
    range: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """A reading of the newest range to its end, whatever the order. Instants of the source's clock.

    ``last`` is when the one before began, ``interval`` how often one is wanted, ``read_at`` the last run.
    """

    last: datetime
    interval: timedelta
    read_at: datetime

    def is_due(self, clock: datetime) -> bool:
        """Whether the next run, as far from this one as this one is from the last, would be too late."""
        pause = min(max(clock - self.read_at, timedelta(0)), self.interval / 24)
        return clock + pause > self.last + self.interval


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a backfill has come, so that another process can go on from there.

    ``offset`` is the place in the list, ``tail`` names the rows read last; while the place is still searched
    for it is empty. Where the list is newest first, every row of the window that was last seen after
    ``reached`` is absorbed; None where no order helps.
    """

    offset: int
    tail: tuple[str, ...]
    reached: datetime | None


@dataclass(frozen=True, slots=True)
class Backfill:
    """A backfill that has begun: its window, how far it has come, and the requests that it has cost."""

    number: int
    since: datetime
    until: datetime
    started: datetime
    bookmark: Bookmark | None
    requests: int


@dataclass(frozen=True, slots=True)
class KnownWebsite:
    """What the state holds of a website. All instants are of the source's clock.

    ``swept`` is the last reading of the whole newest range, ``newest_first`` the order in which a list that
    was read to its end held the website's rows; None: there were too few of them to say so. ``read_at``, of
    our own clock, is when the last reading began whose window is in the state to its end.
    """

    id: int
    watermark: datetime | None = None
    swept: datetime | None = None
    newest_first: bool | None = None
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What an earlier run was answered ``at`` an instant of the source's clock, when it asked for ``range``.

    ``rows`` came in all. ``degraded`` says why that was not believed, if it was not.
    """

    at: datetime
    range: str
    rows: int
    degraded: str | None


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What is asked of the source: a ``Window``, but for what only the source's clock tells.

    Without ``since`` the window begins ``initial`` before that clock, without ``until`` it ends at it.
    ``newest_first`` is the order as earlier readings saw it, ``sweep`` the daily reading of everything.
    ``past``: the window lies anywhere in the past, so that its place in the list has to be found;
    ``bookmark`` is how far an earlier reading of the same window had come.
    """

    website: str
    since: datetime | None = None
    until: datetime | None = None
    initial: timedelta = timedelta(days=30)
    newest_first: bool | None = None
    sweep: Sweep | None = None
    past: bool = False
    bookmark: Bookmark | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What one page of the source held. ``clock`` is the source's own, at the start of the reading.

    ``read`` = ``out_of_window`` + len(``visitors``) + len(``rejections``). ``visitors`` has one entry per
    valid row inside the window, so an id may occur more than once. Rows that an earlier page held are left
    out, unless the reading had to begin anew: then ``restarted`` says that this is again the first page.
    ``bookmark`` is where a backfill stands behind the page, ``clocks`` are those of the first answer.
    """

    window: Window
    clock: datetime
    read: int
    out_of_window: int
    visitors: tuple[Visitor, ...]
    rejections: tuple[Rejection, ...]
    bookmark: Bookmark | None = None
    restarted: bool = False
    clocks: Clocks | None = None

    @property
    def doubt(self) -> str | None:
        """A sentence on what the source says of the time and is not believed."""
        return self.clocks.doubt if self.clocks else None


@dataclass(frozen=True, slots=True)
class ReadResult:
    """How a reading came to its end, behind its last page: every row of the window that there was is read.

    ``newest_first`` is the order in which the rows came, or as it was known before. ``swept``: the newest
    range was read to its end, whatever the order. ``ranges`` are those that the window's one covers, itself
    and shorter ones. ``notes`` are what somebody should know of the source.
    """

    window: Window
    clock: datetime
    newest_first: bool | None = None
    swept: bool = False
    ranges: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quota:
    """The requests of a month that an API allows: ``used`` so far, anew at ``resets_at``.

    ``limit`` is the API's own word, None where it has said nothing. ``ahead`` is how far the API's clock,
    by which ``resets_at`` is meant, is ahead of ours.
    """

    used: int
    limit: int | None
    resets_at: datetime
    ahead: timedelta = timedelta(0)
