"""How often to run: the shortest even interval that the plan affords. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from etl.cli.month import LONG_MONTH, together
from etl.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.cli.month import Schedule

_MINUTE, _HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVEN = (
    *(minutes * _MINUTE for minutes in (5, 6, 10, 12, 15, 20, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 4, 6, 8, 12, 24)),
)
"""What divides an hour or a day: cron knows no others."""

_BRISK = tuple(minutes * _MINUTE for minutes in (1, 2, 3, 4))
"""Likewise, for those who declare so."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """One of the EVEN intervals, or a shorter one that was declared, and why it is that one."""

    interval: timedelta
    why: str

    @property
    def sentence(self) -> str:
        return f"every {self._words}: {self.why}"

    @property
    def cron(self) -> str:
        """The first five columns of a crontab."""
        if self.interval < _HOUR:
            return f"*/{self.interval // _MINUTE} * * * *"
        if self.interval < DAY:
            hours = self.interval // _HOUR
            return f"0 {'*' if hours == 1 else f'*/{hours}'} * * *"
        return "0 0 * * *"

    @property
    def calendar(self) -> str:
        """OnCalendar of systemd, for the same instants."""
        if self.interval < _HOUR:
            return f"*:0/{self.interval // _MINUTE}"
        if self.interval < DAY:
            hours = self.interval // _HOUR
            return "*:00" if hours == 1 else f"0/{hours}:00"
        return "00:00"

    @property
    def _words(self) -> str:
        for unit, name in ((DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
            if self.interval >= unit:
                count = self.interval // unit
                return name if count == 1 else f"{count} {name}s"
        raise AssertionError(self.interval)


def afforded(
    websites: Sequence[Schedule | None], *, allowed: int, least: timedelta = timedelta(0)
) -> Cadence:
    """The shortest interval for which ``allowed`` requests last a month of 31 days.

    Of each website there is what its last runs cost; None is one request a run. It is not shorter than
    ``least``, within which a run would do nothing. Raises SettingsError where not even a run a day is
    afforded.
    """
    cost = together(websites)
    shortest = cost.shortest(allowed)
    fits = [each for each in EVEN if shortest and each >= max(shortest, min(least, DAY))]
    many = f"{len(websites)} website{'' if len(websites) == 1 else 's'}"
    if not fits:
        raise SettingsError(
            f"The {allowed} requests a month that the plan leaves do not suffice for a run a day of {many}:"
            f" that would take {_per_month(cost, DAY)}.",
            fix="Raise the plan and ZENOVAY_REQUESTS_PER_MONTH, or lower ZENOVAY_RESERVE.",
        )
    seen = " by what the last runs cost" if any(websites) else ""
    take = f"{many} {'takes' if len(websites) == 1 else 'take'} {_per_month(cost, fits[0])} requests a month"
    return Cadence(fits[0], f"{take}{seen}, of {allowed} that the plan leaves")


def declared(every: Sequence[timedelta]) -> Cadence:
    """The longest interval in which no website waits for longer than it is declared to be read."""
    shortest = min(every, default=EVEN[0])
    fits = [each for each in (*_BRISK, *EVEN) if each <= shortest]
    count = "one website" if len(every) == 1 else f"{len(every)} websites"
    return Cadence(max(fits), f"as the most frequent of {count} is declared; each is read once in its every")


def _per_month(cost: Schedule, interval: timedelta) -> int:
    return replace(cost, interval=interval).within(LONG_MONTH)
