"""The state: where it is, whether it is whole, what the runs so far cost."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from etl.cli import derived
from etl.cli.checks.finding import STATE, NotCheckedError, Saw
from etl.cli.limited import limited
from etl.cli.month import look
from etl.errors import InterruptedRunError, StateError, SyncError, UnavailableError
from etl.state.database import open_to_others
from etl.state.store import read_state
from etl.state.urls import parse_url, place, sqlite_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl.clock import Clock
    from etl.models.portal import Owner
    from etl.models.reading import Quota
    from etl.settings import Settings
    from etl.state.store import Transaction


class StateChecks:
    """Each opens the state for itself: none holds it while an API is asked.

    What is wrong with it is told by ``whole``, which comes first; the others raise NotCheckedError then.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._url = derived.state_url(settings.sync)
        self._readable = True

    def whole(self) -> str:
        """Reads all of a file, so that a fault shows, and looks whether it can be written; nothing is.

        Raises StateError, and UnavailableError for a server that does not answer.
        """
        url = parse_url(self._url)
        where, path = place(url), sqlite_path(url)
        try:
            facts = self._looked_through(where)
        except SyncError:
            self._readable = False
            raise
        if path:
            _raise_unless_writable(path, where)
            if open_to_others(path):
                facts.append("open to others, the next run closes it to them")
        return ", ".join(facts)

    def _looked_through(self, where: str) -> list[str]:
        with read_state(self._url, self._clock) as state:
            if state is None:
                days = derived.days(self._settings.sync.initial_range)
                first = f"the first run makes it and reads the last {days}"
                return [f"{where} is new: it is not there yet; {first}"]
            state.prove_sound()
            holder, older = state.holder(), state.older
        facts = [where, f"held by process {holder.pid} on {holder.host}" if holder else "free"]
        if older:
            facts.append(f"made by an older version ({older}), the next run upgrades it")
        return facts

    def schedule(self, quota: Quota | None) -> Saw:
        """What a month costs, by ``quota`` and by the runs so far, and for which interval the plan suffices.

        Raises UnavailableError where scheduled runs are stopped.
        """
        plan = self._settings.zenovay
        with self._opened() as state:
            month = look(
                state,
                plan.website_id,
                plan,
                self._clock.now(),
                quota,
                declared=self._settings.shared is not None,
            )
        if month.stopped:
            raise UnavailableError(
                month.sentence,
                fix="For good: a longer interval (`visitor-sync schedule` prints one) or a larger plan.",
            )
        return Saw(month.sentence, month.shortfall or month.warning)

    def quota(self) -> Quota | None:
        """What the runs so far know of Zenovay's month; None where there is no state, or it says nothing."""
        with self._opened() as state:
            return state.limits.quota("zenovay") if state else None

    def owner(self) -> Owner | None:
        """Whose contacts the state describes; None where nobody has met it."""
        with self._opened() as state:
            return state.ownership.owner() if state else None

    def one_made(self) -> str | None:
        """The record of a contact that this program made; None where it has made none."""
        with self._opened() as state:
            return state.records.one_made() if state else None

    @contextmanager
    def _opened(self) -> Iterator[Transaction | None]:
        """What ``whole`` could not read is not tried again: an outage is waited for once."""
        if not self._readable:
            raise NotCheckedError(STATE)
        try:
            with (
                read_state(self._url, self._clock, derived.accounts(self._settings)) as state,
                limited(self._settings.shared, state, self._clock),
            ):
                yield state
        except InterruptedRunError:
            raise
        except SyncError as exc:
            raise NotCheckedError(STATE) from exc


def _raise_unless_writable(path: Path, where: str) -> None:
    folder = next(parent for parent in path.parents if parent.exists())
    wanted = (path, folder) if path.exists() else (folder,)
    if not folder.is_dir() or not all(os.access(each, os.W_OK) for each in wanted):
        raise StateError(
            f"State database {where}: it, or its directory, cannot be written.",
            fix="Name a writable place in SYNC_STATE_URL.",
        )
