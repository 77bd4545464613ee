"""Zenovay: the way there, the key, the rows of each website, what is used of the month."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from etl.cli import wiring
from etl.cli.checks.finding import NotCheckedError, Probe
from etl.cli.checks.way import BRIEF, way
from etl.cli.month import month_limit, unreserved
from etl.errors import SettingsError
from etl.extract import account
from etl.extract.budget import Budget
from etl.extract.visitors import ZenovayVisitors
from etl.models.reading import Page, Quota, ReadRequest
from etl.redact import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from etl.cli.checks.state import StateChecks
    from etl.clock import Clock
    from etl.extract.account import Usage
    from etl.extract.budget import Allowance
    from etl.extract.client import ZenovayClient
    from etl.fields import SyncedFields
    from etl.settings import Settings

KEY = "zenovay key"
_SAMPLE = 100
_ONE_DAY = timedelta(hours=24)
_SHOWN_IDS = 10


class ZenovayChecks:
    """``samples`` are the pages of the websites that could be read. ``stack`` closes what is opened."""

    def __init__(self, settings: Settings, state: StateChecks, clock: Clock, stack: ExitStack) -> None:
        self._all = settings
        self._settings = settings.zenovay
        self._synced = settings.sync.synced
        self._state = state
        self._clock = clock
        self._stack = stack
        self._unseen: frozenset[str] = frozenset()
        self._budget = Budget(clock=clock, limit=self._settings.requests_per_month, tries=True)
        self._month: Allowance = self._budget
        self._known: Quota | None = None
        self._usage: Usage | None = None
        self.samples: dict[str, Page] = {}

    def probes(self) -> Iterator[Probe]:
        with suppress(NotCheckedError):
            self._known = self._state.quota()
            self._budget.restore(self._known, unlogged=0)
        yield Probe("zenovay route", self._way, opens=True)
        yield Probe(KEY, self._websites)
        for website in self._settings.website_id:
            yield Probe(f"zenovay rows of {website}", partial(self._rows, website), apart=True)
        yield Probe("zenovay limits", self._limits)

    def quota(self) -> Quota | None:
        """The month by Zenovay's own word, else by what the runs so far know; None where nobody says it."""
        heard, usage = self._month.quota, self._usage
        if usage is None or usage.used is None:
            return heard if self._known or heard.limit else None
        limit, end = usage.limit or heard.limit, usage.resets_at or heard.resets_at
        return replace(heard, used=usage.used, limit=limit, resets_at=end)

    @cached_property
    def _client(self) -> ZenovayClient:
        opened = wiring.zenovay_beside(self._all, self._clock, self._budget, BRIEF)
        client = self._stack.enter_context(opened)
        self._month = client.budget
        return client

    @cached_property
    def _visitors(self) -> ZenovayVisitors:
        paging = self._settings.paging
        return ZenovayVisitors(self._client, paging=paging, page_size=_SAMPLE, synced=self._synced)

    def _way(self) -> str:
        return way(self._settings.base_url, "Zenovay", "ZENOVAY_BASE_URL")

    def _websites(self) -> str:
        seen = account.websites(self._client)
        ids, codes = [each.id for each in seen], {each.tracking_code: each.id for each in seen}
        self._unseen = frozenset(self._settings.website_id) - set(ids)
        missing = [name for name in self._settings.website_id if name in self._unseen]
        if coded := [codes[name] for name in missing if name in codes]:
            raise SettingsError(
                "ZENOVAY_WEBSITE_ID holds a tracking code.", fix=f"The website's id is {printable(coded[0])}."
            )
        if missing:
            raise SettingsError(
                f"ZENOVAY_WEBSITE_ID names {_listed(missing)}, which the key cannot see.",
                fix=f"It sees: {_listed(ids) or 'no website'}.",
            )
        return f"accepted; sees {len(seen)} website{'' if len(seen) == 1 else 's'}"

    def _rows(self, website: str) -> str:
        if website in self._unseen:
            raise NotCheckedError(KEY)
        pages = self._visitors.read(ReadRequest(website, initial=_ONE_DAY))
        page = self.samples[website] = next(page for page in pages if isinstance(page, Page))
        return _contents(page, self._synced)

    def _limits(self) -> str:
        usage = self._usage = account.usage(self._client)
        limit = usage.limit or month_limit(self._month.quota, self._settings)
        kept = limit - unreserved(limit, self._settings.reserve)
        reserve = f", the last {kept} of them kept for people (ZENOVAY_RESERVE)" if kept else ""
        used = "an unknown number" if usage.used is None else str(usage.used)
        minute = usage.per_minute or self._settings.requests_per_minute
        resets = f", reset at {usage.resets_at:%Y-%m-%dT%H:%M:%SZ}" if usage.resets_at else ""
        return f"{used} of {limit} requests used this month{reserve}{resets}; {minute} a minute"


def _listed(ids: list[str]) -> str:
    """Ids, most likely enough of them."""
    more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
    return ", ".join(map(printable, ids[:_SHOWN_IDS])) + more


def _contents(page: Page, synced: SyncedFields) -> str:
    clocks = page.clocks
    reasons = Counter(rejection.code for rejection in page.rejections)
    known = sum(1 for visitor in page.visitors if visitor.email)
    stated = Counter(name for visitor in page.visitors for name in visitor.facts if name in synced.by_name)
    fields = ", ".join(f"{name} in {stated[name] or 'none'}" for name in synced.by_name)
    refused = f" ({', '.join(f'{count} {code}' for code, count in reasons.items())})" if reasons else ""
    return (
        f"{page.read} rows of the last 24 hours: {len(page.visitors)} valid, {len(page.rejections)} refused"
        f"{refused}; {known} with an e-mail address; {fields}"
        f"{f'; the clocks disagree: {clocks}' if clocks and clocks.disagree else ''}"
    )
