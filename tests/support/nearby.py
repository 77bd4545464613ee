"""HubSpot's sandbox without a network, and threads that take turns: thousands of runs a minute, and again."""

from __future__ import annotations

import random
from concurrent.futures import Future
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from etl.load.client import HubSpotClient
from etl.network.reply import Reply
from etl.pace import Pace
from etl.retry import Patience
from etl.sandbox.contacts_app import ContactEndpoints
from etl.sandbox.hubspot_app import HubSpotEndpoints
from etl.sandbox.wire import Call, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from storm.worlds import StormyHubSpot

    from etl.clock import Clock
    from etl.models.contact import Parcel

_OBJECTS = "/crm/objects/2026-03/contacts/"


class NearClient(HubSpotClient):
    """The real client, but for the wire. ``before`` and ``after`` are called around every request."""

    def __init__(
        self,
        world: StormyHubSpot,
        *,
        clock: Clock,
        before: Callable[[], object] = lambda: None,
        after: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(
            access_token=world.access_token,
            base_url="http://127.0.0.1:9",
            api_version="2026-03",
            clock=clock,
            pace=Pace(limit=100, window_s=10.0, clock=clock, name="HubSpot"),
            patience=Patience(),
        )
        self.asked: list[str] = []
        self._world = world
        self._before, self._after = before, after
        contacts, others = ContactEndpoints(world), HubSpotEndpoints(world)
        self._operations = {
            "batch/upsert": contacts.upsert,
            "batch/update": contacts.update,
            "batch/read": contacts.read,
            "search": contacts.search,
            "merge": contacts.merge,
            self.account_path: others.account,
        }

    def _official_client(self) -> None:
        return None

    def _exchange(self, method: str, path: str, payload: bytes | None) -> Reply:
        self._requests += 1
        operation = path.removeprefix(_OBJECTS)
        self._before()
        self.asked.append(operation)
        headers = {"authorization": f"Bearer {self._world.access_token}"}
        call = Call(method, path, "", headers, payload or b"", {"version": "2026-03"})
        try:
            said = self._operations[operation](call)
        except RefusedError as refused:
            said = refused.reply
        said = self._world.reshaped(call, said)
        self._after()
        date = format_datetime(self._world.now(), usegmt=True)
        return Reply(said.status, {**said.headers, "date": date}, said.body)


def _named(parcel: Parcel) -> tuple[str, str]:
    """How a request names a contact; no two may do so at once."""
    return ("", parcel.record) if parcel.record else (parcel.id_property, parcel.id_value)


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    batch: list[Parcel]
    future: Future[Any] = field(default_factory=Future)
    outcome: Future[Any] | None = None


class TurnTaking:
    """In the place of a pool of threads and of ``wait``: one job at a time, in an order by ``seed``.

    What is done may be a while on its way back, and what is in flight at the end of a run may be done or not.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._jobs: list[_Job] = []

    def __call__(self, *_: object, **__: object) -> TurnTaking:
        return self

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        if args and isinstance(args[0], list):
            assert not set(map(_named, args[0])) & {_named(each) for job in self._jobs for each in job.batch}
        job = _Job(lambda: work(*args), args[0] if args and isinstance(args[0], list) else [])
        self._jobs.append(job)
        return job.future

    def wait(self, futures: Collection[Future[Any]], **_: object) -> None:
        while not any(future.done() for future in futures):
            self._turn(self._random.choice(self._jobs))

    def abandon(self, _futures: object, **_: object) -> None:
        for job in [each for each in self._jobs if self._random.random() < 0.5]:
            self._turn(job)

    def shutdown(self, **_: object) -> None:
        self._jobs.clear()

    def _turn(self, job: _Job) -> None:
        if job.outcome is None:
            job.outcome = Future()
            try:
                job.outcome.set_result(job.work())
            except BaseException as exc:  # noqa: BLE001 -- as a thread does
                job.outcome.set_exception(exc)
            if self._random.random() < 0.5:
                return
        self._jobs.remove(job)
        if (failure := job.outcome.exception()) is not None:
            job.future.set_exception(failure)
        else:
            job.future.set_result(job.outcome.result())
