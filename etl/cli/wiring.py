"""Putting the parts together: settings in, adapters out."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from etl.cli.derived import accounts, state_url
from etl.cli.memory import collect_seldom, share_one_heap
from etl.cli.month import look
from etl.extract.client import ZenovayClient
from etl.extract.visitors import ZenovayVisitors
from etl.jsontext import canonical
from etl.load.client import HubSpotClient
from etl.load.day import Day
from etl.load.delivery import HubSpotContacts
from etl.load.preview import Preview
from etl.load.properties import wanted_properties
from etl.pace import Pace
from etl.retry import Patience
from etl.state.store import Store, open_state
from etl.transform import properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from etl.cli.month import Month
    from etl.cli.sharing import HubSpotLimits
    from etl.clock import Clock, SystemClock
    from etl.extract.budget import Allowance, Budget
    from etl.extract.client import Slots
    from etl.fields import SyncedFields
    from etl.load.client import Slots as HubSpotSlots
    from etl.load.properties import WantedProperty
    from etl.pipeline import Order
    from etl.settings import HubSpotSettings, Settings, Shared, SyncSettings, ZenovaySettings
    from etl.state.elsewhere import Elsewhere
    from etl.state.store import Transaction

MINUTE_S = 60.0
HUBSPOT_WINDOW_S = 10.0
PATIENCE = Patience()

READ_AHEAD = 2
"""Requests for pages that are not absorbed yet: of the one that waits for it, and of the next."""

_VERIFIED = "verified_setup"
_MAPPING = "property_names"
_POLICIES = "write_policies"
_REMEMBERED = "texts_remembered"
_AT_ONCE = 5000


def zenovay_client(
    settings: ZenovaySettings, clock: Clock, pace: Slots, budget: Allowance, patience: Patience = PATIENCE
) -> ZenovayClient:
    return ZenovayClient(
        base_url=settings.base_url,
        api_key=settings.api_key.get_secret_value(),
        clock=clock,
        pace=pace,
        budget=budget,
        patience=patience,
    )


def hubspot_client(
    settings: HubSpotSettings,
    clock: Clock,
    pace: HubSpotSlots,
    patience: Patience = PATIENCE,
    *,
    shared: HubSpotLimits | None = None,
) -> HubSpotClient:
    """A client that keeps ``pace``; what is ``shared`` holds for others, too, and counts the day."""
    client = HubSpotClient(
        access_token=settings.access_token.get_secret_value(),
        base_url=settings.base_url,
        api_version=settings.api_version,
        clock=clock,
        pace=pace,
        patience=patience,
    )
    if shared:
        client.day, client.search = shared.day, shared.search
    return client


def _is_kept(shared: Shared, clock: Clock) -> bool:
    """Whether there are rows that keep the limits: what only looks, such as a dry run, makes none."""
    from etl.cli.sharing import is_kept  # noqa: PLC0415 -- a fleet alone needs it

    return is_kept(shared.url, clock)


@contextmanager
def hubspot_beside(
    settings: HubSpotSettings, clock: Clock, shared: Shared | None, patience: Patience = PATIENCE
) -> Iterator[HubSpotClient]:
    """A client for what is no run: its limits are its own, where they are not ``shared``."""
    with ExitStack() as stack:
        limits: HubSpotLimits | None = None
        pace: HubSpotSlots = hubspot_pace(settings, clock)
        if shared and _is_kept(shared, clock):
            from etl.cli import sharing  # noqa: PLC0415 -- a fleet alone needs it

            limits = stack.enter_context(sharing.hubspot_limits(shared, settings, clock, insists=True))
            pace = limits.pace
        client = hubspot_client(settings, clock, pace, patience, shared=limits)
        stack.callback(client.close)
        yield client


@contextmanager
def zenovay_beside(
    settings: Settings, clock: Clock, budget: Budget, patience: Patience = PATIENCE
) -> Iterator[ZenovayClient]:
    """A client for what is no run: its limits are its own, and ``budget``, where they are not shared."""
    with ExitStack() as stack:
        pace: Slots = zenovay_pace(settings.zenovay, clock)
        month: Allowance = budget
        if settings.shared and _is_kept(settings.shared, clock):
            from etl.cli import sharing  # noqa: PLC0415 -- as above

            key = stack.enter_context(sharing.zenovay_limits(settings.shared, settings, clock, budget.terms))
            pace, month = key.pace, key.budget
        client = zenovay_client(settings.zenovay, clock, pace, month, patience)
        stack.callback(client.close)
        yield client


def zenovay_pace(settings: ZenovaySettings, clock: Clock) -> Pace:
    limit = settings.requests_per_minute
    return Pace(limit=limit, window_s=MINUTE_S, clock=clock, name="Zenovay")


def hubspot_pace(settings: HubSpotSettings, clock: Clock) -> Pace:
    limit = settings.requests_per_10_seconds
    return Pace(limit=limit, window_s=HUBSPOT_WINDOW_S, clock=clock, name="HubSpot")


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that a run needs, opened."""

    store: Store
    source: ZenovayVisitors
    destination: HubSpotContacts | Preview
    budget: Allowance
    plan: ZenovaySettings
    setup_digest: str
    declared: bool = False

    def month(self, state: Transaction, clock: Clock) -> Month:
        return look(
            state, self.plan.website_id, self.plan, clock.now(), self.budget.quota, declared=self.declared
        )

    def affords_sweep(self, order: Order, clock: Clock) -> bool:
        """Whether a sweep that may be due leaves enough of the month for the runs to come."""
        with self.store.reading() as state:
            website = state.runs.known_website(order.website)
            if website is None or website.swept is None or order.sweep_interval is None:
                return True
            if self.budget.now() - website.swept < 0.9 * order.sweep_interval:
                return True
            return self.month(state, clock).affords_sweep

    def remember_setup(self) -> None:
        """Write down whether HubSpot's properties are known to be right, so that later runs need not ask."""
        with self.store.transaction() as state:
            if self.destination.verified:
                state.notebook.put(_VERIFIED, self.setup_digest)
            else:
                state.notebook.drop(_VERIFIED)


@contextmanager
def session(settings: Settings, *, clock: SystemClock, dry_run: bool, budget: Budget) -> Iterator[Session]:
    """Open the state and both clients, and hold the lock; a dry run works on a copy, and only looks.

    Raises LockedError, StateError.
    """
    share_one_heap()
    collect_seldom()
    url = state_url(settings.sync)
    with ExitStack() as stack:
        connection = stack.enter_context(_snapshot(url, clock) if dry_run else open_state(url, clock))
        store = Store(
            connection,
            clock=clock,
            anonymous=settings.sync.anonymous != "skip",
            accounts=accounts(settings),
        )
        taken_over = stack.enter_context(store.locked())
        _take_up_texts(store, settings.sync.synced)
        shared = settings.shared
        if shared and (not dry_run or _is_kept(shared, clock)):
            limits, stops = _shared_limits(settings, shared, clock, budget, stack, dry_run=dry_run)
            store.limited_by(stops)
            verified = _prepare(store, settings)
        else:
            limits, paces = _own_limits(settings, clock, budget)
            store.keep(paces, {"zenovay": budget})  # what they count is the state's once they are restored
            verified = _prepare(store, settings, paces, budget, unlogged=taken_over)
        zenovay = zenovay_client(settings.zenovay, clock, limits.zenovay, limits.budget)
        stack.callback(zenovay.close)
        hubspot = hubspot_client(settings.hubspot, clock, limits.hubspot, shared=limits.shared)
        stack.callback(hubspot.close)
        if not limits.shared and not _tries(store, budget):
            hubspot.day = Day(hubspot.circuit, clock)
        wanted = wanted_of(settings.sync)
        yield Session(
            store=store,
            source=ZenovayVisitors(
                zenovay,
                paging=settings.zenovay.paging,
                page_size=settings.zenovay.page_size,
                synced=settings.sync.synced,
                exclusions=settings.sync.exclusions,
            ),
            destination=Preview(hubspot, wanted, clock=clock, verified=verified)
            if dry_run
            else HubSpotContacts(
                hubspot, wanted, clock=clock, verified=verified, max_rejected=settings.sync.max_rejected
            ),
            budget=limits.budget,
            plan=settings.zenovay,
            setup_digest=_setup_digest(settings),
            declared=settings.shared is not None,
        )


def _tries(store: Store, budget: Budget) -> bool:
    """Whether HubSpot is asked although it said before that nothing of the day remains."""
    with store.reading() as state:
        return budget.terms.tries or state.limits.was_stopped("hubspot")


def _snapshot(url: str, clock: Clock) -> AbstractContextManager[Connection]:
    from etl.state.snapshot import snapshot  # noqa: PLC0415 -- needed by dry runs only

    return snapshot(url, clock=clock)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the two clients of a run keep; ``shared`` is what holds for others at HubSpot, too."""

    zenovay: Slots
    hubspot: HubSpotSlots
    budget: Allowance
    shared: HubSpotLimits | None = None


def _shared_limits(
    settings: Settings, shared: Shared, clock: Clock, budget: Budget, stack: ExitStack, *, dry_run: bool
) -> tuple[_Limits, Elsewhere]:
    """Limits that other portals and processes keep, too, and where their stops are; the state has none."""
    from etl.cli import sharing  # noqa: PLC0415 -- as above

    key = stack.enter_context(sharing.zenovay_limits(shared, settings, clock, budget.terms))
    opened = sharing.hubspot_limits(shared, settings.hubspot, clock, insists=budget.terms.tries)
    portal = stack.enter_context(opened)
    stops = stack.enter_context(sharing.shared_stops(shared, clock, looks=dry_run))
    return _Limits(key.pace, portal.pace, key.budget, portal), stops


def _own_limits(settings: Settings, clock: Clock, budget: Budget) -> tuple[_Limits, dict[str, Pace]]:
    """Limits that the state keeps, and what is to be restored of them."""
    zenovay, hubspot = zenovay_pace(settings.zenovay, clock), hubspot_pace(settings.hubspot, clock)
    return _Limits(zenovay, hubspot, budget), {"zenovay": zenovay, "hubspot": hubspot}


def _prepare(
    store: Store,
    settings: Settings,
    paces: Mapping[str, Pace] | None = None,
    budget: Budget | None = None,
    *,
    unlogged: bool = False,
) -> bool:
    """Take up what earlier runs left. Returns whether HubSpot's properties are known to be right.

    ``unlogged``: the last run was killed, so that it may have sent requests that nobody wrote down.
    """
    with store.transaction() as state:
        verified = state.notebook.get(_VERIFIED) == _setup_digest(settings)
        looks = 0 if verified else len(wanted_of(settings.sync))
        unknown = {"zenovay": READ_AHEAD, "hubspot": settings.hubspot.concurrency + looks} if unlogged else {}
        for api, pace in (paces or {}).items():
            sent, stated = state.limits.sent(api), state.limits.stated(api)
            pace.restore(sent, unlogged=unknown.get(api, 0), stated=stated)
            pace.count_others(state.limits.beside(api)[0])
        if budget:
            _restore(budget, state, unlogged=unknown.get("zenovay", 0))
        _take_up_names(state, settings.sync.synced)
        _take_up_policies(state, settings.sync.synced)
        return verified


def _restore(budget: Budget, state: Transaction, *, unlogged: int) -> None:
    """Go on counting the month."""
    quota, (_, beside) = state.limits.quota("zenovay"), state.limits.beside("zenovay")
    if beside:
        state.limits.take_over("zenovay", beside)
    budget.restore(quota, unlogged=unlogged, last=state.limits.last_sent("zenovay"))


def wanted_of(settings: SyncSettings) -> tuple[WantedProperty, ...]:
    """The properties that HubSpot must have."""
    return wanted_properties(settings.synced, settings.link_property)


def _take_up_names(state: Transaction, synced: SyncedFields) -> None:
    """Make due what a renamed property had; a field that is off keeps the name it had last."""
    known = state.notebook.mapping(_MAPPING)
    if names := renamed(state, synced):
        state.ledger.forget_confirmations(fields=names)
    state.notebook.put(_MAPPING, canonical(known | synced.mapping()).decode())


def renamed(state: Transaction, synced: SyncedFields) -> frozenset[str]:
    """The fields whose properties have other names than in the last run."""
    known = state.notebook.mapping(_MAPPING)
    return frozenset(name for name, prop in synced.mapping().items() if known.get(name, prop) != prop)


def _take_up_policies(state: Transaction, synced: SyncedFields) -> None:
    """Make due what gave way under another policy."""
    known = state.notebook.mapping(_POLICIES)
    if changed := reruled(state, synced):
        state.records.reconsider(changed)
    state.notebook.put(_POLICIES, canonical(known | synced.policies()).decode())


def reruled(state: Transaction, synced: SyncedFields) -> frozenset[str]:
    """The properties that have another policy than in the last run."""
    known = state.notebook.mapping(_POLICIES)
    return frozenset(name for name, policy in synced.policies().items() if known.get(name, policy) != policy)


def _take_up_texts(store: Store, synced: SyncedFields) -> None:
    """Find out what older versions have written, which kept fingerprints only: once, before facts change.

    A property that has another name now is left out: it is not known what HubSpot holds there.
    """
    with store.reading() as state:
        if state.notebook.get(_REMEMBERED):
            return
        known = state.notebook.mapping(_MAPPING)
    renamed = {prop for name, prop in synced.mapping().items() if known.get(name, prop) != prop}
    after: int | None = 0
    while after is not None:
        with store.transaction() as state:
            found = state.ledger.unremembered(after=after, most=_AT_ONCE)
            texts = {each.contact_id: properties(each.contact, synced) for each in found}
            state.ledger.remember(
                {
                    number: {name: text for name, text in each.items() if name not in renamed}
                    for number, each in texts.items()
                }
            )
            after = found[-1].contact_id if found else None
            if after is None:
                state.notebook.put(_REMEMBERED, "yes")


def _setup_digest(settings: Settings) -> str:
    parts = (
        settings.hubspot.base_url,
        settings.hubspot.api_version,
        settings.hubspot.access_token.get_secret_value(),
        canonical(settings.sync.synced.mapping()).decode(),
        settings.sync.link_property or "",
    )
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
