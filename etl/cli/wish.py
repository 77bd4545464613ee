"""What somebody wants of a run, and the options that say so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

JOBS = 4
"""So many portals are synced at once, where nobody says otherwise."""

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be synced, and when. Of no ``websites`` it is all, ``everything`` is all portals."""

    now: bool = False
    websites: tuple[str, ...] = ()
    everything: bool = False
    jobs: int = JOBS
    dry_run: bool = False

    def again(self) -> Wish:
        """The same of a later run of the same process: what was to be now has been."""
        return replace(self, now=False)


def wish_options(command: Callable[..., int]) -> Callable[..., int]:
    """Let ``command`` take a Wish."""

    @click.option(
        "--now", is_flag=True, help="Run even if the last run was a moment ago, or a limit is spent."
    )
    @click.option("--all", "everything", is_flag=True, help="Sync all portals of visitor-sync.toml.")
    @click.option(
        "--jobs",
        metavar="N",
        type=click.IntRange(1, 64),
        help=f"With --all: sync N portals at once.  [default: {JOBS}]",
    )
    @click.option(
        "--website",
        "websites",
        metavar="W",
        multiple=True,
        help="Only this one of ZENOVAY_WEBSITE_ID, or of the portals; repeatable.",
    )
    @wraps(command)
    def told(
        *, now: bool, everything: bool, jobs: int | None, websites: tuple[str, ...], **options: Any
    ) -> int:
        if jobs is not None and not everything:
            raise click.UsageError("--jobs needs --all.")
        if everything and _is_one_portal():
            raise click.UsageError("Give either --all or --portal.")
        wish = Wish(now, websites, everything, jobs or JOBS, dry_run=bool(options.get("dry_run")))
        return command(wish=wish, **options)

    return told


def _is_one_portal() -> bool:
    from etl.settings import chosen_portal  # noqa: PLC0415 -- the settings cost 100 ms

    return chosen_portal() is not None


def interval(text: str) -> timedelta:
    """How often --every says. Raises UsageError."""
    from etl.instants import duration  # noqa: PLC0415 -- few need it

    try:
        every = duration(text)
    except ValueError:
        every = timedelta(0)
    if not _SHORTEST <= every <= _LONGEST:
        raise click.UsageError("--every must be a duration such as 5m or 1h, from a second to a day.")
    return every
