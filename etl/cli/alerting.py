"""``alert``: says once when a condition becomes true, and once when it has ended."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import orjson

from etl.cli import logs
from etl.cli.beside import beside_runs
from etl.cli.channels import Printed, channels
from etl.clock import SystemClock
from etl.errors import InterruptedRunError, SyncError
from etl.models.summary import utc_text
from etl.models.traffic import span
from etl.settings import load
from etl.state.alerts import AlertState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.cli.beside import Beside
    from etl.clock import Clock
    from etl.models.traffic import TrafficReading
    from etl.state.alerts import Message
    from etl.watch.channels import Channel
    from etl.watch.conditions import Condition


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
    """Look at every website once. Returns 0 whether or not the condition holds."""
    settings, clock = load(), SystemClock()
    logs.configure(settings.sync.log_format, settings.secrets())
    from etl.cli.wiring import stoppable  # noqa: PLC0415 -- the clients take 100 ms to import

    told = channels(settings.watch, clock)
    if not told and not as_json and not sys.stdout.isatty():
        told = [Printed()]
    with (
        stoppable(clock),
        beside_runs(settings, clock, reserve=settings.zenovay.reserve) as beside,
    ):
        found, failures = poll(beside, condition, settings.zenovay.website_id, told, clock)
    for each in found:
        _print(each, condition, as_json=as_json)
    for failure in failures:
        click.echo(f"error: {failure}", err=True)
    return max((failure.exit_code for failure in failures), default=0)


def poll(
    beside: Beside, condition: Condition, websites: Sequence[str], told: Sequence[Channel], clock: Clock
) -> tuple[list[Evaluation], list[SyncError]]:
    """Look at every website, and tell the channels what is new. Also returned is what went wrong."""
    found = [_look(beside, condition, website, told, clock) for website in websites]
    failures = [each.error for each in found if each.error]
    return found, [*failures, *_send(beside, told, clock)]


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


def _print(each: Evaluation, condition: Condition, *, as_json: bool) -> None:
    """For programs an object, for a terminal a sentence; of cron's mail ``Printed`` takes care."""
    if as_json:
        click.echo(orjson.dumps(_as_object(each, condition)))
    elif sys.stdout.isatty():
        click.echo(_sentence(each, condition))


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
