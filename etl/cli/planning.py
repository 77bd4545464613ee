"""``backfill --plan``: what it is going to cost, found out by a look or two, and nothing begun."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from etl.cli import logs
from etl.cli.beside import beside_runs
from etl.cli.campaign import Days
from etl.cli.derived import accounts, state_url
from etl.cli.limited import limited
from etl.cli.month import MONTH, Month, look, month_limit
from etl.cli.stopping import stoppable
from etl.cli.syncing import parse_range
from etl.cli.websites import chosen
from etl.cli.wiring import zenovay_beside
from etl.clock import SystemClock
from etl.errors import InterruptedRunError, SyncError
from etl.extract.budget import Budget, month_after
from etl.extract.forecast import Forecast
from etl.extract.visitors import ZenovayVisitors
from etl.models.reading import ReadRequest
from etl.models.summary import utc_text
from etl.retry import Patience
from etl.settings import load
from etl.state.store import peek_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from etl.clock import Clock
    from etl.extract.client import ZenovayClient
    from etl.settings import Settings
    from etl.state.store import Transaction

    Ask = Callable[[Callable[[ZenovayClient], Forecast]], Forecast]

T = TypeVar("T")

_PATIENCE = Patience(attempts=3, total_s=40.0, longest_asked_s=30.0)


def plan_backfill(
    *, since: str, until: str | None, max_requests: int | None, websites: Sequence[str], as_json: bool
) -> int:
    """Print what the backfill would cost, each website's own. Returns the exit code.

    Zenovay is asked at most twice for each; those requests count, and are all that is written down.
    """
    settings, clock = load(), SystemClock()
    logs.configure(settings.sync.log_format, settings.secrets())
    names = chosen(websites, settings.zenovay.website_id)
    failures: list[SyncError] = []
    plans: list[Forecast] = []
    with stoppable(clock), _zenovay(settings, clock) as zenovay:
        days = Days(*parse_range(since, until, now=clock.now(), there=zenovay.now()))
        requests = zenovay.looking(lambda state: _requests(days, names, state))
        for name in names:
            try:
                plans.append(_plan(name, requests.get(name), zenovay, settings))
            except InterruptedRunError:
                raise
            except SyncError as exc:
                failures.append(exc)
                click.echo(f"error: {name}: {exc}", err=True)
        pieces = Pieces.of(plans, zenovay.month(), most=max_requests)
    _print(plans, pieces, as_json=as_json)
    return max((failure.exit_code for failure in failures), default=0)


def _requests(days: Days, names: Sequence[str], state: Transaction | None) -> dict[str, ReadRequest]:
    """What is left to read of the websites; those that are through are left out."""
    resting = days.through(names, state) if state else set()
    wanted = [name for name in names if name not in resting]
    return {name: _request(days, name, state) for name in wanted}


def _request(days: Days, name: str, state: Transaction | None) -> ReadRequest:
    begun = days.unfinished(name, state) if state else None
    bookmark = begun.bookmark if begun else None
    until = begun.until if begun and bookmark else days.until
    return ReadRequest(name, since=days.since, until=until, past=True, bookmark=bookmark)


def _plan(name: str, request: ReadRequest | None, zenovay: _Zenovay, settings: Settings) -> Forecast:
    plan = settings.zenovay
    if request is None:
        limits = {"per_minute": plan.requests_per_minute, "per_month": plan.requests_per_month}
        return Forecast(name, requests=0, rows=0, asked=0, **limits)

    def ask(client: ZenovayClient) -> Forecast:
        return ZenovayVisitors(client, paging=plan.paging, page_size=plan.page_size).plan(request)

    return zenovay.ask(ask)


@dataclass(frozen=True, slots=True)
class Pieces:
    """How a backfill of so many ``requests`` in all fits into the months.

    ``left`` are those of this month that the runs do not need, ``monthly`` those of each later one, which
    begins at ``turn``. ``most`` is how many one command may make.
    """

    requests: int
    left: int
    monthly: int
    turn: datetime
    most: int | None

    @classmethod
    def of(cls, plans: Sequence[Forecast], month: Month, *, most: int | None) -> Pieces:
        limit, schedule, quota = month.allowed, month.schedule, month.quota
        turn = quota.resets_at if quota else month_after(month.now)
        days = max(turn - month.now, timedelta(0))
        needed = math.ceil(schedule.per_month * (days / MONTH)) if schedule else 0
        return cls(
            requests=sum(plan.requests or 0 for plan in plans),
            left=max(0, limit - (quota.used if quota else 0) - needed),
            monthly=max(0, limit - (schedule.per_month if schedule else 0)),
            turn=turn,
            most=most,
        )

    @property
    def fits(self) -> bool:
        return self.requests <= self.left

    @property
    def through(self) -> datetime | None:
        """The beginning of the month in which it comes to its end; None in this one, or in none."""
        if self.fits or not self.monthly:
            return None
        at = self.turn
        for _ in range(math.ceil((self.requests - self.left) / self.monthly) - 1):
            at = month_after(at)
        return at

    @property
    def sentence(self) -> str | None:
        """What to do where it does not fit into this month, or how many commands it takes; None: nothing."""
        if not self.fits and not self.monthly:
            return "The runs need all the requests of a month: none are left for it."
        if self.through:
            now = f"--max-requests {self.left} in this month, then " if self.left else ""
            return (
                f"That is more than the {self.left} requests that the runs leave of this month. In pieces, by"
                f" {now}--max-requests {self.monthly} in each month from {utc_text(self.turn)} on, it comes"
                f" to its end in the month that begins at {utc_text(self.through)}."
            )
        if self.most and self.most < self.requests:
            return (
                f"With --max-requests {self.most} it takes {math.ceil(self.requests / self.most)} commands."
            )
        return None


def _print(plans: Sequence[Forecast], pieces: Pieces, *, as_json: bool) -> None:
    for plan in plans:
        click.echo(orjson.dumps(_object(plan, pieces)) if as_json else _sentence(plan))
    if as_json:
        return
    if len(plans) > 1:
        click.echo(f"all websites: {pieces.requests} requests")
    if pieces.sentence:
        click.echo(pieces.sentence)


def _object(plan: Forecast, pieces: Pieces) -> dict[str, Any]:
    return {
        "website": plan.website,
        "requests": plan.requests,
        "minutes": plan.minutes,
        "share": plan.share,
        "rows": plan.rows,
        "asked": plan.asked,
        "month": {
            "requests": pieces.requests,
            "left": pieces.left,
            "fits": pieces.fits,
            "through": utc_text(pieces.through),
        },
    }


def _sentence(plan: Forecast) -> str:
    if plan.requests is None or plan.share is None:
        return (
            f"{plan.website}: its rows are in no useful order: all of the range are read, and how many there"
            f" are shows only then ({plan.asked} requests asked)"
        )
    if not plan.asked and not plan.requests:
        return f"{plan.website}: its days are read already"
    return (
        f"{plan.website}: about {plan.requests} requests, {plan.minutes} minutes, {plan.share:.2%} of the"
        f" month, for about {plan.rows} rows ({plan.asked} requests asked)"
    )


class _Zenovay:
    """Zenovay beside runs: with a state its requests count there; without, nothing is written down."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        ask: Ask,
        budget: Budget,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._budget = budget
        self.ask = ask

    def looking(self, question: Callable[[Transaction | None], T]) -> T:
        """The answer of the state as it is now; None for one that is not there, or is of an older version."""
        url, names = state_url(self._settings.sync), accounts(self._settings)
        with peek_state(url, self._clock, names) as state, limited(self._settings.shared, state, self._clock):
            return question(state)

    def now(self) -> datetime:
        """The API's clock, as far as earlier runs have seen it."""
        quota = self.looking(lambda state: state.limits.quota("zenovay") if state else None)
        return self._clock.now() + quota.ahead if quota else self._clock.now()

    def month(self) -> Month:
        """The month as it is now; a backfill may use the reserve."""
        return self.looking(self._month)

    def _month(self, state: Transaction | None) -> Month:
        plan, now = self._settings.zenovay, self._clock.now()
        quota = state.limits.quota("zenovay") if state else None
        schedule = look(state, plan.website_id, plan, now, quota).schedule if state else None
        quota = quota or self._budget.quota
        return Month(schedule, quota, month_limit(quota, plan), now + quota.ahead)


@contextmanager
def _zenovay(settings: Settings, clock: SystemClock) -> Iterator[_Zenovay]:
    plan, url = settings.zenovay, state_url(settings.sync)
    budget = Budget(clock=clock, limit=plan.requests_per_month)
    with ExitStack() as stack:
        with peek_state(url, clock) as state:
            is_ready = state is not None
        if is_ready:
            ask: Ask = stack.enter_context(beside_runs(settings, clock, reserve=0.0)).ask
        else:
            client = stack.enter_context(zenovay_beside(settings, clock, budget, _PATIENCE))
            ask = lambda question: question(client)  # noqa: E731 -- the other way to ask
        yield _Zenovay(settings, clock, ask=ask, budget=budget)
