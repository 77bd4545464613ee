"""What time it is at the source: the clocks that an answer shows, ours, and which of them is believed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

DIFFERENT = timedelta(minutes=5)
"""Clocks that are further apart than this disagree."""

FAR = timedelta(hours=3)
"""Nothing is believed that is further ahead of our own clock: no other clock, and nothing remembered."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """``stated`` is an answer's ``timestamp``, ``date`` its ``Date`` header, None where it has none.

    One wrong clock must not carry a watermark away. ``timestamp`` is believed as long as ``Date`` agrees
    with it, else ``Date``; and ours, where theirs is far ahead of it. A clock behind ours is none the worse.
    """

    stated: datetime | None
    date: datetime | None
    ours: datetime

    @property
    def believed(self) -> datetime:
        """The source's clock."""
        theirs = self._theirs
        return self.ours if theirs is None or theirs - self.ours > FAR else theirs

    @property
    def latest(self) -> datetime:
        """The latest that the source may take for now, whichever of its clocks it goes by."""
        return max(clock for clock in (self.stated, self.date, self.believed) if clock is not None)

    @property
    def disagree(self) -> bool:
        """Whether any two of them are further apart than answers take."""
        shown = [clock for clock in (self.stated, self.date, self.ours) if clock is not None]
        return max(shown) - min(shown) > DIFFERENT

    @property
    def doubt(self) -> str | None:
        """What is to be told where something that the source says of the time is not believed."""
        theirs = self._theirs
        if theirs is not None and theirs - self.ours > FAR:
            return f"Zenovay's clock is not believed: {self}. If ours is the wrong one, set it."
        if theirs is not None and self.stated not in (None, theirs):
            return f"The timestamp of Zenovay's answers is not believed: {self}."
        return None

    def __str__(self) -> str:
        return (
            f"its timestamp shows {_text(self.stated)}, its Date header {_text(self.date)}, our own clock"
            f" {_text(self.ours)}; {_text(self.believed)} is taken"
        )

    @property
    def _theirs(self) -> datetime | None:
        if self.stated and self.date and abs(self.stated - self.date) > DIFFERENT:
            return self.date
        return self.stated or self.date


def _text(clock: datetime | None) -> str:
    return f"{clock:%Y-%m-%dT%H:%M:%SZ}" if clock else "nothing"
