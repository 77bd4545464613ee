"""What search sees: the contacts as they were some time ago."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

Properties = dict[str, str]


class SearchIndex:
    """Keeps what contacts were before each write, for as long as search still shows that."""

    def __init__(self, lag_s: Callable[[], float]) -> None:
        self._lag_s = lag_s
        self._replaced: deque[tuple[datetime, str, Properties | None]] = deque()

    def note(self, contact_id: str, before: Properties | None, *, at: datetime) -> None:
        """``before``: None where there was no such contact."""
        horizon = self._horizon(at)
        if horizon == at:
            return
        while self._replaced and self._replaced[0][0] <= horizon:
            self._replaced.popleft()
        self._replaced.append((at, contact_id, before))

    def shown(self, current: Mapping[str, Properties], *, now: datetime) -> dict[str, Properties]:
        """The contacts that search finds, by id, given the ``current`` ones."""
        shown, horizon = dict(current), self._horizon(now)
        for at, contact_id, before in reversed(self._replaced):
            if at <= horizon:
                break
            if before is None:
                shown.pop(contact_id, None)
            else:
                shown[contact_id] = before
        return shown

    def saved(self) -> Callable[[], None]:
        """Takes back, when called, what was noted since."""
        before = self._replaced.copy()

        def restore() -> None:
            self._replaced = before

        return restore

    def _horizon(self, now: datetime) -> datetime:
        return now - timedelta(seconds=self._lag_s())
