"""Errands beside a run: what goes out to those who watch, and may neither fail the run nor hold it up."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.clock import Clock

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Errand:
    """The steps of one name that are still to do. ``is_busy`` as long as a thread is at them."""

    steps: deque[Callable[[], object]] = field(default_factory=deque)
    is_busy: bool = False
    has_failed: bool = False


class Errands:
    """Steps in daemon threads: those of one name in their order, those of different names at once.

    The process must leave by ``os._exit``, as the command does: what is late is abandoned, not ended.
    """

    def __init__(self, clock: Clock, allow_s: float = 9.0) -> None:
        """``allow_s`` are the seconds that ``wait`` may take, over all calls of it."""
        self._clock = clock
        self._left_s = allow_s
        self._errands: dict[str, _Errand] = {}
        self._changed = threading.Condition()

    def run(self, name: str, *steps: Callable[[], object]) -> None:
        """Do ``steps`` after those that ``name`` has already; returns at once and raises nothing.

        What a step returns is dropped. One that raises is logged, and ends the errand: neither the steps
        behind it nor those of a later call are done.
        """
        with self._changed:
            errand = self._errands.setdefault(name, _Errand())
            if errand.has_failed:
                return
            errand.steps.extend(steps)
            if errand.steps and not errand.is_busy:
                errand.is_busy = True
                self._begin(name, errand)

    def wait(self) -> dict[str, bool]:
        """Wait for all, as long as there is time; returns which names came to their end without an error.

        A signal does not shorten the wait: how a run was stopped is worth telling, too.
        """
        began = self._clock.monotonic()
        with self._changed:
            self._changed.wait_for(self._is_idle, timeout=max(0.0, self._left_s))
            self._left_s -= self._clock.monotonic() - began
            late = [name for name, errand in self._errands.items() if errand.is_busy]
            ended = {name: not (each.is_busy or each.has_failed) for name, each in self._errands.items()}
        for name in late:
            log.warning("an errand is late and left", extra={"action": "errand_late", "errand": name})
        return ended

    def _is_idle(self) -> bool:
        return not any(errand.is_busy for errand in self._errands.values())

    def _begin(self, name: str, errand: _Errand) -> None:
        try:
            threading.Thread(target=self._work, args=(name, errand), name=name, daemon=True).start()
        except RuntimeError as exc:  # no thread is to be had
            self._fail(name, errand, exc)

    def _work(self, name: str, errand: _Errand) -> None:
        try:
            while step := self._next(errand):
                step()
        except BaseException as exc:  # noqa: BLE001 -- nobody stands above who could do anything about it
            self._fail(name, errand, exc)

    def _next(self, errand: _Errand) -> Callable[[], object] | None:
        with self._changed:
            if errand.steps:
                return errand.steps.popleft()
            errand.is_busy = False
            self._changed.notify_all()
            return None

    def _fail(self, name: str, errand: _Errand, exc: BaseException) -> None:
        error = str(exc) if isinstance(exc, SyncError) else type(exc).__name__
        facts = {"action": "errand_failed", "errand": name, "error": error}
        log.warning("an errand failed", extra=facts)
        with self._changed:
            errand.has_failed = True
            errand.is_busy = False
            errand.steps.clear()
            self._changed.notify_all()
