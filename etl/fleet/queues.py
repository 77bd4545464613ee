"""The engine's queues: each portal has one for each of its keys, and a worker looks into some of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

COMMON = "default"
"""That of what belongs to no portal."""


def queue_of(portal: str, key: str) -> str:
    return f"{portal}/{key}"


class Queues:
    """The names of the queues that a worker takes jobs from, as ``open``, a list that is changed in place.

    Only those of what it declares. And where it declares several keys, none of them has more than half of
    its places: the jobs of a key that is short of requests wait for these, and others have their turn.
    """

    def __init__(self, pairs: Collection[tuple[str, str]], places: int) -> None:
        """Of these ``pairs`` of a portal and a key, for a worker with so many ``places``."""
        self._pairs = {queue_of(portal, key): (portal, key) for portal, key in pairs}
        self._most = max(1, places // 2) if len({key for _, key in pairs}) > 1 else places
        self._held: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self.open: list[str] = []
        self._update()

    def take(self, queue: str | None) -> None:
        """A job of this queue begins."""
        self._hold(queue, 1)

    def release(self, queue: str | None) -> None:
        """It has ended."""
        self._hold(queue, -1)

    def leave(self, portal: str) -> None:
        """Take nothing of the portal, until it is called ``back`` as often."""
        self._left[portal] += 1
        self._update()

    def back(self, portal: str) -> None:
        self._left[portal] -= 1
        self._update()

    def _hold(self, queue: str | None, number: int) -> None:
        if pair := self._pairs.get(queue or ""):
            self._held[pair[1]] += number
            self._update()

    def _update(self) -> None:
        self.open[:] = [
            COMMON,
            *(
                queue
                for queue, (portal, key) in self._pairs.items()
                if self._held[key] < self._most and not self._left[portal]
            ),
        ]
