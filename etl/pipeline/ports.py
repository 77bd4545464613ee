"""What the pipeline needs from the outside, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from etl.models.contact import (
        Contact,
        ContactKey,
        DueContact,
        KnownVisitor,
        LedgerEntry,
        Member,
        Parcel,
    )
    from etl.models.portal import Owner, Portal
    from etl.models.reading import Answered, Backfill, Bookmark, KnownWebsite, Page, ReadRequest, ReadResult
    from etl.models.stop import Stop
    from etl.models.summary import RunSummary
    from etl.models.verdict import Delivery, Verdict
    from etl.models.visitor import Rejection, Visitor


class Source(Protocol):
    """Where visitors come from."""

    @property
    def requests(self) -> int:
        """How many HTTP requests were made, retries included."""
        ...

    def read(self, request: ReadRequest) -> Iterator[Page | ReadResult]:
        """The pages of a window, each a blocking read; at least one. Behind the last, what was read.

        Raises a SyncError where the window cannot be read to its end.
        """
        ...


class Destination(Protocol):
    """Where contacts go."""

    @property
    def requests(self) -> int:
        """How many HTTP requests were made, retries included."""
        ...

    @property
    def credential(self) -> str:
        """A digest that changes with what opens the other side."""
        ...

    def portal(self) -> Portal | None:
        """Whose contacts they are; None where the other side does not say. Raises SyncError."""
        ...

    def deliver(self, batch: Sequence[Parcel]) -> Delivery:
        """One verdict per parcel, in any order.

        Called from several threads with batches that share no contact.

        Raises no SyncError: what must stop the run is in ``Delivery.stop``.
        """
        ...


class Visitors(Protocol):
    def known(self, website_id: int, ids: Collection[str]) -> dict[str, KnownVisitor]: ...
    def add(self, website_id: int, members: Iterable[tuple[Visitor, int | None]]) -> None: ...
    def change(self, website_id: int, members: Iterable[tuple[Visitor, int | None]]) -> None: ...
    def members(self, contact_ids: Collection[int]) -> dict[int, list[Member]]: ...


class Ledger(Protocol):
    def by_key(self, keys: Collection[ContactKey]) -> dict[ContactKey, LedgerEntry]: ...
    def by_id(self, ids: Collection[int]) -> dict[int, LedgerEntry]: ...
    def add(self, wanted: Sequence[tuple[Contact, bytes]]) -> list[DueContact]: ...
    def want(
        self, changes: Iterable[tuple[LedgerEntry, Contact | None, bytes | None]]
    ) -> dict[int, DueContact | None]: ...
    def due(self, *, after: int, most: int) -> list[DueContact]: ...
    def due_ids(self) -> Iterator[int]: ...
    def due_count(self) -> int: ...
    def begin_anew(self) -> None: ...
    def settle(self, answered: Sequence[tuple[Parcel, Verdict]]) -> set[int]: ...


class Rejections(Protocol):
    def refuse_rows(self, website_id: int, refused: Iterable[Rejection]) -> int: ...
    def unlisted(
        self, website_id: int, refused: Iterable[Rejection], *, by: datetime | None = None
    ) -> list[Rejection]: ...
    def settle(self, answered: Sequence[tuple[Parcel, Verdict]]) -> None: ...
    def strike_out(self, contact_ids: Collection[int]) -> None: ...
    def strike_out_contacts(self) -> None: ...


class Runs(Protocol):
    def website(self, name: str) -> KnownWebsite: ...
    def last_answer(self, website_id: int, ranges: Collection[str]) -> Answered | None: ...
    def ended(self, website_id: int, started: datetime) -> datetime | None: ...
    def set_right(self, website: KnownWebsite, *, now: datetime) -> KnownWebsite: ...
    def close_window(self, website: KnownWebsite) -> KnownWebsite: ...
    def begin(self, run: str, website_id: int, kind: str, started: datetime) -> None: ...
    def end(self, run: str, ended: datetime, summary: dict[str, Any]) -> None: ...


class Backfills(Protocol):
    def begin(self, website_id: int, since: datetime, until: datetime | None) -> Backfill: ...
    def advance(self, number: int, bookmark: Bookmark, *, requests: int) -> None: ...
    def finish(self, number: int) -> None: ...


class Limits(Protocol):
    def remember_stop(self, api: str, stop: Stop | None) -> None: ...


class Ownership(Protocol):
    def owner(self) -> Owner | None: ...
    def put(self, owner: Owner) -> None: ...


class Transaction(Protocol):
    """Everything or nothing; see ``etl.state.store``."""

    @property
    def visitors(self) -> Visitors: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def rejections(self) -> Rejections: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def backfills(self) -> Backfills: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def ownership(self) -> Ownership: ...


class Store(Protocol):
    """The state. Only the thread that runs the pipeline touches it."""

    def transaction(self) -> AbstractContextManager[Transaction]: ...
    def take_notes(self) -> tuple[str, ...]:
        """What was noticed of the state itself, and belongs among the warnings of one run."""
        ...

    def reading(self) -> AbstractContextManager[Transaction]: ...


class Adviser(Protocol):
    """Somebody who looks at the state when a run is about to end."""

    def __call__(self, summary: RunSummary, state: Transaction) -> list[str]:
        """What else belongs among the warnings of the run, inside the transaction that writes them down."""
        ...


class Observer(Protocol):
    """Somebody who watches a run, such as a progress display."""

    def rows_read(self, rows: int) -> None: ...
    def contacts_settled(self, contacts: int) -> None: ...
