"""Whether a key's plan holds what the sites that are read with it ask of it. Pure."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl.settings.sections import ZenovaySettings

MONTH = timedelta(days=31)
"""The requests of a month have to last for a long one."""

_MINUTE = timedelta(minutes=1)


def remarks(key: str, every: Sequence[timedelta], plan: ZenovaySettings) -> Iterator[str]:
    """What the ``plan`` of a key does not hold, if a site is read ``every`` so often, one request each time.

    That is the least: sweeps, first runs and busy sites take more.
    """
    of = f"The key {key} has {len(every)} site{'' if len(every) == 1 else 's'}, which need at least"
    month = ceil(sum(MONTH / each for each in every))
    allowed = plan.requests_per_month - int(plan.requests_per_month * plan.reserve)
    if month > allowed:
        kept = plan.requests_per_month - allowed
        leaves = f"{allowed} of {plan.requests_per_month}, as {kept} are kept for people" if kept else allowed
        yield (
            f"{of} {month} requests in a month of {MONTH.days} days, and its plan leaves {leaves}."
            f" {_fitting(len(every), allowed)}"
        )
    minute = sum(_MINUTE / each for each in every)
    if minute > plan.requests_per_minute:
        yield f"{of} {ceil(minute)} requests a minute, and its limit is {plan.requests_per_minute}."


def _fitting(sites: int, allowed: int) -> str:
    """The interval of all sites, in whole minutes, for which so many requests suffice."""
    if not allowed:
        return "No interval fits."
    minutes = ceil(MONTH / _MINUTE * sites / allowed)
    hours, rest = divmod(minutes, 60)
    said = "".join(f"{count}{unit}" for count, unit in ((hours, "h"), (rest, "m")) if count)
    return f'With every = "{said}" for all of them it fits.'
