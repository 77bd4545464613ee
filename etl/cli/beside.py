"""What reports and alerts do beside a run: read Zenovay within its limits, and keep what was read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from etl.cli.derived import accounts, state_url
from etl.cli.wiring import MINUTE_S, READ_AHEAD, zenovay_client, zenovay_pace
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
_PATIENCE = Patience(attempts=3, total_s=20.0, longest_wait_s=5.0, longest_asked_s=30.0)
_WINDOW_US = round(MINUTE_S * 1e6)


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
        with self.store.beside() as state:
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
            pace, budget = self._limits(state)
            state.limits.count_beside(_API, [self._now()], requests=1, since=self._now() - _WINDOW_US)
        client = zenovay_client(self._settings.zenovay, self._clock, pace, budget, _PATIENCE)
        try:
            return question(client)
        except UnavailableError as exc:
            if exc.until:
                with self.store.beside() as state:
                    state.limits.remember_stop(_API, Stop(exc.until, exc.what, exc.kind, exc.said_by))
            raise
        finally:
            client.close()
            self._count(client.requests, budget)

    def _limits(self, state: Transaction) -> tuple[Pace, Budget]:
        """What is left. Raises UnavailableError while nothing is to be asked."""
        if stop := state.limits.stop(_API, self._clock.now()):
            raise UnavailableError(
                f"{stop.reason} Nothing is asked before {stop.until:%Y-%m-%dT%H:%M:%SZ}.",
                fix="Nothing is lost; try again after that.",
                until=stop.until,
            )
        unlogged = READ_AHEAD if state.holder() else 0
        pace = zenovay_pace(self._settings.zenovay, self._clock)
        pace.restore(state.limits.sent(_API), unlogged=unlogged, stated=state.limits.stated(_API))
        pace.count_others(state.limits.beside(_API)[0])
        plan = self._settings.zenovay
        budget = Budget(clock=self._clock, limit=plan.requests_per_month, reserve=self._reserve)
        budget.restore(state.limits.quota(_API), unlogged=0, last=state.limits.last_sent(_API))
        return pace, budget

    def _count(self, requests: int, budget: Budget) -> None:
        """Write down what was asked beyond the one request that was announced."""
        now = self._now()
        with self.store.beside() as state:
            known = state.limits.quota(_API)
            sent = [now + number for number in range(requests - 1)]
            state.limits.count_beside(_API, sent, requests=requests - 1, since=now - _WINDOW_US)
            if known is None and requests:
                quota = budget.quota
                state.limits.remember_quota(_API, replace(quota, used=max(0, quota.used - requests)))

    def _now(self) -> int:
        return microseconds(self._clock.now())


@contextmanager
def beside_runs(settings: Settings, clock: Clock, *, reserve: float) -> Iterator[Beside]:
    """Open the state, which is made if need be, without being a run. Raises StateError."""
    with open_state(state_url(settings.sync), clock) as connection:
        store = Store(connection, clock=clock, accounts=accounts(settings))
        store.make_ready()
        yield Beside(store, settings, clock, reserve=reserve)
