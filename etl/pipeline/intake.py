"""What comes in: pages of the source, one read ahead while another is absorbed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from etl.errors import SyncError
from etl.models.reading import ReadResult
from etl.pipeline.absorb import absorb
from etl.pipeline.ending import as_bug
from etl.pipeline.forgetting import without_forgotten
from etl.pipeline.window import is_suspect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor, Future
    from datetime import datetime

    from etl.models.reading import KnownWebsite, Page, Window
    from etl.pipeline.absorb import Renewed
    from etl.pipeline.books import Books
    from etl.pipeline.order import Order
    from etl.pipeline.ports import Source, Store
    from etl.pipeline.window import OpenWindow


@dataclass(slots=True)
class Intake:
    """The reading of one window.

    Rows from before ``kept_since`` are out of it: who was seen then was taken off the state, but for sums.
    ``next`` is the page that is being read; None once there is none to come. ``failure`` is what ended the
    reading, or keeps the watermark where it is. ``seen`` is the window as the source answered it.
    """

    order: Order
    source: Source
    store: Store
    books: Books
    window: OpenWindow
    website: KnownWebsite
    kept_since: datetime | None = None
    next: Future[Page | ReadResult] | None = field(init=False, default=None)
    failure: SyncError | None = field(init=False, default=None)
    seen: Window | None = field(init=False, default=None)
    warnings: list[str] = field(init=False, default_factory=list)
    _pages: Iterator[Page | ReadResult] = field(init=False)
    _requests_before: int = field(init=False)

    def __post_init__(self) -> None:
        self._requests_before = self.source.requests

    @property
    def requests(self) -> int:
        """HTTP requests to the source, retries included."""
        return self.source.requests - self._requests_before

    def begin(self, threads: Executor) -> None:
        """Let the first page be read."""
        self._pages = self.source.read(self.window.request())
        self.next = threads.submit(next, self._pages)

    def collect(self, threads: Executor, *, goes_on: bool) -> tuple[int, Renewed] | None:
        """Absorb the page that was read, and have the following one read, if the run ``goes_on``.

        Returns how many rows it had, and the contacts that it changed; None where there was no page.
        """
        page = self._read()
        if page is None:
            return None
        self.next = threads.submit(next, self._pages) if goes_on else None
        return page.read, self._absorb(page)

    def _read(self) -> Page | None:
        """The page that was read; None for the end of the reading, whatever ended it."""
        assert self.next  # noqa: S101 -- for mypy: the caller has waited for it
        reading, self.next = self.next, None
        try:
            page = reading.result()
        except SyncError as failure:
            self.failure = failure
            return None
        except Exception as exc:  # noqa: BLE001 -- what is in flight is still worth waiting for
            self.failure = as_bug(exc)
            return None
        self.seen = page.window
        if isinstance(page, ReadResult):
            self._close(page)
            return None
        if page.doubt and page.doubt not in self.warnings:
            self.warnings.append(page.doubt)
        if is_suspect(page):
            with self.store.reading() as state:
                self.failure = self.window.changed_api(page, state)
        return None if self.failure else page

    def _absorb(self, page: Page) -> Renewed:
        if page.restarted:
            self.books.count_rows_anew()
        page = self._without_old(page)
        with self.store.transaction() as state:
            others, renewed = without_forgotten(page, synced=self.order.synced, state=state, books=self.books)
            renewed |= absorb(
                others,
                website_id=self.website.id,
                anonymous=self.order.anonymous,
                synced=self.order.synced,
                state=state,
                books=self.books,
            )
            self.window.absorbed(page, state, requests=self.requests)
        return renewed

    def _without_old(self, page: Page) -> Page:
        since = self.kept_since
        if since is None:
            return page
        visitors = tuple(visitor for visitor in page.visitors if visitor.last_seen >= since)
        old = len(page.visitors) - len(visitors)
        told = self.order.kind == "backfill"
        if old and told and (warning := self.source.older_than_kept(since)) not in self.warnings:
            self.warnings.append(warning)
        return replace(page, visitors=visitors, out_of_window=page.out_of_window + old) if old else page

    def _close(self, result: ReadResult) -> None:
        """The window is in the state to its end: only now may the watermark move."""
        with self.store.transaction() as state:
            self.website = self.window.close(result, state)
        self.failure = self.window.failure
        self.warnings += self.window.warnings
