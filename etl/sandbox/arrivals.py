"""Visitors who come while the sandbox runs, at a steady rate."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Self

from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl.sandbox.generator import Visitors
    from etl.sandbox.zenovay import ZenovayWorld

_UNITS_S = {"s": 1, "min": 60, "h": 3600}
_RATE = re.compile(rf"([0-9]+(?:\.[0-9]+)?)\s*/\s*({'|'.join(_UNITS_S)})")
_CLOSEST_S, _FURTHEST_S = 0.001, 86400.0


def pause_between(rate: str) -> timedelta:
    """The pause from one arrival to the next at ``5/min``, ``2/s`` or ``0.5/h``. Raises SettingsError."""
    found = _RATE.fullmatch(rate.strip())
    number = float(found[1]) if found else 0.0
    if found is None or not _CLOSEST_S <= (_UNITS_S[found[2]] / number if number else 0.0) <= _FURTHEST_S:
        raise SettingsError(
            "--arrivals is no rate that can be had.",
            fix="Write it like 5/min, 2/s or 30/h: from one a day to 1000 a second.",
        )
    return timedelta(seconds=_UNITS_S[found[2]] / number)


class Arrivals:
    """Adds a row to the ``website`` after each ``pause``, from ``__enter__`` to ``__exit__``.

    Who comes, and what they do, follows from the seed of ``visitors``; only the instants are those of now.
    """

    def __init__(self, zenovay: ZenovayWorld, website: str, visitors: Visitors, *, pause: timedelta) -> None:
        self._zenovay = zenovay
        self._website = website
        self._visitors = visitors
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._come, name="arrivals", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _come(self) -> None:
        for instant in self._instants():
            if self._over.wait(max(0.0, (instant - self._zenovay.now()).total_seconds())):
                return
            self._zenovay.add_rows(self._website, self._visitors.rows(1, between=(instant, instant)))

    def _instants(self) -> Iterator[datetime]:
        """Reckoned from the first, so that no delay adds up."""
        begun = self._zenovay.now()
        return (begun + number * self._pause for number in count(1))
