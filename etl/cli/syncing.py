"""The runs of one portal's websites, and ``backfill``."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from etl.cli import logs
from etl.cli.campaign import Campaign
from etl.cli.limited import limited
from etl.cli.orders import order_of
from etl.cli.websites import chosen
from etl.errors import LockedError, SettingsError, StateError, UnavailableError
from etl.extract.budget import Budget
from etl.instants import parsed
from etl.models.summary import RunSummary, Status, utc_second
from etl.pipeline import Order, sync
from etl.settings import LONGEST_RANGE, doubles, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from etl.cli.printout import Collector, Printout
    from etl.cli.wiring import Session
    from etl.clock import SystemClock
    from etl.models.summary import RunKind
    from etl.pipeline import ports
    from etl.pipeline.ports import Adviser
    from etl.settings import Settings
    from etl.state.store import Transaction

log = logging.getLogger(__name__)

ONE_DAY = timedelta(days=1)
_MONTH_LASTS = timedelta(hours=1)
"""What was seen to last for the month is looked at again after that: the runs of a day are read for it."""


def sync_new(
    settings: Settings,
    clock: SystemClock,
    report: Printout | Collector,
    *,
    now: bool,
    websites: Sequence[str] = (),
    dry_run: bool = False,
    rests: Mapping[str, timedelta] | None = None,
    peeks: bool = True,
) -> int:
    """Sync the new visitors of all or these ``websites``, and tell ``report``. Returns the exit code.

    ``rests`` says of websites what lies between the starts of two runs, where that is not SYNC_MIN_INTERVAL.
    Where it ``peeks``, it looks first whether there is anything to do, before the clients
    are imported and the lock is taken; a process that has imported them asks only under the lock, by one
    connection. Any thread may call this: who calls it sets up the log, and what signals do.
    """
    orders = _orders(
        settings,
        "incremental",
        websites,
        dry_run=dry_run,
        lookback=settings.sync.lookback,
        sweep_interval=settings.sync.sweep_interval,
        initial=settings.sync.initial_range,
    )
    at_once = now or dry_run
    schedule = _Schedule(
        rest=timedelta(0) if at_once else settings.sync.min_interval,
        rests={} if at_once or rests is None else rests,
        obey_stops=not now,
    )
    plan = settings.zenovay
    budget = Budget(
        clock=clock, limit=plan.requests_per_month, reserve=0.0 if now else plan.reserve, tries=now
    )
    return _sync_all(settings, clock, orders, report, schedule=schedule, budget=budget, peeks=peeks)


def sync_past(
    settings: Settings,
    clock: SystemClock,
    report: Printout | Collector,
    *,
    window: tuple[datetime, datetime | None],
    max_requests: int | None = None,
    websites: Sequence[str] = (),
    dry_run: bool = False,
) -> int:
    """Sync ``[begin, end)`` of all or these ``websites``, with so many requests to Zenovay at most.

    What earlier calls for the same window have left is gone on with. Tells ``report``, and returns the exit
    code. Any thread may call this: who calls it sets up the log, and what signals do.
    """
    begin, end = window
    orders = _orders(settings, "backfill", websites, dry_run=dry_run, since=begin, until=end)
    budget = Budget(clock=clock, limit=settings.zenovay.requests_per_month, most=max_requests)
    return _sync_all(settings, clock, orders, report, schedule=_Schedule(), budget=budget)


def source_clock(settings: Settings, clock: SystemClock) -> datetime:
    """The API's clock, as far as earlier runs have seen it."""
    with _looking(settings, clock) as state, limited(settings.shared, state, clock):
        quota = state.limits.quota("zenovay") if state else None
    return clock.now() + (quota.ahead if quota else timedelta(0))


def _looking(settings: Settings, clock: SystemClock) -> AbstractContextManager[Transaction | None]:
    """The state as it is, before anything is opened for a run; None where there is none yet."""
    from etl.cli.derived import accounts, state_url  # noqa: PLC0415 -- it brings SQLAlchemy
    from etl.state.store import peek_state  # noqa: PLC0415 -- likewise

    return peek_state(state_url(settings.sync), clock, accounts(settings))


def parse_range(
    since: str, until: str | None, *, now: datetime, there: datetime
) -> tuple[datetime, datetime | None]:
    """``[begin, end)`` in UTC; a date as ``until`` is inclusive, None is now. ``there`` is the API's clock.

    Raises SettingsError for what is no date, for a range that is empty or lies ahead, and for a beginning
    that the API cannot reach.
    """
    begin, _ = _parse_instant(since, "--from")
    end = None
    if until is not None:
        end, is_date = _parse_instant(until, "--to")
        end += ONE_DAY if is_date else timedelta(0)
    if begin >= max(now, there):
        raise SettingsError(
            "--from lies in the future.", fix="A backfill is for the past; run does the rest."
        )
    if end is not None and end <= begin:
        raise SettingsError(
            "The range is empty: it ends where it begins." if end == begin else "--to lies before --from.",
            fix="Give a later --to: a day is included, an instant is not.",
        )
    earliest = there - LONGEST_RANGE
    if begin < earliest:
        first_day = (earliest + ONE_DAY).date()
        raise SettingsError(
            f"--from lies before what Zenovay can give: its longest range is {LONGEST_RANGE.days} days.",
            fix=f"The earliest instant is {utc_second(earliest)}, the earliest whole day {first_day}.",
        )
    return begin, end


def _parse_instant(text: str, option: str) -> tuple[datetime, bool]:
    """The instant in UTC, and whether it was given as a whole day."""
    stated = parsed(text)
    if stated is None:
        raise SettingsError(
            f"{option} is neither a date nor an ISO 8601 instant.",
            fix="Write it like 2026-01-31 or 2026-01-31T12:00:00Z.",
        )
    return stated, len(text.strip()) <= len("2026-01-31")


def start(settings: Settings | None = None) -> Settings:
    """The ``settings``, read unless they are given, with the log set up as they say."""
    settings = settings or load()
    logs.follow(settings.sync, settings.secrets())
    return settings


@dataclass(frozen=True, slots=True)
class _Schedule:
    """When not to run: less than ``rest`` after the start of the last run, or before a stop has ended.

    ``rests`` has the websites with one of their own.
    """

    rest: timedelta = timedelta(0)
    rests: Mapping[str, timedelta] = field(default_factory=dict)
    obey_stops: bool = True

    def idle(self, order: Order, state: Transaction, now: datetime) -> RunSummary | None:
        """The summary of a run that is not to be begun now, None if it is."""
        summary = RunSummary(order.run, order.kind, order.website, order.dry_run)
        summary.watermark_before = summary.watermark_after = state.runs.watermark(order.website)
        owner = state.ownership.owner()
        summary.portal = owner.portal_id if owner else None
        start = state.runs.last_success(order.website, now=now)
        if start and now - self.rests.get(order.website, self.rest) < start:
            summary.status = Status.SKIPPED
            within = "this site's interval" if order.website in self.rests else "SYNC_MIN_INTERVAL"
            summary.reason = f"The last run started at {utc_second(start)}, within {within}."
            return summary
        stops = [stop for api in ("zenovay", "hubspot") if (stop := state.limits.stop(api, now))]
        if stops and self.obey_stops:
            last = max(stops, key=lambda stop: stop.until)
            summary.status, summary.exit_code = Status.INCOMPLETE, UnavailableError.exit_code
            summary.reason = str(last)
            return summary
        return None


def _orders(
    settings: Settings, kind: RunKind, websites: Sequence[str], *, dry_run: bool, **window: Any
) -> list[Order]:
    """What is to be done, for each website that is wanted; ``window`` is what Order takes."""
    return [
        order_of(
            settings.sync,
            run=uuid.uuid4().hex,
            kind=kind,
            website=website,
            concurrency=settings.hubspot.concurrency,
            dry_run=dry_run,
            **window,
        )
        for website in chosen(websites, settings.zenovay.website_id)
    ]


def _sync_all(
    settings: Settings,
    clock: SystemClock,
    orders: list[Order],
    report: Printout | Collector,
    *,
    schedule: _Schedule,
    budget: Budget,
    peeks: bool = True,
) -> int:
    if peeks and (idle := _all_idle(settings, orders, schedule, clock)):
        for summary in idle:
            report.add(summary)
        return report.close()
    from etl.cli.wiring import session  # noqa: PLC0415 -- the clients take 100 ms to import

    with session(settings, clock=clock, dry_run=orders[0].dry_run, budget=budget) as opened:
        campaign, knows_links = _campaign(orders, opened, settings.zenovay.website_id), False
        twice = doubles(settings)
        for mine in orders:
            with opened.store.reading() as state:
                if mine is orders[0]:
                    opened.store.notes += _newness(settings, mine, state)
                rests = schedule.idle(mine, state, clock.now())
                if campaign and rests is None:
                    rests = campaign.rests(mine, state)
            report.add(rests or _sync_one(replace(mine, links=not knows_links), opened, clock, report, twice))
            knows_links = knows_links or rests is None
            if campaign and opened.store.is_usable:
                with opened.store.transaction() as state:
                    campaign.note(mine.website, state)
            if clock.interruption() or not opened.store.is_usable:
                break
    return report.close()


def _newness(settings: Settings, order: Order, state: Transaction) -> tuple[str, ...]:
    """That nothing was ever synced into this state, should that be so: it may be the wrong one."""
    from etl.cli.derived import days, state_place  # noqa: PLC0415 -- likewise

    if state.runs.known_website(order.website) or state.runs.websites():
        return ()
    reads = f"; this run reads the last {days(order.initial)}" if order.kind == "incremental" else ""
    return (f"This state is new ({state_place(settings.sync)}){reads}.",)


def _campaign(orders: list[Order], opened: Session, websites: Sequence[str]) -> Campaign | None:
    """What a backfill of several websites remembers of them; a dry run remembers nothing."""
    if len(websites) == 1 or orders[0].kind != "backfill" or orders[0].dry_run:
        return None
    with opened.store.transaction() as state:
        return Campaign(orders, state, websites=websites)


def _all_idle(
    settings: Settings, orders: list[Order], schedule: _Schedule, clock: SystemClock
) -> list[RunSummary]:
    """Look, without the lock and without writing, whether no website is to be synced now."""
    with _looking(settings, clock) as state:
        if state is None:
            return []
        summaries = [schedule.idle(order, state, clock.now()) for order in orders]
        return [summary for summary in summaries if summary] if all(summaries) else []


def _sync_one(
    order: Order,
    opened: Session,
    clock: SystemClock,
    report: Printout | Collector,
    concerns: Sequence[str],
) -> RunSummary:
    if order.kind == "incremental" and not opened.affords_sweep(order, clock):
        log.warning("no sweep: the month has no requests for it", extra={"action": "sweep_left_out"})
        order = replace(order, sweep_interval=None)
    with report.watching(order, clock) as observer:
        summary = sync(
            order,
            source=opened.source,
            destination=opened.destination,
            store=opened.store,
            clock=clock,
            interruption=clock.interruption,
            observer=observer,
            adviser=_adviser(order, opened, clock, concerns),
        )
    if opened.store.is_usable and summary.exit_code not in {StateError.exit_code, LockedError.exit_code}:
        opened.remember_setup()
    return summary


def _adviser(order: Order, opened: Session, clock: SystemClock, concerns: Sequence[str]) -> Adviser | None:
    """Says once a day if the month will not last, and marks as news what else is not as it should be.

    What ``concerns`` the settings is among the warnings each time.
    """
    if order.kind != "incremental" or order.dry_run:
        return None

    def advise(summary: RunSummary, state: ports.Transaction) -> list[str]:
        written, now = cast("Transaction", state), opened.budget.now()
        if (concerns or summary.concerns) and not _was_told("window", summary.website, written, now):
            _tell("window", summary, written, now)
        return [*concerns, *_of_month(summary, written, opened, clock, now)]

    return advise


def _of_month(
    summary: RunSummary, state: Transaction, opened: Session, clock: SystemClock, now: datetime
) -> list[str]:
    if _was_told("month", summary.website, state, now):
        return []
    looked = state.notebook.get(_looked(summary.website))
    if looked and abs(now - datetime.fromisoformat(looked)) < _MONTH_LASTS:
        return []
    from etl.cli.month import SETTLED  # noqa: PLC0415 -- likewise

    if state.runs.count(summary.website) < SETTLED:
        return []
    month = opened.month(state, clock)
    warning = month.warning
    if warning is None:
        if month.is_settled:
            state.notebook.put(_looked(summary.website), now.isoformat())
        return []
    _tell("month", summary, state, now)
    return [warning]


def _was_told(kind: str, website: str, state: Transaction, now: datetime) -> bool:
    """Whether somebody was told of this within a day. ``now`` is the API's clock."""
    last = state.notebook.instant(_told(kind, website))
    return last is not None and abs(now - last) < ONE_DAY


def _tell(kind: str, summary: RunSummary, state: Transaction, now: datetime) -> None:
    summary.is_news = True
    state.notebook.put(_told(kind, summary.website), now.isoformat())


def _looked(website: str) -> str:
    return f"month_looked_{website}"


def _told(kind: str, website: str) -> str:
    return f"told_{kind}_{website}"
