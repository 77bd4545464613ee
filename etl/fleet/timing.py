"""When a site is due again, and which of those that are due have their turn. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING

from etl.fleet.outcome import INTERRUPTED, SOON, UNAVAILABLE
from etl.instants import instant, microseconds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from etl.fleet.outcome import Outcome
    from etl.fleet.roster import Name, Roster, Site

MINUTE = timedelta(minutes=1)
A_MOMENT = timedelta(seconds=15)
"""After that, the next look takes what somebody else was at; the server gives up a lost one in less."""

AHEAD = timedelta(seconds=30)
"""A look takes what is due so soon after it, but by a quarter of its interval at most: so a site that is due
each minute does not miss every second look when its runs begin a little late."""

SPREAD = timedelta(minutes=5)
"""What waited for the same instant comes within so long after it."""
_MOST_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Turn:
    """A run that has ended: when it ``started``, when it is over, and when it was ``due``, if that is known.

    ``failures``: so many runs before it in a row were in vain. ``until``: a stop is known to last so long.
    """

    started: datetime
    now: datetime
    failures: int = 0
    until: datetime | None = None
    due: datetime | None = None


def on_grid(site: Site, after: datetime) -> datetime:
    """The first instant after ``after`` at which the site is due by itself.

    Each site has a grid of its own, the same for every worker, so that a thousand sites come spread.
    """
    every = site.every // timedelta(microseconds=1)
    phase = _hash(site.name) % every
    return instant((microseconds(after) - phase) // every * every + every + phase)


def due_again(site: Site, outcome: Outcome, turn: Turn) -> datetime:
    """When the site is due next.

    At its own time, in general, whatever it was that a person has to mend; the next one also where the run
    began a little before it was due. At once, for others, where the worker was told to stop; in a moment
    where somebody else is at the state, or where it cannot be used. After an outage when the stop ends, or
    else after a pause that grows up to the site's interval.
    """
    code = outcome.exit_code
    if code in INTERRUPTED:
        return turn.now
    if code in SOON:
        return turn.now + A_MOMENT
    if code == UNAVAILABLE:
        if turn.until and turn.until > turn.now:
            spread = timedelta(seconds=_hash(site.name) % _seconds(min(site.every, SPREAD)))
            return turn.until + AHEAD + spread
        return turn.now + pause(turn.failures + 1, site.every)
    due = turn.due or turn.started
    if due - turn.started > ahead(site.every):  # its time has not come: it was run twice, say
        return min(due, on_grid(site, turn.started) + site.every)
    return on_grid(site, max(turn.started, due))


def ahead(every: timedelta) -> timedelta:
    """So soon after a look what is due each ``every`` is taken along."""
    return min(AHEAD, every / 4)


def pause(failures: int, longest: timedelta) -> timedelta:
    """How long to leave alone what was in vain so many times in a row: a minute, two, four, and so on."""
    return min(longest, MINUTE * (1 << min(failures - 1, _MOST_DOUBLINGS)))


@dataclass(frozen=True, slots=True)
class Due:
    """A site whose time has come; its portal may have been ``down``."""

    name: Name
    down: bool = False


def have_their_turn(due: Iterable[Due], live: Collection[Name], roster: Roster) -> list[Site]:
    """Which of those that are ``due``, the oldest first, are to be queued; ``live`` are queued or running.

    Of a key no more than it has requests in a minute, so that a key with too many sites fills neither the
    queue nor the workers. Its portals have equal shares of that, and then what is left: one that is slow
    keeps no others waiting. Of a portal that was down one, to see whether it still is.
    """
    waiting = [(site, each.down) for each in due if (site := roster.sites.get(each.name))]
    room = _Room([site for name in live if (site := roster.sites.get(name))], [s for s, _ in waiting], roster)
    portals = {name.portal for name in live}
    chosen: set[Name] = set()
    for shares in (True, False):
        for site, down in waiting:
            if site.name in chosen or site.name in live or (down and site.portal in portals):
                continue
            if room.has_some(site, shares=shares):
                room.take(site)
                portals.add(site.portal)
                chosen.add(site.name)
    return [site for site, _ in waiting if site.name in chosen]


class _Room:
    """How many more sites each key takes. What a portal has beyond its share waits for the portal alone."""

    def __init__(self, live: Collection[Site], waiting: Collection[Site], roster: Roster) -> None:
        self._limits = {key: max(1, limit) for key, limit in roster.per_minute.items()}
        portals = Counter(key for key, _ in {(site.key, site.portal) for site in (*live, *waiting)})
        self._share = {key: max(1, self._limits[key] // number) for key, number in portals.items()}
        self._held = Counter((site.key, site.portal) for site in live)
        self._left = Counter(self._limits)
        for (key, _), number in self._held.items():
            self._left[key] -= min(number, self._share[key])

    def has_some(self, site: Site, *, shares: bool) -> bool:
        """For the site; where portals have their ``shares``, within that of its own."""
        most = (self._share if shares else self._limits)[site.key]
        return self._left[site.key] > 0 and self._held[site.key, site.portal] < most

    def take(self, site: Site) -> None:
        self._held[site.key, site.portal] += 1
        self._left[site.key] -= 1


def _seconds(span: timedelta) -> int:
    return max(1, int(span.total_seconds()))


def _hash(name: Name) -> int:
    return int.from_bytes(blake2b(str(name).encode(), digest_size=8).digest(), "big")
