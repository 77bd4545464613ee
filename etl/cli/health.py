"""``status --healthy``: whether the sync is well, for monitors and containers."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import click
import orjson

from etl.cli import logs
from etl.cli.derived import state_place, state_url
from etl.cli.people import say
from etl.cli.speech import spoken
from etl.cli.websites import chosen
from etl.cli.wish import Wish
from etl.cli.work import Several, load_work
from etl.clock import SystemClock
from etl.errors import SettingsError, SyncError
from etl.models.summary import Status, place_of, utc_second
from etl.settings import means_all
from etl.state.store import read_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from etl.cli.subjects import Subject
    from etl.cli.work import Work
    from etl.clock import Clock
    from etl.state.store import Transaction

_LOOKED_AT = 3
"""Runs of a website: that which goes on, and one before it, be one between them a backfill."""


class Ailment(NamedTuple):
    """Why something is not well. What is only ``late`` may wait for a process that has just begun."""

    sentence: str
    is_late: bool = False


class Examined(NamedTuple):
    """What is wrong with a state, and whether its first run in a long time goes on."""

    ailments: list[Ailment]
    begins: bool = False


def show_health(*, websites: Sequence[str] = (), as_json: bool) -> int:
    """Print why the sync of all or these ``websites`` is not healthy, if it is not: for monitors.

    Where portals are declared, those of all are judged, or of the chosen one. Returns 0 if all are, else 1.
    """
    why = list(_wrong(websites))
    if as_json:
        click.echo(orjson.dumps({"healthy": not why, "why": why}))
    else:
        for sentence in why or ["healthy"]:
            say(sentence)
    return 1 if why else 0


def _wrong(websites: Sequence[str]) -> Iterator[str]:
    """What ``run --cron`` would tell of, as far as settings and state show it."""
    try:
        work, clock = load_work(Wish(everything=means_all())), SystemClock()
        logs.configure(work.log.log_format, work.secrets())
        wanted = _chosen(work, websites)
    except SyncError as exc:
        yield spoken(str(exc))
        return
    examined = [_told(_examined(each, wanted, clock), each[0]) for each in _by_portal(work)]
    begins = any(each.begins for each in examined)
    for each in examined:
        yield from (found.sentence for found in each.ailments if not (found.is_late and begins))


def _told(examined: Examined, subject: Subject) -> Examined:
    """The same in the terms of the portal: its state has what its sides said."""
    say = subject.settings.terms.say
    return examined._replace(
        ailments=[each._replace(sentence=say(each.sentence)) for each in examined.ailments]
    )


def _by_portal(work: Work) -> list[list[Subject]]:
    return [[*theirs] for _, theirs in groupby(work.subjects, key=lambda each: each.portal)]


def _chosen(work: Work, websites: Sequence[str]) -> Sequence[str]:
    """The ids of the websites that are wanted. Raises SettingsError for one that nobody has."""
    known = [website for each in work.subjects for website in each.settings.zenovay.website_id]
    if not isinstance(work, Several):
        return chosen(websites, known)
    if unknown := [website for website in websites if website not in known]:
        raise SettingsError(f"--website names {', '.join(unknown)}, which no portal here has.")
    return websites or known


def _examined(subjects: Sequence[Subject], wanted: Sequence[str], clock: Clock) -> Examined:
    """What is wrong with the websites of one state."""
    sync, portal = subjects[0].settings.sync, subjects[0].portal
    names = [name for each in subjects for name in each.settings.zenovay.website_id]
    told = f"{portal}: " if portal else ""
    try:
        with read_state(state_url(sync), clock) as state:
            if state is None:
                none = f"{told}There is no state yet ({state_place(sync)}): no run has begun."
                return Examined([Ailment(none, is_late=True)])
            now = clock.now()
            return Examined(
                [
                    ailment
                    for name in names
                    if name in wanted
                    for ailment in _ailment(state, name, place_of(portal, name), sync.stale_after, now)
                ],
                _begins(state, names, sync.stale_after, now),
            )
    except SyncError as exc:
        return Examined([Ailment(f"{told}{exc}")])


def _ailment(
    state: Transaction, website: str, place: str, stale_after: timedelta, now: datetime
) -> Iterator[Ailment]:
    last = next(iter(state.runs.last(website, 1)), None)
    good = state.runs.last_success(website, now=now)
    reason = f" {last['reason']}" if last and last.get("reason") else ""
    if last and last["status"] == Status.FAILED.value:
        yield Ailment(f"{place}: the last run failed with exit code {last.get('exit_code')}.{reason}")
    elif good is None:
        yield Ailment(f"{place}: nothing was synced yet.{reason}", is_late=True)
    elif now - good > stale_after:
        yield Ailment(f"{place}: nothing was synced since {utc_second(good)}.{reason}", is_late=True)


def _begins(state: Transaction, websites: Sequence[str], stale_after: timedelta, now: datetime) -> bool:
    """Whether a run goes on, not for too long, before which there was none for as long.

    A process that stays has then just been started. One that hangs, or that only has outages, is not that.
    """
    holder = state.holder()
    if holder is None or now - holder.since > stale_after:
        return False
    started = [run["started"] for website in websites for run in state.runs.last(website, _LOOKED_AT)]
    return all(at >= holder.since or holder.since - at > stale_after for at in started)
