"""How many searches an account may make."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_WINDOW = timedelta(seconds=1)


@dataclass(slots=True)
class SearchPace:
    """The searches of the last second."""

    _counted: deque[datetime] = field(default_factory=deque)

    def count(self, now: datetime) -> int:
        """How many there were in the second that ends now."""
        while self._counted and self._counted[0] <= now - _WINDOW:
            self._counted.popleft()
        return len(self._counted)

    def add(self, now: datetime) -> None:
        """One more."""
        self._counted.append(now)
