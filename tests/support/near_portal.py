"""A portal and a state in this process: runs follow one another, people and faults interfere."""

from __future__ import annotations

import shutil
import uuid
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from fakes import ACCOUNTS, FakeClock, FakeSource, assert_balanced, page
from killed import Killed, MortalStore, empty_state
from nearby import NearClient, TurnTaking
from storm.worlds import StormyHubSpot

from etl.errors import UnavailableError
from etl.fields import BASIC_FIELDS
from etl.load.delivery import HubSpotContacts
from etl.load.properties import wanted_properties
from etl.models.contact import EMAIL, VISITOR, ContactKey
from etl.pipeline import Order, sync
from etl.sandbox.contacts import Contacts
from etl.sandbox.hubspot_schema import Definition
from etl.state.store import Store, open_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from etl.models.summary import RunSummary
    from etl.models.visitor import Visitor

LINK = "zenovay_form_visitor_id"
OURS = "zenovay_visitor_id"
Event = tuple[Any, ...]
WRONG = (
    "SELECT record FROM contacts WHERE record IS NOT NULL GROUP BY record HAVING count(*) > 1",
    'SELECT v.id FROM visitors v JOIN contacts c ON c.id = v.contact_id WHERE c."into" IS NOT NULL',
    'SELECT a.id FROM contacts a JOIN contacts b ON b.id = a."into" WHERE b."into" IS NOT NULL',
)
"""What no state answers."""


class Mode(NamedTuple):
    anonymous: str
    known: str
    merge: bool = False

    def order(self) -> dict[str, Any]:
        kinds = {VISITOR: self.anonymous, EMAIL: self.known}
        return {
            "anonymous": self.anonymous != "skip",
            "matched": frozenset(kind for kind, how in kinds.items() if how == "match"),
            "merge": self.merge,
        }


UPSERT, MATCH = Mode("upsert", "upsert"), Mode("match", "match")


class Fault(NamedTuple):
    """``kill`` or ``lose``: at the ``when``-th request, before or ``after`` it is carried out.

    ``commit``: killed at that commit. ``drop``: a result is missing from every answer.
    """

    what: str
    when: int = 0
    after: bool = False


class NearPortal:
    def __init__(self) -> None:
        self.folder = TemporaryDirectory()
        url = f"sqlite:///{shutil.copy(empty_state(), self.folder.name)}"
        self.open = ExitStack()
        self.connection = self.open.enter_context(open_state(url))
        driver: Any = self.connection.connection.driver_connection
        driver.execute("PRAGMA synchronous=OFF")
        self.clock = FakeClock()
        self.hubspot = StormyHubSpot(clock=self.clock)
        self.hubspot.install_properties()
        self.hubspot.schema.add(Definition(LINK, form_field=True))
        self.rows: list[Visitor] = []
        self.pending: list[Visitor] = []
        self.is_new = False

    def empty(self) -> None:
        """As if there never had been anybody."""
        self.hubspot.store = Contacts(self.hubspot.schema, lag_s=lambda: self.hubspot.index_lag_s)
        self.is_new = True

    def close(self) -> None:
        self.open.close()
        self.folder.cleanup()

    def arrive(self, arrived: Visitor) -> None:
        if arrived not in self.rows:
            self.rows.append(arrived)
            self.pending.append(arrived)

    def happen(self, event: Event) -> None:
        kind, *args = event
        hubspot, records = self.hubspot, sorted(self.hubspot.contacts, key=int)
        if kind == "seed":
            if hubspot.store.find("email", args[0]) is None:
                hubspot.seed({"email": args[0]})
        elif kind == "submit":
            hubspot.submit({"email": args[0], LINK: args[1]})
        elif not records:
            return
        else:
            chosen = records[args[0] % len(records)]
            if kind == "link":
                hubspot.edit(chosen, **{LINK: args[1]})
            elif kind == "unlink":
                hubspot.edit(chosen, **{LINK: ""})
            elif kind == "archive":
                hubspot.archive(chosen)
            elif kind == "address" and hubspot.store.find("email", args[1]) is None:
                hubspot.edit(chosen, email=args[1])
            elif kind == "merge" and (other := records[args[1] % len(records)]) != chosen:
                hubspot.merge(chosen, other)

    def run(
        self,
        mode: Mode = UPSERT,
        rows: Sequence[Visitor] | None = None,
        *,
        fault: Fault | None = None,
        event: tuple[int, Event] | None = None,
        seed: int = 0,
    ) -> tuple[RunSummary | None, NearClient]:
        """One run over these rows, else over those that none has read yet. None for one that was killed."""
        rows = list(self.pending if rows is None else rows)
        confirmed = set() if self.is_new else self.confirmed()
        self.is_new = False
        what, when, after = fault or Fault("")
        self.hubspot.results_dropped = int(what == "drop")
        begun = ended = 0

        def strike() -> None:
            if what == "kill":
                raise Killed
            raise UnavailableError("HubSpot does not answer.")

        def before_request() -> None:
            nonlocal begun
            begun += 1
            if event and begun == event[0]:
                self.happen(event[1])
            if what in {"kill", "lose"} and begun == when and not after:
                strike()

        def after_request() -> None:
            nonlocal ended
            ended += 1
            if what in {"kill", "lose"} and ended == when and after:
                strike()

        client = NearClient(self.hubspot, clock=self.clock, before=before_request, after=after_request)
        contacts = HubSpotContacts(
            client, wanted_properties(BASIC_FIELDS, LINK), clock=self.clock, verified=True
        )
        threads = TurnTaking(seed)
        order = Order(
            run=uuid.uuid4().hex,
            kind="incremental",
            website="site",
            concurrency=2,
            max_rejected=1.0,
            recheck=timedelta(0),
            **mode.order(),
        )
        pages = [page(*rows[first : first + 2], clock=self.clock.now()) for first in range(0, len(rows), 2)]
        summary = None
        with (
            self.state(anonymous=order.anonymous) as store,
            patch("etl.pipeline.run.ThreadPoolExecutor", threads),
            patch("etl.pipeline.run.wait", threads.wait),
            patch("etl.pipeline.outbox.wait", threads.abandon),
            patch.object(self.hubspot.store, "create", self.noting_creation(confirmed, mode)),
        ):
            chosen: Any = MortalStore(store, commits=when, after=after) if what == "commit" else store
            with suppress(Killed):
                summary = sync(
                    order,
                    source=FakeSource(*(pages or [page(clock=self.clock.now())])),
                    destination=contacts,
                    store=chosen,
                    clock=self.clock,
                )
        self.hubspot.results_dropped = 0
        if summary:
            assert summary.exit_code in {0, 3, 4}, (summary.exit_code, summary.reason)
            assert_balanced(summary)
            if summary.exit_code != 4:
                self.pending = [each for each in self.pending if each not in rows]
        self.look_at_the_state()
        return summary, client

    def noting_creation(self, confirmed: set[ContactKey], mode: Mode) -> Callable[..., str]:
        create = self.hubspot.store.create

        def noted(properties: dict[str, str], **more: Any) -> str:
            if "source" not in more:  # by this program
                address, ours = properties.get("email"), properties.get(OURS)
                key = ContactKey(EMAIL, address) if address else ContactKey(VISITOR, str(ours))
                assert key not in confirmed, key
                assert (mode.known if address else mode.anonymous) == "upsert", key
            return create(properties, **more)

        return noted

    def confirmed(self) -> set[ContactKey]:
        """The keys whose records HubSpot has told."""
        keys = {ContactKey(VISITOR, each.id) for each in self.rows}
        keys |= {ContactKey(EMAIL, each.email) for each in self.rows if each.email}
        with self.state() as store, store.reading() as state:
            return {key for key, entry in state.entries.by_key(keys).items() if entry.record is not None}

    @contextmanager
    def state(self, *, anonymous: bool = True) -> Iterator[Store]:
        store = Store(self.connection, clock=self.clock, anonymous=anonymous, accounts=ACCOUNTS)
        with store.locked():
            yield store

    def look_at_the_state(self) -> None:
        """No two contacts are one record, and whoever is another contact has no visitors."""
        with self.connection.begin():
            for question in WRONG:
                assert not self.connection.exec_driver_sql(question).all(), question
