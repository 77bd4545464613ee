"""What a run counts against the limits: written down as it changes, with what others count beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from etl.state.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.clock import Clock
    from etl.models.reading import Quota
    from etl.state.limits import Limits
    from etl.state.tally import Beside

LEARN_S = 1.0
"""What others send is asked for in each commit after something was sent, and at least so often."""


class History(Protocol):
    """Something that knows when requests were sent, and what limit was stated, such as a pace."""

    @property
    def stated(self) -> int | None: ...

    def history(self) -> Sequence[int]:
        """Microseconds since 1970."""
        ...

    def count_others(self, history: Sequence[int], /) -> None:
        """What others have sent to the same limit: all that is known of it."""


class Counted(Protocol):
    """Something that counts the requests of a month, such as a budget."""

    @property
    def quota(self) -> Quota: ...

    def count_others(self, requests: int, /) -> None:
        """So many more requests were made by others."""


class Tallies:
    """The paces and budgets of one run, and what of them was committed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._histories: dict[str, History] = {}
        self._budgets: dict[str, Counted] = {}
        self._committed: dict[str, Tally] = {}
        self._learnt_at = float("-inf")
        self._pending: dict[str, Tally] = {}
        self._others: dict[str, Beside] = {}

    def keep(self, histories: Mapping[str, History], budgets: Mapping[str, Counted]) -> None:
        """Write these down from now on, by API."""
        self._histories.update(histories)
        self._budgets.update(budgets)

    def write_down(self, limits: Limits) -> None:
        """Before a commit: write what has changed since the last one, and ask for what others have sent.

        A run that has sent nothing more leaves as much room as those beside it reckon with.
        """
        self._pending, self._others = {}, {}
        for api in sorted({*self._histories, *self._budgets}):
            self._write_down(api, limits)

    def _write_down(self, api: str, limits: Limits) -> None:
        now, before = self._tally(api), self._committed.get(api) or limits.tally(api)
        others: Beside = ([], 0)
        if not before.covers(now):
            others = self._others[api] = limits.remember_sent(api, now.sent, stated=now.stated)
        elif self._clock.monotonic() - self._learnt_at >= LEARN_S:
            others = self._others[api] = limits.beside(api)
        _, requests = others
        quota = now.quota and replace(now.quota, used=now.quota.used + requests)
        if quota and (requests or quota != before.quota):
            limits.remember_quota(api, quota)
        if requests and api in self._budgets:
            limits.take_over(api, requests)
        self._pending[api] = now._replace(quota=quota)

    def _tally(self, api: str) -> Tally:
        history, budget = self._histories.get(api), self._budgets.get(api)
        return Tally(
            history.history() if history else (),
            history.stated if history else None,
            budget.quota if budget else None,
        )

    def committed(self) -> None:
        """After a commit: what was written is known, and what others have sent is counted here."""
        self._committed |= self._pending
        if self._others.keys() == self._pending.keys():
            self._learnt_at = self._clock.monotonic()
        for api, (sent, requests) in self._others.items():
            if api in self._histories:
                self._histories[api].count_others(sent)
            if api in self._budgets:
                self._budgets[api].count_others(requests)
