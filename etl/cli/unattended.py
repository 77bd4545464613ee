"""``run --cron``: the log goes to a file, and somebody is told only of what needs a person, once."""

from __future__ import annotations

import logging
from itertools import groupby
from textwrap import shorten
from typing import TYPE_CHECKING

import click

from etl.cli import keepsake, logs, streams
from etl.cli.logfile import LogFile
from etl.cli.printout import Collector
from etl.cli.troubles import EVERYWHERE, Trouble
from etl.clock import SystemClock
from etl.errors import (
    AccessRefusedError,
    ContractBrokenError,
    LockedError,
    SettingsError,
    StateError,
    SyncError,
    TooManyRejectedError,
    UnavailableError,
)
from etl.models.summary import Status, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from etl.cli.troubles import Alarm, Letter, Memory
    from etl.models.summary import RunSummary
    from etl.settings import Settings

log = logging.getLogger(__name__)

SIGNALLED = 128
LONGEST = 160
_PASSING = frozenset({UnavailableError.exit_code, LockedError.exit_code})
"""Nobody is needed, unless it lasts."""

_WHAT_TO_DO = {
    SyncError.exit_code: "Report it with the line above: it names the place and holds no data.",
    SettingsError.exit_code: "Mend it; visitor-sync check lists everything that is wrong.",
    TooManyRejectedError.exit_code: (
        "visitor-sync rejections says what and why. Mend the cause, then: visitor-sync rejections retry"
    ),
    UnavailableError.exit_code: "visitor-sync check says which side does not answer. Nothing is lost.",
    AccessRefusedError.exit_code: (
        "Renew the key or token, or grant the scope that is named; visitor-sync check says if that was it."
    ),
    ContractBrokenError.exit_code: (
        "Check the base URLs and HUBSPOT_API_VERSION; else report it: the API may have changed."
    ),
    StateError.exit_code: "visitor-sync help state says what to do. Nothing is sent meanwhile.",
    LockedError.exit_code: "visitor-sync status names the process that holds the lock.",
}


def unattended(*, now: bool) -> int:
    """Sync, and print what needs a person and was not told today. Returns the exit code of the run."""
    path, kept = keepsake.find()
    file = LogFile(path) if path else None
    logs.configure_unattended(None, (), file)
    run = _Run(SystemClock())
    code = run.sync(file, now=now)
    memory = kept.load()
    letter = run.tell(memory, fault=_fault(file))
    logging.getLogger("etl").handlers[:] = [logging.NullHandler()]
    if letter:
        click.echo(_sentences(letter, path))
    if streams.is_lost():
        return code
    if not kept.save(memory) and letter:
        click.echo("That this was told cannot be kept anywhere: the next run may say it again.")
    return code


class _Run:
    """One run, and what it shows."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._report = Collector()
        self._settings: Settings | None = None
        self._failure: SyncError | None = None

    def sync(self, file: LogFile | None, *, now: bool) -> int:
        try:
            return self._sync(file, now=now)
        except SyncError as exc:
            self._failure = exc
        except Exception as exc:  # noqa: BLE001 -- the last resort, as for the other commands
            from etl.pipeline.ending import as_bug  # noqa: PLC0415 -- only a bug needs it

            self._failure = as_bug(exc)
        code = self._failure.exit_code
        facts = {"action": "run_failed", "exit_code": code, "why": str(self._failure)}
        log.log(logging.INFO if code in _PASSING else logging.ERROR, "run failed", extra=facts)
        return code

    def _sync(self, file: LogFile | None, *, now: bool) -> int:
        from etl.cli.syncing import sync_new  # noqa: PLC0415 -- it reads the settings' module
        from etl.settings import load  # noqa: PLC0415 -- likewise

        self._settings = load()
        logs.configure_unattended(self._settings.sync.log_format, self._settings.secrets(), file)
        return sync_new(self._settings, self._clock, self._report, now=now)

    def tell(self, memory: Memory, *, fault: str | None) -> Letter:
        """What is to be told, and remembered as told."""
        at = self._clock.now()
        summaries = self._report.summaries
        if summaries and self._failure is None and not self._clock.interruption():
            memory.forget_all_but(summary.website for summary in summaries)
        for summary in summaries:
            if summary.status in {Status.DONE, Status.PARTIAL}:
                memory.good[summary.website] = at
        troubles = list(self._troubles(memory, at))
        if fault:
            troubles.append(Trouble(EVERYWHERE, 0, fault, lasts=False))
        return memory.judge(troubles, well=_well(summaries), now=at)

    def _troubles(self, memory: Memory, at: datetime) -> Iterator[Trouble]:
        ended = [(each.website, each.exit_code, str(each.reason)) for each in self._report.summaries]
        if self._failure:
            ended.append((EVERYWHERE, self._failure.exit_code, str(self._failure)))
        successes = self._successes() if any(code in _PASSING for _, code, _ in ended) else {}
        for place, code, reason in ended:
            if code in _PASSING:
                yield from self._stale(place, code, reason, good=_good(memory, place, successes, at), at=at)
            elif 0 < code < SIGNALLED:
                happened = code == TooManyRejectedError.exit_code
                yield Trouble(place, code, reason, lasts=not happened, cause="rejected" if happened else None)
        for summary in self._report.summaries:
            for concern in summary.concerns:
                yield Trouble(summary.website, 0, concern, lasts=False)

    def _stale(
        self, place: str, code: int, reason: str, *, good: datetime, at: datetime
    ) -> Iterator[Trouble]:
        if self._settings and at - good > self._settings.sync.stale_after:
            text = f"Nothing was synced since {utc_text(good.replace(microsecond=0))}. {reason}"
            yield Trouble(place, code, text, cause="stale")

    def _successes(self) -> dict[str, datetime]:
        """When each website was last synced, as far as the state can be asked."""
        from etl.cli.derived import state_url  # noqa: PLC0415 -- it brings SQLAlchemy
        from etl.state.store import read_state  # noqa: PLC0415 -- likewise

        if self._settings is None:
            return {}
        try:
            with read_state(state_url(self._settings.sync), self._clock) as state:
                names = self._settings.zenovay.website_id if state else ()
                now = self._clock.now()
                found = {name: state.runs.last_success(name, now=now) for name in names} if state else {}
        except SyncError:
            return {}
        return {name: at for name, at in found.items() if at}


def _good(memory: Memory, place: str, successes: dict[str, datetime], at: datetime) -> datetime:
    if place == EVERYWHERE:
        return max(successes.values(), default=memory.good_until(place, at))
    return successes.get(place) or memory.good_until(place, at)


def _well(summaries: Sequence[RunSummary]) -> set[str]:
    """The places that are proved to be well. Also a skipped run has read its settings and its state."""
    synced = {summary.website for summary in summaries if summary.status is Status.DONE}
    begun = synced or any(summary.status is Status.SKIPPED for summary in summaries)
    return {*synced, EVERYWHERE} if begun else set()


def _fault(file: LogFile | None) -> str | None:
    if file is None:
        return "There is no place for a log: name one in SYNC_LOG_FILE."
    if file.fault is None:
        return None
    return (
        f"The log {file.path} cannot be written: {file.fault}. The run went on without."
        " Name a writable place in SYNC_LOG_FILE."
    )


def _sentences(letter: Letter, path: Path | None) -> str:
    by_kind = sorted(letter.troubles, key=lambda told: (told[0].exit_code == 0, told[0].kind))
    lines = [
        line for _, alike in groupby(by_kind, key=lambda told: told[0].kind) for line in _trouble([*alike])
    ]
    lines += [_well_again(place, alarm) for place, alarm in letter.well.items()]
    if path and letter.troubles:
        lines.append(f"Log: {path}")
    return "\n".join(lines)


def _trouble(alike: list[tuple[Trouble, datetime]]) -> Iterator[str]:
    """One trouble, of one website or several."""
    trouble, _ = alike[0]
    places = ", ".join(each.place for each, _ in alike if each.place != EVERYWHERE)
    yield f"visitor-sync{', ' if places else ''}{places}: {trouble.text}"
    if trouble.exit_code:
        yield f"What to do: {_WHAT_TO_DO[trouble.exit_code]}"
    if trouble.lasts:
        since = min(began for _, began in alike).replace(microsecond=0)
        yield f"Since {utc_text(since)}, exit code {trouble.exit_code}."


def _well_again(place: str, alarm: Alarm) -> str:
    what = shorten(alarm.text, LONGEST, placeholder=" …")
    since = utc_text(alarm.since.replace(microsecond=0))
    return f"visitor-sync is well again{': ' if place else ''}{place}. Since {since} it was: {what}"
