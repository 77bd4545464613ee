"""Tiny real classes in the place of the world."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.extract.words import ZenovayWords
from etl.instants import microseconds
from etl.load.words import HubSpotWords
from etl.models.portal import Portal
from etl.models.reading import Page, ReadResult, Window
from etl.models.record import ShownContact
from etl.models.verdict import Delivery, Outcome, Sight, Verdict
from etl.models.visitor import Visitor
from etl.pipeline import Order, sync
from etl.state.store import Store, open_state

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from etl.clock import Clock
    from etl.errors import SyncError
    from etl.models.contact import Parcel
    from etl.models.reading import ReadRequest
    from etl.models.summary import RunSummary
    from etl.models.visitor import Facts, Rejection
    from etl.pipeline.ports import Observer, Source
    from etl.pipeline.ports import Store as StorePort
    from etl.state.store import Transaction

NOW = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until somebody waits. ``waits`` holds seconds and reasons, in order."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._monotonic = 1000.0
        self._lock = threading.Lock()
        self.waits: list[tuple[float, str]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def wait(self, seconds: float, why: str) -> None:
        self.waits.append((seconds, why))
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds


def facts(at: datetime = NOW, *, country: str | None = None, pageviews: int | None = None) -> Facts:
    """The basic facts of a row, or of a contact."""
    stated = {"country": country, "last_seen": microseconds(at), "pageviews": pageviews}
    return {name: value for name, value in stated.items() if value is not None}


def row(
    visitor_id: str,
    at: datetime = NOW,
    *,
    email: str | None = None,
    country: str | None = None,
    pageviews: int | None = None,
    opted_out: bool | None = None,
) -> Visitor:
    """A valid row seen at ``at``, stating what is given."""
    return Visitor(
        id=visitor_id,
        last_seen=at,
        facts=facts(at, country=country, pageviews=pageviews),
        email=email,
        email_at=at if email else None,
        opted_out=opted_out,
        opted_out_at=None if opted_out is None else at,
    )


def page(
    *rows: Visitor, rejections: Sequence[Rejection] = (), out_of_window: int = 0, clock: datetime = NOW
) -> Page:
    return Page(
        window=Window(clock - timedelta(days=1), clock, "24h"),
        clock=clock,
        read=len(rows) + len(rejections) + out_of_window,
        out_of_window=out_of_window,
        visitors=rows,
        rejections=tuple(rejections),
    )


class FakeSource(ZenovayWords):
    """Follows its script: gives pages, raises errors, does what it is told between two pages.

    Behind the last page, every row of the window was there.
    """

    def __init__(self, *script: Page | BaseException | Callable[[], object]) -> None:
        self.script = script
        self.requests = 0
        self.asked: list[ReadRequest] = []

    def read(self, request: ReadRequest) -> Iterator[Page | ReadResult]:
        self.asked.append(request)
        last = None
        for step in self.script:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, Page):
                self.requests += 1
                last = step
                yield step
            else:
                step()
        if last:
            yield ReadResult(last.window, last.clock)


class FakeCrm(HubSpotWords):
    """HubSpot as a dictionary: the properties of each contact, by its id property and value.

    ``outage`` answers nothing, ``verdict`` may decide otherwise about one contact, ``lose_replies`` takes a
    batch and reports nothing, ``shows_nothing`` answers no look. ``before`` is called first, in the thread of
    the delivery.
    """

    def __init__(self) -> None:
        self.contacts: dict[tuple[str, str], dict[str, str]] = {}
        self.batches: list[list[Parcel]] = []
        self.looks: list[list[Parcel]] = []
        self.requests = 0
        self.outage: SyncError | None = None
        self.lose_replies = False
        self.shows_nothing = False
        self.verdict: Callable[[Parcel], Verdict | None] = lambda _: None
        self.before: Callable[[Sequence[Parcel]], object] = lambda _: None
        self.in_two_requests_at_once: set[str] = set()
        self._asked: set[str] = set()
        self._changed = threading.Condition()

    @property
    def credential(self) -> str:
        return "the token of the fake"

    @property
    def links(self) -> None:
        return None

    def look(self, record: str) -> ShownContact | None:
        return ShownContact(record, {})

    def clear(self, record: str, names: Collection[str]) -> None:
        raise AssertionError((record, names))

    def merge(self, primary: str, other: str) -> str | None:
        raise AssertionError((primary, other))

    def portal(self) -> Portal | None:
        return Portal(1)

    def deliver(self, batch: Sequence[Parcel]) -> Delivery:
        values = {parcel.id_value for parcel in batch}
        with self._changed:
            self.requests += 1
            self.batches.append(list(batch))
            self.in_two_requests_at_once |= values & self._asked
            self._asked |= values
        try:
            self.before(batch)
            with self._changed:
                return self._answer(batch)
        finally:
            with self._changed:
                self._asked -= values
                self._changed.notify_all()

    def look_for(self, batch: Sequence[Parcel]) -> Sight:
        with self._changed:
            self.requests += 1
            self.looks.append(list(batch))
            if self.outage or self.shows_nothing:
                return Sight({}, stop=self.outage)
            held = {each.contact_id: self._held(each) for each in batch}
            found = {number: shown for number, shown in held.items() if shown}
            return Sight(found, frozenset(held.keys() - found.keys()))

    def _held(self, parcel: Parcel) -> ShownContact | None:
        key = parcel.id_property, parcel.id_value
        if key not in self.contacts and parcel.record is None:
            return None
        return ShownContact(parcel.record or f"hs-{parcel.contact_id}", dict(self.contacts.get(key, {})))

    def wait_until_idle(self) -> None:
        """Until every request that was sent is answered."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._asked, timeout=10)

    def upsert(self, batch: Sequence[Parcel]) -> list[Verdict]:
        """Take a batch, as it is."""
        return [self._upsert(parcel) for parcel in batch]

    def _answer(self, batch: Sequence[Parcel]) -> Delivery:
        if self.outage:
            return Delivery(tuple(_deferred(parcel) for parcel in batch), self.outage)
        verdicts = tuple(self.verdict(parcel) or self._upsert(parcel) for parcel in batch)
        return Delivery(tuple(map(_deferred, batch)) if self.lose_replies else verdicts)

    def _upsert(self, parcel: Parcel) -> Verdict:
        key = parcel.id_property, parcel.id_value
        outcome = Outcome.UPDATED if key in self.contacts else Outcome.CREATED
        self.contacts.setdefault(key, {}).update(parcel.properties)
        return Verdict(parcel.contact_id, outcome, record=f"hs-{parcel.contact_id}")


def _deferred(parcel: Parcel) -> Verdict:
    return Verdict(parcel.contact_id, Outcome.DEFERRED, reason="no answer")


ACCOUNTS = {"zenovay": "z", "hubspot": "h"}


@contextmanager
def opened(url: str, clock: Clock, *, anonymous: bool = True) -> Iterator[Store]:
    """The state, made and upgraded if need be, with the lock held."""
    with open_state(url) as connection:
        store = Store(connection, clock=clock, anonymous=anonymous, accounts=ACCOUNTS)
        with store.locked():
            yield store


class World:
    """A state database and a CRM on which runs follow one another, each with a store of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = FakeClock()
        self.crm = FakeCrm()
        self.interruption: Callable[[], SyncError | None] = lambda: None
        self.observer: Observer | None = None
        self.store_as: Callable[[Store], StorePort] = lambda store: store

    def run(self, *script: Page | BaseException | Callable[[], object], **order: Any) -> RunSummary:
        """One run over what the source's script gives. Its books balance, whatever happens."""
        return self.run_from(FakeSource(*script), **order)

    def run_from(self, source: Source, **order: Any) -> RunSummary:
        settings = {"run": uuid.uuid4().hex, "kind": "incremental", "website": "site", **order}
        with opened(self.url, self.clock, anonymous=settings.get("anonymous", True)) as store:
            summary = sync(
                Order(**settings),
                source=source,
                destination=self.crm,
                store=self.store_as(store),
                clock=self.clock,
                interruption=self.interruption,
                observer=self.observer,
            )
        assert_balanced(summary)
        assert not self.crm.in_two_requests_at_once
        return summary

    @contextmanager
    def state(self) -> Iterator[Transaction]:
        with opened(self.url, self.clock) as store, store.transaction() as state:
            yield state


def assert_balanced(summary: RunSummary) -> None:
    """The first promise of the program."""
    rows, contacts = summary.rows, summary.contacts
    parts = (
        rows.accepted + rows.out_of_window + rows.anonymous + rows.opted_out + rows.rejected + rows.excluded
    )
    taken = contacts.unchanged + contacts.created + contacts.updated
    verdicts = taken + contacts.rejected + contacts.deferred + contacts.absent + contacts.kept
    assert rows.read == parts
    assert contacts.touched + contacts.carried_over == verdicts


COUNTRY_NAMES = {"DE": "Germany", "FR": "France", "KR": "South Korea", "US": "United States"}


def modelled(rows: Iterable[Visitor]) -> dict[tuple[str, str], dict[str, str]]:
    """What a CRM holds once all ``rows`` are delivered, told in the plainest way and without ``etl``."""
    by_visitor: defaultdict[str, list[Visitor]] = defaultdict(list)
    for each in rows:
        by_visitor[each.id].append(each)

    def latest(said: list[tuple[datetime, Any]]) -> Any:
        newest = max((at for at, _ in said), default=None)
        return min((value for at, value in said if at == newest), default=None)

    people: defaultdict[tuple[str, str], list[tuple[datetime, str | None, list[int]]]] = defaultdict(list)
    for visitor_id, theirs in by_visitor.items():
        if latest([(r.last_seen, not r.opted_out) for r in theirs if r.opted_out is not None]) is False:
            continue
        email = latest([(r.last_seen, r.email) for r in theirs if r.email])
        country = latest([(r.last_seen, r.facts["country"]) for r in theirs if "country" in r.facts])
        views = [int(r.facts["pageviews"]) for r in theirs if "pageviews" in r.facts]
        key = ("email", email) if email else ("zenovay_visitor_id", visitor_id)
        people[key].append((max(r.last_seen for r in theirs), country, [max(views)] if views else []))

    crm = {}
    for (id_property, value), visitors in people.items():
        seen = max(at for at, _, _ in visitors).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        crm[id_property, value] = texts = {"zenovay_last_seen": seen}
        if country := latest([(at, country) for at, country, _ in visitors if country]):
            texts["country"] = COUNTRY_NAMES[country]
        if any(views for _, _, views in visitors):
            texts["zenovay_pageviews"] = str(sum(sum(views) for _, _, views in visitors))
        if id_property != "email":
            texts |= {"zenovay_visitor_id": value, "firstname": "Visitor", "lastname": value[:8]}
    return crm
