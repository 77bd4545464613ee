"""``alert``: says once when a condition becomes true, and once when it has ended."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click
import orjson

from etl.cli import keepsake, logs, notices
from etl.cli.beside import beside_runs
from etl.cli.channels import Printed, channels
from etl.cli.logfile import LogFile
from etl.cli.people import say
from etl.cli.stopping import stoppable
from etl.cli.unattended import mail
from etl.clock import SystemClock
from etl.errors import InterruptedRunError, SyncError
from etl.models.summary import utc_second, utc_text
from etl.models.traffic import span
from etl.settings import load
from etl.state.alerts import AlertState
from etl.watch.outcome import PASSING, STALE
from etl.watch.troubles import EVERYWHERE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from etl.cli.beside import Beside
    from etl.clock import Clock
    from etl.models.traffic import TrafficReading
    from etl.settings import Settings
    from etl.state.alerts import Message
    from etl.watch.channels import Channel
    from etl.watch.conditions import Condition
    from etl.watch.troubles import Memory

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Whether a condition holds for a website. ``news`` is what was queued for the channels."""

    website: str
    state: AlertState | None
    reading: TrafficReading | None = None
    before: TrafficReading | None = None
    news: str | None = None
    error: SyncError | None = None


def evaluate(condition: Condition, *, as_json: bool) -> int:
    """Look at every website once. Returns 0 whether or not the condition holds.

    Off a terminal, where cron mails what is printed, that is what needs a person and was not told today.
    """
    if as_json or sys.stdout.isatty():
        return _attended(condition, as_json=as_json)
    return _unattended(condition)


def _attended(condition: Condition, *, as_json: bool) -> int:
    settings, clock = load(), SystemClock()
    logs.configure(settings.sync.log_format, settings.secrets())
    found, undelivered = _looked(condition, settings, channels(settings.watch, clock), clock)
    for each in found:
        if as_json:
            click.echo(orjson.dumps(_as_object(each, condition)))
        else:
            say(_sentence(each, condition))
    failures = [*(each.error for each in found if each.error), *undelivered]
    for failure in failures:
        notices.error(failure)
    return max((failure.exit_code for failure in failures), default=0)


def _unattended(condition: Condition) -> int:
    path, kept = keepsake.find()
    file = LogFile(path) if path else None
    logs.configure_unattended(None, (), file)
    clock, stale_after = SystemClock(), timedelta.max
    unseen, undelivered = list[SyncError](), list[SyncError]()
    try:
        settings = load()
        stale_after = settings.sync.stale_after
        logs.configure_unattended(settings.sync.log_format, settings.secrets(), file)
        told = channels(settings.watch, clock) or [Printed()]
        found, undelivered = _looked(condition, settings, told, clock)
        unseen = [each.error for each in found if each.error]
    except SyncError as exc:
        unseen = [exc]
    failures = [*unseen, *undelivered]
    if any(isinstance(failure, InterruptedRunError) for failure in failures):
        return max(failure.exit_code for failure in failures)
    for failure in failures:
        facts = {"action": "alert_failed", "why": str(failure)}
        log.warning("an alert was not judged, or not told", extra=facts)
    kept = kept.of("alert")
    memory, now = kept.load(), clock.now()
    troubles = [*_unseen(unseen, memory, stale_after, now), *map(_trouble, undelivered)]
    letter = memory.judge(troubles, well=() if failures else (EVERYWHERE,), now=now)
    mail(letter, memory, kept, log_file=path, err=True)
    return max((failure.exit_code for failure in failures), default=0)


def _looked(
    condition: Condition, settings: Settings, told: Sequence[Channel], clock: SystemClock
) -> tuple[list[Evaluation], list[SyncError]]:
    with (
        stoppable(clock),
        beside_runs(settings, clock, reserve=settings.zenovay.reserve) as beside,
    ):
        return poll(beside, condition, settings.zenovay.website_id, told, clock)


def _unseen(
    failures: Sequence[SyncError], memory: Memory, stale_after: timedelta, now: datetime
) -> Iterator[Trouble]:
    """Which looks that failed need a person: no outage that does not outlast ``stale_after``."""
    good = memory.good_until(EVERYWHERE, now)
    if not failures:
        memory.good[EVERYWHERE] = now
    for failure in failures:
        if failure.exit_code not in PASSING:
            yield _trouble(failure)
        elif now - good > stale_after:
            text = f"alert: no look succeeded since {utc_second(good)}. {failure}"
            yield Trouble(EVERYWHERE, failure.exit_code, text, cause=STALE)


def _trouble(failure: SyncError) -> Trouble:
    return Trouble(EVERYWHERE, failure.exit_code, f"alert: {failure}")


def poll(
    beside: Beside, condition: Condition, websites: Sequence[str], told: Sequence[Channel], clock: Clock
) -> tuple[list[Evaluation], list[SyncError]]:
    """Look at every website, and tell the channels what is new. Also returned is why that failed."""
    found = [_look(beside, condition, website, told, clock) for website in websites]
    return found, _send(beside, told, clock)


def _look(
    beside: Beside, condition: Condition, website: str, told: Sequence[Channel], clock: Clock
) -> Evaluation:
    with beside.store.beside() as state:
        before = state.alerts.get(website, str(condition))
    judged = before.judged if before else None
    try:
        reading = beside.read(
            website, condition.range, suffices=lambda found: judged is None or found.at > judged
        )
    except InterruptedRunError:
        raise
    except SyncError as exc:
        return Evaluation(website, before, error=exc)
    return _judge(beside, condition, reading, told, clock)


def _judge(
    beside: Beside, condition: Condition, reading: TrafficReading, told: Sequence[Channel], clock: Clock
) -> Evaluation:
    """Compare with what was so before, and queue what is to be said in the same transaction."""
    website, now = reading.website, clock.now()
    with beside.store.beside() as state:
        earliest = reading.at - span(reading.range)
        baseline = state.readings.first_after(website, reading.range, earliest)
        baseline = baseline if baseline and baseline.at < reading.at else None
        alert, holds = state.alerts.get(website, str(condition)), condition.holds(reading, baseline)
        if holds is None:
            return Evaluation(website, alert, reading)
        held = alert is not None and alert.holds
        since = alert.since if alert and held == holds else now
        after = AlertState(holds, since, reading.at)
        state.alerts.put(website, str(condition), after)
        say = condition.begins if holds else condition.ends
        news = say(reading, baseline) if held != holds else None
        for channel in told if news else ():
            state.alerts.queue(channel.name, str(news), now)
    return Evaluation(website, after, reading, baseline, news)


def _send(beside: Beside, told: Sequence[Channel], clock: Clock) -> list[SyncError]:
    """Send what waits to be sent, also from earlier evaluations. Returns what went wrong."""
    failures: list[SyncError] = []
    for channel in told:
        try:
            _send_over(channel, beside, clock)
        except InterruptedRunError as exc:
            return [*failures, exc]
        except SyncError as exc:
            failures.append(exc)
    return failures


def _send_over(channel: Channel, beside: Beside, clock: Clock) -> None:
    """In their order: what does not arrive keeps what came later waiting. Raises what ``send`` raises."""
    while message := _claimed(channel, beside, clock):
        try:
            channel.send(message.text)
        except SyncError:
            with beside.store.beside() as state:
                state.alerts.release(message)
            raise
        with beside.store.beside() as state:
            state.alerts.sent(message)


def _claimed(channel: Channel, beside: Beside, clock: Clock) -> Message | None:
    with beside.store.beside() as state:
        return state.alerts.claim(channel.name, clock.now())


def _sentence(each: Evaluation, condition: Condition) -> str:
    if each.error:
        return f"{each.website}: not known"
    if each.state is None or each.reading is None:
        return f"{each.website}: there is nothing to compare with yet"
    say = condition.begins if each.state.holds else condition.fails
    return each.news or say(each.reading, each.before)


def _as_object(each: Evaluation, condition: Condition) -> dict[str, Any]:
    alert, reading = each.state, each.reading
    return {
        "website": each.website,
        "range": condition.range,
        "condition": {"kind": condition.kind, "limit": condition.limit},
        "holds": alert.holds if alert else None,
        "since": utc_text(alert.since) if alert else None,
        "changed": each.news is not None,
        "message": each.news,
        "visitors": reading.traffic.visitors if reading else None,
        "compared_with": each.before.traffic.visitors if each.before and condition.kind == "drop" else None,
        "read_at": utc_text(reading.at) if reading else None,
        "error": str(each.error) if each.error else None,
    }
