"""What reports and alerts do beside a run: read Zenovay within its limits, and keep what was read."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from etl.cli.derived import accounts, state_url
from etl.cli.wiring import READ_AHEAD, zenovay_beside, zenovay_client, zenovay_pace
from etl.errors import UnavailableError
from etl.extract.analytics import traffic
from etl.extract.budget import Budget
from etl.instants import microseconds
from etl.models.stop import Stop
from etl.models.traffic import TrafficReading
from etl.retry import Patience
from etl.state.store import Store, open_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl.clock import Clock
    from etl.extract.client import ZenovayClient
    from etl.pace import Pace
    from etl.settings import Settings
    from etl.state.store import Transaction

T = TypeVar("T")

FRESH = timedelta(minutes=5)
"""For so long a reading is as good as a new one."""

_API = "zenovay"
PATIENCE = Patience(attempts=3, total_s=20.0, longest_wait_s=5.0, longest_asked_s=30.0)


class Beside:
    """The state and Zenovay, for commands that are no run; they leave the share ``reserve`` of the month."""

    def __init__(self, store: Store, settings: Settings, clock: Clock, *, reserve: float) -> None:
        self.store = store
        self._settings = settings
        self._clock = clock
        self._reserve = reserve

    def read(
        self, website: str, range_: str, *, suffices: Callable[[TrafficReading], bool]
    ) -> TrafficReading:
        """The traffic of the last ``range_``: from the state where a fresh reading ``suffices``.

        Raises the errors of ZenovayClient.get, and UnavailableError before a stop has ended.
        """
        now = self._clock.now()
        with self.store.reading() as state:
            last = state.readings.last(website, range_, until=now)
        if last and now - last.at < FRESH and suffices(last):
            return last
        counted = self.ask(lambda client: traffic(client, website, range_))
        reading = TrafficReading(website, range_, now, counted)
        with self.store.beside() as state:
            state.readings.add(reading)
        return reading

    def ask(self, question: Callable[[ZenovayClient], T]) -> T:
        """The answer to a question of few requests, which count against the limits that runs keep, too."""
        with self.store.beside() as state:
            budget = self._budget(state)
        if self._settings.shared:
            with zenovay_beside(self._settings, self._clock, budget, PATIENCE) as client:
                return self._asked(client, question)
        plan = self._settings.zenovay
        pace = SharedPace(
            self.store,
            self._clock,
            api=_API,
            pace=lambda: zenovay_pace(plan, self._clock),
            unlogged=READ_AHEAD,
        )
        client = zenovay_client(plan, self._clock, pace, budget, PATIENCE)
        try:
            return self._asked(client, question)
        finally:
            client.close()
            self._keep_month(budget)

    def _asked(self, client: ZenovayClient, question: Callable[[ZenovayClient], T]) -> T:
        try:
            return question(client)
        except UnavailableError as exc:
            if stop := Stop.asked_by(exc):
                with self.store.beside() as state:
                    state.limits.remember_stop(_API, stop)
            raise

    def _budget(self, state: Transaction) -> Budget:
        """What is left of the month. Raises UnavailableError while nothing is to be asked."""
        if stop := state.limits.stop(_API, self._clock.now()):
            fix = "Nothing is lost; try again after that."
            raise UnavailableError(str(stop), fix=fix, until=stop.until)
        plan = self._settings.zenovay
        budget = Budget(clock=self._clock, limit=plan.requests_per_month, reserve=self._reserve)
        if not self._settings.shared:
            budget.restore(state.limits.quota(_API), unlogged=0, last=state.limits.last_sent(_API))
        return budget

    def _keep_month(self, budget: Budget) -> None:
        """Write down a month that has begun. A run that goes on does so itself."""
        quota = budget.quota
        with self.store.beside() as state:
            known = state.limits.quota(_API)
            if (known is None or known.resets_at < quota.resets_at) and not state.holder():
                _, uncounted = state.limits.beside(_API)
                state.limits.remember_quota(_API, replace(quota, used=quota.used - uncounted))


class SharedPace:
    """The limit that runs keep, too, for requests beside them: few, by one thread.

    Each is announced, so that a run leaves room for it, and waits until what is known by then leaves room.
    ``pace`` makes one that knows nothing yet; a run that goes on may have sent ``unlogged`` requests that it
    has not written down.
    """

    def __init__(
        self, store: Store, clock: Clock, *, api: str, pace: Callable[[], Pace], unlogged: int
    ) -> None:
        self._store = store
        self._clock = clock
        self._api = api
        self._new = pace
        self._unlogged = unlogged
        self._stated: int | None = None
        self._paused_until = clock.monotonic()

    @property
    def limit(self) -> int:
        """Requests in a window."""
        return self._stated or self._new().limit

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a free slot, then hold it around one request."""
        announced = self._now()
        with self._store.beside() as state:
            pace = self._pace(state)
            since = announced - round(pace.window_s * 1e6)
            state.limits.count_beside(self._api, announced, since=since)
        pace.pause(self._paused_until - self._clock.monotonic())
        with pace.slot():
            sent = self._now()
            with self._store.beside() as state:
                since = sent - round(pace.window_s * 1e6)
                state.limits.count_beside(self._api, sent, since=since, announced=announced)
            yield

    def pause(self, seconds: float) -> None:
        """Send nothing for ``seconds``: the other side asked for it."""
        self._paused_until = self._clock.monotonic() + seconds

    def set_limit(self, limit: int) -> None:
        """Obey a limit that the other side stated."""
        self._stated = limit

    def lower_limit(self, limit: int) -> None:
        """Obey a limit that the other side stated, where it is stricter than ours."""
        self._stated = max(1, min(limit, self.limit))

    def _pace(self, state: Transaction) -> Pace:
        """With all that was sent by now, and what a run may have sent and not written down."""
        others, _ = state.limits.beside(self._api)
        pace = self._new()
        unlogged, stated = self._unlogged if state.holder() else 0, state.limits.stated(self._api)
        pace.restore(state.limits.sent(self._api), unlogged=unlogged, stated=stated)
        pace.count_others(others)
        if self._stated is not None:
            pace.set_limit(self._stated)
        return pace

    def _now(self) -> int:
        return microseconds(self._clock.now())


@contextmanager
def beside_runs(settings: Settings, clock: Clock, *, reserve: float) -> Iterator[Beside]:
    """Open the state, which is made if need be, without being a run. Raises StateError."""
    with open_state(state_url(settings.sync), clock) as connection:
        store = Store(connection, clock=clock, accounts=accounts(settings))
        store.make_ready()
        with ExitStack() as stack:
            if settings.shared:
                from etl.cli.sharing import shared_stops  # noqa: PLC0415 -- a fleet alone needs it

                store.limited_by(stack.enter_context(shared_stops(settings.shared, clock)))
            yield Beside(store, settings, clock, reserve=reserve)
